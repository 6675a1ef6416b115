//! News on its way to everybody: some datagrams at a time, and the whole a few times over.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is being told, of whom, and to whom it is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    rounds: BTreeMap<Arc<str>, Rounds>,
}

#[derive(Debug)]
struct Rounds {
    /// When to go on.
    at: Instant,
    /// Those who are still to be told in this round.
    rest: VecDeque<Arc<str>>,
    everybody: Arc<[Arc<str>]>,
    /// How many rounds follow.
    left: u32,
}

/// Whom to tell now of one speaker.
pub(crate) type Batch = (Arc<str>, Vec<Arc<str>>);

impl Spread {
    /// Tells everybody of one speaker, in so many rounds, instead of what was being told of it.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        subject: Arc<str>,
        everybody: Arc<[Arc<str>]>,
        rounds: u32,
    ) {
        let rounds = Rounds {
            at: now,
            rest: everybody.iter().cloned().collect(),
            everybody,
            left: rounds.saturating_sub(1),
        };
        self.rounds.insert(subject, rounds);
    }

    /// Whether nothing of this one is left to be told.
    pub(crate) fn is_told(&self, subject: &str) -> bool {
        !self.rounds.contains_key(subject)
    }

    /// What is due now. `pause` is between two rounds.
    pub(crate) fn due(&mut self, now: Instant, pause: Duration) -> Vec<Batch> {
        let mut batches = Vec::new();
        self.rounds.retain(|subject, rounds| {
            if rounds.at > now {
                return true;
            }
            let count = rounds.rest.len().min(BATCH);
            let batch: Vec<_> = rounds.rest.drain(..count).collect();
            if !batch.is_empty() {
                batches.push((subject.clone(), batch));
            }
            if !rounds.rest.is_empty() {
                rounds.at = now + BATCH_GAP;
                return true;
            }
            rounds.at = now + pause;
            rounds.rest = rounds.everybody.iter().cloned().collect();
            let goes_on = rounds.left > 0;
            rounds.left = rounds.left.saturating_sub(1);
            goes_on
        });
        batches
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.rounds.values().map(|rounds| rounds.at).min()
    }
}

/// At most so many datagrams about one speaker go out together: a node's death among thousands is
/// no flood.
const BATCH: usize = 64;
const BATCH_GAP: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(20);

    fn names(count: usize) -> Arc<[Arc<str>]> {
        (0..count).map(|n| Arc::from(format!("n{n}"))).collect()
    }

    #[test]
    fn everybody_is_told_in_rounds_of_batches() {
        let start = Instant::now();
        let mut spread = Spread::default();
        spread.start(start, "x".into(), names(100), 2);
        let mut told = Vec::new();
        while let Some(at) = spread.poll_timeout() {
            for (subject, batch) in spread.due(at, PAUSE) {
                assert_eq!(&*subject, "x");
                told.push(((at - start).as_millis(), batch.len()));
            }
        }
        assert_eq!(told, [(0, 64), (2, 36), (22, 64), (24, 36)]);
        assert!(spread.is_told("x"));
    }

    #[test]
    fn newer_news_takes_the_place_of_older() {
        let start = Instant::now();
        let mut spread = Spread::default();
        spread.start(start, "x".into(), names(100), 3);
        spread.due(start, PAUSE);
        spread.start(start, "x".into(), names(2), 1);
        assert_eq!(spread.due(start, PAUSE), [("x".into(), names(2).to_vec())]);
        assert_eq!(spread.poll_timeout(), None);
    }

    #[test]
    fn nobody_to_tell_ends_it() {
        let start = Instant::now();
        let mut spread = Spread::default();
        spread.start(start, "x".into(), names(0), 3);
        while let Some(at) = spread.poll_timeout() {
            assert_eq!(spread.due(at, PAUSE), []);
        }
    }
}
