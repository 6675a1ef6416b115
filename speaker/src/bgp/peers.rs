//! From BGPPeers to sessions: what each means on this node.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use metallb_bfd as bfd;
use metallb_bgp::session::{RemoteAs, Settings};
use metallb_bgp::wire::Family;
use metallb_config::{Hidden, Password, Peer, PeerAddress, RemoteAsn};
use metallb_netio::{TcpOptions, TcpPassword};

use crate::checksum::checksum;
use crate::decide::Own;
use crate::index::Index;

/// Whose defaults are in effect (`METALLB_BGP_TYPE`): upstream's backends have different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Backend {
    #[default]
    Native,
    Frr,
    FrrK8s,
}

/// A router, and how to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerSetup {
    pub(crate) settings: Settings,
    pub(crate) address: PeerAddress,
    pub(crate) port: u16,
    pub(crate) tcp: TcpOptions,
    pub(crate) bfd: Option<BfdSetup>,
    pub(crate) vrf: Option<String>,
}

/// How a router is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BfdSetup {
    /// What must be left of the hop limit of its packets, if it is not on the link.
    pub(crate) minimum_ttl: Option<u8>,
    pub(crate) settings: bfd::Settings,
}

/// As it stands in sentences.
impl fmt::Display for PeerSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            PeerAddress::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            PeerAddress::Interface(name) => write!(f, "the router on {name}"),
        }
    }
}

impl Backend {
    /// What is unknown is FRR, as upstream's speaker has it.
    pub(crate) fn of(bgp_type: &str) -> Self {
        match bgp_type {
            "" | "native" => Self::Native,
            "frr" => Self::Frr,
            _ => Self::FrrK8s,
        }
    }

    /// Hold time of peers without one, in seconds.
    fn hold_time(self) -> u16 {
        match self {
            Self::Native => 90,
            Self::Frr | Self::FrrK8s => 180,
        }
    }

    /// `LOCAL_PREF` of routes without one, within an AS.
    fn local_pref(self) -> u32 {
        match self {
            Self::Native => 0,
            Self::Frr | Self::FrrK8s => 100,
        }
    }

    /// Whether a router of another AS is on the link unless its BGPPeer says otherwise.
    fn is_on_link(self) -> bool {
        self != Self::Native
    }
}

/// The routers that this node speaks with, by the names of their BGPPeers; and why not with some
/// that select it.
pub(crate) fn peers(
    index: &Index,
    own: &Own,
    backend: Backend,
) -> (BTreeMap<String, PeerSetup>, BTreeMap<String, String>) {
    let (mut setups, mut problems) = (BTreeMap::new(), BTreeMap::new());
    let Some(here) = index.nodes.get(own.node.as_str()) else {
        return (setups, problems);
    };
    let peers = index.configuration.config().peers().values();
    for peer in peers.filter(|it| it.selects_node(&here.labels)) {
        match setup(peer, here.ipv4, &own.node, backend) {
            Ok(setup) => drop(setups.insert(peer.name.clone(), setup)),
            Err(problem) => drop(problems.insert(peer.name.clone(), problem)),
        }
    }
    (setups, problems)
}

fn setup(
    peer: &Peer,
    own_ip: Option<Ipv4Addr>,
    node: &str,
    backend: Backend,
) -> Result<PeerSetup, String> {
    let local_as = peer.local_asn.unwrap_or(peer.my_asn).get();
    let remote_as = match peer.remote_asn {
        RemoteAsn::Number(asn) => RemoteAs::Number(asn.get()),
        RemoteAsn::Internal => RemoteAs::Internal,
        RemoteAsn::External => RemoteAs::External,
    };
    let internal = match remote_as {
        RemoteAs::Number(asn) => asn == local_as,
        RemoteAs::Internal => true,
        RemoteAs::External => false,
    };
    let on_interface = matches!(peer.address, PeerAddress::Interface(_));
    let single_hop = on_interface || (!internal && !peer.ebgp_multi_hop && backend.is_on_link());
    let hold_time = peer
        .timers
        .map_or_else(|| backend.hold_time(), |it| it.hold);
    let families = match peer.address {
        PeerAddress::Ip(IpAddr::V4(_)) if !peer.dual_stack => [Family::V4].into(),
        PeerAddress::Ip(IpAddr::V6(_)) if !peer.dual_stack => [Family::V6].into(),
        // Upstream's rule for interfaces: always both.
        PeerAddress::Ip(_) | PeerAddress::Interface(_) => Family::ALL.into(),
    };
    let over_v4 = matches!(peer.address, PeerAddress::Ip(IpAddr::V4(_)));
    let settings = Settings {
        peer: peer.name.clone(),
        local_as,
        remote_as,
        identifier: identifier(peer, own_ip, node)?,
        hold_time,
        keepalive: peer.timers.map_or(hold_time / 3, |it| it.keepalive),
        connect_retry: peer
            .connect_time
            .map_or(CONNECT_RETRY, |seconds| Duration::from_secs(seconds.into())),
        v6_next_hops: !over_v4 && families == Family::ALL.into(),
        families,
        graceful_restart: peer.graceful_restart.then_some(RESTART_TIME),
        hostname: node.to_owned(),
        connects: true,
        local_pref: backend.local_pref(),
    };
    Ok(PeerSetup {
        settings,
        address: peer.address.clone(),
        port: peer.port.get(),
        tcp: TcpOptions {
            // Between link-local addresses, there is no choice.
            source: peer.source_address.filter(|_| !on_interface),
            device: peer.vrf.clone(),
            // RFC 5082: a router that looks at it sees that we are on its link.
            hop_limit: single_hop.then_some(u8::MAX),
            on_link: single_hop,
            password: peer.password.as_ref().and_then(password),
        },
        bfd: bfd_of(peer, single_hop || internal),
        vrf: peer.vrf.clone(),
    })
}

fn password(password: &Password) -> Option<TcpPassword> {
    let secret = match password {
        Password::Plain(secret) => Some(secret),
        Password::Secret { value, .. } => value.as_ref(),
    };
    secret
        .map(Hidden::reveal)
        .map(|it| TcpPassword(it.to_vec()))
}

/// The BGP identifier: as configured, an address of the node, or, where it has none of IPv4,
/// something that is always the same on it (upstream's native backend takes a checksum of its
/// name, too).
fn identifier(peer: &Peer, own_ip: Option<Ipv4Addr>, node: &str) -> Result<Ipv4Addr, String> {
    match peer.router_id {
        Some(IpAddr::V4(id)) => Ok(id),
        Some(IpAddr::V6(id)) => Err(format!("routerID {id} is no IPv4 address")),
        None => Ok(own_ip.unwrap_or_else(|| Ipv4Addr::from(checksum(node).max(1)))),
    }
}

fn bfd_of(peer: &Peer, on_link: bool) -> Option<BfdSetup> {
    let profile = peer.bfd.as_ref()?.settings.as_ref()?;
    // RFC 5883 section 3: none where others are between. On IPv6 FRR has a form of its own, and
    // MetalLB refuses it.
    let echoes = on_link && matches!(peer.address, PeerAddress::Ip(IpAddr::V4(_)));
    Some(BfdSetup {
        minimum_ttl: (!on_link).then_some(profile.minimum_ttl),
        settings: bfd::Settings {
            transmit: profile.transmit_interval,
            receive: profile.receive_interval,
            detect_multiplier: profile.detect_multiplier,
            passive: profile.passive,
            // FRR says this with and without echo mode.
            echo_receive: echoes.then_some(profile.echo_interval),
            echo_transmit: (echoes && profile.echo).then_some(profile.echo_interval),
        },
    })
}

/// Time between two attempts to connect to peers without one: a router that comes back is found
/// within that time. FRR's 120 s would leave it without routes for as long.
const CONNECT_RETRY: Duration = Duration::from_secs(4);
/// How long a peer keeps our routes while we restart, in seconds: FRR's default.
const RESTART_TIME: u16 = 120;

#[cfg(test)]
mod tests;
