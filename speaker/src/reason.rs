//! Why a Service is not announced from here.

/// Why a Service is not announced from here; upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    ServiceDeleted,
    NotLoadBalancer,
    NoIpAllocated,
    InvalidIp,
    IpNotAllowed,
    /// An older Service shows the same address, and may not share it. Ours; upstream announces it
    /// for both.
    AddressInUse,
    NotOwner,
    /// A speaker of MetalLB's own, which knows nothing of us, can announce it. Ours.
    UpstreamAnnounces,
    /// No frame gets through on any interface, here and wherever it could be announced. Ours;
    /// upstream asks only whether there is an interface.
    InterfaceDown,
    SharedIpWithServiceSelector,
    NoMatchingAdvertisement,
    /// Two advertisements give one route two preferences.
    ConflictingAdvertisements,
    NetworkUnavailable,
    ExcludedByLabel,
    NoLocalEndpoints,
    NoEndpoints,
    /// Somebody wants to stop the node. Ours.
    Draining,
}

impl Reason {
    /// Whether somebody has to set something right before the Service is announced from anywhere.
    pub(crate) fn is_a_mistake(self) -> bool {
        matches!(
            self,
            Self::InvalidIp | Self::IpNotAllowed | Self::AddressInUse
        )
    }

    /// The word for it in logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ServiceDeleted => "serviceDeleted",
            Self::NotLoadBalancer => "notLoadBalancer",
            Self::NoIpAllocated => "noIPAllocated",
            Self::InvalidIp => "invalidIP",
            Self::IpNotAllowed => "ipNotAllowed",
            Self::AddressInUse => "addressInUse",
            Self::NotOwner => "notOwner",
            Self::UpstreamAnnounces => "upstreamAnnounces",
            Self::InterfaceDown => "interfaceDown",
            Self::SharedIpWithServiceSelector => "sharedIPWithServiceSelector",
            Self::NoMatchingAdvertisement => "noMatchingAdvertisement",
            Self::ConflictingAdvertisements => "conflictingAdvertisements",
            Self::NetworkUnavailable => "nodeNetworkUnavailable",
            Self::ExcludedByLabel => "nodeLabeledExcludeBalancers",
            Self::NoLocalEndpoints => "noLocalEndpoints",
            Self::NoEndpoints => "noEndpoints",
            Self::Draining => "draining",
        }
    }
}
