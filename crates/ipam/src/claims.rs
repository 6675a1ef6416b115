//! Who keeps an address that the statuses of several Services show.
//!
//! The controller gives the others new ones, the speakers announce it for nobody else meanwhile:
//! both by this rule, each by what it sees itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use metallb_config::ObjectKey;
use smallvec::SmallVec;

use crate::sharing::{Share, agree};

/// What of a Service decides about its addresses; the rest of it is its keeper's.
pub trait Claim {
    /// When it was created, in seconds since 1970. Never changes.
    fn created(&self) -> i64;
    /// The addresses that its status shows.
    fn ips(&self) -> &[IpAddr];
    /// With whom it shares them, if it does.
    fn share(&self) -> Option<&Share>;
}

/// Services, and the addresses that their statuses show.
///
/// The oldest Service, by creation time and then by key, keeps its addresses. Any other keeps its
/// own unless one that is older, keeps them, and may not share with it shows one of them. That is
/// what comes of [adopting](crate::Allocator::adopt) them by age.
#[derive(Debug)]
pub struct Claims<S> {
    services: BTreeMap<ObjectKey, S>,
    /// Who shows an address, by age.
    on: BTreeMap<IpAddr, SmallVec<[ObjectKey; 1]>>,
}

impl<S> Default for Claims<S> {
    fn default() -> Self {
        Self {
            services: BTreeMap::new(),
            on: BTreeMap::new(),
        }
    }
}

impl<S: Claim> Claims<S> {
    /// The Service is like this now. Says for which others it may make a difference.
    pub fn insert(&mut self, key: &ObjectKey, service: S) -> BTreeSet<ObjectKey> {
        let mut others = self.contested_with(key);
        self.remove(key);
        let created = service.created();
        for ip in service.ips() {
            let services = &self.services;
            let age = |key: &ObjectKey| services.get(key).map(Claim::created);
            let on = self.on.entry(*ip).or_default();
            // A status may show an address twice.
            if !on.contains(key) {
                let at = on.partition_point(|it| (age(it), it) < (Some(created), key));
                on.insert(at, key.clone());
            }
        }
        self.services.insert(key.clone(), service);
        others.extend(self.contested_with(key));
        others
    }

    /// The Service is gone, if it was there. Says for which others it may make a difference.
    pub fn remove(&mut self, key: &ObjectKey) -> (Option<S>, BTreeSet<ObjectKey>) {
        let others = self.contested_with(key);
        let service = self.services.remove(key);
        for ip in service.iter().flat_map(Claim::ips) {
            if let Some(on) = self.on.get_mut(ip) {
                on.retain(|it| it != key);
                if on.is_empty() {
                    self.on.remove(ip);
                }
            }
        }
        (service, others)
    }

    /// Takes no more memory than there is to know: what comes in order, as a list does, leaves the
    /// nodes of an ordered map half empty.
    pub fn compact(&mut self) {
        self.services = std::mem::take(&mut self.services).into_iter().collect();
        self.on = std::mem::take(&mut self.on).into_iter().collect();
    }

    /// The Service of this key.
    pub fn get(&self, key: &ObjectKey) -> Option<&S> {
        self.services.get(key)
    }

    /// All of them.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.services.keys()
    }

    /// Those that show an address, the oldest first.
    pub fn on(&self, ip: IpAddr) -> &[ObjectKey] {
        self.on.get(&ip).map_or(&[], SmallVec::as_slice)
    }

    /// The Service and all that show an address with it, or with one that does, and so on.
    pub fn group(&self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        let mut group = reach(key, |key| self.beside(key));
        group.insert(key.clone());
        group
    }

    /// The Service that keeps an address which this one shows and may not share with it; nothing
    /// if this one keeps its addresses.
    pub fn keeper_instead_of(&self, key: &ObjectKey) -> Option<&ObjectKey> {
        self.keeper(key, &mut HashMap::new())
    }

    fn keeper<'a>(
        &'a self,
        key: &ObjectKey,
        known: &mut HashMap<&'a ObjectKey, bool>,
    ) -> Option<&'a ObjectKey> {
        let age = |key| Some((self.get(key)?.created(), key));
        let own = age(key)?;
        let older = self.rivals(key).filter(|it| age(it) < Some(own));
        for rival in older {
            // Each is older than the one before, so this comes to an end.
            let keeps = match known.get(rival) {
                Some(keeps) => *keeps,
                None => self.keeper(rival, known).is_none(),
            };
            known.insert(rival, keeps);
            if keeps {
                return Some(rival);
            }
        }
        None
    }

    /// Those who show one of its addresses, the oldest first on each.
    fn beside(&self, key: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        let ips = self.get(key).into_iter().flat_map(Claim::ips);
        let there = ips.flat_map(|ip| self.on(*ip));
        there.filter(move |it| *it != key)
    }

    /// Those of them who may not share it.
    fn rivals(&self, key: &ObjectKey) -> impl Iterator<Item = &ObjectKey> {
        let service = self.get(key);
        self.beside(key)
            .filter(move |it| !may_share(service, self.get(it)))
    }

    /// Its rivals, and theirs, and so on.
    fn contested_with(&self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        reach(key, |key| self.rivals(key))
    }
}

/// All that one comes to by such steps, without the first.
fn reach<'a, I: Iterator<Item = &'a ObjectKey>>(
    first: &'a ObjectKey,
    step: impl Fn(&'a ObjectKey) -> I,
) -> BTreeSet<ObjectKey> {
    let (mut found, mut next) = (BTreeSet::new(), vec![first]);
    while let Some(key) = next.pop() {
        for it in step(key) {
            if it != first && found.insert(it.clone()) {
                next.push(it);
            }
        }
    }
    found
}

fn may_share<S: Claim>(a: Option<&S>, b: Option<&S>) -> bool {
    let (Some(a), Some(b)) = (a.and_then(Claim::share), b.and_then(Claim::share)) else {
        return false;
    };
    agree(Some(a), Some(b)).is_ok() && a.common_port(b).is_none()
}
