//! Version v1beta1 of every kind; of BGPPeer the old version, which is not stored.
//!
//! An object may lack its `spec`, as an L2Advertisement that announces everything often does.
//! kube's derive makes `spec` required and refuses `attr = "serde(default)"`, which would change
//! that; `cfg_attr(all(), …)` gets it past the check.

mod bfd_profile;
mod bgp_advertisement;
mod bgp_peer;
mod bgp_session_state;
mod community;
mod configuration_state;
mod ip_address_pool;
mod l2_advertisement;
mod metallb;
mod service_bgp_status;
mod service_l2_status;

pub use bfd_profile::{BFDProfile, BFDProfileSpec, BFDProfileStatus};
pub use bgp_advertisement::{BGPAdvertisement, BGPAdvertisementSpec, BGPAdvertisementStatus};
pub use bgp_peer::{BGPPeer, BGPPeerSpec, BGPPeerStatus, MatchExpression, NodeSelector};
pub use bgp_session_state::{
    BGPSessionState, BGPSessionStateSpec, BGPSessionStateStatus, SessionPrefixes,
};
pub use community::{Community, CommunityAlias, CommunitySpec, CommunityStatus};
pub use configuration_state::{
    ConfigurationResult, ConfigurationState, ConfigurationStateSpec, ConfigurationStateStatus,
};
pub use ip_address_pool::{
    IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus, ServiceAllocation,
};
pub use l2_advertisement::{
    L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus, PreferredNodeSelector,
};
pub use metallb::{
    ApiServerEgress, ComponentStatus, Config, ControllerConfig, FrrK8sConfig, ImagePullSecret,
    LogLevel, MemberlistConfig, MetalLB, MetalLBSpec, MetalLBStatus, MonitorType, Monitoring,
    NetworkPolicies, ProbeConfig, PrometheusAccount, RollingUpdate, SpeakerConfig, UpdateStrategy,
    UpdateStrategyType, Versions,
};
pub use service_bgp_status::{ServiceBGPStatus, ServiceBGPStatusSpec, ServiceBGPStatusStatus};
pub use service_l2_status::{
    InterfaceInfo, ServiceL2Status, ServiceL2StatusSpec, ServiceL2StatusStatus,
};
