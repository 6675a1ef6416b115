//! MetalLB: the one object that the operator turns into a running MetalLB.

mod around;
mod pods;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::around::{
    ApiServerEgress, MonitorType, Monitoring, NetworkPolicies, PrometheusAccount,
};
pub use self::pods::{
    Config, ControllerConfig, ImagePullSecret, MemberlistConfig, ProbeConfig, RollingUpdate,
    SpeakerConfig, UpdateStrategy, UpdateStrategyType,
};
use crate::{null, schema};

/// How MetalLB is to run. Left empty, everything has its default.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "MetalLB",
    plural = "metallbs",
    singular = "metallb",
    namespaced,
    status = "MetalLBStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "Asks the operator to run MetalLB. There is one, named metallb, in the operator's own namespace.",
    printcolumn(
        name = "Available",
        type_ = "string",
        description = "Whether MetalLB is running as asked.",
        json_path = ".status.conditions[?(@.type=='Available')].status"
    ),
    printcolumn(
        name = "Degraded",
        type_ = "string",
        description = "Whether something needs attention.",
        json_path = ".status.conditions[?(@.type=='Degraded')].status"
    ),
    printcolumn(
        name = "Progressing",
        type_ = "string",
        description = "Whether a change is being rolled out.",
        json_path = ".status.conditions[?(@.type=='Progressing')].status"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        description = "Whether everything is as asked, and nothing needs attention.",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        description = "The version that all of MetalLB runs.",
        json_path = ".status.versions.operands"
    ),
    printcolumn(
        name = "Backend",
        type_ = "string",
        description = "The BGP backend in effect.",
        json_path = ".status.bgpBackend",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        description = "How things stand, in words.",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct MetalLBSpec {
    /// Has no effect: the operator knows the image. Deprecated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Labels of the nodes that run a speaker, in addition to kubernetes.io/os: linux.
    /// Default: all Linux nodes.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that speakers tolerate, in addition to those of control-plane nodes.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub speaker_tolerations: Vec<Toleration>,

    /// The least important messages that are still logged. Default: info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional::<LogLevel>")]
    pub log_level: Option<LogLevel>,

    /// Serves only Services whose spec.loadBalancerClass is this. Default: only Services
    /// without a class are served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(
        pattern = r"^([a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?/)?[a-z0-9A-Z]([\w.\-]*[a-z0-9A-Z])?$"
    ))]
    pub load_balancer_class: Option<String>,

    /// Labels of the nodes that may run the controller, in addition to kubernetes.io/os: linux.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub controller_node_selector: BTreeMap<String, String>,

    /// Taints that the controller tolerates. Default: none.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub controller_tolerations: Vec<Toleration>,

    /// Settings of the controller's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_config: Option<ControllerConfig>,

    /// Settings of the speakers' pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker_config: Option<SpeakerConfig>,

    /// How to speak BGP: native, frr, frr-k8s or frr-k8s-external. The first three are the
    /// same built-in engine with the defaults of that backend; the last one configures an
    /// FRR-K8s that somebody else runs. Default: frr, or frr-k8s on OpenShift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp_backend: Option<String>,

    /// Settings of the backends frr-k8s and frr-k8s-external.
    #[serde(
        default,
        rename = "frrk8sConfig",
        skip_serializing_if = "Option::is_none"
    )]
    pub frrk8s_config: Option<FrrK8sConfig>,

    /// The registry, with a path if there is one, to pull images from instead of the one in their
    /// names: with registry.example.com/mirror, quay.io/metallb/speaker:v1 is pulled as
    /// registry.example.com/mirror/metallb/speaker:v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$"))]
    pub image_registry: Option<String>,

    /// Secrets in the operator's namespace to pull images with.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub image_pull_secrets: Vec<ImagePullSecret>,

    /// What tells a Prometheus operator to scrape controller and speakers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,

    /// Who may reach the pods of controller and operator, and whom they may reach. Speakers are on
    /// their nodes' networks, which no policy is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policies: Option<NetworkPolicies>,
}

/// How much is logged: each level with all that are more important than it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    All,
    /// What helps to find a fault.
    Debug,
    /// What happens in normal use.
    Info,
    /// What may need attention.
    Warn,
    /// What went wrong.
    Error,
    /// Nothing.
    None,
}

/// Settings of the backends frr-k8s and frr-k8s-external.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FrrK8sConfig {
    /// Networks, such as 10.0.0.0/8, whose routes are never taken from a BGP peer.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub always_block: Vec<String>,

    /// Namespace of the FRR-K8s that somebody else runs. Only for frr-k8s-external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// Whether FRR-K8s is told the name of the Secret that holds a peer's password, instead
    /// of the password. Only for frr-k8s-external. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_passthrough: Option<bool>,
}

/// How MetalLB is. Written by the operator.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MetalLBStatus {
    /// Available, Upgradeable, Progressing and Degraded: whether MetalLB runs as asked, may
    /// be upgraded, is changing, or needs attention. Ready: all of it is as asked and nothing
    /// needs attention. Only while they hold: Reconciling, Stalled,
    /// Paused; Warning: it runs, and does not do what somebody may expect.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    // One of each type, which a mark could say; added to a field in use, it is an unsafe change.
    #[schemars(schema_with = "schema::condition_list")]
    pub conditions: Vec<Condition>,

    /// The metadata.generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Which versions run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<Versions>,

    /// The BGP backend in effect: what bgpBackend asks for or, unless it does, the platform's
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp_backend: Option<String>,

    /// What the cluster is: Kubernetes or OpenShift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,

    /// The workloads that MetalLB is made of.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub components: Vec<ComponentStatus>,

    /// What the operator leaves alone, as the annotation metallb.io/unmanaged there says; such as
    /// DaemonSet speaker.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub unmanaged: Vec<String>,
}

/// Which versions run.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// The operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,

    /// The one that all of MetalLB was last seen to run. Behind the operator's while an upgrade
    /// is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operands: Option<String>,
}

/// How one workload is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Deployment or DaemonSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,

    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// The image that its pods are to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// How many pods there should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,

    /// How many are of the newest form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i32>,

    /// How many do their work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,

    /// What it waits for, or what is wrong with its pods. Empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
