//! IPAddressPool: addresses to give to Services.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// Which addresses there are, and which Services get them.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "IPAddressPool",
    plural = "ipaddresspools",
    namespaced,
    status = "IPAddressPoolStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Addresses that Services of type LoadBalancer get. An L2Advertisement or a BGPAdvertisement makes them reachable.",
    printcolumn(
        name = "Auto Assign",
        type_ = "boolean",
        json_path = ".spec.autoAssign"
    ),
    printcolumn(
        name = "Avoid Buggy IPs",
        type_ = "boolean",
        json_path = ".spec.avoidBuggyIPs"
    ),
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses")
)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolSpec {
    /// The addresses of the pool: each entry is a network such as 192.0.2.0/24 or
    /// 2001:db8::/64, or a first and a last address such as 192.0.2.10-192.0.2.20. A single
    /// address is a network of one, such as 192.0.2.7/32.
    /// No address may be in two pools.
    pub addresses: Vec<String>,

    /// Whether Services that ask for no particular pool or address may get one of these.
    /// If false, only Services that name the pool or an address of it do. Default: true.
    #[serde(default = "yes", deserialize_with = "null::or_true")]
    pub auto_assign: bool,

    /// Whether to leave out IPv4 addresses that end in .0 or .255, which some old
    /// network devices take for network or broadcast addresses. Default: false.
    #[serde(
        default,
        rename = "avoidBuggyIPs",
        deserialize_with = "null::or_default"
    )]
    pub avoid_buggy_ips: bool,

    /// Reserves the pool for some Services. If it is not set, the pool is for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

/// Reserves a pool for some Services: those in the given namespaces that also match
/// one of the given Service selectors.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Among the pools reserved for a Service, the one with the lowest number is used
    /// first, and those with 0 or no number last. Default: 0.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "is_zero"
    )]
    #[schemars(schema_with = "schema::integer")]
    pub priority: i64,

    /// Names of namespaces whose Services may use the pool. If neither this nor
    /// namespaceSelectors is set, all may.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub namespaces: Vec<String>,

    /// Namespaces whose Services may use the pool, by label, in addition to those named
    /// in namespaces. Matching one selector is enough.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::label_selectors")]
    pub namespace_selectors: Vec<LabelSelector>,

    /// Services that may use the pool, by label. Matching one selector is enough; if
    /// there is none, all Services match.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::label_selectors")]
    pub service_selectors: Vec<LabelSelector>,
}

/// How much of the pool is in use. Written by the controller.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolStatus {
    /// IPv4 addresses of the pool that Services have.
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    /// IPv6 addresses of the pool that Services have.
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    /// IPv4 addresses of the pool that are free.
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,
    /// IPv6 addresses of the pool that are free; at most 9223372036854775807 is shown.
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}

impl Default for IPAddressPoolSpec {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            auto_assign: true,
            avoid_buggy_ips: false,
            service_allocation: None,
        }
    }
}

fn yes() -> bool {
    true
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}
