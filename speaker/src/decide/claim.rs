//! One Service that has addresses, and who could announce them.

use std::net::IpAddr;

use metallb_config::L2Advertisement;
use metallb_kit::watch::ObjectKey;
use metallb_l2::Interfaces;
use metallb_l2::elect::Candidate;
use metallb_membership::Presence;

use super::assigned::{Assigned, is_excluded};
use super::{Announcement, Own};
use crate::index::{Index, Node, Service};
use crate::reason::Reason;

/// A Service with addresses that the configuration allows.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    key: &'a ObjectKey,
    service: &'a Service,
    pub(super) ips: &'a [IpAddr],
    pool: String,
    /// 2. The advertisements of the pool that are for this Service.
    advertisements: Vec<&'a L2Advertisement>,
}

impl<'a> Claim<'a> {
    pub(super) fn of(index: &'a Index, key: &'a ObjectKey) -> Result<Self, Reason> {
        let Assigned {
            key,
            service,
            ips,
            pool,
        } = Assigned::of(index, key)?;
        let config = index.configuration.config();
        let advertisements = config
            .l2_advertisements_of(&pool)
            .filter(|it| it.scope.selects_service(&service.labels));
        Ok(Self {
            key,
            service,
            ips,
            pool: pool.name.clone(),
            advertisements: advertisements.collect(),
        })
    }

    /// Whether anybody may announce it.
    pub(super) fn check(&self, index: &Index) -> Result<&Self, Reason> {
        // 1. Nothing can serve: nobody announces, whatever externalTrafficPolicy says.
        if !index.endpoints.serve(self.key) {
            return Err(Reason::NotOwner);
        }
        // 3. Services on one address could be told apart by their labels, and then get two owners.
        let selects = |it: &&L2Advertisement| !it.scope.service_selectors.is_empty();
        if self.service.shared && self.advertisements.iter().any(selects) {
            return Err(Reason::SharedIpWithServiceSelector);
        }
        Ok(self)
    }

    /// 4. The advertisements that select this node say on which interfaces.
    pub(super) fn interfaces(&self, index: &Index, own: &Own) -> Result<Interfaces, Reason> {
        let here = index.nodes.get(own.node.as_str());
        let interfaces = here.and_then(|here| self.interfaces_on(here));
        interfaces.ok_or(Reason::NoMatchingAdvertisement)
    }

    /// 5. and 6. The nodes that could announce it.
    pub(super) fn candidates(&self, index: &'a Index, own: &Own) -> Vec<Candidate<'a>> {
        let nodes = index.nodes.iter().filter(|(name, node)| {
            self.is_candidate(index, own, name, node) && self.can_serve_on(index, name)
        });
        nodes
            .filter_map(|(name, node)| {
                let interfaces = self.interfaces_on(node)?;
                let preferences = self.advertisements.iter();
                Some(Candidate {
                    node: name,
                    // Ours: one that cannot announce is no owner while another can.
                    fitness: index.fitness(name, self.ips, &interfaces),
                    score: preferences.map(|it| it.preference(&node.labels)).sum(),
                })
            })
            .collect()
    }

    /// Whether a speaker of MetalLB's own could announce it.
    pub(super) fn is_upstreams(&self, index: &Index, own: &Own) -> bool {
        let mut nodes = index.nodes.iter();
        nodes.any(|(name, node)| {
            index.speakers.is_upstream(name)
                && is_good(own, node)
                && self.can_serve_on(index, name)
                && self.interfaces_on(node).is_some()
        })
    }

    /// 6. Local: only where an endpoint is.
    fn can_serve_on(&self, index: &Index, node: &str) -> bool {
        !self.service.local || index.endpoints.serve_on(self.key, node)
    }

    /// 5. Alive, with a network, and not excluded by its label.
    ///
    /// Ours: one that is heard to announce it counts as alive; and we go on while we are about to
    /// stop if nobody else can.
    fn is_candidate(&self, index: &Index, own: &Own, name: &str, node: &Node) -> bool {
        let is_there = match index.presence(name) {
            Some(Presence::Ready | Presence::Returning) => true,
            Some(Presence::Leaving) => *name == own.node,
            None => index.rivals.announces(name, self.ips),
        };
        is_there && is_good(own, node)
    }

    pub(super) fn announcement(&self, interfaces: Interfaces) -> Announcement {
        Announcement {
            pool: self.pool.clone(),
            ips: self.ips.to_vec(),
            interfaces,
        }
    }

    /// The interfaces that the advertisements name for a node; nothing if none selects it.
    fn interfaces_on(&self, node: &Node) -> Option<Interfaces> {
        let of = |it: &L2Advertisement| {
            if it.interfaces.is_empty() {
                Interfaces::All
            } else {
                Interfaces::Named(it.interfaces.clone())
            }
        };
        let selecting = self.advertisements.iter();
        selecting
            .filter(|it| it.scope.selects_node(&node.labels))
            .map(|it| of(it))
            .reduce(|all, these| all.union(&these))
    }
}

/// With a network, and not excluded by its label.
fn is_good(own: &Own, node: &Node) -> bool {
    !node.network_unavailable && !is_excluded(own, node)
}
