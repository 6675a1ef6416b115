//! The task that writes what the book says.

use std::time::Duration;

use futures::stream::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use metallb_crds::names;
use metallb_kit::watch::{Change, ObjectKey, watch_with};
use metallb_kit::{own_pod, sleep};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{Book, Kind, Step};

/// Where the objects are, and whose they are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) node: String,
    /// The speaker's pod, if it is one: it takes the objects along.
    pub(crate) pod: Option<String>,
}

/// Where it is told what is announced from here. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Statuses<K: Kind>(mpsc::UnboundedSender<Told<K>>);

/// What is to be said of a Service; nothing if it is not announced from here.
type Told<K> = (ObjectKey, Option<<K as Kind>::Said>);

impl<K: Kind> Statuses<K> {
    /// Starts the task that writes.
    pub(crate) fn start(client: Client, place: Place) -> Self {
        let (wanted, told) = mpsc::unbounded_channel();
        if place.node.len() > LABEL_MAX {
            // Upstream writes none, either: the API server refuses the label.
            tracing::warn!(
                node = place.node,
                kind = %K::kind(&()),
                "no status of Services is written: the node's name is too long for a label"
            );
        } else {
            tokio::spawn(Writer::<K>::new(client, place).run(told));
        }
        Self(wanted)
    }

    /// This is to be said of the Service, or it is not announced from here.
    pub(crate) fn tell(&self, service: &ObjectKey, said: Option<K::Said>) {
        // Nobody listens when no statuses are written.
        let _ = self.0.send((service.clone(), said));
    }
}

struct Writer<K: Kind> {
    statuses: Api<K>,
    client: Client,
    place: Place,
    owner: Option<Vec<OwnerReference>>,
    book: Book<K>,
    /// What this node had when it started is known.
    synced: bool,
}

impl<K: Kind> Writer<K> {
    fn new(client: Client, place: Place) -> Self {
        Self {
            statuses: Api::namespaced(client.clone(), &place.namespace),
            client,
            book: Book::new(place.node.clone()),
            place,
            owner: None,
            synced: false,
        }
    }

    async fn run(mut self, mut told: mpsc::UnboundedReceiver<Told<K>>) {
        let own = format!("{}={}", names::NODE_LABEL, self.place.node);
        let config = watcher::Config::default().labels(&own);
        let mut changes = watch_with(self.statuses.clone(), config);
        let mut failures = 0_u32;
        let mut again_at: Option<Instant> = None;
        loop {
            if again_at.is_none() && self.synced {
                match self.write().await {
                    Ok(true) => failures = 0,
                    Ok(false) => {}
                    Err(error) => {
                        failures = failures.saturating_add(1).min(6);
                        again_at = Some(Instant::now() + FIRST_PAUSE * (1 << failures));
                        tracing::warn!(kind = %K::kind(&()), %error, "cannot write a status, will be tried again");
                    }
                }
            }
            let busy = again_at.is_none() && self.synced && !self.book.due.is_empty();
            tokio::select! {
                biased;
                news = told.recv() => match news {
                    Some((service, said)) => self.book.want(service, said),
                    None => return,
                },
                Some(change) = changes.next() => {
                    self.synced |= matches!(change, Change::Synced);
                    self.book.see(change);
                }
                () = sleep::until(again_at) => again_at = None,
                () = std::future::ready(()), if busy => {}
            }
        }
    }

    /// Does the next thing; false if there is none.
    async fn write(&mut self) -> anyhow::Result<bool> {
        let Some((service, step)) = self.book.next() else {
            return Ok(false);
        };
        timeout(REQUEST, self.perform(&service, step)).await??;
        Ok(true)
    }

    async fn perform(&mut self, service: &ObjectKey, step: Step<K::Status>) -> kube::Result<()> {
        match step {
            Step::Create => {
                let object = self.object(service).await?;
                let made = self
                    .statuses
                    .create(&PostParams::default(), &object)
                    .await?;
                self.book.made(&made);
                self.clean_up_after_others(service).await
            }
            Step::Status(name, status) => {
                let patch = Patch::Merge(json!({ "status": status }));
                let params = PatchParams::default();
                let patched = self.statuses.patch_status(&name, &params, &patch).await;
                match gone(patched)? {
                    Some(object) => self.book.made(&object),
                    None => self.book.deleted(&name),
                }
                Ok(())
            }
            Step::Delete(name) => {
                gone(self.statuses.delete(&name, &DeleteParams::default()).await)?;
                self.book.deleted(&name);
                Ok(())
            }
        }
    }

    /// Deletes what is left of a node that died while it announced the Service. One that lives
    /// does so itself.
    async fn clean_up_after_others(&self, service: &ObjectKey) -> kube::Result<()> {
        if !K::ALONE {
            return Ok(());
        }
        let others = format!(
            "{}={},{}={},{}!={}",
            names::SERVICE_NAME_LABEL,
            service.name,
            names::SERVICE_NAMESPACE_LABEL,
            service.namespace,
            names::NODE_LABEL,
            self.place.node,
        );
        let others = ListParams::default().labels(&others);
        for other in self.statuses.list_metadata(&others).await? {
            let params = DeleteParams::default();
            gone(self.statuses.delete(&other.name_any(), &params).await)?;
        }
        Ok(())
    }

    async fn object(&mut self, service: &ObjectKey) -> kube::Result<K> {
        let owner = if let Some(owner) = &self.owner {
            owner.clone()
        } else {
            let Place { namespace, pod, .. } = &self.place;
            let owner = own_pod::owner(&self.client, namespace, pod.as_deref()).await?;
            self.owner.insert(owner.into_iter().collect()).clone()
        };
        let labels = [
            (names::NODE_LABEL, self.place.node.as_str()),
            (names::SERVICE_NAME_LABEL, &service.name),
            (names::SERVICE_NAMESPACE_LABEL, &service.namespace),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let metadata = ObjectMeta {
            generate_name: Some(K::PREFIX.to_owned()),
            labels: Some(labels.into()),
            owner_references: Some(owner).filter(|owner| !owner.is_empty()),
            ..ObjectMeta::default()
        };
        Ok(K::blank(metadata))
    }
}

/// Nothing for an object that is not there any more, which is no error.
fn gone<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Ok(it) => Ok(Some(it)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long one request, or a few that belong together, may take.
const REQUEST: Duration = Duration::from_secs(10);
/// The first pause after a failure is twice this.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The most bytes of a label's value.
const LABEL_MAX: usize = 63;
