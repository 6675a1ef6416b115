//! The task that writes what the book says.

use std::time::Duration;

use futures::stream::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use metallb_crds::names;
use metallb_kit::watch::{Change, watch_with};
use metallb_kit::words::in_words;
use metallb_kit::{own_pod, sleep};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::{Book, Kind, LABEL_MAX, Step};

/// Where the objects are, and whose they are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) node: String,
    /// The speaker's pod, if it is one: it takes the objects along.
    pub(crate) pod: Option<String>,
}

/// Where it is told what is to be said. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Statuses<K: Kind>(mpsc::UnboundedSender<Told<K>>);

/// What is to be said of a subject, if anything.
type Told<K> = (<K as Kind>::Subject, Option<<K as Kind>::Said>);

impl<K: Kind> Statuses<K> {
    /// Starts the task that writes.
    pub(crate) fn start(client: Client, place: Place) -> Self {
        let (wanted, told) = mpsc::unbounded_channel();
        if place.node.len() > LABEL_MAX {
            // Upstream writes none, either: the API server refuses the label.
            tracing::warn!(
                node = place.node,
                kind = %K::kind(&()),
                "no such status is written: the node's name is too long for a label"
            );
        } else {
            tokio::spawn(Writer::<K>::new(client, place).run(told));
        }
        Self(wanted)
    }

    /// This is to be said of the subject, or nothing.
    pub(crate) fn tell(&self, subject: &K::Subject, said: Option<K::Said>) {
        // Nobody listens when no statuses are written.
        let _ = self.0.send((subject.clone(), said));
    }
}

#[cfg(test)]
impl<K: Kind> Statuses<K> {
    /// One whose words nobody hears.
    pub(crate) fn unheard() -> Self {
        Self(mpsc::unbounded_channel().0)
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
                        // Those of all nodes do not come back at the same time.
                        let pause = FIRST_PAUSE * (1 << failures);
                        let pause = pause.mul_f64(rand::random_range(0.5..1.5));
                        again_at = Some(Instant::now() + pause);
                        tracing::warn!(
                            kind = %K::kind(&()),
                            error = in_words(error.as_ref()),
                            "cannot write a status, will be tried again"
                        );
                    }
                }
            }
            let busy = again_at.is_none() && self.synced && !self.book.due.is_empty();
            tokio::select! {
                biased;
                news = told.recv() => match news {
                    Some((subject, said)) => self.book.want(subject, said),
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
        let Some((subject, step)) = self.book.next() else {
            return Ok(false);
        };
        let performed = timeout(REQUEST, self.perform(&subject, step)).await;
        if !matches!(performed, Ok(Ok(()))) {
            self.book.put_off(subject);
        }
        performed??;
        Ok(true)
    }

    async fn perform(&mut self, subject: &K::Subject, step: Step<K::Status>) -> kube::Result<()> {
        match step {
            Step::Create => {
                let object = self.object(subject).await?;
                let made = self
                    .statuses
                    .create(&PostParams::default(), &object)
                    .await?;
                self.book.made(&made);
                self.clean_up_after_others(subject).await
            }
            Step::Status(name, status) => {
                let params = PatchParams::default();
                let patch = whole(&status);
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

    /// Deletes what is left of a node that died while it had the subject. One that lives does so
    /// itself.
    async fn clean_up_after_others(&self, subject: &K::Subject) -> kube::Result<()> {
        if !K::ALONE {
            return Ok(());
        }
        let node = format!("{}!={}", names::NODE_LABEL, self.place.node);
        let labels = K::labels(subject).into_iter();
        let labels = labels.map(|(key, value)| format!("{key}={value}"));
        let others = labels.chain([node]).collect::<Vec<_>>().join(",");
        let others = ListParams::default().labels(&others);
        for other in self.statuses.list_metadata(&others).await? {
            let params = DeleteParams::default();
            gone(self.statuses.delete(&other.name_any(), &params).await)?;
        }
        Ok(())
    }

    async fn object(&mut self, subject: &K::Subject) -> kube::Result<K> {
        let owner = if let Some(owner) = &self.owner {
            owner.clone()
        } else {
            let Place { namespace, pod, .. } = &self.place;
            let owner = own_pod::owner(&self.client, namespace, pod.as_deref()).await?;
            self.owner.insert(owner.into_iter().collect()).clone()
        };
        let mut labels = K::labels(subject);
        labels.push((names::NODE_LABEL, self.place.node.clone()));
        let labels = labels.into_iter().map(|(key, it)| (key.to_owned(), it));
        let metadata = ObjectMeta {
            generate_name: Some(K::prefix(&self.place.node)),
            labels: Some(labels.collect()),
            owner_references: Some(owner).filter(|owner| !owner.is_empty()),
            ..ObjectMeta::default()
        };
        Ok(K::blank(metadata))
    }
}

/// This status instead of the one that is there: of a merge, fields would be left that it lacks.
fn whole(status: &impl Serialize) -> Patch<()> {
    let operations = json!([{ "op": "add", "path": "/status", "value": status }]);
    Patch::Json(serde_json::from_value(operations).expect("it is a JSON patch"))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A session that is down has no hold time, whatever the object said before.
    #[test]
    fn a_status_takes_the_place_of_the_one_before() {
        let Patch::Json::<()>(patch) = whole(&json!({ "bgpStatus": "Active" })) else {
            panic!("no JSON patch")
        };
        let expected =
            json!({ "op": "add", "path": "/status", "value": { "bgpStatus": "Active" } });
        assert_eq!(json!(patch), json!([expected]));
    }
}
