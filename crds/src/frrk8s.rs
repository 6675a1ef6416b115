//! What an FRR-K8s is told: the part of its FRRConfiguration that speakers write, in its order.
//! The definition comes with FRR-K8s; none is made from these types.

use std::collections::BTreeMap;
use std::fmt;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Name of the CustomResourceDefinition of FRRConfigurations.
pub const FRR_CONFIGURATIONS: &str = "frrconfigurations.frrk8s.metallb.io";

/// What FRR is to do on the nodes that the selector selects.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[kube(
    group = "frrk8s.metallb.io",
    version = "v1beta1",
    kind = "FRRConfiguration",
    plural = "frrconfigurations",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "A part of the configuration of an FRR that FRR-K8s runs. Parts add up."
)]
#[serde(rename_all = "camelCase", default)]
pub struct FRRConfigurationSpec {
    /// What it is to do about BGP.
    pub bgp: Bgp,
    /// The nodes that it is for.
    pub node_selector: NodeSelector,
}

/// Which nodes a part is for.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// Those with all of these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// BGP and the BFD beside it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Bgp {
    /// One for each VRF.
    pub routers: Vec<Router>,
    /// How neighbours may be watched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bfd_profiles: Vec<BfdProfile>,
}

/// BGP within one VRF.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Router {
    /// AS number of the node.
    pub asn: u32,
    /// BGP identifier of the node; FRR has its own without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The VRF; the main table without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,
    /// The routers to speak with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neighbors: Vec<Neighbor>,
    /// What any of them is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
}

/// A router to speak with.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Neighbor {
    /// Its AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// `internal` or `external`, instead of the number.
    #[serde(rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    pub dynamic_asn: Option<String>,
    /// The AS number that it takes the node to have.
    #[serde(rename = "localASN", skip_serializing_if = "Option::is_none")]
    pub local_asn: Option<u32>,
    /// The node's address to connect from.
    #[serde(rename = "sourceaddress", skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The interface that it is found on, instead of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its TCP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The password of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// The Secret with the password, in FRR-K8s' namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,
    /// Hold time, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,
    /// Time between keepalives, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,
    /// Time between attempts to connect, as Go writes durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<String>,
    /// Whether it is more than one hop away.
    #[serde(rename = "ebgpMultiHop", skip_serializing_if = "is_false")]
    pub ebgp_multi_hop: bool,
    /// How it is watched: the name of one of the profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,
    /// Whether both sides keep forwarding while the session restarts.
    #[serde(skip_serializing_if = "is_false")]
    pub enable_graceful_restart: bool,
    /// What it is told.
    pub to_advertise: Advertise,
    /// Whether the session carries the routes of both families.
    #[serde(skip_serializing_if = "is_false")]
    pub dual_stack_address_family: bool,
}

/// What a neighbour is told.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Advertise {
    /// The prefixes.
    pub allowed: Allowed,
    /// Those with a local preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with_local_pref: Vec<LocalPrefPrefixes>,
    /// Those with a community.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub with_community: Vec<CommunityPrefixes>,
}

/// The prefixes that a neighbour may be told.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct Allowed {
    /// These.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
}

/// Prefixes with a local preference.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalPrefPrefixes {
    /// The prefixes.
    pub prefixes: Vec<String>,
    /// The preference.
    pub local_pref: u32,
}

/// Prefixes with a community.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct CommunityPrefixes {
    /// The prefixes.
    pub prefixes: Vec<String>,
    /// The community, such as `65535:65281` or `large:1:2:3`.
    pub community: String,
}

/// How a neighbour is watched with BFD; times in milliseconds.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct BfdProfile {
    /// Its name.
    pub name: String,
    /// Shortest time between packets that the node can take.
    pub receive_interval: u32,
    /// Shortest time between packets that the node sends.
    pub transmit_interval: u32,
    /// How many packets in a row may be missed.
    pub detect_multiplier: u32,
    /// Shortest time between echo packets.
    pub echo_interval: u32,
    /// Whether echo packets are sent.
    pub echo_mode: bool,
    /// Whether the neighbour has to begin.
    pub passive_mode: bool,
    /// Lowest TTL of packets from more than one hop away.
    pub minimum_ttl: u32,
}

/// A Secret by its name.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(default)]
pub struct SecretReference {
    /// The name.
    pub name: String,
}

/// A password, which no log or message shows.
#[derive(Serialize, Deserialize, Clone, Default, PartialEq, Eq)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(it: &bool) -> bool {
    !it
}
