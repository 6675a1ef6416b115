//! What a session is to be like.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::wire::{Family, NextHop};

/// A session with one peer, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The peer's name, as routes name it in their audience.
    pub peer: String,
    /// Our AS, for this peer.
    pub local_as: u32,
    /// The AS that the peer has to be of.
    pub remote_as: RemoteAs,
    /// Our BGP identifier.
    pub identifier: Ipv4Addr,
    /// The hold time that we propose, in whole seconds: none, or at least three.
    pub hold_time: u16,
    /// Seconds between two KEEPALIVE messages at most; a third of the agreed hold time if less.
    pub keepalive: u16,
    /// Time between two attempts to connect.
    pub connect_retry: Duration,
    /// Whose routes are told.
    pub families: BTreeSet<Family>,
    /// Whether IPv4 routes may lead to IPv6 next hops (RFC 8950).
    pub v6_next_hops: bool,
    /// Whether the peer is to keep our routes while we restart (RFC 4724), and for how many
    /// seconds.
    pub graceful_restart: Option<u16>,
    /// What we are called.
    pub hostname: String,
    /// Whether we connect to the peer, or it to us alone.
    pub connects: bool,
    /// LOCAL_PREF of routes without one of their own.
    pub local_pref: u32,
}

/// The AS that a peer has to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteAs {
    /// This one.
    Number(u32),
    /// The same as ours.
    Internal,
    /// Any other than ours.
    External,
}

/// Where a connection runs, as far as its routes depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Where our IPv4 routes lead: an address of ours that the peer reaches.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Where our IPv6 routes lead, and IPv4 ones where there is no IPv4 address or this one is on
    /// the link.
    pub next_hop_v6: Option<NextHop>,
}

impl RemoteAs {
    /// Whether a peer of this AS is the right one.
    pub(super) fn is(self, asn: u32, local_as: u32) -> bool {
        match self {
            Self::Number(number) => number == asn,
            Self::Internal => asn == local_as,
            Self::External => asn != local_as,
        }
    }
}

impl fmt::Display for RemoteAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "AS {number}"),
            Self::Internal => f.write_str("our own AS"),
            Self::External => f.write_str("another AS than ours"),
        }
    }
}
