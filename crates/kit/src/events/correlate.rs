//! Which Events are the same, which are too many: the rules of client-go's `EventCorrelator`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::time::{Duration, Instant};

use arcstr::ArcStr;

use super::{About, EventType};

/// What somebody wants said.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) about: About,
    pub(super) event_type: EventType,
    pub(super) reason: Cow<'static, str>,
    pub(super) message: ArcStr,
}

/// What to do about it.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Write a new Event.
    New { said: Mark, message: String },
    /// Raise the count of this one.
    Repeat {
        said: Mark,
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
    said: HashMap<Mark, Told>,
    /// By what Events are about, whatever their words.
    similar: HashMap<Mark, Similar>,
    /// By objects.
    budgets: HashMap<Mark, Budget>,
    hasher: RandomState,
}

/// Stands for what an Event says: a thousand are remembered, and each may be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark(u64);

impl Correlator {
    /// Decides about one note.
    pub(super) fn correlate(&mut self, now: Instant, note: &Note) -> Outcome {
        self.forget(now);
        let (said, combined) = self.aggregate(now, note);
        if !self.spend(now, &note.about) {
            return Outcome::Suppress;
        }
        let message = if combined {
            format!("(combined from similar events): {}", note.message)
        } else {
            note.message.to_string()
        };
        let told = self.said.entry(said).or_insert_with(|| Told::new(now));
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
    pub(super) fn written(&mut self, said: Mark, event_name: String) {
        if let Some(told) = self.said.get_mut(&said) {
            told.event_name = Some(event_name);
        }
    }

    /// More than ten different messages about one thing within ten minutes become one Event.
    fn aggregate(&mut self, now: Instant, note: &Note) -> (Mark, bool) {
        let subject = (identity(&note.about), note.event_type, &note.reason);
        let (about, words) = (self.mark(&subject), self.mark(&note.message));
        let similar = self
            .similar
            .entry(about)
            .or_insert_with(|| Similar::new(now));
        if now.duration_since(similar.last) > WINDOW {
            *similar = Similar::new(now);
        }
        similar.last = now;
        if similar.messages.len() < MAX_SIMILAR || similar.messages.contains(&words) {
            similar.messages.insert(words);
            return (self.mark(&(about, words)), false);
        }
        (about, true)
    }

    fn mark(&self, it: &impl Hash) -> Mark {
        Mark(self.hasher.hash_one(it))
    }

    /// 25 Events for an object at once, then one every five minutes.
    fn spend(&mut self, now: Instant, object: &About) -> bool {
        let object = self.mark(&identity(object));
        let budget = self.budgets.entry(object).or_insert_with(|| Budget {
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

/// What says which object it is: not its version.
fn identity(about: &About) -> impl Hash {
    (&about.kind, &about.key, &about.uid)
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
    messages: HashSet<Mark>,
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
fn bound<K: Eq + Hash, V>(map: &mut HashMap<K, V>, last: impl Fn(&V) -> Instant, now: Instant) {
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

#[cfg(test)]
mod tests {
    use metallb_config::ObjectKey;

    use super::*;

    fn note(object: &str, message: &str) -> Note {
        Note {
            about: About::service(&ObjectKey::new("ns", object), None),
            event_type: EventType::Normal,
            reason: Cow::Borrowed("Tested"),
            message: message.into(),
        }
    }

    /// Says it and, if it is new, remembers it as written under `name`.
    fn say(correlator: &mut Correlator, now: Instant, note: &Note, name: &str) -> String {
        match correlator.correlate(now, note) {
            Outcome::New { said, message } => {
                correlator.written(said, name.to_owned());
                format!("new {name} {message}")
            }
            Outcome::Repeat {
                event_name,
                count,
                message,
                ..
            } => {
                format!("{event_name} x{count} {message}")
            }
            Outcome::Suppress => "suppressed".to_owned(),
        }
    }

    #[test]
    fn the_same_within_ten_minutes_is_counted() {
        let mut correlator = Correlator::default();
        let start = Instant::now();
        let web = note("web", "hello");
        assert_eq!(say(&mut correlator, start, &web, "e1"), "new e1 hello");
        assert_eq!(say(&mut correlator, start, &web, "e2"), "e1 x2 hello");
        assert_eq!(
            say(&mut correlator, start, &note("web", "bye"), "e3"),
            "new e3 bye"
        );
        assert_eq!(
            say(&mut correlator, start, &note("other", "hello"), "e4"),
            "new e4 hello"
        );
        let later = start + Duration::from_mins(10);
        assert_eq!(say(&mut correlator, later, &web, "e5"), "new e5 hello");
    }

    #[test]
    fn many_words_about_one_thing_become_one_event() {
        let mut correlator = Correlator::default();
        let now = Instant::now();
        for i in 0..10 {
            let said = say(
                &mut correlator,
                now,
                &note("web", &format!("m{i}")),
                "single",
            );
            assert_eq!(said, format!("new single m{i}"));
        }
        let combined = "(combined from similar events): m10";
        let said = say(&mut correlator, now, &note("web", "m10"), "combined");
        assert_eq!(said, format!("new combined {combined}"));
        let said = say(&mut correlator, now, &note("web", "m11"), "x");
        assert_eq!(said, "combined x2 (combined from similar events): m11");
    }

    #[test]
    fn an_object_has_25_events_at_once_then_one_in_five_minutes() {
        let mut correlator = Correlator::default();
        let start = Instant::now();
        let web = note("web", "hello");
        for _ in 0..25 {
            assert_ne!(say(&mut correlator, start, &web, "e"), "suppressed");
        }
        assert_eq!(say(&mut correlator, start, &web, "e"), "suppressed");
        assert_ne!(
            say(&mut correlator, start, &note("other", "hello"), "e"),
            "suppressed"
        );
        let later = start + Duration::from_mins(5);
        assert_ne!(say(&mut correlator, later, &web, "e"), "suppressed");
        assert_eq!(say(&mut correlator, later, &web, "e"), "suppressed");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut correlator = Correlator::default();
        let start = Instant::now();
        for i in 0..5 * MEMORY {
            let now = start + Duration::from_millis(i as u64);
            correlator.correlate(now, &note(&format!("object-{i}"), "hello"));
        }
        assert!(correlator.said.len() <= MEMORY && correlator.budgets.len() <= MEMORY);
    }
}
