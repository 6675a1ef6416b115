//! The task that keeps the node's FRRConfiguration as it is to be. It takes in all that is at hand
//! before it writes, and while it writes what comes is taken in for the next time: so a burst of
//! changes is a few writes, and one change is written at once.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, ListParams, PartialObjectMeta, PostParams};
use kube::runtime::watcher;
use metallb_bgp::rib::Rib;
use metallb_crds::frrk8s::{FRRConfiguration, FRRConfigurationSpec};
use metallb_crds::names::WRITTEN_FROM_LABEL;
use metallb_kit::configuration_state::{Note, Reporter};
use metallb_kit::sleep;
use metallb_kit::watch::{Change, ObjectKey, watch_with};
use metallb_kit::words::in_words;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::book::{Book, Step};
use super::configuration::{Passwords, configuration};
use super::{FrrPeers, name_for};
use crate::bgp::BgpCommand;

/// Where the object is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// FRR-K8s'.
    pub(crate) namespace: String,
    pub(crate) node: String,
    /// The speakers'.
    pub(crate) own_namespace: String,
}

type Command = BgpCommand<FrrPeers>;
type Seen = PartialObjectMeta<FRRConfiguration>;

/// Starts the task, and returns where it is told what FRR is to do.
pub(crate) fn start(
    client: Client,
    place: Place,
    passwords: Passwords,
    reporter: Reporter,
) -> mpsc::UnboundedSender<Command> {
    let (wanted, told) = mpsc::unbounded_channel();
    let writer = Writer {
        objects: Api::namespaced(client.clone(), &place.namespace),
        seen: Api::namespaced(client, &place.namespace),
        notice: Notice {
            name: name_for(&place.node),
            namespace: place.namespace,
            reporter,
        },
        own_namespace: place.own_namespace,
        passwords,
        peers: None,
        rib: Rib::default(),
        draining: false,
        book: Book::default(),
    };
    tokio::spawn(writer.run(told));
    wanted
}

/// Where users read how it goes.
#[derive(Clone, Debug)]
struct Notice {
    /// The object's.
    name: String,
    /// The object's.
    namespace: String,
    reporter: Reporter,
}

struct Writer {
    objects: Api<FRRConfiguration>,
    seen: Api<Seen>,
    notice: Notice,
    own_namespace: String,
    passwords: Passwords,
    /// Nothing before they were decided.
    peers: Option<FrrPeers>,
    rib: Rib<ObjectKey>,
    draining: bool,
    book: Book,
}

impl Writer {
    async fn run(mut self, mut told: mpsc::UnboundedReceiver<Command>) {
        let mut changes = self.changes();
        let mut commands = Vec::new();
        let (mut synced, mut failures, mut again_at) = (false, 0_u32, None);
        loop {
            let step = self.book.due().filter(|_| synced && again_at.is_none());
            if let Some(step) = step {
                match timeout(REQUEST, self.perform(step)).await {
                    Ok(Ok(())) => {
                        failures = 0;
                        self.notice.say(true, "Written", "as FRR-K8s is to have it");
                    }
                    Ok(Err(error)) => {
                        again_at = Some(self.failed(&mut failures, &in_words(&error)));
                    }
                    Err(_) => again_at = Some(self.failed(&mut failures, "no answer")),
                }
                continue;
            }
            tokio::select! {
                biased;
                count = told.recv_many(&mut commands, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    commands.drain(..).for_each(|it| self.obey(it));
                    // All that is at hand first.
                    if told.is_empty() {
                        self.render();
                    }
                }
                Some(change) = changes.next() => match change {
                    Change::Apply(object) => self.book.see(Some(object.metadata)),
                    Change::Delete(_) => self.book.see(None),
                    Change::Listing => {}
                    Change::Synced => synced = true,
                },
                () = sleep::until(again_at) => again_at = None,
            }
        }
    }

    /// What becomes of the object, once there is a definition of such.
    fn changes(&self) -> BoxStream<'static, Change<Seen>> {
        let own = format!("metadata.name={}", self.notice.name);
        let own = watcher::Config::default().fields(&own);
        let seen = self.seen.clone();
        let defined = wait_for_definition(self.objects.clone(), self.notice.clone());
        stream::once(defined)
            .flat_map(move |()| watch_with(seen.clone(), own.clone()))
            .boxed()
    }

    fn obey(&mut self, command: Command) {
        match command {
            BgpCommand::Peers(peers) => self.peers = Some(peers),
            BgpCommand::Contribute(key, routes) => self.rib.contribute(&key, routes),
            BgpCommand::GracefulShutdown(goes) => self.draining = goes,
        }
    }

    fn render(&mut self) {
        self.rib.forget_gone();
        if let Some(peers) = &self.peers {
            let spec = configuration(peers, &self.rib, self.draining, self.passwords);
            self.book.want(spec);
        }
    }

    fn failed(&self, failures: &mut u32, error: &str) -> Instant {
        *failures = failures.saturating_add(1).min(6);
        tracing::warn!(
            op = "frrK8s",
            name = self.notice.name,
            namespace = self.notice.namespace,
            error,
            "the FRRConfiguration is not written, will be tried again"
        );
        self.notice.say(false, "NotWritten", error);
        Instant::now() + FIRST_PAUSE * (1 << *failures)
    }

    async fn perform(&mut self, step: Step) -> kube::Result<()> {
        let params = PostParams::default();
        let (spec, made) = match step {
            Step::Create(spec) => {
                let object = self.object(ObjectMeta::default(), &spec);
                (spec, self.objects.create(&params, &object).await?)
            }
            Step::Replace(meta, spec) => {
                let object = self.object(*meta, &spec);
                (
                    spec,
                    self.objects
                        .replace(&self.notice.name, &params, &object)
                        .await?,
                )
            }
            Step::Delete => {
                match self
                    .objects
                    .delete(&self.notice.name, &<_>::default())
                    .await
                {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    deleted => drop(deleted?),
                }
                tracing::info!(
                    event = "frrConfigurationDeleted",
                    name = self.notice.name,
                    namespace = self.notice.namespace,
                    "nothing is wanted of FRR here any more"
                );
                self.book.see(None);
                return Ok(());
            }
        };
        let changed = made.metadata.generation;
        tracing::info!(
            event = "frrConfigurationWritten",
            name = self.notice.name,
            generation = changed,
            namespace = self.notice.namespace,
            "FRR-K8s is told what FRR is to do"
        );
        self.book.written(spec, &made.metadata);
        Ok(())
    }

    fn object(
        &self,
        mut metadata: ObjectMeta,
        spec: &Arc<FRRConfigurationSpec>,
    ) -> FRRConfiguration {
        metadata.name = Some(self.notice.name.clone());
        let labels = metadata.labels.get_or_insert_default();
        let own = self.own_namespace.clone();
        labels.insert(WRITTEN_FROM_LABEL.to_owned(), own);
        FRRConfiguration {
            metadata,
            spec: FRRConfigurationSpec::clone(spec),
        }
    }
}

/// Without FRR-K8s' definition there is nothing to watch or to write.
async fn wait_for_definition(objects: Api<FRRConfiguration>, notice: Notice) {
    let one = ListParams::default().limit(1);
    let mut said = None;
    loop {
        let (reason, message) = match objects.list_metadata(&one).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 404 => (
                "NotInstalled",
                "the cluster has no definition of FRRConfiguration: install FRR-K8s".to_owned(),
            ),
            Err(error) => ("NotReadable", in_words(&error)),
        };
        if said.as_ref() != Some(&message) {
            tracing::warn!(
                op = "frrK8s",
                reason,
                why = message,
                "FRR-K8s cannot be told anything yet"
            );
            notice.say(false, reason, &message);
            said = Some(message);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl Notice {
    fn say(&self, is_so: bool, reason: &'static str, message: &str) {
        let Self {
            namespace, name, ..
        } = self;
        let note = Note {
            is_so,
            reason,
            message: format!("{namespace}/{name}: {message}"),
        };
        self.reporter.note(WRITTEN, Some(note));
    }
}

/// The condition of `ConfigurationState` that says whether FRR-K8s could be told.
const WRITTEN: &str = "FRRConfigurationWritten";
/// How many commands are taken in at once.
const BATCH: usize = 512;
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// The first pause after a failure is twice this.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How often to look for FRR-K8s while it is not there.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
