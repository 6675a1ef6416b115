//! What the watches tell.

use metallb_config::Advice;
use metallb_crds::v1beta1::MetalLB;
use metallb_crds::v1beta2::BGPPeer;
use metallb_kit::watch::Change;

use crate::api_server::Told;
use crate::classes::Class;
use crate::frr_k8s::FrrNews;
use crate::object::Kind;
use crate::observed::{Operand, Pod};

/// Where news come from. All must have been in sync once before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    MetalLBs,
    Operands(Kind),
    Pods,
    Peers,
    FrrK8s,
    Extras,
    ApiService,
    ApiEndpoints,
}

/// One piece of news from a watch.
#[derive(Clone, Debug)]
pub(crate) enum News {
    MetalLB(Box<Change<MetalLB>>),
    Operand(Kind, Change<Operand>),
    /// Whether the cluster has the definition of a kind that it may do without.
    Served(Kind, bool),
    Pod(Change<Pod>),
    Peer(Box<Change<BGPPeer>>),
    FrrK8s(FrrNews),
    /// The definitions of MetalLB's that are missing.
    Definitions(Vec<String>),
    /// The ConfigMap with users' own lines for FRR, and whether there are any in it.
    Extras(Change<bool>),
    /// What somebody should know of the configuration, all of it.
    Advice(Vec<Advice>),
    /// A class of pods.
    Class(Class, Change<String>),
    /// Where the API server is, as its Service says.
    ApiService(Change<Told>),
    /// The same, as its endpoints say.
    ApiEndpoints(Change<Told>),
}

impl Source {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let operands = Kind::ALL.map(Self::Operands);
        let others = [
            Self::MetalLBs,
            Self::Pods,
            Self::Peers,
            Self::FrrK8s,
            Self::Extras,
            Self::ApiService,
            Self::ApiEndpoints,
        ];
        others.into_iter().chain(operands)
    }
}
