//! A router as the protocol thread knows it: as it is configured, and where it is now.

use std::net::SocketAddr;

use metallb_bfd as bfd;
use metallb_config::PeerAddress;

use super::PeerSetup;

/// A router, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) setup: PeerSetup,
    /// Where it is, or was found last on its interface; or why it is nowhere.
    pub(crate) at: Result<SocketAddr, String>,
    /// Why the last session or attempt ended, as things were then.
    pub(crate) last_end: Option<String>,
    pub(crate) taken: Taken,
}

/// Whether another program of this node has a session with a router, which then must not be
/// disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nobody has looked yet.
    Unknown,
    No,
    /// On a connection from there.
    By(SocketAddr),
}

impl Peer {
    /// One that was not looked for yet.
    pub(crate) fn new(setup: PeerSetup) -> Self {
        let at = match &setup.address {
            PeerAddress::Ip(ip) => Ok(SocketAddr::new(*ip, setup.port)),
            PeerAddress::Interface(name) => Err(format!("no router was found on {name} yet")),
        };
        // Where it connects to us, the choice is its.
        let taken = if setup.settings.connects {
            Taken::Unknown
        } else {
            Taken::No
        };
        Self {
            setup,
            at,
            last_end: None,
            taken,
        }
    }

    /// The BFD session with it, if there is to be one.
    pub(crate) fn bfd(&self) -> Option<(bfd::Path, bfd::Settings)> {
        let (at, bfd) = (self.at.as_ref().ok()?, self.setup.bfd?);
        let path = bfd::Path {
            peer: at.ip(),
            interface: match at {
                // What is on the link is on each link.
                SocketAddr::V6(at) if at.ip().is_unicast_link_local() => Some(at.scope_id()),
                _ => None,
            },
            minimum_ttl: bfd.minimum_ttl,
        };
        Some((path, bfd.settings))
    }

    /// Whether a connection from there, by this VRF or none, is one of its.
    pub(crate) fn is_at(&self, from: SocketAddr, device: Option<&str>) -> bool {
        let same_link = match (&self.at, from) {
            (Ok(SocketAddr::V6(at)), SocketAddr::V6(from)) => at.scope_id() == from.scope_id(),
            _ => true,
        };
        let same_vrf = self.setup.tcp.device.as_deref() == device;
        same_vrf && same_link && self.at.as_ref().is_ok_and(|at| at.ip() == from.ip())
    }

    /// What it is called in sentences.
    pub(crate) fn whom(&self) -> String {
        match (&self.setup.address, &self.at) {
            (PeerAddress::Ip(ip), _) => ip.to_string(),
            (PeerAddress::Interface(name), Ok(at)) => format!("{}%{name}", at.ip()),
            (PeerAddress::Interface(name), Err(_)) => format!("the router on {name}"),
        }
    }
}
