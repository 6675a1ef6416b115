//! How far a Deployment or a `DaemonSet` is.

use kube::api::Object;
use serde::{Deserialize, Serialize};

use super::condition::Condition;

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

/// A Deployment or a `DaemonSet`, read no further than needed.
pub(crate) type WorkloadObject = Object<WorkloadSpec, WorkloadStatus>;
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

impl Workload {
    pub(super) fn of(object: &WorkloadObject) -> Self {
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
}
