//! Which pools have something for a Service, in the order in which they are tried.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use metallb_config::{Family, Pool};

use crate::request::{Families, Request};
use crate::sharing::{Share, Sharing};

/// The pools that Services get addresses of without asking, by whom they are for.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    /// For all Services.
    general: Shelf,
    /// For the Services of namespaces that are named.
    of_namespace: HashMap<Box<str>, Shelf>,
    /// For some Services, found by labels.
    selected: Shelf,
}

/// Pools, while they have something left. The next one to try is found without looking at those
/// that are used up.
#[derive(Debug, Default)]
struct Shelf {
    v4: BTreeSet<Place>,
    v6: BTreeSet<Place>,
    both: BTreeSet<Place>,
    /// Those in which addresses are shared in this way; whether a Service can join those who share
    /// them is for the pool to say.
    joinable: HashMap<Sharing, BTreeSet<Place>>,
}

/// A pool and its place in the order: by rank, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: (bool, i64),
    name: Arc<str>,
}

/// In which families a pool has addresses that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

/// What is known of the pools themselves.
pub(crate) trait Pools {
    /// Whether a pool is for a Service.
    fn is_for(&self, pool: &Arc<str>, request: &Request<'_>) -> bool;

    /// Whether a pool has addresses of these families that are free or can be shared.
    fn has(&self, pool: &Arc<str>, families: Families, share: Option<&Share>) -> bool;
}

impl Shelves {
    /// Notes what a pool has left.
    pub(crate) fn put(&mut self, pool: &Pool, name: &Arc<str>, stock: Stock) {
        self.each(pool, name, |shelf, place| shelf.put(place, stock));
    }

    /// Notes whether addresses of a pool are shared in this way.
    pub(crate) fn put_shared(
        &mut self,
        pool: &Pool,
        name: &Arc<str>,
        sharing: &Sharing,
        are_shared: bool,
    ) {
        self.each(pool, name, |shelf, place| {
            shelf.put_shared(place, sharing, are_shared);
        });
    }

    /// Of the pools that are for a Service, the first with all that it wants, else the first with
    /// what it wants most.
    pub(crate) fn best(
        &self,
        request: &Request<'_>,
        share: Option<&Share>,
        pools: &impl Pools,
    ) -> Option<&Arc<str>> {
        let named = self.of_namespace.get(request.service.namespace());
        // A pool that is reserved for the Service goes before all general ones, even with one
        // family of two.
        let reserved = [named, Some(&self.selected)];
        let general = [Some(&self.general), None];
        [reserved, general].iter().find_map(|shelves| {
            request.families.in_turn().find_map(|families| {
                let firsts = shelves
                    .iter()
                    .flatten()
                    .filter_map(|shelf| shelf.first(families, request, share, pools));
                firsts.min().map(|place| &place.name)
            })
        })
    }

    /// The shelves that a pool belongs on.
    fn each(&mut self, pool: &Pool, name: &Arc<str>, mut put: impl FnMut(&mut Shelf, &Place)) {
        if !pool.auto_assign {
            return;
        }
        let name = name.clone();
        let Some(allocation) = &pool.service_allocation else {
            let rank = Default::default();
            return put(&mut self.general, &Place { rank, name });
        };
        let rank = allocation.rank();
        let place = Place { rank, name };
        if allocation.namespaces.is_empty() || !allocation.namespace_selectors.is_empty() {
            return put(&mut self.selected, &place);
        }
        for namespace in &allocation.namespaces {
            let of_namespace = self.of_namespace.entry(namespace.as_str().into());
            put(of_namespace.or_default(), &place);
        }
    }
}

impl Shelf {
    fn put(&mut self, place: &Place, stock: Stock) {
        let both = stock.v4 && stock.v6;
        for (set, has) in [
            (&mut self.v4, stock.v4),
            (&mut self.v6, stock.v6),
            (&mut self.both, both),
        ] {
            if has {
                set.insert(place.clone());
            } else {
                set.remove(place);
            }
        }
    }

    fn put_shared(&mut self, place: &Place, sharing: &Sharing, are_shared: bool) {
        if are_shared {
            let pools = self.joinable.entry(sharing.clone()).or_default();
            pools.insert(place.clone());
        } else if let Some(pools) = self.joinable.get_mut(sharing) {
            pools.remove(place);
            if pools.is_empty() {
                self.joinable.remove(sharing);
            }
        }
    }

    /// The first pool that has addresses of these families for a Service.
    fn first(
        &self,
        families: Families,
        request: &Request<'_>,
        share: Option<&Share>,
        pools: &impl Pools,
    ) -> Option<&Place> {
        let stocked = match families {
            Families::One(Family::V4) => &self.v4,
            Families::One(Family::V6) => &self.v6,
            Families::Both | Families::PreferBoth { .. } => &self.both,
        };
        let mut stocked = stocked.iter();
        let free = stocked.find(|place| pools.is_for(&place.name, request));
        let joinable = share.and_then(|share| self.joinable.get(&share.sharing));
        let joined = joinable
            .into_iter()
            .flatten()
            .take_while(|place| free.is_none_or(|free| *place < free))
            .find(|place| {
                pools.is_for(&place.name, request) && pools.has(&place.name, families, share)
            });
        joined.or(free)
    }
}
