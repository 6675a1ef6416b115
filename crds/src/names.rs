//! Names that are part of the API: annotations, labels, object names.
//!
//! Users, dashboards and other tools write or read them, so they never change.

/// API group of every kind in this crate.
pub const GROUP: &str = "metallb.io";

// --- Annotations that users put on a Service ---

/// Service annotation: take the address from the pool of this name.
pub const ADDRESS_POOL: &str = "metallb.io/address-pool";
/// Service annotation: the wanted addresses, separated by commas, at most one of each family.
pub const LOAD_BALANCER_IPS: &str = "metallb.io/loadBalancerIPs";
/// Service annotation: Services with the same key may share an address.
pub const ALLOW_SHARED_IP: &str = "metallb.io/allow-shared-ip";

// --- Annotations that users put on an IPAddressPool ---

/// IPAddressPool annotation, `true` or `false`: before an address is announced for the first time,
/// ask the segment whether another station has it. Ours; MetalLB has none.
pub const PROBE_BEFORE_USE: &str = "metallb.io/probe-before-use";

// --- Annotations that users put on a MetalLB ---

/// MetalLB annotation: what users wrote for the FRR of upstream's backends and can do without, as
/// the status names it, separated by commas; `*` is all of it. Ours; MetalLB has none.
pub const ACKNOWLEDGE_UNUSED: &str = "metallb.io/acknowledge-unused";

/// MetalLB annotation, any value but `false`: the operator changes nothing, and says in the status
/// what it would. Ours; MetalLB has none.
pub const PAUSED: &str = "metallb.io/paused";

/// MetalLB annotation: the version of an operator that may take over from a newer one. Ours; MetalLB
/// has none.
pub const DOWNGRADE: &str = "metallb.io/downgrade";

/// MetalLB annotation, any value but `false`: while addresses are in use, the object cannot be
/// deleted. Ours; MetalLB has none.
pub const PROTECT_ADDRESSES: &str = "metallb.io/protect-addresses";

// --- Annotations that users put on what the operator makes ---

/// Annotation of an operand, any value but `false`: the operator leaves it alone until the MetalLB
/// object is deleted. Ours; MetalLB has none.
pub const UNMANAGED: &str = "metallb.io/unmanaged";

// --- Annotations that we put on a Service ---

/// Service annotation, written by the controller: the pool that the address came from.
pub const IP_ALLOCATED_FROM_POOL: &str = "metallb.io/ip-allocated-from-pool";

/// Group part of annotations before they moved to [`GROUP`]; still read.
pub const LEGACY_PREFIX: &str = "metallb.universe.tf/";
/// The old name of [`ADDRESS_POOL`].
pub const LEGACY_ADDRESS_POOL: &str = "metallb.universe.tf/address-pool";
/// The old name of [`LOAD_BALANCER_IPS`].
pub const LEGACY_LOAD_BALANCER_IPS: &str = "metallb.universe.tf/loadBalancerIPs";
/// The old name of [`ALLOW_SHARED_IP`].
pub const LEGACY_ALLOW_SHARED_IP: &str = "metallb.universe.tf/allow-shared-ip";
/// The old name of [`IP_ALLOCATED_FROM_POOL`].
pub const LEGACY_IP_ALLOCATED_FROM_POOL: &str = "metallb.universe.tf/ip-allocated-from-pool";

// --- Annotations that we put on our own objects ---

/// BGPPeer annotation, in v1beta1 only: the spec of v1beta2, where v1beta1 cannot say all of it.
pub const V1BETA2_SPEC: &str = "metallb.io/v1beta2-spec";

// --- Labels on nodes, by Kubernetes ---

/// Taint of a Node, with any effect, whose addresses are to move to others: somebody wants to stop
/// it. Ours; MetalLB has none.
pub const DRAIN_TAINT: &str = "metallb.io/drain";

/// Annotation of our speakers' pods, whatever the value: they hear each other's heartbeats. Pods
/// without it beside such are MetalLB's own speakers, which have another way.
pub const HEARTBEATS: &str = "metallb.io/heartbeats";

/// Node label: load balancers leave this node out, whatever the value.
pub const EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS: &str =
    "node.kubernetes.io/exclude-from-external-load-balancers";

/// Node label, by which FRR-K8s finds its part: the name that the node gives itself.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

// --- Labels on the status objects that we write ---

/// Label of `ServiceL2Status`, `ServiceBGPStatus` and `BGPSessionState`: the node they speak of.
pub const NODE_LABEL: &str = "metallb.io/node";
/// Label of `ServiceL2Status` and `ServiceBGPStatus`: the Service's name.
pub const SERVICE_NAME_LABEL: &str = "metallb.io/service-name";
/// Label of `ServiceL2Status` and `ServiceBGPStatus`: the Service's namespace.
pub const SERVICE_NAMESPACE_LABEL: &str = "metallb.io/service-namespace";
/// Label of `BGPSessionState`: the router's address, with `-` for `:`, and IPv6 written out in full.
/// FRR-K8s has it so, as `frrk8s.metallb.io/peer`.
pub const PEER_LABEL: &str = "metallb.io/peer";
/// Label of `BGPSessionState`: the VRF, empty for none. `frrk8s.metallb.io/vrf` at FRR-K8s.
pub const VRF_LABEL: &str = "metallb.io/vrf";
/// Label of `BGPSessionState`: the BGPPeer's name. Ours; FRR-K8s has no such objects.
pub const BGP_PEER_LABEL: &str = "metallb.io/bgp-peer";
/// Label of `ConfigurationState`: `controller` or `speaker`.
pub const COMPONENT_TYPE_LABEL: &str = "metallb.io/component-type";
/// Label of a speaker's `ConfigurationState`: its node.
pub const NODE_NAME_LABEL: &str = "metallb.io/node-name";

/// Label of an FRRConfiguration that our speakers wrote: their namespace.
pub const WRITTEN_FROM_LABEL: &str = "metallb.io/written-from";

// --- Objects ---

/// The Lease by which one of the controllers leads.
pub const CONTROLLER_LEASE: &str = "metallb-controller";
/// Namespace that everything is installed to unless told otherwise.
pub const DEFAULT_NAMESPACE: &str = "metallb-system";
/// The one name that the operator looks at among `MetalLB` objects.
pub const METALLB_NAME: &str = "metallb";
