//! Why a session is not there, for the person who has to mend it.

use metallb_bgp::session::{End, RemoteAs, State};
use metallb_bgp::wire::{ErrorCode, Notification};
use metallb_config::PeerAddress;

use super::Peer;

/// What has happened, and what is to be done about it.
pub(crate) fn advice(end: &End, peer: &Peer) -> String {
    let (setup, address) = (&peer.setup, peer.whom());
    let port = setup.port;
    let on_interface = matches!(setup.address, PeerAddress::Interface(_));
    let (ours, theirs) = (setup.settings.local_as, setup.settings.remote_as);
    match end {
        End::Unreachable(_) if let Err(why) = &peer.at => why.clone(),
        End::Unreachable(why) if why == HELD => format!(
            "another program on this node has a connection with {address}, as FRR-K8s has until it \
             is removed: a router has one session with a node, and ours begins when that ends"
        ),
        End::Unreachable(why) if why.contains("refused") => format!(
            "{address} refuses connections to port {port}: is BGP running there, does it listen on \
             this address, and does it know this node as a neighbour?"
        ),
        End::Unreachable(why)
            if why.contains("unreachable") && setup.tcp.on_link && !on_interface =>
        {
            format!(
                "{address} is not on a network of this node ({why}): a router behind another needs \
             ebgpMultiHop: true"
            )
        }
        End::Unreachable(why) if why.contains("Cannot assign") => format!(
            "sourceAddress {} is no address of this node ({why})",
            setup
                .tcp
                .source
                .map_or_else(String::new, |it| it.to_string())
        ),
        End::Unreachable(why) if why.contains("No such device") => format!(
            "there is no VRF or interface {} on this node ({why}); VRFs take the kernel module vrf",
            setup.tcp.device.as_deref().unwrap_or_default()
        ),
        End::Unreachable(why) => {
            let password = if setup.tcp.password.is_some() {
                ", or the router has another password, or none"
            } else {
                ", or the router wants a password"
            };
            format!(
                "{address} does not answer on port {port} ({why}): it is not reachable, or a \
                 firewall is between{password}"
            )
        }
        End::Lost {
            why,
            state: State::OpenSent,
        } => format!(
            "{address} closed the connection before it said anything ({why}): it does not know \
             this node as a neighbour, or waits after an earlier error"
        ),
        End::Sent(it) if it.error == ErrorCode::BAD_PEER_AS => format!(
            "{address} is of another AS than its BGPPeer says, which is {}: {}",
            expected(theirs),
            said(it)
        ),
        End::Received(it) if it.error == ErrorCode::BAD_PEER_AS => format!(
            "{address} expects another AS than {ours}: make myASN (or localASN) and the router's \
             remote AS agree"
        ),
        End::Sent(it) if it.error == ErrorCode::BAD_BGP_IDENTIFIER => format!(
            "{address} has the router ID of this node, {}: give one of them another",
            setup.settings.identifier
        ),
        End::Received(it) if it.error == ErrorCode::BAD_BGP_IDENTIFIER => format!(
            "{address} does not take the router ID {}: it may have the same",
            setup.settings.identifier
        ),
        End::Received(it) if it.error == ErrorCode::CONNECTION_COLLISION_RESOLUTION => format!(
            "{address} has a session with this address already ({it}), which no program on this \
             node has: has another host the address, or has the router not noticed yet that an \
             earlier session is over?"
        ),
        End::Sent(it) if it.error == ErrorCode::UNSUPPORTED_CAPABILITY => format!(
            "{address} does not exchange routes of the family that it is to be told: activate it \
             there for this neighbour"
        ),
        End::Sent(it) if it.error == ErrorCode::HOLD_TIMER_EXPIRED => {
            format!("nothing was heard from {address} for the hold time")
        }
        End::Sent(it) if it.error == ErrorCode::BFD_DOWN => {
            format!("BFD says that {address} cannot be reached any more")
        }
        End::Lost { .. } | End::Sent(_) | End::Received(_) => end.to_string(),
    }
}

/// Why nobody tries to connect, where another program has a connection.
pub(crate) const HELD: &str = "another program on this node has a connection";

fn expected(remote_as: RemoteAs) -> String {
    remote_as.to_string()
}

fn said(notification: &Notification) -> String {
    match notification.data[..] {
        [high, low] => format!("it says {}", u16::from_be_bytes([high, low])),
        _ => "correct peerASN".to_owned(),
    }
}
