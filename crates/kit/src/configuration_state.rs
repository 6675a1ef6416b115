//! `ConfigurationState`: where a program says whether it could use the configuration.
//!
//! Needs the rights to create, list, watch and patch `configurationstates`, to patch their status,
//! and to get the own pod, which owns the object and takes it along.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use metallb_config::Report;
use metallb_crds::v1beta1::{ConfigurationState, ConfigurationStateStatus};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::watch::{Change, watch_with};
use crate::{own_pod, sleep};

/// Whose object it is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The object's namespace and that of the pod.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object's labels.
    pub labels: BTreeMap<String, String>,
    /// The pod that we are, if we are one.
    pub pod: Option<String>,
    /// The type of the condition.
    pub condition: &'static str,
    /// Under whose name the status is written.
    pub field_manager: &'static str,
}

/// Says what is to be said, for as long as it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    told: watch::Sender<Told>,
}

/// All that is to be said.
#[derive(Clone, Debug, Default)]
struct Told {
    report: Option<Report>,
    /// By the types of their conditions.
    notes: BTreeMap<&'static str, Note>,
}

/// One more condition, beside that of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether what the condition's type says is so.
    pub is_so: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// The same for people.
    pub message: String,
}

impl Reporter {
    /// Says nothing yet.
    pub fn start(client: Client, identity: Identity) -> Self {
        let (told, news) = watch::channel(Told::default());
        tokio::spawn(Keeper::new(client, identity).run(news));
        Self { told }
    }

    /// From now on says this; nothing leaves the object to another.
    pub fn report(&self, report: Option<Report>) {
        self.told.send_if_modified(|told| {
            let changed = told.report != report;
            told.report = report;
            changed
        });
    }

    /// From now on has this condition too, as long as there is something to report; or has it no
    /// more.
    pub fn note(&self, condition: &'static str, note: Option<Note>) {
        self.told.send_if_modified(|told| match note {
            Some(note) if told.notes.get(condition) == Some(&note) => false,
            Some(note) => {
                told.notes.insert(condition, note);
                true
            }
            None => told.notes.remove(condition).is_some(),
        });
    }
}

/// Keeps the object as it is to be.
struct Keeper {
    states: Api<ConfigurationState>,
    client: Client,
    identity: Identity,
    /// The pod, once it is known; empty when there is none.
    owners: Option<Vec<OwnerReference>>,
    seen: Option<ConfigurationState>,
    synced: bool,
}

/// What is still to be done.
#[derive(Debug, PartialEq)]
enum Step {
    /// Make the object, or set its labels and owner right.
    Object,
    /// Write the status.
    Status(ConfigurationStateStatus),
}

impl Keeper {
    fn new(client: Client, identity: Identity) -> Self {
        Self {
            states: Api::namespaced(client.clone(), &identity.namespace),
            client,
            identity,
            owners: None,
            seen: None,
            synced: false,
        }
    }

    async fn run(mut self, mut news: watch::Receiver<Told>) {
        let own = format!("metadata.name={}", self.identity.name);
        let config = watcher::Config::default().fields(&own);
        let mut changes: BoxStream<'static, Change<ConfigurationState>> =
            watch_with(self.states.clone(), config);
        let mut failures = 0_u32;
        loop {
            let told = news.borrow_and_update().clone();
            let step = self.step(&told);
            let mut again_at = None;
            if let Some(step) = step {
                match timeout(REQUEST, self.perform(step)).await {
                    Ok(Ok(state)) => {
                        self.seen = Some(state);
                        failures = 0;
                        continue;
                    }
                    Ok(Err(error)) => self.complain(&error),
                    Err(_) => self.complain(&"no answer"),
                }
                failures = failures.saturating_add(1).min(6);
                again_at = Some(Instant::now() + Duration::from_millis(500 << failures));
            }
            tokio::select! {
                Some(change) = changes.next() => self.see(change),
                told = news.changed() => if told.is_err() {
                    return;
                },
                () = sleep::until(again_at) => {}
            }
        }
    }

    fn see(&mut self, change: Change<ConfigurationState>) {
        match change {
            Change::Apply(state) => self.seen = Some(state),
            Change::Delete(_) => self.seen = None,
            Change::Listing => {}
            Change::Synced => self.synced = true,
        }
    }

    fn step(&self, told: &Told) -> Option<Step> {
        // Whether there is one is not known before the first list.
        let report = told.report.as_ref().filter(|_| self.synced)?;
        let Some(state) = &self.seen else {
            return Some(Step::Object);
        };
        let mut labels = self.identity.labels.iter();
        let has_labels = labels.all(|(key, value)| state.labels().get(key) == Some(value));
        let owns = |owner: &OwnerReference| {
            let mut owners = state.owner_references().iter();
            owners.any(|it| it.uid == owner.uid)
        };
        let owners = self.owners.as_ref();
        let is_owned = owners.is_some_and(|owners| owners.iter().all(owns));
        if !has_labels || !is_owned {
            return Some(Step::Object);
        }
        let now = Time(Timestamp::now());
        let wanted = self.status(report, &told.notes, state, &now);
        (state.status.as_ref() != Some(&wanted)).then_some(Step::Status(wanted))
    }

    /// The status, each condition dated when it changed last.
    fn status(
        &self,
        report: &Report,
        notes: &BTreeMap<&'static str, Note>,
        state: &ConfigurationState,
        now: &Time,
    ) -> ConfigurationStateStatus {
        let condition = |type_: &str, status: &str, reason: &str, message: &str| {
            let mut conditions = state.status.iter().flat_map(|status| &status.conditions);
            let before = conditions
                .find(|it| it.type_ == type_ && it.status == status)
                .map(|it| it.last_transition_time.clone());
            Condition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: message.to_owned(),
                last_transition_time: before.unwrap_or_else(|| now.clone()),
                observed_generation: None,
            }
        };
        let first = condition(
            self.identity.condition,
            report.status,
            report.reason,
            &report.message,
        );
        let notes = notes.iter().map(|(type_, note)| {
            let status = if note.is_so { "True" } else { "False" };
            condition(type_, status, note.reason, &note.message)
        });
        let summary = Some(report.error_summary.clone()).filter(|it| !it.is_empty());
        ConfigurationStateStatus {
            result: Some(report.result),
            error_summary: summary,
            conditions: std::iter::once(first).chain(notes).collect(),
        }
    }

    async fn perform(&mut self, step: Step) -> kube::Result<ConfigurationState> {
        let Identity {
            namespace,
            name,
            labels,
            field_manager,
            ..
        } = &self.identity;
        let mut object = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "ConfigurationState",
            "metadata": { "name": name, "namespace": namespace },
        });
        let params = PatchParams::apply(field_manager).force();
        match step {
            Step::Object => {
                let owners = if let Some(owners) = &self.owners {
                    owners.clone()
                } else {
                    let pod = self.identity.pod.as_deref();
                    let owner = own_pod::owner(&self.client, namespace, pod).await?;
                    owner.into_iter().collect()
                };
                object["metadata"]["labels"] = json!(labels);
                object["metadata"]["ownerReferences"] = json!(owners);
                let patch = Patch::Apply(object);
                let state = self.states.patch(name, &params, &patch).await?;
                self.owners = Some(owners);
                Ok(state)
            }
            Step::Status(status) => {
                object["status"] = json!(status);
                let patch = Patch::Apply(object);
                self.states.patch_status(name, &params, &patch).await
            }
        }
    }

    fn complain(&self, error: &dyn std::fmt::Display) {
        let name = &self.identity.name;
        tracing::warn!(name, %error, "cannot write the ConfigurationState, will be tried again");
    }
}

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use metallb_crds::v1beta1::ConfigurationResult;
    use serde_json::Value;

    use super::*;
    use crate::mock::{self, Asked};

    /// An API server with at most one `ConfigurationState`, that its watch tells of once.
    #[derive(Clone, Default)]
    struct Server {
        state: Arc<Mutex<Option<Value>>>,
        /// The bodies of all patches.
        patches: Arc<Mutex<Vec<Value>>>,
    }

    impl Server {
        fn client(&self) -> Client {
            let server = self.clone();
            mock::silent_watches(move |asked| server.answer(&asked)).0
        }

        fn answer(&self, asked: &Asked) -> (u16, String) {
            if asked.line.contains("/pods/") {
                let pod = json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                    "metadata": { "name": "me", "uid": "pod-uid" },
                });
                return (200, pod.to_string());
            }
            let mut state = self.state.lock().unwrap();
            if asked.line.starts_with("PATCH") {
                self.patches.lock().unwrap().push(asked.body.clone());
                merge(state.get_or_insert_with(|| json!({})), asked.body.clone());
                return (200, state.as_ref().unwrap().to_string());
            }
            let mut lines = String::new();
            if let Some(state) = &*state {
                lines = format!("{}\n", json!({ "type": "ADDED", "object": state }));
            }
            lines.push_str(&mock::end_of_list(
                "metallb.io/v1beta1",
                "ConfigurationState",
            ));
            (200, lines)
        }

        async fn rest(&self) -> Vec<Value> {
            // Under a paused clock it ends when everything else is at rest.
            tokio::time::sleep(Duration::from_millis(10)).await;
            std::mem::take(&mut self.patches.lock().unwrap())
        }
    }

    fn merge(into: &mut Value, from: Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, from) => *into = from,
        }
    }

    fn identity() -> Identity {
        let label = ("metallb.io/component-type", "controller");
        Identity {
            namespace: "metallb-system".to_owned(),
            name: "controller".to_owned(),
            labels: [(label.0.to_owned(), label.1.to_owned())].into(),
            pod: Some("me".to_owned()),
            condition: "poolReconcilerValid",
            field_manager: "poolReconciler",
        }
    }

    fn invalid(message: &str) -> Told {
        told(Report {
            result: ConfigurationResult::Invalid,
            error_summary: message.to_owned(),
            status: "False",
            reason: "ConfigurationError",
            message: message.to_owned(),
        })
    }

    fn told(report: Report) -> Told {
        Told {
            report: Some(report),
            notes: BTreeMap::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_made_and_told_once() {
        let server = Server::default();
        let reporter = Reporter::start(server.client(), identity());
        assert_eq!(server.rest().await, [Value::Null; 0], "nothing to say yet");
        reporter.report(Some(Report::of(&[])));
        let patches = server.rest().await;
        assert_eq!(
            patches[0]["metadata"]["labels"],
            json!({ "metallb.io/component-type": "controller" })
        );
        assert_eq!(
            patches[0]["metadata"]["ownerReferences"][0]["uid"],
            "pod-uid"
        );
        let status = &patches[1]["status"];
        assert_eq!(
            (&status["result"], &status["errorSummary"]),
            (&json!("Valid"), &Value::Null)
        );
        assert_eq!(status["conditions"][0]["reason"], "Reconciled");
        assert_eq!(patches.len(), 2);
        // The same again is no news.
        reporter.report(Some(Report::of(&[])));
        assert_eq!(server.rest().await, [Value::Null; 0]);
        // What else there is to say comes beside it, and goes again.
        let note = || Note {
            is_so: true,
            reason: "NothingAnnounced",
            message: "it can be stopped".to_owned(),
        };
        for _ in 0..2 {
            reporter.note("Drained", Some(note()));
        }
        let patches = server.rest().await;
        assert_eq!(patches.len(), 1);
        let conditions = &patches[0]["status"]["conditions"];
        assert_eq!(conditions[0]["reason"], "Reconciled");
        assert_eq!(
            (&conditions[1]["type"], &conditions[1]["status"]),
            (&json!("Drained"), &json!("True"))
        );
        reporter.note("Drained", None);
        let patches = server.rest().await;
        let conditions = patches[0]["status"]["conditions"].as_array();
        assert_eq!(conditions.map(Vec::len), Some(1));
    }

    #[tokio::test]
    async fn what_differs_is_put_right_and_nothing_else() {
        let past = "2020-01-01T00:00:00Z";
        let state = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState",
            "metadata": {
                "name": "controller",
                "labels": { "metallb.io/component-type": "controller", "mine": "too" },
                "ownerReferences": [
                    { "apiVersion": "v1", "kind": "Pod", "name": "me", "uid": "pod-uid" },
                ],
            },
            "status": {
                "result": "Invalid", "errorSummary": "bad",
                "conditions": [{
                    "type": "poolReconcilerValid", "status": "False",
                    "reason": "ConfigurationError", "message": "bad",
                    "lastTransitionTime": past,
                }],
            },
        });
        let mut keeper = Keeper::new(Server::default().client(), identity());
        keeper.seen = Some(serde_json::from_value(state.clone()).unwrap());
        assert_eq!(
            keeper.step(&invalid("bad")),
            None,
            "the list is not there yet"
        );
        keeper.synced = true;
        // What another process has made becomes ours first.
        assert_eq!(keeper.step(&invalid("bad")), Some(Step::Object));
        let pod = own_pod::owner(&keeper.client, "metallb-system", Some("me")).await;
        keeper.owners = Some(pod.unwrap().into_iter().collect());
        assert_eq!(keeper.step(&invalid("bad")), None);
        for (report, is_dated_anew) in [(invalid("worse"), false), (told(Report::of(&[])), true)] {
            let Some(Step::Status(status)) = keeper.step(&report) else {
                panic!("{report:?}")
            };
            let Time(time) = status.conditions[0].last_transition_time;
            assert_eq!(time.to_string() != past, is_dated_anew, "{time}");
        }
        let mut bare = state.clone();
        bare["metadata"]["labels"] = json!({});
        keeper.see(Change::Apply(serde_json::from_value(bare).unwrap()));
        assert_eq!(keeper.step(&invalid("bad")), Some(Step::Object));
        let seen: ConfigurationState = serde_json::from_value(state).unwrap();
        keeper.see(Change::Delete(crate::watch::ObjectKey::of(&seen)));
        assert_eq!(keeper.step(&invalid("bad")), Some(Step::Object));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again() {
        let (client, lines) = mock::silent_watches(|asked| {
            if asked.line.starts_with("PATCH") {
                return mock::status(500);
            }
            Server::default().answer(&asked)
        });
        let reporter = Reporter::start(client, identity());
        reporter.report(Some(Report::of(&[])));
        // Of the paused clock: a moment after the last of the pauses below.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let lines = lines.lock().unwrap();
        let tries = lines
            .iter()
            .filter(|line| line.starts_with("PATCH"))
            .count();
        assert_eq!(tries, 4, "after 1 s, 2 s and 4 s");
    }
}
