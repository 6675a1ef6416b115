//! When to try again.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

/// Counts what went wrong, so that nobody makes us try in a loop.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    seed: u64,
    /// How many times were drawn.
    drawn: u64,
    /// Sessions in a row that ended in an error.
    errors: u32,
    /// When we connected last.
    last: Option<Instant>,
}

impl Retry {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: 0,
            errors: 0,
            last: None,
        }
    }

    /// We connect now.
    pub(super) fn begin(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// When to try again after nobody answered: once in `every`.
    pub(super) fn after_failure(&mut self, now: Instant, every: Duration) -> Instant {
        let last = self.last.unwrap_or(now);
        (last + self.jitter(every)).max(now + self.jitter(LEAST))
    }

    /// When to try again after a connection was lost.
    pub(super) fn after_loss(&mut self, now: Instant) -> Instant {
        now + self.jitter(LEAST)
    }

    /// When to try again after one of both sides found the other one wrong: the longer, the more
    /// often.
    pub(super) fn after_error(&mut self, now: Instant) -> Instant {
        self.after_longer(now, MOST)
    }

    /// When to try again after a connection was closed before anything was heard on it, or with
    /// the word that it is not wanted, as by a router that is not ready yet: no later than after
    /// nobody answered.
    pub(super) fn after_refusal(&mut self, now: Instant, every: Duration) -> Instant {
        self.after_longer(now, every.min(MOST))
    }

    fn after_longer(&mut self, now: Instant, most: Duration) -> Instant {
        let hold = LEAST * (1 << self.errors.min(10));
        self.errors += 1;
        now + self.jitter(hold.min(most))
    }

    /// All is well, and has been for a while.
    pub(super) fn is_well(&mut self) {
        self.errors = 0;
    }

    /// RFC 4271 section 10: between three quarters of a time and all of it.
    pub(super) fn jitter(&mut self, time: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.drawn).hash(&mut hasher);
        self.drawn += 1;
        let part = u32::try_from(hasher.finish() % 251).expect("a small number");
        time * (750 + part) / 1000
    }
}

/// No peer is tried again sooner.
const LEAST: Duration = Duration::from_secs(1);
/// Whoever has mended a router does not want to wait for longer.
const MOST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refuses_is_not_waited_for_longer_than_who_does_not_answer() {
        let now = Instant::now();
        let mut retry = Retry::new(1);
        let every = Duration::from_secs(4);
        for whole in [1.0, 2.0, 4.0, 4.0, 4.0] {
            let hold = (retry.after_refusal(now, every) - now).as_secs_f64();
            assert!((whole * 0.75..=whole).contains(&hold), "{hold} of {whole}");
        }
    }

    #[test]
    fn errors_are_answered_more_and_more_slowly_until_all_is_well() {
        let now = Instant::now();
        let mut retry = Retry::new(1);
        let mut holds = Vec::new();
        for _ in 0..8 {
            holds.push((retry.after_error(now) - now).as_secs_f64());
        }
        for (hold, whole) in holds
            .iter()
            .zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])
        {
            assert!((whole * 0.75..=whole).contains(hold), "{holds:?}");
        }
        retry.is_well();
        assert!(retry.after_error(now) - now <= LEAST);
    }

    #[test]
    fn a_silent_peer_is_tried_at_a_steady_pace_and_not_at_the_same_time_by_all() {
        let now = Instant::now();
        let every = Duration::from_secs(4);
        let mut times = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut retry = Retry::new(seed);
            retry.begin(now);
            let next = retry.after_failure(now, every) - now;
            assert!((every * 3 / 4..=every).contains(&next));
            times.insert(next);
            // It took its time to fail.
            let late = now + 2 * every;
            let next = retry.after_failure(late, every) - late;
            assert!((LEAST * 3 / 4..=LEAST).contains(&next));
        }
        assert!(times.len() > 50);
    }
}
