//! What became of each object, from the watcher's events and the keys known so far.

use std::collections::{HashSet, VecDeque};

use kube::Resource;
use kube::runtime::watcher::Event;

use super::{Change, ObjectKey};

/// Turns the watcher's events into changes, knowing only keys.
#[derive(Default)]
pub(super) struct Tracker {
    known: HashSet<ObjectKey>,
    /// What the list under way has shown so far.
    listed: Option<HashSet<ObjectKey>>,
}

impl Tracker {
    pub(super) fn is_listing(&self) -> bool {
        self.listed.is_some()
    }

    pub(super) fn handle<K: Resource>(&mut self, event: Event<K>, out: &mut VecDeque<Change<K>>) {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                out.push_back(Change::Listing);
            }
            Event::InitApply(object) => {
                let key = ObjectKey::of(&object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(key.clone());
                }
                // Known from now on: if this list breaks off, the next must account for it.
                self.known.insert(key);
                out.push_back(Change::Apply(stripped(object)));
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let gone = self.known.difference(&listed).cloned().map(Change::Delete);
                out.extend(gone);
                self.known = listed;
                out.push_back(Change::Synced);
            }
            Event::Apply(object) => {
                self.known.insert(ObjectKey::of(&object));
                out.push_back(Change::Apply(stripped(object)));
            }
            Event::Delete(object) => {
                let key = ObjectKey::of(&object);
                self.known.remove(&key);
                out.push_back(Change::Delete(key));
            }
        }
    }
}

fn stripped<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}
