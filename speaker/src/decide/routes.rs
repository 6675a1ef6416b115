//! Which routes of a Service this node tells its routers: a pure function of the index.

use std::net::IpAddr;

use ipnet::IpNet;
use metallb_bgp::rib::Route;
use metallb_config::{BgpAdvertisement, Family};
use metallb_kit::watch::ObjectKey;

use super::Own;
use super::assigned::{Assigned, is_excluded};
use crate::index::Index;
use crate::reason::Reason;

/// The routes of the Service `key` from this node, in upstream's order of reasons against them.
pub(crate) fn routes(index: &Index, own: &Own, key: &ObjectKey) -> Result<Vec<Route>, Reason> {
    let assigned = Assigned::of(index, key)?;
    let here = index.nodes.get(own.node.as_str()).ok_or(Reason::NotOwner)?;
    let config = index.configuration.config();
    let of_pool = config.bgp_advertisements_of(&assigned.pool);
    let mut selecting = of_pool
        .filter(|it| it.scope.selects_node(&here.labels))
        .peekable();
    selecting.peek().ok_or(Reason::NotOwner)?;
    let labels = &assigned.service.labels;
    let selecting = selecting.filter(|it| it.scope.selects_service(labels));
    let advertisements: Vec<_> = selecting.collect();
    if advertisements.is_empty() {
        return Err(Reason::NoMatchingAdvertisement);
    }
    if are_in_conflict(&advertisements, assigned.ips) {
        return Err(Reason::ConflictingAdvertisements);
    }
    if here.network_unavailable {
        return Err(Reason::NetworkUnavailable);
    }
    if is_excluded(own, here) {
        return Err(Reason::ExcludedByLabel);
    }
    if assigned.service.local && !index.endpoints.serve_on(key, &own.node) {
        return Err(Reason::NoLocalEndpoints);
    }
    if !index.endpoints.serve(key) {
        return Err(Reason::NoEndpoints);
    }
    let ips = assigned.ips.iter();
    let routes = ips.flat_map(|ip| advertisements.iter().map(|it| route(index, *ip, it)));
    Ok(routes.collect())
}

/// Whether one route would have two preferences for one peer. What clashes whichever Service it is
/// was refused when the objects were read; this is about those for some Services only.
fn are_in_conflict(advertisements: &[&BgpAdvertisement], ips: &[IpAddr]) -> bool {
    let meet = |a: &BgpAdvertisement, b: &BgpAdvertisement| {
        let mut ips = ips.iter().map(|ip| family(*ip));
        let one_route = ips.any(|it| a.aggregation(it) == b.aggregation(it));
        let all = a.peers.is_empty() || b.peers.is_empty();
        one_route && (all || !a.peers.is_disjoint(&b.peers))
    };
    let others = |at: usize| &advertisements[at + 1..];
    advertisements.iter().enumerate().any(|(at, it)| {
        let clash =
            |other: &&BgpAdvertisement| it.local_pref != other.local_pref && meet(it, other);
        others(at).iter().any(clash)
    })
}

fn route(index: &Index, ip: IpAddr, advertisement: &BgpAdvertisement) -> Route {
    let len = advertisement.aggregation(family(ip));
    let prefix = IpNet::new(ip, len).expect("no longer than an address, by the parser");
    let told = index.configuration.told(advertisement);
    Route {
        prefix: prefix.trunc(),
        audience: told.audience.clone(),
        attributes: told.attributes.clone(),
    }
}

fn family(ip: IpAddr) -> Family {
    match ip {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

#[cfg(test)]
mod tests;
