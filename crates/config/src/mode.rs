//! What a BGP backend does not have (`METALLB_BGP_TYPE`).
//!
//! Upstream has several backends, and refuses objects that ask a backend for what it cannot do. One
//! engine serves all of them here. As long as it does no more, the refusals are upstream's; what it
//! does goes into [`OURS`], and the refusal is gone.

use std::fmt;

use metallb_crds::v1beta2::BGPPeerSpec;

use crate::duration::GoDuration;
use crate::peer::{PeerError, given};

/// What is asked of objects beyond their being sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    #[default]
    Any,
    /// No more than upstream's native backend does.
    Native,
    /// No more than an FRR does, in the pod or beside it.
    Frr,
}

/// What not every backend has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `bfdProfile` of a peer.
    BfdProfile,
    /// `keepaliveTime` of a peer.
    KeepaliveTime,
    /// `vrf` of a peer.
    Vrf,
    /// `connectTime` of a peer.
    ConnectTime,
    /// `enableGracefulRestart` of a peer.
    GracefulRestart,
    /// `disableMP` of a peer.
    DisableMp,
    /// `dualStackAddressFamily` of a peer.
    DualStack,
    /// `dynamicASN` of a peer.
    DynamicAsn,
    /// `interface` of a peer.
    Interface,
    /// `localASN` of a peer.
    LocalAsn,
    /// `BFDProfile` objects.
    BfdProfiles,
    /// Announcing IPv6 addresses.
    Ipv6,
    /// Large communities.
    LargeCommunities,
    /// Peers of one node with different `routerID`s.
    RouterIds,
    /// Peers of one node with the same address or interface, and VRF.
    SamePeer,
    /// Peers of one node with different `myASN`s in the same VRF.
    MyAsns,
}

/// What upstream's backends do not have.
const UPSTREAM_LACKS: &[(Mode, &[Feature])] = &[
    (
        Mode::Native,
        &[
            Feature::BfdProfile,
            Feature::KeepaliveTime,
            Feature::Vrf,
            Feature::ConnectTime,
            Feature::GracefulRestart,
            Feature::DisableMp,
            Feature::DualStack,
            Feature::DynamicAsn,
            Feature::Interface,
            Feature::LocalAsn,
            Feature::BfdProfiles,
            Feature::Ipv6,
            Feature::LargeCommunities,
        ],
    ),
    (
        Mode::Frr,
        &[Feature::RouterIds, Feature::SamePeer, Feature::MyAsns],
    ),
];

/// What our engine has, whichever backend of upstream's it stands for.
const OURS: &[Feature] = &[
    Feature::BfdProfile,
    Feature::KeepaliveTime,
    Feature::Vrf,
    Feature::ConnectTime,
    Feature::GracefulRestart,
    Feature::DisableMp,
    Feature::DualStack,
    Feature::DynamicAsn,
    Feature::LocalAsn,
    Feature::BfdProfiles,
    Feature::Ipv6,
    Feature::LargeCommunities,
    Feature::RouterIds,
    Feature::SamePeer,
    Feature::MyAsns,
];

impl Mode {
    /// What a controller asks whose `METALLB_BGP_TYPE` is this: what is unknown asks nothing.
    pub fn of_controller(bgp_type: &str) -> Self {
        match bgp_type {
            "native" => Self::Native,
            "frr" | "frr-k8s" => Self::Frr,
            _ => Self::Any,
        }
    }

    /// What a speaker asks whose `METALLB_BGP_TYPE` is this: what is unknown is FRR.
    pub fn of_speaker(bgp_type: &str) -> Self {
        match bgp_type {
            "native" => Self::Native,
            _ => Self::Frr,
        }
    }

    /// Whether objects that ask for this are refused.
    pub(crate) fn lacks(self, feature: Feature) -> bool {
        !OURS.contains(&feature)
            && UPSTREAM_LACKS
                .iter()
                .any(|(mode, lacks)| *mode == self && lacks.contains(&feature))
    }

    /// Refuses a peer that asks for what is not there.
    pub(crate) fn check(self, peer: &BGPPeerSpec) -> Result<(), PeerError> {
        let asked = OF_PEERS.iter().filter(|(_, is_asked)| is_asked(peer));
        match asked
            .map(|(feature, _)| *feature)
            .find(|it| self.lacks(*it))
        {
            None => Ok(()),
            Some(feature) => {
                let address = given(peer.peer_address.as_deref()).or(peer.interface.as_deref());
                let address = address.unwrap_or_default().escape_debug().to_string();
                Err(PeerError::Mode { address, feature })
            }
        }
    }
}

type IsAsked = fn(&BGPPeerSpec) -> bool;

/// What a peer asks for with one field, in the order upstream looks at them.
const OF_PEERS: [(Feature, IsAsked); 10] = [
    (Feature::BfdProfile, |peer| {
        given(peer.bfd_profile.as_deref()).is_some()
    }),
    (Feature::KeepaliveTime, |peer| {
        let is_zero = |text: &str| text.parse().is_ok_and(GoDuration::is_zero);
        given(peer.keepalive_time.as_deref()).is_some_and(|text| !is_zero(text))
    }),
    (Feature::Vrf, |peer| given(peer.vrf.as_deref()).is_some()),
    (Feature::ConnectTime, |peer| {
        given(peer.connect_time.as_deref()).is_some()
    }),
    (Feature::GracefulRestart, |peer| {
        peer.enable_graceful_restart == Some(true)
    }),
    (Feature::DisableMp, |peer| peer.disable_mp),
    (Feature::DualStack, |peer| peer.dual_stack_address_family),
    (Feature::DynamicAsn, |peer| peer.dynamic_asn.is_some()),
    (Feature::Interface, |peer| {
        given(peer.interface.as_deref()).is_some()
    }),
    (Feature::LocalAsn, |peer| {
        peer.local_asn.is_some_and(|asn| asn != 0)
    }),
];

impl fmt::Display for Feature {
    /// As upstream names it in messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BfdProfile => "bfd-profile",
            Self::KeepaliveTime => "keepalive-time",
            Self::Vrf => "vrf",
            Self::ConnectTime => "connect time",
            Self::GracefulRestart => "EnableGracefulRestart flag",
            Self::DisableMp => "disable MP flag",
            Self::DualStack => "dualstackaddressfamily flag",
            Self::DynamicAsn => "dynamicASN",
            Self::Interface => "interface",
            Self::LocalAsn => "localASN",
            Self::BfdProfiles => "bfd profiles",
            Self::Ipv6 => "ipv6",
            Self::LargeCommunities => "large communities",
            Self::RouterIds => "different RouterIDs",
            Self::SamePeer => "duplicate BGPPeers",
            Self::MyAsns => "different myAsns",
        })
    }
}
