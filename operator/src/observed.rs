//! The little that is kept of operands and pods, and how it is read from the API's objects.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{DynamicObject, Object, PartialObjectMeta};
use metallb_crds::names::UNMANAGED;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One operand as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// It was deleted and waits for what it owns.
    pub(crate) deleting: bool,
    /// Somebody has said that it is to be left alone.
    pub(crate) unmanaged: bool,
    /// What others have it wait for when it is deleted.
    pub(crate) finalizers: Vec<String>,
    /// Which form its pods are to have, as the operator said that applied it.
    pub(crate) template: Option<String>,
    pub(crate) fingerprint: Fingerprint,
    /// How its pods are, if it has any.
    pub(crate) workload: Option<Workload>,
    /// How far it is, for a registration of webhooks.
    pub(crate) registration: Option<Registration>,
}

/// What is seen of a registration of webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Each of them says whom to trust, so they can be called.
    pub(crate) callable: bool,
    /// Without an answer of theirs nothing goes on.
    pub(crate) required: bool,
}

/// Changes whenever somebody changes what an operand is, but not when only its status changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    uid: String,
    version: Version,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Version {
    /// For kinds that have a generation: that, and a hash of the metadata beside it.
    Generation(i64, u64),
    Resource(String),
}

/// How far a Deployment or a `DaemonSet` is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Its controller has seen the newest form.
    pub(crate) observed: bool,
    /// Pods there should be.
    pub(crate) desired: i32,
    /// Pods of the newest form.
    pub(crate) updated: i32,
    pub(crate) ready: i32,
    /// Pods there are, of whatever form.
    pub(crate) current: i32,
    /// What its controller complains about, such as pods that admission refuses.
    pub(crate) complaint: Option<String>,
}

/// One pod of an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    /// The `component` label.
    pub(crate) component: String,
    pub(crate) problem: Option<Problem>,
}

/// Why a pod does not come up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The word that Kubernetes has for it, such as `CrashLoopBackOff`.
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Since when, for what often passes by itself: a node whose ports are still taken by a pod
    /// that is stopping. `None` counts at once.
    pub(crate) since: Option<Timestamp>,
}

/// A Deployment or a `DaemonSet`, read no further than needed.
pub(crate) type WorkloadObject = Object<WorkloadSpec, WorkloadStatus>;
/// Any other operand.
pub(crate) type PlainObject = PartialObjectMeta<DynamicObject>;
/// A pod, read no further than needed.
pub(crate) type PodObject = Object<PodSpec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct WorkloadSpec {
    replicas: Option<i32>,
}

/// The status fields of both kinds, which do not clash.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WorkloadStatus {
    observed_generation: i64,
    conditions: Vec<Condition>,
    // Deployment
    replicas: i32,
    updated_replicas: i32,
    ready_replicas: i32,
    // DaemonSet
    desired_number_scheduled: Option<i32>,
    current_number_scheduled: i32,
    updated_number_scheduled: i32,
    number_ready: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
    #[serde(rename = "lastTransitionTime")]
    since: Option<Time>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct PodSpec {}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    image: String,
    ready: bool,
    restart_count: i32,
    state: ContainerState,
    last_state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
    /// What the program said last.
    message: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

impl Fingerprint {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        let version = match meta.generation {
            Some(generation) => {
                let mut hasher = DefaultHasher::new();
                // Not the annotations: we set none there, and their controllers set some.
                meta.labels.hash(&mut hasher);
                for owner in meta.owner_references.iter().flatten() {
                    owner.uid.hash(&mut hasher);
                }
                Version::Generation(generation, hasher.finish())
            }
            None => Version::Resource(meta.resource_version.clone().unwrap_or_default()),
        };
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version,
        }
    }

    #[cfg(test)]
    pub(crate) fn of_version(uid: &str, version: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            version: Version::Resource(version.to_owned()),
        }
    }
}

/// Whether the annotation is there, with any value but `false`.
pub(crate) fn is_switched_on(meta: &ObjectMeta, name: &str) -> bool {
    annotation(meta, name).is_some_and(|value| value != "false")
}

/// Those that are neither ours nor the garbage collector's.
pub(crate) fn foreign_finalizers(meta: &ObjectMeta) -> Vec<String> {
    let known = [FINALIZER, "foregroundDeletion", "orphan"];
    let all = meta.finalizers.iter().flatten();
    all.filter(|it| !known.contains(&it.as_str()))
        .cloned()
        .collect()
}

fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    Some(meta.annotations.as_ref()?.get(name)?.as_str())
}

impl Operand {
    pub(crate) fn of(meta: &ObjectMeta, workload: Option<Workload>) -> Self {
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            unmanaged: is_switched_on(meta, UNMANAGED),
            finalizers: foreign_finalizers(meta),
            template: annotation(meta, TEMPLATE_HASH).map(str::to_owned),
            fingerprint: Fingerprint::of(meta),
            workload,
            registration: None,
        }
    }

    pub(crate) fn of_webhooks(object: &DynamicObject) -> Self {
        let webhooks = object.data["webhooks"].as_array();
        let webhooks = webhooks.map(Vec::as_slice).unwrap_or_default();
        let has_bundle = |webhook: &Value| {
            let bundle = webhook["clientConfig"]["caBundle"].as_str();
            bundle.is_some_and(|bundle| !bundle.is_empty())
        };
        Self {
            registration: Some(Registration {
                callable: webhooks.iter().all(has_bundle),
                required: webhooks.iter().all(|it| it["failurePolicy"] == "Fail"),
            }),
            ..Self::of(&object.metadata, None)
        }
    }

    pub(crate) fn of_workload(object: &WorkloadObject) -> Self {
        Self::of(&object.metadata, Some(Workload::of(object)))
    }
}

impl Workload {
    fn of(object: &WorkloadObject) -> Self {
        let default = WorkloadStatus::default();
        let status = object.status.as_ref().unwrap_or(&default);
        let observed = object.metadata.generation.unwrap_or(0) <= status.observed_generation;
        let failure = status.conditions.iter().find(|condition| {
            let refused = condition.r#type == "ReplicaFailure" && condition.status == "True";
            refused || condition.reason == "ProgressDeadlineExceeded"
        });
        let complaint = failure.map(|condition| condition.message.clone());
        match (object.spec.replicas, status.desired_number_scheduled) {
            // Only Deployments have replicas; the API server fills them in.
            (Some(desired), _) => Self {
                observed,
                desired,
                updated: status.updated_replicas,
                ready: status.ready_replicas,
                current: status.replicas,
                complaint,
            },
            (None, desired) => Self {
                observed: observed && desired.is_some(),
                desired: desired.unwrap_or(0),
                updated: status.updated_number_scheduled,
                ready: status.number_ready,
                current: status.current_number_scheduled,
                complaint,
            },
        }
    }

    /// All pods are there, of the newest form, and ready. A `DaemonSet` without a node to run on
    /// is complete, as upstream has it.
    pub(crate) fn is_complete(&self) -> bool {
        self.observed
            && self.current == self.desired
            && self.updated == self.desired
            && self.ready == self.desired
    }

    /// At least one pod of the newest form does its work, and no pod is of another.
    pub(crate) fn serves_as_wanted(&self) -> bool {
        self.observed && self.current == self.updated && self.ready > 0
    }

    /// At least one pod does its work, or none is wanted.
    pub(crate) fn works(&self) -> bool {
        self.ready > 0 || (self.observed && self.desired == 0)
    }
}

impl Pod {
    pub(crate) fn of(object: &PodObject) -> Self {
        let label = |key| {
            object
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key))
        };
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            component: label("component").cloned().unwrap_or_default(),
            // One that is on its way out may fail as it likes.
            problem: match object.metadata.deletion_timestamp {
                None => object.status.as_ref().and_then(Problem::of),
                Some(_) => None,
            },
        }
    }
}

impl Problem {
    fn of(status: &PodStatus) -> Option<Self> {
        let containers = status
            .container_statuses
            .iter()
            .filter_map(Self::of_container);
        let is_false = |type_: &str, reason: &str| {
            let mut conditions = status.conditions.iter();
            let found = conditions.find(|it| it.r#type == type_ && it.status == "False");
            found
                .filter(|it| it.reason == reason)
                .map(|condition| Self {
                    reason: condition.reason.clone(),
                    message: condition.message.clone(),
                    since: condition.since.as_ref().map(|time| time.0),
                })
        };
        let starts = status
            .container_statuses
            .iter()
            .any(|it| it.state.waiting.is_some());
        // Runs, and says itself that it does not do its work.
        let unready = || is_false("Ready", "ContainersNotReady").filter(|_| !starts);
        containers
            .chain(is_false("PodScheduled", "Unschedulable"))
            .next()
            .or_else(unready)
    }

    fn of_container(status: &ContainerStatus) -> Option<Self> {
        let last = [&status.state, &status.last_state];
        let last = last.into_iter().find_map(|it| it.terminated.as_ref());
        let fails = last.is_some_and(|it| it.exit_code != 0);
        let waiting = status.state.waiting.as_ref();
        let reason = match waiting.map(|it| it.reason.as_str()) {
            Some(reason) if !ORDINARY.contains(&reason) => reason,
            // Between two falls it seems to stand.
            _ if fails && !status.ready && status.restart_count >= FALLS => CRASH_LOOP,
            _ => return None,
        };
        let mut problem = Self {
            reason: reason.to_owned(),
            message: waiting.map(|it| it.message.clone()).unwrap_or_default(),
            since: None,
        };
        // These two count seconds or change their words while nothing changes.
        if problem.is_image_pull() {
            // It alternates between this and ErrImagePull.
            "ImagePullBackOff".clone_into(&mut problem.reason);
            problem.message.clone_from(&status.image);
        } else if problem.is_crash_loop() {
            problem.message = last.map_or_else(String::new, Terminated::last_words);
        }
        Some(problem)
    }

    /// When it begins to count, if it does not yet.
    pub(crate) fn counts_from(&self, now: Timestamp) -> Option<Timestamp> {
        let from = Timestamp::from_second(self.since?.as_second() + GRACE).ok()?;
        (from > now).then_some(from)
    }

    pub(crate) fn is_image_pull(&self) -> bool {
        [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
        ]
        .contains(&self.reason.as_str())
    }

    pub(crate) fn is_crash_loop(&self) -> bool {
        self.reason == CRASH_LOOP
    }
}

impl Terminated {
    /// The last line that the program printed, without its date, which is another each time.
    fn last_words(&self) -> String {
        let line = self
            .message
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty());
        let line = line.unwrap_or_default().trim();
        match line.split_once(' ') {
            Some((date, rest)) if date.parse::<Timestamp>().is_ok() => rest.trim(),
            _ => line,
        }
        .chars()
        .take(LONGEST)
        .collect()
    }
}

/// How long a pod may wait for a node before that is trouble, in seconds: about as long as its
/// predecessor may take to stop.
const GRACE: i64 = 30;
/// Holds back the `MetalLB` object until all that was made for it is gone.
pub(crate) const FINALIZER: &str = "metallb.io/operator";
/// On workloads: a hash of the template of their pods.
pub(crate) const TEMPLATE_HASH: &str = "metallb.io/template-hash";
/// How often a program may end before that is trouble by itself.
const FALLS: i32 = 2;
const CRASH_LOOP: &str = "CrashLoopBackOff";
/// How much of its last words is shown, in characters.
const LONGEST: usize = 300;
/// What a container waits for on its way up.
const ORDINARY: [&str; 3] = ["", "ContainerCreating", "PodInitializing"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workload(object: Value) -> Workload {
        Workload::of(&serde_json::from_value(object).expect("a workload"))
    }

    #[test]
    fn a_daemon_set_is_complete_when_every_node_runs_the_newest_pod() {
        let daemon_set = |status: Value| {
            workload(json!({
                "metadata": { "name": "speaker", "generation": 2 }, "spec": {}, "status": status,
            }))
        };
        let full = json!({
            "observedGeneration": 2, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
            "updatedNumberScheduled": 3, "numberReady": 3,
        });
        assert!(daemon_set(full.clone()).is_complete());
        for (field, value) in [
            ("observedGeneration", 1),
            ("currentNumberScheduled", 4),
            ("updatedNumberScheduled", 2),
            ("numberReady", 2),
        ] {
            let mut status = full.clone();
            status[field] = value.into();
            let workload = daemon_set(status);
            assert!(!workload.is_complete(), "{field}");
            assert!(workload.works(), "{field}");
        }
        let nowhere = json!({ "observedGeneration": 2, "desiredNumberScheduled": 0 });
        assert!(daemon_set(nowhere).is_complete(), "no node to run on");
        assert!(
            !daemon_set(json!({})).is_complete(),
            "its controller has not seen it"
        );
        assert!(!daemon_set(json!({})).works());
    }

    #[test]
    fn a_deployment_says_what_admission_refused() {
        let deployment = workload(json!({
            "metadata": { "name": "controller", "generation": 1 },
            "spec": { "replicas": 2 },
            "status": {
                "observedGeneration": 1,
                "conditions": [
                    { "type": "ReplicaFailure", "status": "True", "message": "forbidden" },
                ],
            },
        }));
        assert_eq!(deployment.complaint.as_deref(), Some("forbidden"));
        assert_eq!(deployment.desired, 2);
        assert!(!deployment.is_complete() && !deployment.works());
    }

    #[test]
    fn a_pod_tells_why_it_waits() {
        let pod = |status: Value| {
            let object = json!({
                "metadata": { "name": "speaker-x", "labels": { "component": "speaker" } },
                "spec": {}, "status": status,
            });
            Pod::of(&serde_json::from_value(object).expect("a pod"))
                .problem
                .map(|p| p.reason)
        };
        let waiting = |reason: &str| json!({ "containerStatuses": [{ "state": { "waiting": { "reason": reason } } }] });
        assert_eq!(
            pod(waiting("CrashLoopBackOff")).as_deref(),
            Some("CrashLoopBackOff")
        );
        assert_eq!(pod(waiting("ContainerCreating")), None);
        assert_eq!(
            pod(json!({ "containerStatuses": [{ "state": { "running": {} } }] })),
            None
        );
        let unschedulable =
            json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }]);
        assert_eq!(
            pod(json!({ "conditions": unschedulable })).as_deref(),
            Some("Unschedulable")
        );
    }

    /// Its own words, without the date, and also between two falls.
    #[test]
    fn a_program_that_ends_again_and_again_says_why() {
        let problem = |state: &Value, restarts: i32, ready: bool| {
            let log =
                "2026-01-01T00:00:00Z  INFO starting\n2026-01-01T00:00:01Z speaker: no such port\n";
            let object = json!({
                "metadata": { "name": "speaker-x" }, "spec": {},
                "status": { "containerStatuses": [{
                    "ready": ready, "restartCount": restarts, "state": state,
                    "lastState": { "terminated": { "exitCode": 1, "message": log } },
                }] },
            });
            let problem = Pod::of(&serde_json::from_value(object).expect("a pod")).problem;
            problem.map(|it| format!("{}: {}", it.reason, it.message))
        };
        let backs_off =
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } });
        let runs = json!({ "running": {} });
        let said = Some("CrashLoopBackOff: speaker: no such port".to_owned());
        assert_eq!(problem(&backs_off, 3, false), said);
        assert_eq!(problem(&runs, 3, false), said);
        assert_eq!(problem(&runs, 1, false), None, "once is no loop");
        assert_eq!(problem(&runs, 9, true), None, "it does its work");
    }

    #[test]
    fn a_pod_that_runs_and_is_not_ready_is_trouble_after_a_while() {
        let pod = |waiting: Value| {
            let object = json!({
                "metadata": { "name": "speaker-x" }, "spec": {},
                "status": {
                    "containerStatuses": [{ "state": waiting }],
                    "conditions": [{
                        "type": "Ready", "status": "False", "reason": "ContainersNotReady",
                        "message": "containers with unready status: [speaker]",
                        "lastTransitionTime": "1970-01-01T00:00:00Z",
                    }],
                },
            });
            Pod::of(&serde_json::from_value(object).expect("a pod")).problem
        };
        let problem = pod(json!({ "running": {} })).expect("it runs");
        assert_eq!(problem.reason, "ContainersNotReady");
        let at = |second| problem.counts_from(Timestamp::from_second(second).unwrap());
        assert!(at(GRACE - 1).is_some() && at(GRACE).is_none());
        assert_eq!(
            pod(json!({ "waiting": { "reason": "ContainerCreating" } })),
            None
        );
    }

    #[test]
    fn a_fingerprint_sees_edits_and_not_status() {
        let meta = |generation, version: &str, label: &str| {
            Fingerprint::of(&ObjectMeta {
                uid: Some("1".to_owned()),
                generation,
                resource_version: Some(version.to_owned()),
                labels: Some([("app".to_owned(), label.to_owned())].into()),
                ..ObjectMeta::default()
            })
        };
        assert_eq!(
            meta(Some(1), "10", "metallb"),
            meta(Some(1), "11", "metallb"),
            "status"
        );
        assert_ne!(
            meta(Some(1), "10", "metallb"),
            meta(Some(2), "11", "metallb"),
            "spec"
        );
        assert_ne!(
            meta(Some(1), "10", "metallb"),
            meta(Some(1), "11", "other"),
            "label"
        );
        assert_ne!(
            meta(None, "10", "metallb"),
            meta(None, "11", "metallb"),
            "no generation"
        );
    }
}
