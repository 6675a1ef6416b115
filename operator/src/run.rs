//! Wires it up: watches feed the index, the index is decided upon, what was decided is applied.
//!
//! ```text
//!  API server ──watches::news──► Index ──decide──► Plan ──Applier──► API server
//!                                  ▲                        │
//!                                  └──── what came of it ───┘
//! ```
//! One task does all of this, so nothing is locked and no two writes cross. Beside it run the
//! probes, the writer of Events and the candidate for the Lease.

use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;
use metallb_crds::v1beta1::MetalLB;
use metallb_kit::events::Events;
use metallb_kit::leader::{Campaign, Leadership, identity};
use metallb_kit::metrics::{Endpoint, Metrics};
use metallb_kit::ready::{Condition, Ready};
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::tls::TlsOptions;
use metallb_kit::{args, client, log, metrics, probes, shutdown};
use rand::random;
use tokio::sync::watch;

use crate::apply::{Applier, Deleted};
use crate::args::{Arguments, Command, Flags};
use crate::counters::Counters;
use crate::decide::{Action, Pace, decide, is_leaving, own_key, reports, valid_spec};
use crate::index::Index;
use crate::render::{Inputs, Install, OPERATOR_LEASE, install, render};
use crate::settings::{Images, Ports, Settings};
use crate::watches::{self, Feed};
use crate::yaml;

/// Runs the program to its end.
pub(crate) fn run() -> ExitCode {
    let arguments: Arguments = args::parse();
    let result = match &arguments.command {
        Some(Command::Manifests { image, namespace }) => {
            print_manifests(image, namespace);
            Ok(())
        }
        Some(Command::Render { file, image }) => print_operands(file, image),
        None => serve(&arguments.flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_manifests(image: &str, namespace: &str) {
    let install = install(&Install {
        namespace,
        image,
        version: VERSION,
    });
    print!("{}", yaml::documents(&install));
}

fn print_operands(file: &std::path::Path, image: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let metallb: MetalLB = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is not a MetalLB object", file.display()))?;
    let objects = render(&Inputs {
        spec: &metallb.spec,
        namespace: metallb
            .metadata
            .namespace
            .as_deref()
            .unwrap_or("metallb-system"),
        uid: metallb.metadata.uid.as_deref().unwrap_or_default(),
        images: &Images {
            controller: image.to_owned(),
            speaker: image.to_owned(),
        },
        ports: Ports::default(),
        frr_k8s_namespace: None,
        existing_memberlist_key: None,
        fresh_memberlist_key: random(),
        version: VERSION,
    });
    print!(
        "{}",
        yaml::documents(objects.iter().map(|object| &object.manifest))
    );
    Ok(())
}

fn serve(flags: &Flags) -> anyhow::Result<()> {
    let settings = Settings::parse(|name| std::env::var(name).ok())?;
    let metrics_addr = flags.metrics_endpoint().map_err(anyhow::Error::msg)?;
    log::init(flags.log_level);
    for flag in flags.without_effect() {
        tracing::info!(flag, "flag has no effect yet");
    }
    for line in &settings.without_effect {
        tracing::info!("{line}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        let client = client::connect("metallb-operator", VERSION).await?;
        let ready = Ready::new();
        let synced = ready.condition("watches in sync");
        let port = SocketAddr::from((Ipv6Addr::UNSPECIFIED, flags.port));
        probes::serve(port, ready, shutdown.clone())
            .await
            .with_context(|| format!("cannot serve probes on port {}", flags.port))?;
        let metrics = Metrics::new();
        let counters = Counters::register(&metrics);
        if let Some(addr) = metrics_addr {
            let endpoint = Endpoint {
                addr,
                cert_dir: None,
                tls: TlsOptions::default(),
            };
            metrics::serve(metrics, endpoint, client.clone(), shutdown.clone()).await?;
        }
        let campaign = flags.enable_leader_election.then(|| {
            let pod = std::env::var("METALLB_POD_NAME").unwrap_or_else(|_| "operator".to_owned());
            Campaign::start(
                client.clone(),
                &settings.namespace,
                OPERATOR_LEASE,
                &identity(&pod),
            )
        });
        let operator = Operator {
            applier: Applier::new(
                client.clone(),
                &settings.namespace,
                Events::start(client.clone(), "metallb-operator", None),
            ),
            leadership: leadership(campaign.as_ref()),
            settings,
            index: Index::default(),
            counters,
            synced,
            pace: Pace::Thorough,
        };
        operator.run(&client, &shutdown).await;
        if let Some(campaign) = campaign {
            campaign.release().await;
        }
        Ok(())
    })
}

/// Without an election, whoever runs leads.
fn leadership(campaign: Option<&Campaign>) -> Leadership {
    campaign.map_or_else(|| watch::channel(true).1, Campaign::leadership)
}

struct Operator {
    settings: Settings,
    index: Index,
    applier: Applier,
    leadership: Leadership,
    counters: Counters,
    synced: Condition,
    pace: Pace,
}

impl Operator {
    /// Until `shutdown`, and a little longer: see [`Self::farewell`].
    async fn run(mut self, client: &Client, shutdown: &CancellationToken) {
        let mut news = watches::news(client, &self.settings.namespace);
        let turning = async {
            let mut wake_at = None;
            loop {
                wake_at = self.step(&mut news, wake_at).await;
            }
        };
        // What is cut off here is found by the next leader's watches.
        let _: Option<std::convert::Infallible> = shutdown.run_until_cancelled(turning).await;
        self.farewell(&mut news).await;
    }

    /// A namespace that is deleted takes the operator and the `MetalLB` object in no certain
    /// order, and would wait for our finalizer for ever. So the leader looks for a moment whether
    /// the object is to go, too, and if so lets it go before it goes itself.
    async fn farewell(&mut self, news: &mut Feed) {
        self.pace = Pace::Hurried;
        let own = own_key(&self.settings);
        let began = Instant::now();
        let mut wake_at = Some(began);
        while *self.leadership.borrow()
            && let Some(metallb) = self.index.metallbs.get(&own)
        {
            let patience = if is_leaving(metallb) { LET_GO } else { LINGER };
            let until = (began + patience).into();
            match tokio::time::timeout_at(until, self.step(news, wake_at)).await {
                Ok(next) => wake_at = next,
                Err(_) => return,
            }
        }
    }

    /// Waits for news or for `wake_at`, and acts. Returns when to look again without news.
    async fn step(&mut self, news: &mut Feed, wake_at: Option<Instant>) -> Option<Instant> {
        tokio::select! {
            Some(first) = news.next() => {
                self.index.handle(first);
                // News come in groups; what is at hand is decided upon together.
                let settled = tokio::time::sleep(SETTLE);
                tokio::pin!(settled);
                loop {
                    tokio::select! {
                        Some(more) = news.next() => self.index.handle(more),
                        () = &mut settled => break,
                    }
                }
            }
            // An error says that nobody will ever change it: without an election.
            Ok(()) = self.leadership.changed() => {}
            () = sleep_until(wake_at) => {}
        }
        let missing = self.index.missing();
        self.synced.set(missing.is_empty());
        if missing.is_empty() && *self.leadership.borrow() {
            return self.reconcile().await;
        }
        None
    }

    /// Makes the cluster as wanted, as far as that can be done now. Returns when to look again
    /// without news.
    async fn reconcile(&mut self) -> Option<Instant> {
        if let Some(spec) = valid_spec(&self.index, &self.settings).cloned() {
            self.index.last_valid = Some(spec);
        }
        let mut wake_at = None;
        // A second round sees what came of the first, such as the memberlist key.
        for _ in 0..ROUNDS {
            let plan = decide(
                &self.index,
                &self.settings,
                self.pace,
                Instant::now(),
                Timestamp::now(),
            );
            wake_at = plan.wake_at;
            let mut reads = false;
            for action in plan.actions {
                if !*self.leadership.borrow() {
                    return None;
                }
                reads |= matches!(action, Action::ReadMemberlistKey);
                if let Err(again_at) = self.perform(action).await {
                    wake_at = Some(wake_at.map_or(again_at, |at: Instant| at.min(again_at)));
                    reads = false;
                }
            }
            if !reads {
                break;
            }
        }
        for report in reports(&self.index, &self.settings, Timestamp::now()) {
            let Some(metallb) = self.index.metallbs.get(&report.metallb) else {
                continue;
            };
            if let Err(error) = self.applier.report(metallb, &report).await {
                tracing::warn!(metallb = %report.metallb, %error, "status not written");
                let again_at = Instant::now() + RETRY;
                wake_at = Some(wake_at.map_or(again_at, |at| at.min(again_at)));
            }
        }
        wake_at
    }

    /// Does one thing, and takes in what came of it. An error is when to try again.
    async fn perform(&mut self, action: Action) -> Result<(), Instant> {
        let later = Instant::now() + RETRY;
        match action {
            Action::ReadMemberlistKey => {
                let read = self.applier.memberlist_key().await.map_err(|error| {
                    tracing::warn!(%error, "cannot read the memberlist Secret");
                    later
                })?;
                let memberlist = &mut self.index.memberlist;
                let first = !std::mem::replace(&mut memberlist.known, true);
                if first {
                    memberlist.fresh = random();
                }
                if let Some((key, fingerprint)) = read {
                    memberlist.read_at = Some(fingerprint);
                    if key.is_some() {
                        memberlist.existing = key;
                    }
                }
            }
            Action::Apply {
                object,
                wanted,
                repairs,
            } => {
                return self.apply(object, wanted, repairs).await;
            }
            Action::Delete { key, uid } => match self.applier.delete(&key, &uid).await {
                Ok(Deleted::Yes) => tracing::info!(object = %key, "deleted"),
                Ok(Deleted::NotOurs) => {
                    tracing::info!(object = %key, "left alone: somebody else made it");
                    self.index.leave_alone(uid);
                }
                Err(error) => {
                    tracing::warn!(object = %key, %error, "not deleted");
                    return Err(later);
                }
            },
            Action::SetFinalizer { metallb, hold } => {
                if let Some(object) = self.index.metallbs.get(&metallb)
                    && let Err(error) = self.applier.set_finalizer(object, hold).await
                {
                    tracing::warn!(%metallb, %error, "finalizer not changed");
                    return Err(later);
                }
            }
            Action::DeleteControllerLease => {
                if let Err(error) = self.applier.delete_controller_lease().await {
                    tracing::warn!(%error, "the controllers' Lease was not deleted");
                }
            }
            Action::Forget => self.index.forget_metallb(),
        }
        Ok(())
    }

    async fn apply(
        &mut self,
        object: crate::object::Object,
        wanted: u64,
        repairs: bool,
    ) -> Result<(), Instant> {
        let result = self.applier.apply(&object).await;
        let now = Instant::now();
        let key = object.key;
        self.counters.applied(key.kind, repairs, result.is_ok());
        match result {
            Ok(fingerprint) => {
                let seen = self
                    .index
                    .operands
                    .get(&key)
                    .map(|operand| &operand.fingerprint);
                if seen == Some(&fingerprint) {
                    tracing::debug!(object = %key, "already as wanted");
                } else if repairs {
                    tracing::info!(object = %key, "repaired: somebody changed or deleted it");
                } else {
                    tracing::info!(object = %key, "applied");
                }
                self.index.applied(key, wanted, fingerprint, now);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(object = %key, %error, permanent = error.permanent, "not applied");
                let retry_at = self
                    .index
                    .failed(key, wanted, error.message, error.permanent, now);
                Err(retry_at)
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long news may go on coming in before they are decided upon.
const SETTLE: Duration = Duration::from_millis(50);
/// How long the leader looks, when it is told to end, whether the `MetalLB` object is to go, too.
const LINGER: Duration = Duration::from_millis(1500);
/// How long it takes at most to let it go; less than the time the pod is given.
const LET_GO: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_secs(2);
/// Reads of a Secret that changes while it is read.
const ROUNDS: usize = 3;
