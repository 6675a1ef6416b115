//! What the brain and who speaks with routers say to each other about BGP.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use metallb_bgp::rib::Routes;
use metallb_kit::watch::ObjectKey;

use super::PeerSetup;

/// What the brain wants of who speaks with routers: the protocol thread, unless `P` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BgpCommand<P = BTreeMap<String, PeerSetup>> {
    /// These are all routers, by the names of their BGPPeers.
    Peers(P),
    /// These are the routes of a Service from here, instead of those before.
    Contribute(ObjectKey, Routes),
    /// Routers are to prefer other nodes, as this one is about to go, or not any more.
    GracefulShutdown(bool),
}

/// A session came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionNews {
    Up,
    /// For this reason.
    Down(String),
    /// It did not come up, for this reason, which is another than before.
    Failed(String),
    /// Both of these are on its interface.
    Several(Ipv6Addr, Ipv6Addr),
}
