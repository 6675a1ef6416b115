//! When which pool's status is looked at: soon after it may have become another, and not more often
//! than once a second.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pools whose status may have to be written.
#[derive(Debug, Default)]
pub(crate) struct PoolStatuses {
    due: BTreeSet<(Instant, Arc<str>)>,
    /// Those that are in there.
    queued: HashSet<Arc<str>>,
    /// How often in a row each could not be written.
    failures: HashMap<Arc<str>, u32>,
}

impl PoolStatuses {
    /// More or less of this pool is in use, or its status is another.
    pub(crate) fn touch(&mut self, pool: Arc<str>, now: Instant) {
        self.put(pool, now + EVERY);
    }

    /// The status could be written, or not: then it is tried again after a while.
    pub(crate) fn written(&mut self, pool: Arc<str>, is_written: bool, now: Instant) {
        if is_written {
            self.failures.remove(&pool);
            return;
        }
        let failures = self.failures.entry(pool.clone()).or_default();
        *failures = failures.saturating_add(1).min(5);
        let pause = EVERY * (1 << *failures);
        self.put(pool, now + pause);
    }

    /// When the next one is to be looked at.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next one, if it is time.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Arc<str>> {
        self.next().filter(|at| *at <= now)?;
        let (_, pool) = self.due.pop_first()?;
        self.queued.remove(&pool);
        Some(pool)
    }

    /// Forgets all: we no longer lead.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first of two moments counts.
    fn put(&mut self, pool: Arc<str>, at: Instant) {
        if self.queued.insert(pool.clone()) {
            self.due.insert((at, pool));
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_one_look_a_second_later() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut statuses = PoolStatuses::default();
        for at in [0, 10, 900] {
            statuses.touch("a".into(), ms(at));
        }
        statuses.touch("b".into(), ms(500));
        assert_eq!(statuses.next(), Some(ms(1000)));
        assert_eq!(statuses.take(ms(999)), None);
        assert_eq!(statuses.take(ms(1600)).as_deref(), Some("a"));
        statuses.touch("a".into(), ms(1600));
        assert_eq!(statuses.take(ms(1600)).as_deref(), Some("b"));
        assert_eq!(statuses.take(ms(1600)), None);
        assert_eq!(statuses.next(), Some(ms(2600)));
    }

    #[test]
    fn what_fails_is_tried_again_at_growing_distances() {
        let now = Instant::now();
        let mut statuses = PoolStatuses::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            statuses.written("a".into(), false, now);
            let at = statuses.next().unwrap();
            pauses.push(at.duration_since(now).as_secs());
            statuses.take(at);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 32, 32]);
    }
}
