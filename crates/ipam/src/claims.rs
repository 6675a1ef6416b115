//! Who keeps an address that the statuses of several Services show.
//!
//! The controller gives the others new ones, the speakers announce it for nobody else meanwhile:
//! both by this rule, each by what it sees itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::request::ServiceKey;
use crate::sharing::{Share, agree};

/// The Services whose statuses show addresses.
///
/// The oldest Service, by creation time and then by key, keeps its addresses. Any other keeps its
/// own unless one that is older, keeps them, and may not share with it shows one of them. That is
/// what comes of [adopting](crate::Allocator::adopt) them by age.
#[derive(Debug, Default)]
pub struct Claims {
    services: HashMap<ServiceKey, Claim>,
    /// Who shows an address, by age: nearly always one.
    on: BTreeMap<IpAddr, Vec<(i64, ServiceKey)>>,
}

#[derive(Debug)]
struct Claim {
    created: i64,
    ips: Box<[IpAddr]>,
    share: Option<Share>,
}

impl Claims {
    /// The status of a Service shows these addresses now, and it shares them like this. Says for
    /// which other Services it may make a difference.
    pub fn show(
        &mut self,
        service: &ServiceKey,
        created: i64,
        ips: &[IpAddr],
        share: Option<Share>,
    ) -> BTreeSet<ServiceKey> {
        let mut others = self.hide(service);
        if ips.is_empty() {
            return others;
        }
        for ip in ips {
            let (on, entry) = (self.on.entry(*ip).or_default(), (created, service.clone()));
            if let Err(at) = on.binary_search(&entry) {
                on.reserve_exact(1);
                on.insert(at, entry);
            }
        }
        let ips = ips.into();
        let claim = Claim {
            created,
            ips,
            share,
        };
        self.services.insert(service.clone(), claim);
        others.extend(self.contested_with(service));
        others
    }

    /// A Service shows no addresses, or is gone. Says for which others it may make a difference.
    pub fn hide(&mut self, service: &ServiceKey) -> BTreeSet<ServiceKey> {
        let others = self.contested_with(service);
        if let Some(claim) = self.services.remove(service) {
            for ip in &claim.ips {
                if let Some(on) = self.on.get_mut(ip) {
                    on.retain(|(_, it)| it != service);
                    if on.is_empty() {
                        self.on.remove(ip);
                    }
                }
            }
        }
        others
    }

    /// The Service that keeps an address which this one shows and may not share with it; nothing
    /// if this one keeps its addresses.
    pub fn keeper_instead_of(&self, service: &ServiceKey) -> Option<&ServiceKey> {
        self.keeper(service, &mut HashMap::new())
    }

    fn keeper(
        &self,
        service: &ServiceKey,
        known: &mut HashMap<ServiceKey, bool>,
    ) -> Option<&ServiceKey> {
        let created = self.services.get(service)?.created;
        let older = self
            .rivals(service)
            .filter(|(at, key)| (*at, key) < (created, service));
        for (_, rival) in older {
            // Each is older than the one before, so this comes to an end.
            let keeps = match known.get(rival) {
                Some(keeps) => *keeps,
                None => self.keeper(rival, known).is_none(),
            };
            known.insert(rival.clone(), keeps);
            if keeps {
                return Some(rival);
            }
        }
        None
    }

    /// Those who show one of its addresses and may not share it, the oldest first on each.
    fn rivals(&self, service: &ServiceKey) -> impl Iterator<Item = &(i64, ServiceKey)> {
        let claim = self.services.get(service);
        let ips = claim.into_iter().flat_map(|claim| &claim.ips);
        let there = ips.filter_map(|ip| self.on.get(ip)).flatten();
        there.filter(move |(_, other)| {
            other != service && !may_share(claim, self.services.get(other))
        })
    }

    /// Its rivals, and theirs, and so on.
    fn contested_with(&self, service: &ServiceKey) -> BTreeSet<ServiceKey> {
        let (mut found, mut next) = (BTreeSet::new(), vec![service.clone()]);
        while let Some(key) = next.pop() {
            for (_, rival) in self.rivals(&key) {
                if rival != service && found.insert(rival.clone()) {
                    next.push(rival.clone());
                }
            }
        }
        found
    }
}

fn may_share(a: Option<&Claim>, b: Option<&Claim>) -> bool {
    let (Some(a), Some(b)) = (
        a.and_then(|a| a.share.as_ref()),
        b.and_then(|b| b.share.as_ref()),
    ) else {
        return false;
    };
    agree(Some(a), Some(b)).is_ok() && a.common_port(b).is_none()
}
