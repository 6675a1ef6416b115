//! BGPPeer, old version: what manifests of before v1beta2 hold.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// The router and how to talk to it.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPPeer",
    plural = "bgppeers",
    namespaced,
    status = "BGPPeerStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    storage = false,
    served = false,
    deprecated = "v1beta1 is deprecated, please use v1beta2",
    doc = "A router that the nodes speak BGP with, in the deprecated version; use v1beta2.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.peerAddress"),
    printcolumn(name = "ASN", type_ = "string", json_path = ".spec.peerASN"),
    printcolumn(name = "BFD Profile", type_ = "string", json_path = ".spec.bfdProfile"),
    printcolumn(
        name = "Multi Hops",
        type_ = "string",
        json_path = ".spec.ebgpMultiHop"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct BGPPeerSpec {
    /// AS number of the nodes.
    #[serde(rename = "myASN")]
    #[schemars(schema_with = "schema::asn::<0>")]
    pub my_asn: u32,

    /// AS number of the router.
    #[serde(rename = "peerASN")]
    #[schemars(schema_with = "schema::asn::<0>")]
    pub peer_asn: u32,

    /// IP address of the router.
    pub peer_address: String,

    /// IP address of the node to connect from. Default: the kernel chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,

    /// TCP port of the router. Default: 179.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port::<0>")]
    pub peer_port: Option<u16>,

    /// How long the session lives without a word from the router, as a duration such as 90s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,

    /// How often to send a keepalive, as a duration such as 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,

    /// BGP identifier of the nodes, written as an IPv4 address. Default: an address of the node.
    #[serde(default, rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,

    /// Nodes that connect to the router, by label. Matching one selector is enough; if there
    /// is none, all nodes do.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub node_selectors: Vec<NodeSelector>,

    /// Password of the session (TCP MD5 signatures, RFC 2385). Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,

    /// Name of the BFDProfile to watch the session with. Default: no BFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,

    /// Whether the router is more than one hop away. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,
}

/// Selects nodes by their labels. All of its parts must hold.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// Labels that must be there with exactly these values.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub match_labels: BTreeMap<String, String>,

    /// Conditions on labels, all of which must hold.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub match_expressions: Vec<MatchExpression>,
}

/// A condition on one label.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchExpression {
    /// Key of the label.
    pub key: String,
    /// One of In, NotIn, Exists and DoesNotExist.
    pub operator: String,
    /// Values to compare with, at least one.
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
}

/// Holds nothing so far.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BGPPeerStatus {}
