//! Which Events are the same, which are too many: the rules of client-go's `EventCorrelator`.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;

use super::EventType;

/// What somebody wants said.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) object: ObjectReference,
    pub(super) event_type: EventType,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What to do about it.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Write a new Event.
    New { said: Said, message: String },
    /// Raise the count of this one.
    Repeat {
        said: Said,
        event_name: String,
        count: i32,
        message: String,
    },
    /// Nothing: this object has had too many.
    Suppress,
}

/// The memory of what was said lately.
#[derive(Debug, Default)]
pub(super) struct Correlator {
    said: HashMap<Said, Told>,
    similar: HashMap<Subject, Similar>,
    budgets: HashMap<ObjectId, Budget>,
}

impl Correlator {
    /// Decides about one note.
    pub(super) fn correlate(&mut self, now: Instant, note: &Note) -> Outcome {
        self.forget(now);
        let (said, combined) = self.aggregate(now, note);
        if !self.spend(now, &said.subject.object) {
            return Outcome::Suppress;
        }
        let message = if combined {
            format!("(combined from similar events): {}", note.message)
        } else {
            note.message.clone()
        };
        let told = self
            .said
            .entry(said.clone())
            .or_insert_with(|| Told::new(now));
        let repeats = now.duration_since(told.last) < WINDOW;
        told.last = now;
        if repeats && let Some(event_name) = told.event_name.clone() {
            told.count = told.count.saturating_add(1);
            return Outcome::Repeat {
                said,
                event_name,
                count: told.count,
                message,
            };
        }
        *told = Told::new(now);
        Outcome::New { said, message }
    }

    /// Remembers the name under which this was written.
    pub(super) fn written(&mut self, said: &Said, event_name: String) {
        if let Some(told) = self.said.get_mut(said) {
            told.event_name = Some(event_name);
        }
    }

    /// More than ten different messages about one thing within ten minutes become one Event.
    fn aggregate(&mut self, now: Instant, note: &Note) -> (Said, bool) {
        let subject = Subject::of(note);
        let similar = self
            .similar
            .entry(subject.clone())
            .or_insert_with(|| Similar::new(now));
        if now.duration_since(similar.last) > WINDOW {
            *similar = Similar::new(now);
        }
        similar.last = now;
        if similar.messages.len() < MAX_SIMILAR || similar.messages.contains(&note.message) {
            similar.messages.insert(note.message.clone());
            return (
                Said {
                    subject,
                    message: Some(note.message.clone()),
                },
                false,
            );
        }
        (
            Said {
                subject,
                message: None,
            },
            true,
        )
    }

    /// 25 Events for an object at once, then one every five minutes.
    fn spend(&mut self, now: Instant, object: &ObjectId) -> bool {
        let budget = self
            .budgets
            .entry(object.clone())
            .or_insert_with(|| Budget {
                tokens: BURST,
                last: now,
            });
        let earned = now.duration_since(budget.last).as_secs_f64() / REFILL.as_secs_f64();
        budget.tokens = (budget.tokens + earned).min(BURST);
        budget.last = now;
        if budget.tokens < 1.0 {
            return false;
        }
        budget.tokens -= 1.0;
        true
    }

    fn forget(&mut self, now: Instant) {
        bound(&mut self.said, |told| told.last, now);
        bound(&mut self.similar, |similar| similar.last, now);
        bound(&mut self.budgets, |budget| budget.last, now);
    }
}

/// The object an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ObjectId {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
}

/// What an Event is about, whatever its words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    object: ObjectId,
    event_type: EventType,
    reason: String,
}

impl Subject {
    fn of(note: &Note) -> Self {
        let ObjectReference {
            kind,
            namespace,
            name,
            uid,
            ..
        } = note.object.clone();
        Self {
            object: ObjectId {
                kind,
                namespace,
                name,
                uid,
            },
            event_type: note.event_type,
            reason: note.reason.clone(),
        }
    }
}

/// One Event: a subject and its words, or `None` for all words beyond the limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Said {
    subject: Subject,
    message: Option<String>,
}

#[derive(Debug)]
struct Told {
    event_name: Option<String>,
    count: i32,
    last: Instant,
}

impl Told {
    fn new(now: Instant) -> Self {
        Self {
            event_name: None,
            count: 1,
            last: now,
        }
    }
}

#[derive(Debug)]
struct Similar {
    messages: HashSet<String>,
    last: Instant,
}

impl Similar {
    fn new(now: Instant) -> Self {
        Self {
            messages: HashSet::new(),
            last: now,
        }
    }
}

#[derive(Debug)]
struct Budget {
    tokens: f64,
    last: Instant,
}

/// Makes room when the memory is full: first what is too old to matter, then the older half.
fn bound<K: Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    last: impl Fn(&V) -> Instant,
    now: Instant,
) {
    if map.len() < MEMORY {
        return;
    }
    map.retain(|_, value| now.duration_since(last(value)) < WINDOW);
    if map.len() >= MEMORY {
        let mut times: Vec<Instant> = map.values().map(&last).collect();
        times.sort_unstable();
        let middle = times[times.len() / 2];
        map.retain(|_, value| last(value) > middle);
    }
}

/// How long an Event counts as the same.
const WINDOW: Duration = Duration::from_mins(10);

/// How many different messages about one thing are told one by one.
const MAX_SIMILAR: usize = 10;

/// How many Events an object may have at once.
const BURST: f64 = 25.0;

/// How long it takes to earn one more.
const REFILL: Duration = Duration::from_mins(5);

/// How many entries each memory may have.
const MEMORY: usize = 1024;
