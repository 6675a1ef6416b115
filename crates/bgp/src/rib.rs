//! The routes that are to be told, whoever they are told to.
//!
//! There is one table for all sessions. Each change of a prefix gets a number, and a session
//! remembers the last number that it has told: what is behind it is what is left to tell. So a
//! change costs what it touches, and a session remembers one bit for each prefix.

mod attributes;
mod bits;
mod export;

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

pub use attributes::{Audience, Route, RouteAttributes, Routes};
pub use export::{Export, Target};

/// All routes, by who contributes them.
#[derive(Clone, Debug)]
pub struct Rib<K> {
    contributed: BTreeMap<K, Routes>,
    places: BTreeMap<IpNet, Place>,
    entries: Vec<Entry>,
    /// Entries of prefixes that nobody is to be told of any more.
    free: Vec<Place>,
    /// The last change of each prefix.
    changes: BTreeMap<Version, Place>,
    /// Those of them after which nobody contributes the prefix.
    gone: BTreeMap<Version, Place>,
    version: Version,
    /// With how many prefixes it is made compact again.
    compact_at: usize,
}

/// Where the entry of a prefix is.
pub(crate) type Place = u32;
/// The number of a change; later ones are higher.
pub(crate) type Version = u64;

/// A prefix, and what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) prefix: IpNet,
    pub(crate) version: Version,
    /// What is to be said, to whom, and how often it was contributed.
    said: SmallVec<[Contribution; 1]>,
}

#[derive(Clone, Debug)]
struct Contribution {
    audience: Audience,
    attributes: Arc<RouteAttributes>,
    times: u32,
}

impl<K> Default for Rib<K> {
    fn default() -> Self {
        Self {
            contributed: BTreeMap::new(),
            places: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            changes: BTreeMap::new(),
            gone: BTreeMap::new(),
            version: 0,
            compact_at: AT_LEAST,
        }
    }
}

impl<K: Ord + Clone> Rib<K> {
    /// These are the routes that `key` contributes, instead of what it did before. A prefix that
    /// several contribute is told once, and withdrawn when the last of them is gone.
    pub fn contribute(&mut self, key: &K, routes: impl Into<Routes>) {
        let routes = routes.into();
        let before = self.contributed.remove(key).unwrap_or_default();
        let is_new = |it: &&Route| before.binary_search(it).is_err();
        for route in routes.iter().filter(is_new) {
            self.add(route);
        }
        for route in &*before {
            if routes.binary_search(route).is_err() {
                self.remove(route);
            }
        }
        if !routes.is_empty() {
            self.contributed.insert(key.clone(), routes);
        }
    }

    /// Takes no more memory than there is to tell. What comes in order, as a list does, leaves the
    /// nodes of an ordered map half empty; so they are packed when there is a quarter more than
    /// last time, which for each change is next to nothing.
    pub fn compact(&mut self) {
        let count = self.places.len();
        if count < self.compact_at {
            return;
        }
        self.compact_at = count + (count / 4).max(AT_LEAST);
        // The last one is made before the first one goes, whose memory is in one piece then.
        (self.contributed, self.places, self.changes) = (
            packed(&self.contributed),
            packed(&self.places),
            packed(&self.changes),
        );
    }

    /// Those who contribute something.
    pub fn contributors(&self) -> impl Iterator<Item = &K> {
        self.contributed.keys()
    }

    /// The routes that `key` contributes.
    pub fn contributed_by(&self, key: &K) -> &[Route] {
        self.contributed.get(key).map_or(&[], |routes| routes)
    }

    fn add(&mut self, route: &Route) {
        let place = self.place_of(route.prefix);
        let said = &mut self.entries[place as usize].said;
        if let Some(it) = said.iter_mut().find(|it| it.is(route)) {
            it.times += 1;
            return;
        }
        said.push(Contribution {
            audience: route.audience.clone(),
            attributes: route.attributes.clone(),
            times: 1,
        });
        self.change(place);
    }

    fn remove(&mut self, route: &Route) {
        let place = self.places[&route.prefix];
        let said = &mut self.entries[place as usize].said;
        let at = said.iter().position(|it| it.is(route));
        let at = at.expect("it was contributed");
        said[at].times -= 1;
        if said[at].times == 0 {
            said.swap_remove(at);
            self.change(place);
        }
    }

    fn place_of(&mut self, prefix: IpNet) -> Place {
        if let Some(place) = self.places.get(&prefix) {
            return *place;
        }
        let entry = Entry {
            prefix,
            version: 0,
            said: SmallVec::new(),
        };
        let place = if let Some(place) = self.free.pop() {
            self.entries[place as usize] = entry;
            place
        } else {
            if self.entries.len() == self.entries.capacity() {
                // Not twice the room: there are thousands.
                self.entries.reserve_exact(self.entries.len() / 8 + 64);
            }
            self.entries.push(entry);
            Place::try_from(self.entries.len() - 1).expect("memory ends before")
        };
        self.places.insert(prefix, place);
        place
    }

    fn change(&mut self, place: Place) {
        self.version += 1;
        let entry = &mut self.entries[place as usize];
        self.changes.remove(&entry.version);
        self.gone.remove(&entry.version);
        entry.version = self.version;
        self.changes.insert(self.version, place);
        if entry.said.is_empty() {
            self.gone.insert(self.version, place);
        }
    }

    /// Forgets the prefixes that are gone, for who reads all of it each time.
    pub fn forget_gone(&mut self) {
        self.forget(self.version);
    }

    /// Forgets the prefixes that are gone and of which all sessions have told: up to this change.
    pub(crate) fn forget(&mut self, told: Version) {
        while let Some(gone) = self.gone.first_entry().filter(|it| *it.key() <= told) {
            let (version, place) = gone.remove_entry();
            self.changes.remove(&version);
            self.places.remove(&self.entries[place as usize].prefix);
            self.free.push(place);
        }
    }
}

impl<K> Rib<K> {
    /// The number of the last change.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// What was changed after this, in order.
    pub(crate) fn after(&self, version: Version) -> impl Iterator<Item = (Version, Place)> {
        let later = self.changes.range(version + 1..);
        later.map(|(version, place)| (*version, *place))
    }

    pub(crate) fn entry(&self, place: Place) -> &Entry {
        &self.entries[place as usize]
    }

    /// The routes that the peer of this name is to be told.
    pub fn told_to(&self, peer: &str) -> impl Iterator<Item = (IpNet, Arc<RouteAttributes>)> {
        let entries = self.places.values().map(|place| self.entry(*place));
        entries.filter_map(move |it| Some((it.prefix, it.said_to(peer)?)))
    }
}

impl Entry {
    /// What the peer of this name is to be told of the prefix; nothing if it is not to be told of
    /// it. Of several contributions, communities are united (upstream's rule), and the highest
    /// preference counts.
    pub(crate) fn said_to(&self, peer: &str) -> Option<Arc<RouteAttributes>> {
        let mut said = self.said.iter().filter(|it| it.audience.has(peer));
        let first = said.next()?;
        let Some(second) = said.next() else {
            return Some(first.attributes.clone());
        };
        let mut united = RouteAttributes::clone(&first.attributes);
        for it in std::iter::once(second).chain(said) {
            united.unite(&it.attributes);
        }
        Some(Arc::new(united))
    }
}

impl Contribution {
    fn is(&self, route: &Route) -> bool {
        self.audience == route.audience && self.attributes == route.attributes
    }
}

fn packed<K: Ord + Clone, V: Clone>(map: &BTreeMap<K, V>) -> BTreeMap<K, V> {
    let entries = map.iter();
    entries.map(|(key, it)| (key.clone(), it.clone())).collect()
}

/// Fewer prefixes are not worth the while.
const AT_LEAST: usize = 1_000;

#[cfg(test)]
mod tests;
