//! Kubernetes objects as the API server gives them, with only the parts that matter here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace as CoreNamespace, Service as CoreService};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A Namespace, with only its labels.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = CoreNamespace)]
pub(crate) struct WatchedNamespace {
    pub(crate) metadata: ObjectMeta,
}

/// A Service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = CoreService)]
pub(crate) struct WatchedService {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: Spec,
    #[serde(default)]
    pub(crate) status: Status,
}

/// The part of `spec` that matters here.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: Vec<String>,
    pub(crate) ip_family_policy: String,
    #[serde(rename = "loadBalancerIP")]
    pub(crate) load_balancer_ip: String,
    pub(crate) load_balancer_class: Option<String>,
    pub(crate) external_traffic_policy: String,
    pub(crate) selector: BTreeMap<String, String>,
    pub(crate) ports: Vec<ServicePort>,
}

/// An entry of `spec.ports`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ServicePort {
    pub(crate) protocol: String,
    pub(crate) port: u16,
}

/// `status`: what we write, and all that others do.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    pub(crate) load_balancer: LoadBalancer,
    /// Conditions, and what later versions of Kubernetes may add.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LoadBalancer {
    pub(crate) ingress: Vec<Ingress>,
}

/// An entry of `status.loadBalancer.ingress`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Ingress {
    pub(crate) ip: String,
    pub(crate) hostname: String,
}
