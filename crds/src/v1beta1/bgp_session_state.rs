//! BGPSessionState: how a BGP session of a node is.
//!
//! FRR-K8s has a kind of this name in its own group. Its fields and columns are here as they are
//! there, and more beside them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// Holds nothing: these objects only report.
#[derive(
    CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq,
)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "BGPSessionState",
    plural = "bgpsessionstates",
    namespaced,
    status = "BGPSessionStateStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "Says how the BGP session of a node with a router is. Written by the speaker on that node; do not edit.",
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node"),
    printcolumn(name = "Peer", type_ = "string", json_path = ".status.peer"),
    printcolumn(name = "VRF", type_ = "string", json_path = ".status.vrf"),
    printcolumn(name = "BGP", type_ = "string", json_path = ".status.bgpStatus"),
    printcolumn(name = "BFD", type_ = "string", json_path = ".status.bfdStatus"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(
        name = "BGPPeer",
        type_ = "string",
        json_path = ".status.bgpPeer",
        priority = 1
    ),
    printcolumn(
        name = "Last Error",
        type_ = "string",
        json_path = ".status.lastError",
        priority = 1
    )
)]
pub struct BGPSessionStateSpec {}

/// How a session is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BGPSessionStateStatus {
    /// Established, or Active while there is no session and the speaker tries to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp_status: Option<String>,

    /// What BFD says of the router: up, down, init or shutdown; N/A without a bfdProfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd_status: Option<String>,

    /// The node whose session it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,

    /// Address of the router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,

    /// The VRF that the session runs in; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,

    /// Name of the BGPPeer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bgp_peer: Option<String>,

    /// Since when bgpStatus is as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,

    /// Why the last session, or the last attempt to have one, ended. It stays when a session
    /// comes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,

    /// Address and port on the node of a connection that another program there has with the
    /// router, such as FRR. The session waits for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,

    /// AS number that the node has for the router.
    #[serde(default, rename = "localASN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn::<1>")]
    pub local_asn: Option<u32>,

    /// AS number that the router says it has. Only while there is a session.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn::<1>")]
    pub peer_asn: Option<u32>,

    /// The hold time that both agreed on, such as 90s; 0s for none. Only while there is a
    /// session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,

    /// Time between two keepalive messages of the node, such as 30s. Only while there is a
    /// session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,

    /// What both can do: ipv4Unicast, ipv6Unicast, fourOctetAS, routeRefresh,
    /// enhancedRouteRefresh, extendedMessage, extendedNextHop, gracefulRestart,
    /// notificationRestart. Only while there is a session.
    #[serde(
        default,
        deserialize_with = "null::or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub capabilities: Vec<String>,

    /// How many routes there are. Where these numbers alone change, a node writes one object in
    /// half a minute; metrics have them as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::optional::<SessionPrefixes>")]
    pub prefixes: Option<SessionPrefixes>,
}

/// How many routes a session has.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionPrefixes {
    /// Those that the router was told.
    pub advertised: i64,
    /// Those that are left to tell.
    pub pending: i64,
    /// Those that the router has told, of which nothing is used.
    pub received: i64,
}
