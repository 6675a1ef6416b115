//! Objects of the cluster, read no further than advice needs.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Node as Whole;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::Resource;
use kube::api::ObjectMeta;
use metallb_config::{AddrRange, Node};
use serde::Deserialize;
use serde_json::Value;

/// A node; most of it is what it reports of its images.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = Whole)]
pub(super) struct NodeObject {
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Vec<String>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default)]
struct Status {
    addresses: Vec<Address>,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default)]
struct Address {
    address: String,
}

/// What of it a configuration can be at odds with. Names among its addresses are passed over.
pub(super) fn node(object: &NodeObject) -> Node {
    let addresses = object.status.addresses.iter();
    let mut pods: Vec<&String> = object.spec.pod_cidrs.iter().collect();
    if pods.is_empty() {
        pods.extend(&object.spec.pod_cidr);
    }
    Node {
        labels: object.metadata.labels.as_ref().into(),
        addresses: addresses.filter_map(|it| it.address.parse().ok()).collect(),
        pod_ranges: parsed(pods),
    }
}

/// Where Services have their addresses, as one such object says.
pub(super) fn ranges(object: &ServiceCIDR) -> Vec<AddrRange> {
    parsed(object.spec.iter().flat_map(|it| it.cidrs.iter().flatten()))
}

fn parsed<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<AddrRange> {
    let texts = texts.into_iter();
    texts.filter_map(|it| it.parse().ok()).collect()
}

/// Whether kube-proxy balances by IPVS without strictARP, as the ConfigMap says that kubeadm has
/// made for it.
pub(super) fn answers_for_others(map: &ConfigMap) -> bool {
    let text = map.data.as_ref().and_then(|data| data.get("config.conf"));
    let configuration: Option<Value> = text.and_then(|it| serde_saphyr::from_str(it).ok());
    configuration.is_some_and(|it| it["mode"] == "ipvs" && it["ipvs"]["strictARP"] != true)
}
