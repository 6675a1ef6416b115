//! BGP by an FRR-K8s that somebody else runs: the node's FRRConfiguration there says what it is to
//! do, and nothing is said to routers from here.

mod book;
mod configuration;
mod peers;
mod writer;

use std::collections::BTreeMap;

use metallb_config::{BfdProfile, Peer};

pub(crate) use configuration::Passwords;
pub(super) use peers::peers;
pub(crate) use writer::{Place, start};

/// All that FRR is told beside routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FrrPeers {
    /// By which label FRR-K8s finds the node.
    hostname: String,
    /// The routers to speak with, by name.
    peers: BTreeMap<String, Peer>,
    /// All profiles, whether or not one of the routers has it: another FRRConfiguration may.
    profiles: BTreeMap<String, BfdProfile>,
}

impl FrrPeers {
    /// The names of the routers' BGPPeers, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.peers.keys()
    }
}

/// The name of the FRRConfiguration for a node, which is upstream's.
pub(crate) fn name_for(node: &str) -> String {
    format!("metallb-{node}")
}

/// What `speaker bgp` prints where there are no sessions of the speaker's own.
pub(crate) fn page(namespace: &str, node: &str) -> String {
    let name = name_for(node);
    format!(
        "FRR-K8s speaks BGP for this node; FRRConfiguration {namespace}/{name} says what it is to \
         do.\nIts sessions: kubectl -n {namespace} get bgpsessionstates.frrk8s.metallb.io\n"
    )
}
