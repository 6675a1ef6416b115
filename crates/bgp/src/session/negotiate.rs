//! What we say of ourselves, and what comes of what the peer says.

use std::collections::BTreeSet;

use super::settings::{Link, Settings};
use crate::rib::Target;
use crate::wire::{
    AS_TRANS, AfiSafi, Capability, Codec, ErrorCode, Family, GracefulRestart, NextHop,
    Notification, Open,
};

/// What both sides agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a capability of its own"
)]
pub struct Negotiated {
    /// What the peer said.
    pub open: Open,
    /// How messages are written.
    pub codec: Codec,
    /// Hold time, in seconds; 0 for none.
    pub hold_time: u16,
    /// Seconds between two KEEPALIVE messages of ours; 0 for none.
    pub keepalive: u16,
    /// Whose routes are exchanged.
    pub families: BTreeSet<Family>,
    /// IPv4 routes may lead to IPv6 next hops.
    pub v6_next_hops: bool,
    /// Both know beginnings and ends of routes sent again.
    pub marks_refreshes: bool,
    /// The peer keeps our routes while we restart.
    pub graceful_restart: bool,
    /// It does so after a NOTIFICATION, too (RFC 8538).
    pub notification_restart: bool,
}

/// Our OPEN message; `restarting` if we have just restarted.
pub(super) fn open(settings: &Settings, restarting: bool) -> Open {
    let mut capabilities = Vec::new();
    let families = settings.families.iter().map(|it| AfiSafi::from(*it));
    capabilities.extend(families.clone().map(Capability::Multiprotocol));
    capabilities.extend([
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::FourOctetAs(settings.local_as),
    ]);
    if settings.v6_next_hops {
        let v4 = (AfiSafi::from(Family::V4), Family::V6.afi());
        capabilities.push(Capability::ExtendedNextHop(vec![v4]));
    }
    // Without a word on restarts of ours we still know what those of others are (RFC 4724
    // section 3), and they may wait for the end of our routes.
    let restart = settings.graceful_restart;
    capabilities.push(Capability::GracefulRestart(GracefulRestart {
        restarting: restarting && restart.is_some(),
        notification: restart.is_some(),
        time: restart.unwrap_or(0),
        // What forwards is the kernel, which goes on.
        families: match restart {
            Some(_) => families.map(|family| (family, true)).collect(),
            None => Vec::new(),
        },
    }));
    let host = settings.hostname.as_bytes();
    capabilities.push(Capability::Fqdn {
        host: host[..host.len().min(64)].to_vec(),
        domain: Vec::new(),
    });
    Open {
        my_as: u16::try_from(settings.local_as).unwrap_or(AS_TRANS),
        hold_time: settings.hold_time,
        identifier: settings.identifier,
        capabilities,
    }
}

/// What comes of the peer's OPEN message; or the answer to one that cannot be accepted.
pub(super) fn negotiate(settings: &Settings, open: Open) -> Result<Negotiated, Notification> {
    let asn = open.asn();
    let internal = asn == settings.local_as;
    // RFC 7607: nobody is of AS 0.
    if asn == 0 || open.my_as == 0 || !settings.remote_as.is(asn, settings.local_as) {
        let data = open.my_as.to_be_bytes();
        return Err(Notification::with(ErrorCode::BAD_PEER_AS, data));
    }
    // RFC 6286: the same one is wrong within an AS only.
    let is_ours = internal && open.identifier == settings.identifier;
    if open.identifier.is_unspecified() || is_ours {
        return Err(Notification::new(ErrorCode::BAD_BGP_IDENTIFIER));
    }
    if matches!(open.hold_time, 1 | 2) {
        return Err(Notification::new(ErrorCode::UNACCEPTABLE_HOLD_TIME));
    }
    let families = settings.families.iter().copied();
    let families: BTreeSet<_> = families.filter(|it| open.has_family(*it)).collect();
    if families.is_empty() {
        // RFC 5492 section 5: those that we would have needed.
        let missing = settings.families.iter();
        let missing = missing.flat_map(|it| [1, 4, 0, it.afi().to_be_bytes()[1], 0, it.safi()]);
        let data: Vec<u8> = missing.collect();
        return Err(Notification::with(ErrorCode::UNSUPPORTED_CAPABILITY, data));
    }
    let hold_time = settings.hold_time.min(open.hold_time);
    let theirs = open.graceful_restart();
    let ours = settings.graceful_restart.is_some();
    Ok(Negotiated {
        codec: Codec {
            four_octet: open.has_four_octet_as(),
            extended: open.has(&Capability::ExtendedMessage),
            internal,
        },
        hold_time,
        // RFC 4271 section 4.4: a third of the hold time, and not more than one in a second.
        keepalive: match hold_time {
            0 => 0,
            _ => settings.keepalive.min(hold_time / 3).max(1),
        },
        families,
        v6_next_hops: settings.v6_next_hops && open.takes_v6_next_hops(),
        marks_refreshes: open.has(&Capability::EnhancedRouteRefresh),
        graceful_restart: ours && theirs.is_some(),
        notification_restart: ours && theirs.is_some_and(|it| it.notification),
        open,
    })
}

impl Negotiated {
    /// How routes are told on a connection of this kind.
    pub(super) fn target(&self, settings: &Settings, link: &Link) -> Target {
        let v6 = link.next_hop_v6.clone();
        let v4 = link.next_hop_v4.map(NextHop::V4);
        let over_v6 = v6.clone().filter(|_| self.v6_next_hops);
        let v4 = match v6 {
            // What is on the link is reached, whichever IPv4 networks there are.
            Some(NextHop::V6WithLinkLocal(..)) => over_v6.or(v4),
            _ => v4.or(over_v6),
        };
        Target {
            peer: settings.peer.clone(),
            codec: self.codec,
            local_as: settings.local_as,
            next_hop_v4: v4.filter(|_| self.families.contains(&Family::V4)),
            next_hop_v6: v6.filter(|_| self.families.contains(&Family::V6)),
            local_pref: settings.local_pref,
            graceful_shutdown: false,
        }
    }
}
