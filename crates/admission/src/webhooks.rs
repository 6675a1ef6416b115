//! The validating webhooks, as data: what registers them and what serves them both read it here.

use kube::core::admission::Operation;
use metallb_config::Kind;
use metallb_crds::names::GROUP;

/// Name of the `ValidatingWebhookConfiguration` that lists [`WEBHOOKS`].
pub const CONFIGURATION: &str = "metallb-webhook-configuration";
/// Name of the Service that the API server calls, in MetalLB's namespace.
pub const SERVICE: &str = "metallb-webhook-service";
/// Name of the Secret with the certificates of that Service.
pub const SECRET: &str = "metallb-webhook-cert";
/// Where the pods behind that Service answer, and those that convert alone.
pub const PORT: u16 = 9443;
/// Where `BGPPeers` are converted ([`crate::convert_review`]).
pub const CONVERT_PATH: &str = "/convert";
/// The definition whose objects are converted: of the one kind that has two versions.
pub const CONVERTED: &str = "bgppeers.metallb.io";

/// One validating webhook.
#[derive(Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its name in the manifests.
    pub name: &'static str,
    /// Its name in the Helm chart, which differs for one of them.
    pub helm_name: &'static str,
    /// Where it answers.
    pub path: &'static str,
    /// The kind of its objects.
    pub kind: Kind,
    /// The version that objects are shown in.
    pub version: &'static str,
    /// Which objects, by the plural name of their kind.
    pub resource: &'static str,
    /// What may not be done without asking.
    pub operations: &'static [Operation],
    /// What a review looks at besides: the objects of these kinds in MetalLB's namespace.
    pub reads: &'static [Kind],
    /// Whether it looks at the nodes, too.
    pub reads_nodes: bool,
}

impl Webhook {
    /// The API group of its objects.
    pub const GROUP: &'static str = GROUP;

    /// The webhook that answers at `path`.
    pub fn at(path: &str) -> Option<&'static Self> {
        WEBHOOKS.iter().find(|webhook| webhook.path == path)
    }
}

/// All of them, in the order of upstream's manifests.
pub const WEBHOOKS: &[Webhook] = &[
    Webhook {
        name: "bgppeersvalidationwebhook.metallb.io",
        helm_name: "bgppeervalidationwebhook.metallb.io",
        path: "/validate-metallb-io-v1beta2-bgppeer",
        kind: Kind::BGPPeer,
        version: "v1beta2",
        resource: "bgppeers",
        operations: CREATE_AND_UPDATE,
        // Profiles for a warning alone: a peer may be there before its own is.
        reads: &[Kind::BGPPeer, Kind::BFDProfile],
        reads_nodes: true,
    },
    Webhook {
        name: "bfdprofilevalidationwebhook.metallb.io",
        helm_name: "bfdprofilevalidationwebhook.metallb.io",
        path: "/validate-metallb-io-v1beta1-bfdprofile",
        kind: Kind::BFDProfile,
        version: "v1beta1",
        resource: "bfdprofiles",
        // Its values are left to the schema; what is in use may not go.
        operations: &[Operation::Create, Operation::Delete],
        reads: &[Kind::BGPPeer],
        reads_nodes: false,
    },
    Webhook {
        name: "bgpadvertisementvalidationwebhook.metallb.io",
        helm_name: "bgpadvertisementvalidationwebhook.metallb.io",
        path: "/validate-metallb-io-v1beta1-bgpadvertisement",
        kind: Kind::BGPAdvertisement,
        version: "v1beta1",
        resource: "bgpadvertisements",
        operations: CREATE_AND_UPDATE,
        // No peers: what their BFD profiles cannot do is not looked at.
        reads: &[Kind::BGPAdvertisement, Kind::IPAddressPool],
        reads_nodes: true,
    },
    Webhook {
        name: "communityvalidationwebhook.metallb.io",
        helm_name: "communityvalidationwebhook.metallb.io",
        path: "/validate-metallb-io-v1beta1-community",
        kind: Kind::Community,
        version: "v1beta1",
        resource: "communities",
        operations: CREATE_AND_UPDATE,
        reads: &[Kind::Community],
        reads_nodes: false,
    },
    Webhook {
        name: "ipaddresspoolvalidationwebhook.metallb.io",
        helm_name: "ipaddresspoolvalidationwebhook.metallb.io",
        path: "/validate-metallb-io-v1beta1-ipaddresspool",
        kind: Kind::IPAddressPool,
        version: "v1beta1",
        resource: "ipaddresspools",
        operations: CREATE_AND_UPDATE,
        // No advertisements: a pool is not refused for what they want of it.
        reads: &[Kind::IPAddressPool],
        reads_nodes: false,
    },
    Webhook {
        name: "l2advertisementvalidationwebhook.metallb.io",
        helm_name: "l2advertisementvalidationwebhook.metallb.io",
        path: "/validate-metallb-io-v1beta1-l2advertisement",
        kind: Kind::L2Advertisement,
        version: "v1beta1",
        resource: "l2advertisements",
        operations: CREATE_AND_UPDATE,
        reads: &[Kind::L2Advertisement, Kind::IPAddressPool],
        reads_nodes: false,
    },
];

const CREATE_AND_UPDATE: &[Operation] = &[Operation::Create, Operation::Update];
