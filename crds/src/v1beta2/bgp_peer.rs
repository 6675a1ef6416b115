//! BGPPeer: a router to speak BGP with.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a copy of the struct, inside a function"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{null, schema};

/// The router and how to talk to it. Either peerASN or dynamicASN is set, and either
/// peerAddress or interface.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "metallb.io",
    version = "v1beta2",
    kind = "BGPPeer",
    plural = "bgppeers",
    namespaced,
    status = "BGPPeerStatus",
    derive = "PartialEq",
    derive = "Default",
    attr = "cfg_attr(all(), serde(default))",
    doc = "A router that the nodes speak BGP with. Each node that nodeSelectors match holds a session of its own.",
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

    /// AS number of the router. Either this or dynamicASN is set.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn::<0>")]
    pub peer_asn: Option<u32>,

    /// AS number that this router alone is told instead of myASN, as when a network moves
    /// from one AS number to another. Default: myASN.
    #[serde(default, rename = "localASN", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::asn::<1>")]
    pub local_asn: Option<u32>,

    /// Takes the router's AS number as it comes: internal accepts myASN only, external
    /// accepts any other. Either this or peerASN is set.
    #[serde(
        default,
        rename = "dynamicASN",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(schema_with = "schema::optional::<DynamicAsn>")]
    pub dynamic_asn: Option<DynamicAsn>,

    /// IP address of the router. Either this or interface is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,

    /// Network interface of the node to find the router on, without configured addresses
    /// (unnumbered BGP). Either this or peerAddress is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,

    /// IP address of the node to connect from. Default: the kernel chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,

    /// TCP port of the router, 1 to 16384. Default: 179.
    #[serde(
        default = "null::number::<u16, PORT>",
        deserialize_with = "null::or_number::<_, _, PORT>"
    )]
    #[schemars(schema_with = "schema::port::<1>")]
    pub peer_port: u16,

    /// How long the session lives without a word from the router, as a duration such as
    /// 90s: 0s for ever, else at least 3s. Router and node use the shorter of what each
    /// asks for. Default: that of the BGP backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<String>,

    /// How often to send a keepalive, as a duration such as 30s, at most holdTime.
    /// Default: a third of the hold time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<String>,

    /// How long to wait between two attempts to connect, as a duration of whole seconds
    /// from 1s to 65535s. Default: that of the BGP backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = (
            "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
            "connect time should be between 1 seconds to 65535"
        ),
        validation = (
            "duration(self).getMilliseconds() % 1000 == 0",
            "connect time should contain a whole number of seconds"
        )
    )]
    pub connect_time: Option<String>,

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
    #[schemars(schema_with = "schema::label_selectors")]
    pub node_selectors: Vec<LabelSelector>,

    /// Password of the session (TCP MD5 signatures, RFC 2385), readable by everybody who may
    /// read this object; passwordSecret is better. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,

    /// Secret that holds the password of the session under the key password. It must be of
    /// type kubernetes.io/basic-auth and in the namespace of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,

    /// Name of the BFDProfile to watch the session with. Default: no BFD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,

    /// Whether both sides keep forwarding while the session restarts (graceful restart,
    /// RFC 4724). Cannot be changed later. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (
        "self == oldSelf",
        "EnableGracefulRestart cannot be changed after creation"
    ))]
    pub enable_graceful_restart: Option<bool>,

    /// Whether the router is more than one hop away. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,

    /// Linux VRF of the node to connect from. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrf: Option<String>,

    /// Has no effect: sessions carry the routes of one address family unless
    /// dualStackAddressFamily is set. Deprecated. Default: false.
    #[serde(default, rename = "disableMP", deserialize_with = "null::or_default")]
    pub disable_mp: bool,

    /// Whether the session carries IPv4 and IPv6 routes, not only those of the family of
    /// its own address. Default: false.
    #[serde(default, deserialize_with = "null::or_default")]
    pub dual_stack_address_family: bool,
}

/// Which AS numbers of the router are taken.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DynamicAsn {
    /// That of the nodes only.
    Internal,
    /// Any but that of the nodes.
    External,
}

/// Where a Secret is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SecretReference {
    /// Name of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Namespace of the Secret. Not used: the Secret is looked for in the namespace of the
    /// object that names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Holds nothing so far.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct BGPPeerStatus {}

impl Default for BGPPeerSpec {
    fn default() -> Self {
        Self {
            my_asn: 0,
            peer_asn: None,
            local_asn: None,
            dynamic_asn: None,
            peer_address: None,
            interface: None,
            source_address: None,
            peer_port: PORT,
            hold_time: None,
            keepalive_time: None,
            connect_time: None,
            router_id: None,
            node_selectors: Vec::new(),
            password: None,
            password_secret: None,
            bfd_profile: None,
            enable_graceful_restart: None,
            ebgp_multi_hop: None,
            vrf: None,
            disable_mp: false,
            dual_stack_address_family: false,
        }
    }
}

/// BGP's own port (RFC 4271).
const PORT: u16 = 179;
