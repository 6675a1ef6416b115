//! Routers to speak BGP with.

mod error;
mod read;

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};

use crate::bfd::BfdProfile;
use crate::labels::Labels;
use crate::selector::{Selector, any_or_none};
use crate::timers::Timers;

pub use error::{ObjectName, PeerError, SecretError};

/// A BGPPeer: a router, and how to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// AS number of the nodes.
    pub my_asn: Asn,
    /// AS number that this router alone is told instead of `my_asn`.
    pub local_asn: Option<Asn>,
    /// AS number of the router.
    pub remote_asn: RemoteAsn,
    /// Where the router is.
    pub address: PeerAddress,
    /// The node's address to connect from; the kernel chooses when there is none.
    pub source_address: Option<IpAddr>,
    /// TCP port of the router.
    pub port: NonZeroU16,
    /// Hold and keepalive times; the backend's own when there are none.
    pub timers: Option<Timers>,
    /// Seconds between two attempts to connect; the backend's own when there are none.
    pub connect_time: Option<u16>,
    /// BGP identifier of the nodes; an address of the node when there is none. Upstream takes an
    /// IPv6 address too, which is more than BGP can say.
    pub router_id: Option<IpAddr>,
    /// The nodes that connect to the router: any of these; all when empty.
    pub node_selectors: Vec<Selector>,
    /// Password of the session (TCP MD5 signatures, RFC 2385).
    pub password: Option<Password>,
    /// How to watch the session with BFD, if at all.
    pub bfd: Option<Bfd>,
    /// Whether both sides keep forwarding while the session restarts (RFC 4724).
    pub graceful_restart: bool,
    /// Whether the router is more than one hop away.
    pub ebgp_multi_hop: bool,
    /// Linux VRF of the node to connect from.
    pub vrf: Option<String>,
    /// Whether the session carries the routes of both families, not only of its own.
    pub dual_stack: bool,
}

/// An AS number: any but 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(NonZeroU32);

/// Which AS number the router must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteAsn {
    /// This one.
    Number(Asn),
    /// That of the nodes.
    Internal,
    /// Any but that of the nodes.
    External,
}

/// Where a router is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerAddress {
    /// At this address.
    Ip(IpAddr),
    /// On this interface of the node, without configured addresses.
    Interface(String),
}

/// Where the password of a session comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// From the object.
    Plain(Hidden),
    /// From a Secret in the namespace of the object.
    Secret {
        /// The Secret's name.
        name: String,
        /// What it holds, when Secrets were looked at.
        value: Option<Hidden>,
    },
}

/// A secret that no log or message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Vec<u8>);

/// How a session is watched with BFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bfd {
    /// The BFDProfile's name.
    pub profile: String,
    /// What it says, when there is one of this name.
    pub settings: Option<BfdProfile>,
}

impl Peer {
    /// Whether a node with these labels connects to the router.
    pub fn selects_node(&self, labels: &Labels) -> bool {
        any_or_none(&self.node_selectors, labels)
    }
}

impl Asn {
    /// An AS number; nothing for 0, which is none (RFC 7607).
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl Hidden {
    /// The secret, for those who need it.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}
