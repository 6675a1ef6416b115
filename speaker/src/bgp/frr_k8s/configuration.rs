//! From routers and routes to what the FRRConfiguration says: a pure function, with upstream's
//! order of everything, so that the same is always said by the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use metallb_bgp::rib::{Rib, RouteAttributes};
use metallb_bgp::wire::LargeCommunity;
use metallb_config as config;
use metallb_crds::frrk8s::{
    Advertise, Allowed, BfdProfile, Bgp, CommunityPrefixes, FRRConfigurationSpec,
    LocalPrefPrefixes, Neighbor, NodeSelector, Password, Router, SecretReference,
};
use metallb_crds::names::HOSTNAME_LABEL;
use metallb_kit::watch::ObjectKey;

use super::FrrPeers;

/// Who reads the Secrets that BGPPeers name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passwords {
    /// The speaker, as FRR-K8s looks for them in its own namespace.
    Told,
    /// FRR-K8s.
    ByName,
}

/// What FRR is to do on a node; nothing if nothing is wanted of it.
pub(super) fn configuration(
    wanted: &FrrPeers,
    rib: &Rib<ObjectKey>,
    draining: bool,
    passwords: Passwords,
) -> Option<FRRConfigurationSpec> {
    if wanted.peers.is_empty() && wanted.profiles.is_empty() {
        return None;
    }
    let mut by_vrf: BTreeMap<_, Vec<&config::Peer>> = BTreeMap::new();
    for peer in wanted.peers.values() {
        by_vrf.entry(peer.vrf.as_deref()).or_default().push(peer);
    }
    let routers = by_vrf.into_iter().filter_map(|(vrf, peers)| {
        let id = peers.iter().find_map(|it| it.router_id);
        let neighbors = peers
            .iter()
            .map(|it| neighbor(it, rib, draining, passwords));
        let mut neighbors: Vec<_> = neighbors.collect();
        neighbors.sort_by_cached_key(place_of_neighbor);
        let told = neighbors
            .iter()
            .flat_map(|it| &it.to_advertise.allowed.prefixes);
        let told: BTreeSet<_> = told.cloned().collect();
        Some(Router {
            asn: peers.first()?.my_asn.get(),
            id: id.map(|id| id.to_string()),
            vrf: vrf.map(str::to_owned),
            prefixes: told.into_iter().collect(),
            neighbors,
        })
    });
    let mut routers: Vec<_> = routers.collect();
    routers.sort_by_cached_key(place_of_router);
    let hostname = (HOSTNAME_LABEL.to_owned(), wanted.hostname.clone());
    Some(FRRConfigurationSpec {
        bgp: Bgp {
            routers,
            bfd_profiles: wanted.profiles.values().map(profile).collect(),
        },
        node_selector: NodeSelector {
            match_labels: [hostname].into(),
        },
    })
}

/// By what upstream sorts routers: as texts, so 10 comes before 9.
fn place_of_router(it: &Router) -> String {
    let id = it.id.as_deref().unwrap_or("<nil>");
    format!("{}@{id}@{}", it.asn, it.vrf.as_deref().unwrap_or_default())
}

/// By what upstream sorts neighbours.
fn place_of_neighbor(it: &Neighbor) -> String {
    let asn = it.asn.map(|asn| asn.to_string());
    let asn = asn.or_else(|| it.dynamic_asn.clone()).unwrap_or_default();
    let at = it.address.as_ref().or(it.interface.as_ref());
    format!("{asn}@{}", at.map_or("", String::as_str))
}

fn neighbor(
    peer: &config::Peer,
    rib: &Rib<ObjectKey>,
    draining: bool,
    passwords: Passwords,
) -> Neighbor {
    let (asn, dynamic_asn) = match peer.remote_asn {
        config::RemoteAsn::Number(asn) => (Some(asn.get()), None),
        config::RemoteAsn::Internal => (None, Some("internal")),
        config::RemoteAsn::External => (None, Some("external")),
    };
    let (address, interface) = match &peer.address {
        config::PeerAddress::Ip(ip) => (Some(ip.to_string()), None),
        config::PeerAddress::Interface(name) => (None, Some(name.clone())),
    };
    let (password, password_secret) = match &peer.password {
        Some(config::Password::Secret { name, .. }) if passwords == Passwords::ByName => {
            (None, Some(SecretReference { name: name.clone() }))
        }
        Some(config::Password::Plain(text)) => (Some(text), None),
        Some(config::Password::Secret { value, .. }) => (value.as_ref(), None),
        None => (None, None),
    };
    let password = password.map(|text| String::from_utf8_lossy(text.reveal()).into_owned());
    Neighbor {
        asn,
        dynamic_asn: dynamic_asn.map(str::to_owned),
        local_asn: peer.local_asn.map(config::Asn::get),
        source_address: peer.source_address.map(|ip| ip.to_string()),
        address,
        interface,
        port: Some(peer.port.get()),
        password: password.map(Password),
        password_secret,
        hold_time: peer.timers.map(|it| duration(it.hold)),
        keepalive_time: peer.timers.map(|it| duration(it.keepalive)),
        connect_time: peer.connect_time.map(duration),
        ebgp_multi_hop: peer.ebgp_multi_hop,
        bfd_profile: peer.bfd.as_ref().map(|it| it.profile.clone()),
        enable_graceful_restart: peer.graceful_restart,
        to_advertise: advertise(rib.told_to(&peer.name), draining),
        dual_stack_address_family: peer.dual_stack,
    }
}

fn advertise(
    routes: impl Iterator<Item = (IpNet, std::sync::Arc<RouteAttributes>)>,
    draining: bool,
) -> Advertise {
    let mut prefixes = BTreeSet::new();
    let mut preferences: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut communities: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (prefix, said) in routes {
        let prefix = prefix.to_string();
        for community in communities_of(&said, draining) {
            let prefixes = communities.entry(community).or_default();
            prefixes.insert(prefix.clone());
        }
        if let Some(preference) = said.local_pref {
            let prefixes = preferences.entry(preference).or_default();
            prefixes.insert(prefix.clone());
        }
        prefixes.insert(prefix);
    }
    let list = |prefixes: BTreeSet<String>| prefixes.into_iter().collect();
    let with_preference = preferences.into_iter();
    let with_preference = with_preference.map(|(local_pref, prefixes)| LocalPrefPrefixes {
        prefixes: list(prefixes),
        local_pref,
    });
    let with_community = communities.into_iter();
    let with_community = with_community.map(|(community, prefixes)| CommunityPrefixes {
        prefixes: list(prefixes),
        community,
    });
    Advertise {
        with_local_pref: with_preference.collect(),
        with_community: with_community.collect(),
        allowed: Allowed {
            prefixes: list(prefixes),
        },
    }
}

/// As FRR-K8s writes them.
fn communities_of(said: &RouteAttributes, draining: bool) -> impl Iterator<Item = String> {
    let shutdown = draining.then_some(GRACEFUL_SHUTDOWN);
    let standard = said.communities.iter().copied().chain(shutdown);
    let standard = standard.map(|it| format!("{}:{}", it >> 16, it & 0xffff));
    let large = said.large_communities.iter();
    let large = large.map(|LargeCommunity(a, b, c)| format!("large:{a}:{b}:{c}"));
    standard.chain(large)
}

fn profile(it: &config::BfdProfile) -> BfdProfile {
    // None is longer than a minute.
    let millis = |it: std::time::Duration| u32::try_from(it.as_millis()).unwrap_or(u32::MAX);
    BfdProfile {
        name: it.name.clone(),
        receive_interval: millis(it.receive_interval),
        transmit_interval: millis(it.transmit_interval),
        detect_multiplier: it.detect_multiplier.into(),
        echo_interval: millis(it.echo_interval),
        echo_mode: it.echo,
        passive_mode: it.passive,
        minimum_ttl: it.minimum_ttl.into(),
    }
}

/// As Go writes it: `9s`, `1m30s`, `2h0m0s`.
fn duration(seconds: u16) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

/// RFC 8326: routers are to prefer others.
const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

#[cfg(test)]
mod tests;
