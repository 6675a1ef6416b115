//! Services that lack an address, by what would help them.
//!
//! Thousands may wait, and an address that becomes free must go to the one that waits longest at a
//! cost that does not grow with their number. Those that need the same are interchangeable: when
//! the oldest of them gets nothing, the others need not be tried.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use metallb_config::ObjectKey;
use metallb_ipam::{Families, Ips};

use crate::wish::Sharing;

/// A Service by its age: the order in which they are served.
pub(crate) type Age = (i64, ObjectKey);

/// What a Service needs. Of two that need the same, either both can be served or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Need {
    pub(crate) families: Families,
    /// The pool that it must be from.
    pub(crate) pool: Option<Box<str>>,
    /// The addresses that it must be.
    pub(crate) ips: Option<Ips>,
    /// Those with whom it shares addresses.
    pub(crate) sharing: Option<Box<Sharing>>,
    /// The pools for certain Services only that it may have addresses of.
    pub(crate) reserved: Box<[Box<str>]>,
}

/// Who waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    needs: BTreeMap<ObjectKey, (i64, Arc<Need>)>,
    groups: HashMap<Arc<Need>, BTreeSet<Age>>,
    /// The needs that something new here may meet.
    watched: HashMap<Source, HashSet<Arc<Need>>>,
}

/// Where an address may come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    Pool(Box<str>),
    /// Any pool that Services get addresses of without asking for it.
    Any,
}

impl Waiting {
    /// This one waits, for this.
    pub(crate) fn insert(&mut self, service: &ObjectKey, created: i64, need: Need) {
        self.remove(service);
        let need = Arc::new(need);
        for source in sources(&need) {
            self.watched.entry(source).or_default().insert(need.clone());
        }
        let age = (created, service.clone());
        self.groups.entry(need.clone()).or_default().insert(age);
        self.needs.insert(service.clone(), (created, need));
    }

    /// This one does not wait any more. Says what it needed, if it did wait.
    pub(crate) fn remove(&mut self, service: &ObjectKey) -> Option<Arc<Need>> {
        let (created, need) = self.needs.remove(service)?;
        let group = self.groups.get_mut(&need)?;
        group.remove(&(created, service.clone()));
        if group.is_empty() {
            self.groups.remove(&need);
            for source in sources(&need) {
                if let Some(needs) = self.watched.get_mut(&source) {
                    needs.remove(&need);
                    if needs.is_empty() {
                        self.watched.remove(&source);
                    }
                }
            }
        }
        Some(need)
    }

    /// What this one needs.
    pub(crate) fn need(&self, service: &ObjectKey) -> Option<&Arc<Need>> {
        self.needs.get(service).map(|(_, need)| need)
    }

    /// The oldest of those that need this and may be tried.
    pub(crate) fn oldest(&self, need: &Need, may: impl Fn(&ObjectKey) -> bool) -> Option<&Age> {
        self.groups.get(need)?.iter().find(|(_, key)| may(key))
    }

    /// What may be met by something new at these addresses of this pool.
    pub(crate) fn needs_met_by(&self, pool: &str, ips: &[IpAddr]) -> Vec<Arc<Need>> {
        let sources = ips.iter().map(|ip| Source::Address(*ip));
        sources
            .chain([Source::Pool(pool.into()), Source::Any])
            .filter_map(|source| self.watched.get(&source))
            .flatten()
            .cloned()
            .collect()
    }

    /// All that wait.
    pub(crate) fn all(&self) -> impl Iterator<Item = Age> {
        let ages = self.needs.iter();
        ages.map(|(key, (created, _))| (*created, key.clone()))
    }
}

fn sources(need: &Need) -> Vec<Source> {
    match (&need.ips, &need.pool) {
        (Some(ips), _) => ips.iter().map(|ip| Source::Address(*ip)).collect(),
        (None, Some(pool)) => vec![Source::Pool(pool.clone())],
        (None, None) => vec![Source::Any],
    }
}

#[cfg(test)]
mod tests {
    use metallb_config::Family;

    use super::*;

    fn need(pool: Option<&str>, ips: &[&str]) -> Need {
        let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Need {
            families: Families::One(Family::V4),
            pool: pool.map(Into::into),
            ips: (!ips.is_empty()).then(|| Ips::try_from(ips.as_slice()).unwrap()),
            sharing: None,
            reserved: Box::default(),
        }
    }

    #[test]
    fn those_whom_something_new_may_help_are_found_and_no_others() {
        let mut waiting = Waiting::default();
        let key = |name: &str| ObjectKey::new("ns", name);
        for (name, created, need) in [
            ("any-young", 3, need(None, &[])),
            ("any-old", 1, need(None, &[])),
            ("of-a", 1, need(Some("a"), &[])),
            ("of-b", 1, need(Some("b"), &[])),
            ("this", 1, need(None, &["192.0.2.1"])),
            ("that", 1, need(Some("a"), &["192.0.2.2"])),
        ] {
            waiting.insert(&key(name), created, need);
        }
        let oldest = |waiting: &Waiting, busy: &str, pool: &str, ip: &str| {
            let mut names: Vec<_> = waiting
                .needs_met_by(pool, &[ip.parse().unwrap()])
                .iter()
                .filter_map(|need| waiting.oldest(need, |key| key.name() != busy))
                .map(|(_, key)| key.name().to_owned())
                .collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(oldest(&waiting, "", "a", "192.0.2.1"), "any-old of-a this");
        assert_eq!(
            oldest(&waiting, "any-old", "b", "192.0.2.2"),
            "any-young of-b that"
        );
        // What it needs changes, and it goes.
        waiting.insert(&key("of-a"), 1, need(Some("b"), &[]));
        assert_eq!(oldest(&waiting, "", "a", "192.0.2.9"), "any-old");
        for name in ["any-young", "any-old", "of-a", "of-b", "this", "that"] {
            assert!(waiting.remove(&key(name)).is_some());
            assert!(waiting.remove(&key(name)).is_none());
        }
        assert!(waiting.watched.is_empty() && waiting.groups.is_empty());
    }
}
