//! What became of each object, from the watcher's events and the keys known so far.

use std::collections::VecDeque;

use kube::Resource;
use kube::runtime::watcher::Event;

use super::keys::Keys;
use super::{Change, ObjectKey};

/// Turns the watcher's events into changes, knowing only keys.
#[derive(Default)]
pub(super) struct Tracker {
    known: Keys,
    /// What the list under way has shown so far.
    listed: Option<Keys>,
}

impl Tracker {
    pub(super) fn is_listing(&self) -> bool {
        self.listed.is_some()
    }

    pub(super) fn handle<K: Resource>(&mut self, event: Event<K>, out: &mut VecDeque<Change<K>>) {
        match event {
            Event::Init => {
                self.listed = Some(Keys::default());
                out.push_back(Change::Listing);
            }
            Event::InitApply(object) => {
                let key = ObjectKey::of(&object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(&key);
                }
                // Known from now on: if this list breaks off, the next must account for it.
                self.known.insert(&key);
                out.push_back(Change::Apply(stripped(object)));
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let gone = self.known.iter().filter(|key| !listed.contains(key));
                out.extend(gone.map(Change::Delete));
                self.known = listed;
                out.push_back(Change::Synced);
            }
            Event::Apply(object) => {
                self.known.insert(&ObjectKey::of(&object));
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
