//! BGPAdvertisement: announce addresses by BGP.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct, inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// Which addresses to announce, to whom, with what attributes. Left empty, it announces all
/// addresses from all nodes to all peers.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPAdvertisement",
    plural = "bgpadvertisements",
    namespaced,
    status = "BGPAdvertisementStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "Announces addresses of Services to BGP peers.",
    printcolumn(
        name = "IPAddressPools",
        type_ = "string",
        json_path = ".spec.ipAddressPools"
    ),
    printcolumn(
        name = "IPAddressPool Selectors",
        type_ = "string",
        json_path = ".spec.ipAddressPoolSelectors"
    ),
    printcolumn(name = "Peers", type_ = "string", json_path = ".spec.peers"),
    printcolumn(
        name = "Node Selectors",
        type_ = "string",
        json_path = ".spec.nodeSelectors",
        priority = 10
    )
)]
// An aggregate would draw in traffic for the Services that the selectors leave out.
#[x_kube(validation = (
    "!has(self.serviceSelectors) || self.serviceSelectors.size() == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    "serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)"
))]
#[serde(rename_all = "camelCase")]
pub struct BGPAdvertisementSpec {
    /// Length of the announced IPv4 prefixes, 1 to 32. Below 32, one route covers several
    /// addresses; the pool must then hold whole prefixes of that length. Default: 32.
    #[serde(
        default = "null::number::<i64, HOST_V4>",
        deserialize_with = "null::or_number::<_, _, HOST_V4>"
    )]
    // An API server lets any whole number pass, and one that cannot be read would keep all
    // others from being read.
    #[schemars(range(min = 1), extend("format" = "int32"))]
    pub aggregation_length: i64,

    /// Length of the announced IPv6 prefixes, up to 128. Default: 128.
    #[serde(
        default = "null::number::<i64, HOST_V6>",
        rename = "aggregationLengthV6",
        deserialize_with = "null::or_number::<_, _, HOST_V6>"
    )]
    #[schemars(extend("format" = "int32"))]
    pub aggregation_length_v6: i64,

    /// Local preference of the routes, sent to internal peers only: routers take the route
    /// with the highest. 0 or unset: none is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::local_pref")]
    pub local_pref: Option<i64>,

    /// Communities to put on the routes: standard ones such as 64512:100, large ones such as
    /// large:64512:100:1, or names that a Community object gives to either.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub communities: Vec<String>,

    /// Names of the pools whose addresses are announced. If neither this nor
    /// ipAddressPoolSelectors is set, all pools are.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub ip_address_pools: Vec<String>,

    /// Pools whose addresses are announced, by label, in addition to those named in
    /// ipAddressPools. Matching one selector is enough.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::label_selectors")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,

    /// Nodes that announce, by label. Matching one selector is enough; if there is none, all
    /// nodes do.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::label_selectors")]
    pub node_selectors: Vec<LabelSelector>,

    /// Names of the BGPPeers to announce to. If there is none, all are told.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub peers: Vec<String>,

    /// Services whose addresses are announced, by label. Matching one selector is enough; if
    /// there is none, all Services are. Not together with shorter aggregation lengths.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(schema_with = "schema::label_selectors")]
    pub service_selectors: Vec<LabelSelector>,
}

/// Holds nothing so far.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BGPAdvertisementStatus {}

impl Default for BGPAdvertisementSpec {
    fn default() -> Self {
        Self {
            aggregation_length: i64::from(HOST_V4),
            aggregation_length_v6: i64::from(HOST_V6),
            local_pref: None,
            communities: Vec::new(),
            ip_address_pools: Vec::new(),
            ip_address_pool_selectors: Vec::new(),
            node_selectors: Vec::new(),
            peers: Vec::new(),
            service_selectors: Vec::new(),
        }
    }
}

/// A prefix of one IPv4 address.
const HOST_V4: u16 = 32;
/// A prefix of one IPv6 address.
const HOST_V6: u16 = 128;
