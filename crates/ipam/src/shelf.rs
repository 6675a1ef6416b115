//! Which pools have something left, in the order in which they are tried.

use std::collections::BTreeSet;
use std::sync::Arc;

use metallb_config::Family;

use crate::request::Families;

/// Pools that Services get addresses of without asking, while they have any left. The next one to
/// try is found without looking at those that are used up.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    v4: BTreeSet<Place>,
    v6: BTreeSet<Place>,
    both: BTreeSet<Place>,
}

/// A pool and its place in the order: by rank, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) rank: (bool, i64),
    pub(crate) name: Arc<str>,
}

/// In which families a pool has addresses left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) v4: bool,
    pub(crate) v6: bool,
}

impl Shelf {
    /// Notes what a pool has left.
    pub(crate) fn put(&mut self, place: &Place, stock: Stock) {
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

    /// Of the pools that are for a Service, the first with all that it wants, else the first with
    /// what it wants most.
    pub(crate) fn best(
        &self,
        families: Families,
        is_for: impl Fn(&Arc<str>) -> bool,
    ) -> Option<&Arc<str>> {
        match families {
            Families::One(family) => first(self.of_family(family), &is_for),
            Families::Both => first(&self.both, &is_for),
            Families::PreferBoth { first: family } => first(&self.both, &is_for)
                .or_else(|| first(self.of_family(family), &is_for))
                .or_else(|| first(self.of_family(family.other()), &is_for)),
        }
    }

    fn of_family(&self, family: Family) -> &BTreeSet<Place> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

fn first(set: &BTreeSet<Place>, is_for: impl Fn(&Arc<str>) -> bool) -> Option<&Arc<str>> {
    set.iter()
        .map(|place| &place.name)
        .find(|name| is_for(name))
}
