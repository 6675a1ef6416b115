//! What came of writes, and when the next one is due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::observed::Fingerprint;

/// What came of applying one object.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    applied: Option<Applied>,
    pub(super) failure: Option<Failure>,
    /// When it was last applied, newest last.
    recent: VecDeque<Instant>,
}

#[derive(Debug)]
struct Applied {
    /// Hash of what was asked for.
    wanted: u64,
    /// What the server had after that.
    fingerprint: Fingerprint,
}

/// A write that was refused.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(super) wanted: u64,
    count: u32,
    retry_at: Instant,
}

/// Whether an object should be applied now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// As wanted.
    Not,
    Now,
    /// After a failure, or because somebody else keeps changing it.
    At(Instant),
}

impl Attempts {
    /// Whether the object, wanted in the form with hash `wanted`, should be applied; `seen` is the
    /// state that it has.
    pub(super) fn due(&self, wanted: u64, seen: Option<&Fingerprint>, now: Instant) -> Due {
        if let Some(failure) = self.failure.as_ref().filter(|f| f.wanted == wanted) {
            return later(failure.retry_at, now);
        }
        let Some(applied) = self.applied.as_ref().filter(|a| a.wanted == wanted) else {
            return Due::Now;
        };
        if seen == Some(&applied.fingerprint) {
            return Due::Not;
        }
        match self.recent.front() {
            Some(first) if self.recent.len() == REPAIRS => later(*first + REPAIR_WINDOW, now),
            _ => Due::Now,
        }
    }

    /// Whether it was as wanted once.
    pub(super) fn had(&self, wanted: u64) -> bool {
        self.applied.as_ref().is_some_and(|it| it.wanted == wanted)
    }

    /// Whether this is the state that the last write left.
    pub(super) fn left(&self, seen: &Fingerprint) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|it| it.fingerprint == *seen)
    }

    /// Whether this is a state from before the last write.
    pub(super) fn outdates(&self, seen: &Fingerprint) -> bool {
        self.applied
            .as_ref()
            .is_some_and(|it| seen.precedes(&it.fingerprint))
    }

    /// The server has it as wanted, in the state `fingerprint`.
    pub(super) fn applied(&mut self, wanted: u64, fingerprint: Fingerprint, now: Instant) {
        self.failure = None;
        self.applied = Some(Applied {
            wanted,
            fingerprint,
        });
        self.recent.push_back(now);
        if self.recent.len() > REPAIRS {
            self.recent.pop_front();
        }
    }

    /// The server refused it. Returns when to try again.
    pub(super) fn failed(
        &mut self,
        wanted: u64,
        message: String,
        permanent: bool,
        now: Instant,
    ) -> Instant {
        let before = self
            .failure
            .take()
            .filter(|f| f.wanted == wanted)
            .map_or(0, |f| f.count);
        let (first, most) = if permanent {
            PERMANENT_PAUSE
        } else {
            TRANSIENT_PAUSE
        };
        let pause = first.saturating_mul(1 << before.min(10)).min(most);
        let retry_at = now + pause;
        self.failure = Some(Failure {
            message,
            wanted,
            count: before + 1,
            retry_at,
        });
        retry_at
    }

    /// What was refused is due at once.
    pub(super) fn retry(&mut self, now: Instant) {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = now;
        }
    }
}

fn later(at: Instant, now: Instant) -> Due {
    if at <= now { Due::Now } else { Due::At(at) }
}

/// When somebody else keeps undoing what is applied, this many times in a window are enough.
pub(super) const REPAIRS: usize = 10;
pub(super) const REPAIR_WINDOW: Duration = Duration::from_mins(1);
/// First and longest pause after a failure.
const TRANSIENT_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
const PERMANENT_PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(5));
