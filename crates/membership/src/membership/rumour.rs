//! What others say of a speaker's death, which nobody believes before it has asked the dead: after
//! a partition each side thinks the other dead, and both are wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Settings;
use crate::record::Record;

/// The rumours that are being looked into.
#[derive(Debug, Default)]
pub(super) struct Rumours(BTreeMap<Arc<str>, Rumour>);

#[derive(Debug)]
struct Rumour {
    record: Record,
    /// When it is to be asked again.
    ask: Instant,
    /// When it is believed.
    believe: Instant,
}

impl Rumours {
    /// Somebody is said to be dead. True if that is to be looked into: it is to be asked now.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        name: &Arc<str>,
        record: Record,
        settings: &Settings,
    ) -> bool {
        let known = self.0.get(name);
        if known.is_some_and(|known| known.record.age() >= record.age()) {
            return false;
        }
        let rumour = Rumour {
            record,
            ask: now + settings.ask_every,
            believe: now + 2 * settings.ask_every,
        };
        self.0.insert(name.clone(), rumour);
        true
    }

    /// There is something newer.
    pub(super) fn drop(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Those that are to be asked again.
    pub(super) fn take_to_ask(&mut self, now: Instant) -> Vec<Arc<str>> {
        let due = self
            .0
            .iter_mut()
            .filter(|(_, it)| now >= it.ask && now < it.believe);
        due.map(|(name, rumour)| {
            rumour.ask = rumour.believe;
            name.clone()
        })
        .collect()
    }

    /// Those that are true.
    pub(super) fn take_true(&mut self, now: Instant) -> Vec<(Arc<str>, Record)> {
        let due = self.0.extract_if(.., |_, rumour| now >= rumour.believe);
        due.map(|(name, rumour)| (name, rumour.record)).collect()
    }

    /// What is said of this one.
    pub(super) fn record(&self, name: &str) -> Option<&Record> {
        Some(&self.0.get(name)?.record)
    }

    /// We were not there to hear an answer for so long.
    pub(super) fn excuse(&mut self, late: Duration) {
        for rumour in self.0.values_mut() {
            rumour.believe += late;
            rumour.ask += late;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = self.0.values().map(|it| it.ask.min(it.believe));
        times.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_asked_twice_before_it_is_believed() {
        let (start, settings) = (Instant::now(), Settings::default());
        let at = |ms| start + Duration::from_millis(ms);
        let (name, record) = (Arc::from("n1"), Record::dead(5));
        let mut rumours = Rumours::default();
        assert!(rumours.hear(start, &name, record.clone(), &settings));
        assert!(
            !rumours.hear(at(5), &name, record.clone(), &settings),
            "no news"
        );
        assert!(rumours.take_to_ask(at(19)).is_empty());
        assert_eq!(rumours.take_to_ask(at(20)), std::slice::from_ref(&name));
        rumours.excuse(Duration::from_millis(100));
        assert_eq!(rumours.poll_timeout(), Some(at(140)));
        assert!(rumours.take_true(at(139)).is_empty());
        assert_eq!(rumours.take_true(at(140)), [(name, record)]);
        assert_eq!(rumours.poll_timeout(), None);
    }

    #[test]
    fn one_that_denies_it_is_not_buried() {
        let (start, settings) = (Instant::now(), Settings::default());
        let mut rumours = Rumours::default();
        rumours.hear(start, &"n1".into(), Record::dead(5), &settings);
        rumours.drop("n1");
        assert!(rumours.take_true(start + settings.dead_after).is_empty());
    }
}
