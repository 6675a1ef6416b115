//! All speakers: where they are reached, what is known of them, and the ring on which they watch
//! each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Instant;

use crate::record::{Age, Record, Status, place};

/// The speakers that are not dead, ourselves included, by name.
pub type Members = BTreeMap<Arc<str>, Member>;

/// One that is not dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Whether it is there to stay.
    pub presence: Presence,
    /// What it says of itself.
    pub state: Arc<[u8]>,
}

/// Whether a speaker is there to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is at work.
    Ready,
    /// It came while others were at work, and takes nothing over from them before it has told of
    /// [`Input::Ready`](crate::Input::Ready).
    Returning,
    /// It said that it stops: others take over from it now.
    Leaving,
}

/// All speakers, ourselves among them.
#[derive(Debug)]
pub(crate) struct Roster {
    own: Arc<str>,
    speakers: BTreeMap<Arc<str>, Speaker>,
    /// Those that run, by their places.
    ring: BTreeSet<(u64, Arc<str>)>,
    /// The marks of all records, in parts by name, those of one part together.
    parts: Vec<u64>,
    /// Of how many on the list nothing is known.
    unknown: usize,
    /// Changes with each record.
    generation: u64,
}

/// One speaker. It stays when it leaves the list, so that an old datagram of it is still known as
/// such.
#[derive(Debug, Default)]
pub(crate) struct Speaker {
    /// Where it is reached; nothing while it is not on the list of speakers. We are always.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) record: Option<Record>,
    /// Incarnation and number of its last datagram that was taken.
    pub(crate) last: Option<(u64, u64)>,
    /// When it was last heard itself.
    pub(crate) heard: Option<Instant>,
    /// When it was last told that it is thought to be dead.
    pub(crate) corrected: Option<Instant>,
    /// How often in a row it knew something else than we.
    pub(crate) differs: u32,
    listed: bool,
    /// In this incarnation it counts as alive although it is starting, since we started together.
    presumed: Option<u64>,
}

/// What came of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// Nothing: what is known is the same.
    Same,
    /// Nothing: what is known is newer.
    Older,
    News,
}

impl Speaker {
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(crate) fn is_alive(&self) -> bool {
        let record = self.record.as_ref().filter(|_| self.listed);
        record.is_some_and(|record| match record.status {
            Status::Alive | Status::Returning => true,
            Status::Starting => self.presumed == Some(record.incarnation),
            Status::Dead | Status::Left => false,
        })
    }

    /// Whether it runs as far as we know.
    pub(crate) fn runs(&self) -> bool {
        self.listed && self.status().is_some_and(|status| !status.is_over())
    }

    fn is_unknown(&self) -> bool {
        self.listed && self.record.is_none()
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.record.as_ref().map(|record| record.status)
    }

    /// How new what is known of it is.
    pub(crate) fn age(&self) -> Option<Age> {
        self.record.as_ref().map(Record::age)
    }

    fn mark(&self, name: &str) -> u64 {
        let record = self.record.as_ref().filter(|_| self.listed);
        record.map_or(0, |record| record.mark(name))
    }
}

impl Roster {
    pub(crate) fn new(own: &str, record: Record) -> Self {
        let own: Arc<str> = own.into();
        let speaker = Speaker {
            listed: true,
            ..Speaker::default()
        };
        let mut this = Self {
            own: own.clone(),
            speakers: [(own.clone(), speaker)].into(),
            ring: BTreeSet::new(),
            parts: vec![0; PARTS],
            // We, until a moment later.
            unknown: 1,
            generation: 0,
        };
        this.learn(&own, record);
        this
    }

    pub(crate) fn own_name(&self) -> &Arc<str> {
        &self.own
    }

    pub(crate) fn own(&self) -> &Record {
        let own = self.speakers[&self.own].record.as_ref();
        own.expect("it is there from the start")
    }

    /// Changes what is known of ourselves.
    pub(crate) fn change_own(&mut self, change: impl FnOnce(&mut Record)) {
        let own = self.own.clone();
        self.change(&own, |speaker| {
            if let Some(record) = &mut speaker.record {
                record.version += 1;
                change(record);
            }
        });
    }

    /// These are all speakers there are.
    pub(crate) fn list(&mut self, mut listed: BTreeMap<String, SocketAddr>) {
        listed.remove(&*self.own);
        let others = self.speakers.keys().filter(|name| **name != self.own);
        let gone: Vec<_> = others
            .filter(|name| !listed.contains_key(&***name))
            .cloned()
            .collect();
        for name in gone {
            self.change(&name, |speaker| {
                (speaker.listed, speaker.address) = (false, None);
            });
        }
        for (name, address) in listed {
            let name: Arc<str> = name.into();
            self.change(&name, |speaker| {
                (speaker.listed, speaker.address) = (true, Some(address));
            });
        }
    }

    /// Keeps what is newer.
    pub(crate) fn learn(&mut self, name: &Arc<str>, record: Record) -> Learned {
        let known = self.speakers.get(name).and_then(Speaker::age);
        match known.cmp(&Some(record.age())) {
            std::cmp::Ordering::Greater => Learned::Older,
            std::cmp::Ordering::Equal => Learned::Same,
            std::cmp::Ordering::Less => {
                self.change(name, |speaker| speaker.record = Some(record));
                Learned::News
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Speaker> {
        self.speakers.get(name)
    }

    /// A speaker, to write down when it was heard and the like. What is known of it is changed by
    /// [`learn`](Self::learn) alone.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Speaker> {
        self.speakers.get_mut(name)
    }

    /// All on the list but ourselves.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&Arc<str>, &Speaker)> {
        let others = self.speakers.iter().filter(|(name, _)| **name != self.own);
        others.filter(|(_, speaker)| speaker.listed)
    }

    /// Those that are starting now count as alive.
    pub(crate) fn presume_alive(&mut self) {
        for speaker in self.speakers.values_mut() {
            speaker.presumed = speaker.record.as_ref().map(|it| it.incarnation);
        }
        self.generation += 1;
    }

    /// Whether there are some on the list of whom nothing is known.
    pub(crate) fn knows_not_all(&self) -> bool {
        self.unknown > 0
    }

    /// Those on the list of whom nothing is known, in a circle from behind this one on.
    pub(crate) fn unknown(&self, after: Option<&Arc<str>>) -> impl Iterator<Item = &Arc<str>> {
        let circle = self.circle(after);
        let unknown = circle.filter(|(_, speaker)| speaker.is_unknown());
        unknown.map(|(name, _)| name)
    }

    /// The next on the list behind this one, in a circle, that does not run as far as we know.
    pub(crate) fn next_absent(&self, after: Option<&Arc<str>>) -> Option<&Arc<str>> {
        let mut circle = self.circle(after);
        let (name, _) = circle.find(|(_, speaker)| !speaker.runs())?;
        Some(name)
    }

    fn circle(&self, after: Option<&Arc<str>>) -> impl Iterator<Item = (&Arc<str>, &Speaker)> {
        let behind = (after.map_or(Unbounded, Excluded), Unbounded);
        let behind = self.speakers.range::<Arc<str>, _>(behind);
        let before = after.map(|after| self.speakers.range::<Arc<str>, _>(..=after));
        let all = behind.chain(before.into_iter().flatten());
        all.filter(|(name, speaker)| **name != self.own && speaker.listed)
    }

    pub(crate) fn members(&self) -> Members {
        let member = |(name, speaker): (&Arc<str>, &Speaker)| {
            let record = speaker.record.as_ref().filter(|_| speaker.listed)?;
            let presence = match record.status {
                Status::Alive => Presence::Ready,
                // Those that started together with us have found what we have.
                Status::Starting if self.own().status == Status::Alive => Presence::Ready,
                Status::Starting | Status::Returning => Presence::Returning,
                Status::Left => Presence::Leaving,
                Status::Dead => return None,
            };
            let counts = presence == Presence::Leaving || speaker.is_alive();
            let state = record.state.clone();
            (counts || *name == self.own).then(|| (name.clone(), Member { presence, state }))
        };
        self.speakers.iter().filter_map(member).collect()
    }

    /// The `count` that watch this one: those that come after it on the ring.
    pub(crate) fn watchers_of(&self, name: &str, count: usize) -> Vec<Arc<str>> {
        let at = (place(name), Arc::from(name));
        let behind = self.ring.range((Excluded(&at), Unbounded));
        let others = behind.chain(&self.ring).filter(|(_, it)| **it != *name);
        // Less than a whole round, so none comes twice.
        let all = self.ring.len() - usize::from(self.ring.contains(&at));
        others
            .take(count.min(all))
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// The `count` that we watch: those that come before us on the ring.
    pub(crate) fn watched(&self, count: usize) -> Vec<Arc<str>> {
        let at = (place(&self.own), self.own.clone());
        let before = self.ring.range(..&at).rev();
        let others = before
            .chain(self.ring.iter().rev())
            .filter(|(_, it)| *it != self.own);
        let all = self.ring.len() - usize::from(self.ring.contains(&at));
        others
            .take(count.min(all))
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// A number that is the same for all who know the same.
    pub(crate) fn mark(&self) -> u64 {
        self.parts.iter().fold(0, |all, part| all ^ part)
    }

    pub(crate) fn parts(&self) -> &[u64] {
        &self.parts
    }

    /// What is known, where the others' parts are not ours.
    pub(crate) fn differing(&self, parts: &[u64]) -> impl Iterator<Item = (&Arc<str>, &Record)> {
        let differs = |name: &str| {
            let part = part(name);
            parts.get(part) != self.parts.get(part)
        };
        let listed = self.speakers.iter().filter(|(_, it)| it.listed);
        listed
            .filter(move |(name, _)| differs(name))
            .filter_map(|(name, speaker)| Some((name, speaker.record.as_ref()?)))
    }

    /// Changes with everything that is known of anybody.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes one speaker, and everything that depends on it.
    fn change(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Speaker)) {
        let speaker = self.speakers.entry(name.clone()).or_default();
        let before = (speaker.mark(name), speaker.runs());
        self.unknown -= usize::from(speaker.is_unknown());
        change(speaker);
        self.unknown += usize::from(speaker.is_unknown());
        let after = (speaker.mark(name), speaker.runs());
        if before == after {
            return;
        }
        self.generation += 1;
        self.parts[part(name)] ^= before.0 ^ after.0;
        let place = (place(name), name.clone());
        if after.1 {
            self.ring.insert(place);
        } else {
            self.ring.remove(&place);
        }
    }
}

fn part(name: &str) -> usize {
    usize::try_from(place(name) % PARTS as u64).expect("a small number")
}

/// Into how many parts the names fall, for comparing.
const PARTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(incarnation: u64) -> Record {
        Record {
            status: Status::Alive,
            version: 1,
            ..Record::dead(incarnation)
        }
    }

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 7946))
    }

    /// As the first of so many, all alive.
    fn roster(own: u8, of: u8) -> Roster {
        let mut roster = Roster::new(&name(own), alive(1));
        roster.list((0..of).map(|n| (name(n), address(n))).collect());
        for n in (0..of).filter(|n| *n != own) {
            assert_eq!(roster.learn(&name(n).into(), alive(1)), Learned::News);
        }
        roster
    }

    fn name(n: u8) -> String {
        format!("n{n}")
    }

    #[test]
    fn everybody_is_watched_by_those_who_know_that_they_watch_it() {
        for (of, watchers) in [(1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (50, 3)] {
            let rosters: Vec<_> = (0..of).map(|own| roster(own, of)).collect();
            for watched in 0..of {
                let watching = rosters[0].watchers_of(&name(watched), 3);
                assert_eq!(watching.len(), watchers);
                let believe = rosters
                    .iter()
                    .filter(|it| it.watched(3).iter().any(|it| **it == *name(watched)));
                let mut believe: Vec<_> = believe.map(|it| it.own_name().clone()).collect();
                let mut watching = watching;
                watching.sort();
                believe.sort();
                assert_eq!(watching, believe);
            }
        }
    }

    #[test]
    fn what_is_newer_is_kept_and_all_who_know_the_same_have_one_mark() {
        let [mut one, mut other] = [roster(0, 5), roster(1, 5)];
        assert_eq!(one.mark(), other.mark());
        let subject: Arc<str> = name(2).into();
        assert_eq!(one.learn(&subject, Record::dead(1)), Learned::News);
        assert_ne!(one.mark(), other.mark());
        let told: Vec<_> = one.differing(other.parts()).collect();
        assert!(told.iter().any(|(name, _)| **name == subject), "{told:?}");
        assert_eq!(other.learn(&subject, Record::dead(1)), Learned::News);
        assert_eq!(one.mark(), other.mark());
        assert_eq!(other.learn(&subject, alive(1)), Learned::Older);
        assert_eq!(other.learn(&subject, Record::dead(1)), Learned::Same);
        assert_eq!(other.members().len(), 4);
        assert_eq!(other.learn(&subject, alive(2)), Learned::News);
        assert_eq!(other.members().len(), 5);
    }

    #[test]
    fn who_is_not_on_the_list_counts_for_nothing_until_it_is_again() {
        let (mut one, before) = (roster(0, 3), roster(0, 3).mark());
        one.list([(name(1), address(1))].into());
        assert_eq!(one.members().len(), 2);
        assert_eq!(one.watched(3).len(), 1);
        assert_ne!(one.mark(), before);
        one.list((1..3).map(|n| (name(n), address(n))).collect());
        assert_eq!(one.mark(), before);
        assert_eq!(one.members().len(), 3);
    }

    #[test]
    fn the_absent_are_named_in_turn() {
        let mut one = roster(0, 5);
        assert_eq!(one.next_absent(None), None);
        for n in [1, 3] {
            one.learn(&name(n).into(), Record::dead(1));
        }
        let mut at = None;
        let mut turn = || {
            at = one.next_absent(at.as_ref()).cloned();
            at.clone().unwrap().to_string()
        };
        assert_eq!([turn(), turn(), turn()], ["n1", "n3", "n1"]);
    }
}
