//! What a leader may rely on.
//!
//! Before us another led, and its last writes may not have reached us by watch: an address that
//! looks free may be taken. The same after changes were missed. So before anything is given out,
//! one Service that waits anyway is told so in its condition. When the watch tells of that write,
//! it has told of everything before it, since a watch tells in order and leaves nothing out.

use std::collections::{BTreeSet, HashSet};

use metallb_config::ObjectKey;

use super::waiting::Age;

/// How far we are.
#[derive(Debug, Default)]
pub(crate) struct Term {
    echo: Echo,
    /// Those that must wait until we know everything.
    blocked: BTreeSet<Age>,
    /// Those of them that are to be written as far as we know.
    wanting: BTreeSet<Age>,
    /// Those that could not be written to.
    refused: HashSet<ObjectKey>,
    /// Something changed for those that are blocked.
    stirred: bool,
}

#[derive(Debug, Default)]
enum Echo {
    /// Nothing is written yet.
    #[default]
    Needed,
    /// This Service is being written.
    Sent(ObjectKey),
    /// It was written, and has this version now.
    Written(ObjectKey, u64),
    /// The watch told of it.
    Heard,
}

impl Term {
    /// Whether everything that was written before us is known.
    pub(crate) fn is_heard(&self) -> bool {
        matches!(self.echo, Echo::Heard)
    }

    /// Changes may have been missed. Returns those that were blocked.
    pub(crate) fn begin_anew(&mut self) -> BTreeSet<Age> {
        std::mem::take(self).blocked
    }

    /// The watch has told of everything up to this version. Returns those that need not wait any
    /// more.
    pub(crate) fn hear(&mut self, version: u64) -> BTreeSet<Age> {
        match self.echo {
            Echo::Written(_, ours) if version >= ours => {
                let heard = Self {
                    echo: Echo::Heard,
                    ..Self::default()
                };
                std::mem::replace(self, heard).blocked
            }
            _ => BTreeSet::new(),
        }
    }

    /// This one has to wait. `wanting` says that it is to be written as far as we know.
    pub(crate) fn block(&mut self, age: Age, wanting: bool) {
        if wanting {
            self.wanting.insert(age.clone());
        } else {
            self.wanting.remove(&age);
        }
        self.blocked.insert(age);
    }

    /// Something is free that was not, or the pools are others: those that are blocked have to be
    /// looked at again.
    pub(crate) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Those that have to be looked at again.
    pub(crate) fn take_stirred(&mut self) -> BTreeSet<Age> {
        if !std::mem::take(&mut self.stirred) {
            return BTreeSet::new();
        }
        self.wanting.clear();
        std::mem::take(&mut self.blocked)
    }

    /// The Service to write to now, if it is time: the oldest, but another one where the API
    /// server refused.
    pub(crate) fn next(&mut self) -> Option<ObjectKey> {
        if !matches!(self.echo, Echo::Needed) {
            return None;
        }
        let untried = self
            .wanting
            .iter()
            .find(|(_, key)| !self.refused.contains(key));
        let (_, key) = if let Some(age) = untried {
            age
        } else {
            self.refused.clear();
            self.wanting.first()?
        };
        self.echo = Echo::Sent(key.clone());
        Some(key.clone())
    }

    /// How the writing of a Service has ended: with this version, or not, or not soon.
    pub(crate) fn written(&mut self, key: &ObjectKey, version: Option<u64>) {
        if !matches!(&self.echo, Echo::Sent(sent) if sent == key) {
            return;
        }
        self.echo = if let Some(version) = version {
            Echo::Written(key.clone(), version)
        } else {
            self.refused.insert(key.clone());
            Echo::Needed
        };
    }

    /// A Service is gone.
    pub(crate) fn gone(&mut self, age: &Age) {
        self.blocked.remove(age);
        self.wanting.remove(age);
        if matches!(&self.echo, Echo::Sent(key) | Echo::Written(key, _) if *key == age.1) {
            self.echo = Echo::Needed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(created: i64) -> Age {
        (created, ObjectKey::new("ns", &created.to_string()))
    }

    fn next(term: &mut Term) -> Option<String> {
        term.next().map(|key| key.name().to_owned())
    }

    fn key(created: i64) -> ObjectKey {
        age(created).1
    }

    #[test]
    fn one_is_written_to_and_all_go_on_when_the_watch_tells_of_it() {
        let mut term = Term::default();
        assert_eq!(next(&mut term), None);
        for (created, wanting) in [(1, false), (2, true), (3, true)] {
            term.block(age(created), wanting);
        }
        assert_eq!(next(&mut term).as_deref(), Some("2"));
        assert_eq!(next(&mut term), None, "one at a time");
        assert_eq!(term.hear(100), BTreeSet::new());
        term.written(&key(2), Some(101));
        assert_eq!(term.hear(100), BTreeSet::new());
        assert!(!term.is_heard());
        assert_eq!(term.hear(101), [1, 2, 3].map(age).into());
        assert!(term.is_heard());
        assert_eq!(next(&mut term), None);
    }

    #[test]
    fn where_one_cannot_be_written_to_another_is() {
        let mut term = Term::default();
        for created in 1..=2 {
            term.block(age(created), true);
        }
        for expected in ["1", "2", "1"] {
            let now = next(&mut term).unwrap();
            assert_eq!(now, expected);
            term.written(&ObjectKey::new("ns", &now), None);
        }
        // One that goes while its news is on the way is no news.
        assert_eq!(next(&mut term).as_deref(), Some("2"));
        term.written(&key(2), Some(7));
        term.gone(&age(2));
        assert_eq!(term.hear(9), BTreeSet::new());
        assert_eq!(next(&mut term).as_deref(), Some("1"));
    }
}
