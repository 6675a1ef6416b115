//! A pod of an operand, and why it does not come up.

use jiff::Timestamp;
use kube::api::Object;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

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

/// A pod, read no further than needed.
pub(crate) type PodObject = Object<PodSpec, PodStatus>;

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
    /// The last line that the program printed, without its date, which is another each time. What
    /// it says when it ends and its log are two streams, which the runtime joins in any order: a
    /// record of the log may stand behind the last words.
    fn last_words(&self) -> String {
        let lines = self.message.lines().rev().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty()).peekable();
        let last = lines.peek().copied().unwrap_or_default();
        let line = lines.find(|line| !line.starts_with('{')).unwrap_or(last);
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
        let problem_with = |log: &str, state: &Value, restarts: i32, ready: bool| {
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
        let log =
            "2026-01-01T00:00:00Z  INFO starting\n2026-01-01T00:00:01Z speaker: no such port\n";
        let problem =
            |state: &Value, restarts: i32, ready: bool| problem_with(log, state, restarts, ready);
        let backs_off =
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } });
        let runs = json!({ "running": {} });
        let said = Some("CrashLoopBackOff: speaker: no such port".to_owned());
        assert_eq!(problem(&backs_off, 3, false), said);
        assert_eq!(problem(&runs, 3, false), said);
        let joined = "speaker: no such port\n{\"level\":\"info\",\"msg\":\"serving\"}\n";
        assert_eq!(problem_with(joined, &backs_off, 3, false), said);
        let record = r#"{"level":"info","msg":"serving"}"#;
        let only = problem_with(record, &backs_off, 3, false);
        assert_eq!(only, Some(format!("CrashLoopBackOff: {record}")));
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
}
