//! What the object of a session says of it, but for whose it is and since when.

use metallb_bfd as bfd;
use metallb_bgp::rib::Rib;
use metallb_bgp::session::{Negotiated, Session};
use metallb_bgp::wire::{Capability, Family};
use metallb_crds::v1beta1::{BGPSessionStateStatus, SessionPrefixes};

use super::{Peer, Taken, advice};

/// As things are.
pub(crate) fn said<K>(
    session: &Session,
    peer: &Peer,
    rib: &Rib<K>,
    watched: Option<bfd::State>,
) -> BGPSessionStateStatus {
    let setup = &peer.setup;
    let agreed = session.negotiated().filter(|_| session.since().is_some());
    // Which of RFC 4271's states an attempt is in changes by the second.
    let state = agreed.map_or("Active", |_| "Established");
    let count = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
    BGPSessionStateStatus {
        bgp_status: Some(state.to_owned()),
        bfd_status: Some(watched.map_or("N/A", bfd_word).to_owned()),
        peer: Some(setup.address.to_string()),
        vrf: setup.vrf.clone().or_else(|| Some(String::new())),
        bgp_peer: Some(setup.settings.peer.clone()),
        held_by: match peer.taken {
            Taken::By(from) => Some(from.to_string()),
            Taken::No | Taken::Unknown => None,
        },
        last_error: session.last_end().map(|(_, end)| advice(end, peer)),
        local_asn: Some(setup.settings.local_as),
        peer_asn: agreed.map(|it| it.open.asn()),
        hold_time: agreed.map(|it| format!("{}s", it.hold_time)),
        keepalive_time: agreed.map(|it| format!("{}s", it.keepalive)),
        capabilities: agreed.map_or_else(Vec::new, capabilities),
        prefixes: Some(SessionPrefixes {
            advertised: count(session.told()),
            pending: count(session.left(rib)),
            received: count(session.received().count()),
        }),
        ..BGPSessionStateStatus::default()
    }
}

/// As FRR calls its states, and so FRR-K8s.
fn bfd_word(state: bfd::State) -> &'static str {
    match state {
        bfd::State::AdminDown => "shutdown",
        bfd::State::Down => "down",
        bfd::State::Init => "init",
        bfd::State::Up => "up",
    }
}

/// What both can do.
fn capabilities(agreed: &Negotiated) -> Vec<String> {
    let all = [
        ("ipv4Unicast", agreed.families.contains(&Family::V4)),
        ("ipv6Unicast", agreed.families.contains(&Family::V6)),
        ("fourOctetAS", agreed.codec.four_octet),
        ("routeRefresh", agreed.open.has(&Capability::RouteRefresh)),
        ("enhancedRouteRefresh", agreed.marks_refreshes),
        ("extendedMessage", agreed.codec.extended),
        ("extendedNextHop", agreed.v6_next_hops),
        ("gracefulRestart", agreed.graceful_restart),
        ("notificationRestart", agreed.notification_restart),
    ];
    let those = all.into_iter().filter(|(_, both)| *both);
    those.map(|(name, _)| name.to_owned()).collect()
}
