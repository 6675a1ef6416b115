//! What can be said of the pods of controller and speakers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// Settings of pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Name of the PriorityClass of the pods. Default: that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,

    /// Name of the RuntimeClass of the pods. Default: that of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,

    /// On which nodes the pods should or must run. Default: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core_type::<Affinity>")]
    pub affinity: Option<Affinity>,

    /// Annotations to put on the pods.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,

    /// CPU and memory that the main container asks for and may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core_type::<ResourceRequirements>")]
    pub resources: Option<ResourceRequirements>,

    /// Labels to put on the pods and their workload. Not app and component, which the pods are
    /// found by.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,

    /// The image to run, as it is; imageRegistry does not change it. Default: what the operator's
    /// environment says in CONTROLLER_IMAGE or SPEAKER_IMAGE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^\S+$"))]
    pub image: Option<String>,

    /// When a container that does not answer is started anew. Default: after half a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<ProbeConfig>,

    /// When a container counts as ready, which a rollout waits for. Default: asked each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<ProbeConfig>,
}

/// Settings of the controller's pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ControllerConfig {
    /// What can be said of any pods.
    #[serde(flatten)]
    pub pods: Config,

    /// How many controllers run: one leads, and another takes over should it go. All answer
    /// webhooks. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub replicas: Option<i32>,
}

/// Settings of the speakers' pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerConfig {
    /// What can be said of any pods.
    #[serde(flatten)]
    pub pods: Config,

    /// How speakers are replaced. Default: one node at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,

    /// Regular expressions of the names of interfaces on which nothing is announced by ARP or NDP.
    /// They take the place of the default, which is the interfaces of containers: ^docker.*, ^cbr.*,
    /// ^dummy.*, ^virbr.*, ^lxcbr.*, ^veth.*, ^lo$, ^cali.*, ^tunl.*, ^flannel.*, ^kube-ipvs.*,
    /// ^cni.*, ^nodelocaldns.*, ^lxc.*. An empty list excludes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_interfaces: Option<Vec<String>>,

    /// Whether nodes with the label node.kubernetes.io/exclude-from-external-load-balancers announce
    /// all the same, as on clusters whose only nodes are those of the control plane. Default: false.
    #[serde(
        default,
        rename = "ignoreExcludeLB",
        skip_serializing_if = "Option::is_none"
    )]
    pub ignore_exclude_lb: Option<bool>,

    /// How speakers watch each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memberlist: Option<MemberlistConfig>,
}

/// A Secret with what a registry wants to see.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePullSecret {
    /// Its name.
    pub name: String,
}

/// When the kubelet asks a container how it is, and what it makes of the answers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProbeConfig {
    /// Seconds from the start of the container to the first question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: Option<i32>,

    /// Seconds between two questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub period_seconds: Option<i32>,

    /// Seconds that an answer may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_seconds: Option<i32>,

    /// How many questions in a row have to go unanswered to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub failure_threshold: Option<i32>,
}

/// How speakers are replaced.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// RollingUpdate replaces them by itself; OnDelete leaves it to whoever deletes the old pods.
    /// Default: RollingUpdate.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional::<UpdateStrategyType>")]
    pub type_: Option<UpdateStrategyType>,

    /// With RollingUpdate: how fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// Who replaces speakers.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateStrategyType {
    /// Their controller.
    RollingUpdate,
    /// Whoever deletes them.
    OnDelete,
}

/// How fast speakers are replaced.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpdate {
    /// How many nodes, or how much of all of them such as 10%, may be without a speaker at a time.
    /// Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::some_of_all")]
    pub max_unavailable: Option<IntOrString>,
}

/// How speakers watch each other.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MemberlistConfig {
    /// The UDP port of their heartbeats on each node. While it changes, those with the old one and
    /// those with the new one do not hear each other. Default: what the operator's environment says
    /// in MEMBER_LIST_BIND_PORT, else 7946.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub bind_port: Option<u16>,

    /// Whether the delays of a wide area network are borne, so that nodes are told dead later.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wan_config: Option<bool>,
}
