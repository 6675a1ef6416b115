//! When what is worth a write: to be told of a session is what the object of it is to say.
//!
//! In a cluster of 5,000 nodes each write of a node counts 5,000 times. So what matters (whether
//! there is a session, why not, what was agreed on, BFD) is told at once, and of one session not
//! again for [`AGAIN`]; where the numbers of routes alone have changed, as with each Service they
//! do in all sessions of all nodes, a node tells of one session in [`NUMBERS`], each in its turn.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use metallb_crds::v1beta1::BGPSessionStateStatus;

use crate::statuses::SessionSubject;

/// What is known and what was told.
#[derive(Debug)]
pub(crate) struct SessionStates {
    known: BTreeMap<SessionSubject, Known>,
    /// When numbers may be told again, and of which session they were told last.
    numbers_at: Instant,
    last: Option<SessionSubject>,
    /// When [`due`](Self::due) has something to tell.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    up: Option<Instant>,
    since: Timestamp,
    told: Option<(Instant, BGPSessionStateStatus)>,
    now: BGPSessionStateStatus,
}

/// How a session is: since when it is up, if it is, and what its object is to say.
pub(crate) type Seen = (SessionSubject, Option<Instant>, BGPSessionStateStatus);

/// What an object is to say, or that there is to be none.
pub(crate) type News = (SessionSubject, Option<BGPSessionStateStatus>);

impl SessionStates {
    /// `seed` keeps nodes that start together apart.
    pub(crate) fn new(now: Instant, seed: u64) -> Self {
        let percent = u32::try_from(seed % 100).unwrap_or_default();
        Self {
            known: BTreeMap::new(),
            numbers_at: now + NUMBERS * percent / 100,
            last: None,
            next: None,
        }
    }

    /// Takes in how all sessions are; `clock` is the time on the wall. Says what to tell.
    pub(crate) fn take(&mut self, now: Instant, clock: Timestamp, all: Vec<Seen>) -> Vec<News> {
        let mut before = std::mem::take(&mut self.known);
        for (subject, up, status) in all {
            let known = before.remove(&subject);
            let known = Known::next(known, now, clock, up, status);
            self.known.insert(subject, known);
        }
        let gone = before.into_iter().filter(|(_, it)| it.told.is_some());
        let mut news: Vec<News> = gone.map(|(subject, _)| (subject, None)).collect();
        news.extend(self.due(now));
        news
    }

    /// What is to be told by now of what was taken in before.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        for (subject, known) in &mut self.known {
            if known.matters() && known.is_rested(now) {
                news.push((subject.clone(), Some(known.tell(now))));
            }
        }
        if now >= self.numbers_at
            && let Some(subject) = self.whose_numbers()
            && let Some(known) = self.known.get_mut(&subject)
        {
            news.push((subject.clone(), Some(known.tell(now))));
            self.last = Some(subject);
            self.numbers_at = now + NUMBERS;
        }
        let waiting = self.known.values().filter_map(|it| {
            let numbers = || it.has_other_numbers().then_some(self.numbers_at);
            it.rested_at().filter(|_| it.matters()).or_else(numbers)
        });
        self.next = waiting.min();
        news
    }

    /// When [`due`](Self::due) has something to tell, if it has.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The next one after the last that has other numbers than were told.
    fn whose_numbers(&self) -> Option<SessionSubject> {
        let last = self.last.as_ref();
        let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.known.range((behind, Bound::Unbounded));
        let mut turns = behind.chain(&self.known);
        let (subject, _) = turns.find(|(_, it)| it.has_other_numbers() && !it.matters())?;
        Some(subject.clone())
    }
}

impl Known {
    fn next(
        before: Option<Self>,
        now: Instant,
        clock: Timestamp,
        up: Option<Instant>,
        mut status: BGPSessionStateStatus,
    ) -> Self {
        let (told, since) = match before {
            Some(before) if before.up == up => (before.told, before.since),
            before => {
                let ago = up.map_or(Duration::ZERO, |up| now.saturating_duration_since(up));
                let ago = i64::try_from(ago.as_secs()).unwrap_or_default();
                let then = Timestamp::from_second(clock.as_second() - ago);
                (before.and_then(|it| it.told), then.unwrap_or(clock))
            }
        };
        status.since = Some(Time(since));
        Self {
            up,
            since,
            told,
            now: status,
        }
    }

    /// Something else than numbers is to be said, and was not told.
    fn matters(&self) -> bool {
        let Some((_, told)) = &self.told else {
            // Of a first attempt there is nothing to say yet.
            return self.up.is_some() || self.now.last_error.is_some();
        };
        let with_its_numbers = BGPSessionStateStatus {
            prefixes: told.prefixes,
            ..self.now.clone()
        };
        with_its_numbers != *told
    }

    fn has_other_numbers(&self) -> bool {
        let told = self.told.as_ref();
        told.is_some_and(|(_, told)| told.prefixes != self.now.prefixes)
    }

    fn is_rested(&self, now: Instant) -> bool {
        self.rested_at().is_none_or(|at| now >= at)
    }

    /// When it may be told again, if it was told.
    fn rested_at(&self) -> Option<Instant> {
        let (at, _) = self.told.as_ref()?;
        Some(*at + AGAIN)
    }

    fn tell(&mut self, now: Instant) -> BGPSessionStateStatus {
        self.told = Some((now, self.now.clone()));
        self.now.clone()
    }
}

/// How soon after a change of a session the next one is told.
const AGAIN: Duration = Duration::from_secs(5);
/// How soon after numbers of one session those of the next are told: 5,000 nodes make 170 requests a
/// second of it at most.
const NUMBERS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
