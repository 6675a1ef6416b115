//! The keys of all objects of a kind, in little memory.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::ObjectKey;

/// A set of keys, as one text. Every watch has one, of thousands of objects: each in a piece of
/// memory of its own would take twice as much.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Each key, and the end of a line.
    text: String,
    /// Where those begin that are in the set.
    starts: HashTable<u32>,
    /// How many bytes of the text belong to others.
    unused: usize,
    hasher: RandomState,
}

impl Keys {
    pub(super) fn insert(&mut self, key: &ObjectKey) {
        if self.contains(key) {
            return;
        }
        let start = u32::try_from(self.text.len()).expect("no cluster has gigabytes of names");
        self.text.push_str(key.as_text());
        self.text.push('\n');
        let Self { text, hasher, .. } = self;
        let hash = hasher.hash_one(key.as_text());
        self.starts
            .insert_unique(hash, start, |start| hasher.hash_one(line(text, *start)));
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        let hash = self.hasher.hash_one(key.as_text());
        let is_it = |start: &u32| line(&self.text, *start) == key.as_text();
        self.starts.find(hash, is_it).is_some()
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) {
        let hash = self.hasher.hash_one(key.as_text());
        let is_it = |start: &u32| line(&self.text, *start) == key.as_text();
        let Ok(found) = self.starts.find_entry(hash, is_it) else {
            return;
        };
        found.remove();
        self.unused += key.as_text().len() + 1;
        if self.unused > self.text.len() / 2 {
            *self = self.iter().collect();
        }
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = ObjectKey> {
        let starts = self.starts.iter();
        starts.map(|start| ObjectKey::from_text(line(&self.text, *start)))
    }
}

impl FromIterator<ObjectKey> for Keys {
    fn from_iter<I: IntoIterator<Item = ObjectKey>>(keys: I) -> Self {
        let mut this = Self::default();
        for key in keys {
            this.insert(&key);
        }
        this
    }
}

/// The line that begins here.
fn line(text: &str, start: u32) -> &str {
    let rest = &text[start as usize..];
    rest.split_once('\n').expect("every line has an end").0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(course in prop::collection::vec((any::<bool>(), 0_u8..20), 0..200)) {
            let (mut keys, mut expected) = (Keys::default(), BTreeSet::new());
            for (is_there, nth) in course {
                // One without a namespace among them.
                let namespace = if nth == 0 { "" } else { "ns" };
                let key = ObjectKey::new(namespace, &"a".repeat(nth.into()));
                if is_there {
                    keys.insert(&key);
                    expected.insert(key);
                } else {
                    keys.remove(&key);
                    expected.remove(&key);
                }
                prop_assert!(keys.unused * 2 <= keys.text.len());
            }
            prop_assert_eq!(keys.iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}
