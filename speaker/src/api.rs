//! The parts of Kubernetes objects that a speaker reads. What is not named here is skipped while
//! it is parsed, so a large object costs nothing after it has been seen.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use kube::Resource;
use kube::api::ObjectMeta;
use metallb_config::Labels;
use serde::Deserialize;

/// A Service.
#[derive(Resource, Deserialize, Clone, Debug, Default)]
#[resource(inherit = core::Service)]
pub(crate) struct Service {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: ServiceSpec,
    #[serde(default)]
    pub(crate) status: ServiceStatus,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) type_: Option<String>,
    pub(crate) load_balancer_class: Option<String>,
    pub(crate) external_traffic_policy: Option<String>,
    #[serde(default)]
    pub(crate) selector: Labels,
    #[serde(default)]
    pub(crate) ports: Vec<ServicePort>,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct ServicePort {
    #[serde(default)]
    pub(crate) protocol: String,
    pub(crate) port: u16,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    #[serde(default)]
    pub(crate) load_balancer: LoadBalancerStatus,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct LoadBalancerStatus {
    pub(crate) ingress: Option<Vec<Ingress>>,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct Ingress {
    pub(crate) ip: Option<String>,
}

/// An EndpointSlice.
#[derive(Resource, Deserialize, Clone, Debug, Default)]
#[resource(inherit = discovery::EndpointSlice)]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: ObjectMeta,
    /// The API server writes `null` for an empty list.
    pub(crate) endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    #[serde(default)]
    pub(crate) conditions: EndpointConditions,
    pub(crate) node_name: Option<String>,
}

#[derive(Deserialize, Clone, Copy, Debug, Default)]
pub(crate) struct EndpointConditions {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
}

/// A Node.
#[derive(Resource, Deserialize, Clone, Debug, Default)]
#[resource(inherit = core::Node)]
pub(crate) struct Node {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: NodeSpec,
    #[serde(default)]
    pub(crate) status: NodeStatus,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct NodeSpec {
    pub(crate) taints: Option<Vec<Taint>>,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct Taint {
    pub(crate) key: String,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct NodeStatus {
    pub(crate) conditions: Option<Vec<Condition>>,
    pub(crate) addresses: Option<Vec<NodeAddress>>,
}

#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct NodeAddress {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) address: String,
}

/// Of a Node or a Pod.
#[derive(Deserialize, Clone, Debug, Default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
}

/// A speaker's Pod.
#[derive(Resource, Deserialize, Clone, Debug, Default)]
#[resource(inherit = core::Pod)]
pub(crate) struct Pod {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: PodSpec,
    #[serde(default)]
    pub(crate) status: PodStatus,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) node_name: Option<String>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodStatus {
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) conditions: Option<Vec<Condition>>,
}
