//! Which Services this node announces: a pure function of the index. The numbers in comments are
//! the steps of upstream's rule, which every speaker follows, so that all come to the same answer.

use std::collections::BTreeSet;
use std::net::IpAddr;

use metallb_config::L2Advertisement;
use metallb_crds::names::EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS;
use metallb_kit::watch::ObjectKey;
use metallb_l2::elect::{self, Candidate};

use crate::index::{Index, Ingress, Node, Service};
use crate::reason::Reason;

/// Who decides, and by which settings.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// The name of this node.
    pub(crate) node: String,
    /// Nodes with the label that excludes them from load balancers may announce all the same.
    pub(crate) ignore_exclude_lb: bool,
}

/// What to do with a Service by layer 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Announce it from here.
    Announce(Announcement),
    /// It falls to this node, which has none of the wanted interfaces.
    NoInterface(Announcement),
    /// Do not announce it from here.
    Withhold(Reason),
}

/// What is announced of a Service, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) pool: String,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) interfaces: Interfaces,
}

/// The interfaces to announce on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interfaces {
    All,
    Named(BTreeSet<String>),
}

/// Decides about the Service `key`.
pub(crate) fn decide(index: &Index, own: &Own, key: &ObjectKey) -> Decision {
    let Some(service) = index.services.get(key) else {
        return Decision::Withhold(Reason::ServiceDeleted);
    };
    match announcement(index, own, key, service) {
        Err(reason) => Decision::Withhold(reason),
        Ok(announcement) if announcement.interfaces.exist_in(&index.interfaces) => {
            Decision::Announce(announcement)
        }
        Ok(announcement) => Decision::NoInterface(announcement),
    }
}

impl Interfaces {
    /// Whether the interface is one of these.
    pub(crate) fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// These and the others.
    pub(crate) fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Named(mut names), Self::Named(others)) => {
                names.extend(others.iter().cloned());
                Self::Named(names)
            }
            _ => Self::All,
        }
    }

    fn exist_in(&self, interfaces: &BTreeSet<String>) -> bool {
        match self {
            // Upstream does not ask whether there is any.
            Self::All => true,
            Self::Named(names) => !names.is_disjoint(interfaces),
        }
    }

    fn of(advertisement: &L2Advertisement) -> Self {
        if advertisement.interfaces.is_empty() {
            Self::All
        } else {
            Self::Named(advertisement.interfaces.clone())
        }
    }
}

fn announcement(
    index: &Index,
    own: &Own,
    key: &ObjectKey,
    service: &Service,
) -> Result<Announcement, Reason> {
    let ips = match &service.ingress {
        Ingress::None => return Err(Reason::NoIpAllocated),
        Ingress::Invalid => return Err(Reason::InvalidIp),
        Ingress::Ips(ips) => ips,
    };
    let first = *ips.first().ok_or(Reason::NoIpAllocated)?;
    // The controller will give it another; until then the older Service alone is announced.
    if index.gives_way(key) {
        return Err(Reason::AddressInUse);
    }
    let config = index.configuration.config();
    let broken;
    let pool = if let Some(pool) = config.pool_of(ips) {
        pool
    } else {
        let name = service.pool.as_deref().ok_or(Reason::IpNotAllowed)?;
        broken = index
            .configuration
            .broken_pool(name, ips)
            .ok_or(Reason::IpNotAllowed)?;
        &broken
    };

    // 1. Nothing can serve: nobody announces, whatever externalTrafficPolicy says.
    if !index.endpoints.serve(key) {
        return Err(Reason::NotOwner);
    }
    // 2. The advertisements of the pool that are for this Service.
    let advertisements: Vec<_> = config
        .l2_advertisements_of(pool)
        .filter(|it| it.scope.selects_service(&service.labels))
        .collect();
    // 3. Services on one address could be told apart by their labels, and then get two owners.
    if service.shared
        && advertisements
            .iter()
            .any(|it| !it.scope.service_selectors.is_empty())
    {
        return Err(Reason::SharedIpWithServiceSelector);
    }
    // 4. Those of them that select this node; they also say on which interfaces.
    let here = index
        .nodes
        .get(own.node.as_str())
        .ok_or(Reason::NoMatchingAdvertisement)?;
    let interfaces = advertisements
        .iter()
        .filter(|it| it.scope.selects_node(&here.labels))
        .map(|it| Interfaces::of(it))
        .reduce(|all, these| all.union(&these))
        .ok_or(Reason::NoMatchingAdvertisement)?;
    // 5. to 7. The first of the candidates owns the addresses.
    let candidates = index
        .nodes
        .iter()
        .filter(|(name, node)| {
            is_candidate(index, own, name, node)
                && advertisements.iter().any(|it| it.scope.selects_node(&node.labels))
                // 6. Local: only where an endpoint is.
                && (!service.local || index.endpoints.serve_on(key, name))
        })
        .map(|(name, node)| Candidate {
            node: name,
            score: advertisements
                .iter()
                .map(|it| it.preference(&node.labels))
                .sum(),
        });
    if elect::owner(candidates, first) != Some(own.node.as_str()) {
        return Err(Reason::NotOwner);
    }
    Ok(Announcement {
        pool: pool.name.clone(),
        ips: ips.clone(),
        interfaces,
    })
}

/// 5. Alive, with a network, and not excluded by its label.
fn is_candidate(index: &Index, own: &Own, name: &str, node: &Node) -> bool {
    index
        .alive
        .as_ref()
        .is_none_or(|alive| alive.contains(name))
        && !node.network_unavailable
        && (own.ignore_exclude_lb
            || !node
                .labels
                .contains_key(EXCLUDE_FROM_EXTERNAL_LOAD_BALANCERS))
}

#[cfg(test)]
mod tests;
