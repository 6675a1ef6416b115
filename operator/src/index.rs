//! What the operator knows: the `MetalLB` objects, the operands as they are seen, and what came
//! of its own writes. Plain maps; nothing here talks to anybody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use metallb_admission::{CONFIGURATION, OPERATOR_CONFIGURATION};
use metallb_config::Advice;
use metallb_crds::v1beta1::{MetalLB, MetalLBSpec};
use metallb_crds::v1beta2::BGPPeer;
use metallb_kit::watch::{Change, ObjectKey};

use crate::api_server::{ApiServer, Told};
use crate::classes::{Class, Classes};
use crate::frr_k8s::{FrrK8s, FrrNews};
use crate::object::{Key, Kind};
use crate::observed::{Fingerprint, Operand, Pod, Registration};
use crate::predecessor::Leftovers;
use crate::rights::Rights;

/// Where news come from. All must have been in sync once before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    MetalLBs,
    Operands(Kind),
    Pods,
    Peers,
    FrrK8s,
    Extras,
    ApiService,
    ApiEndpoints,
}

/// One piece of news from a watch.
#[derive(Clone, Debug)]
pub(crate) enum News {
    MetalLB(Box<Change<MetalLB>>),
    Operand(Kind, Change<Operand>),
    /// Whether the cluster has the definition of a kind that it may do without.
    Served(Kind, bool),
    Pod(Change<Pod>),
    Peer(Box<Change<BGPPeer>>),
    FrrK8s(FrrNews),
    /// The definitions of MetalLB's that are missing.
    Definitions(Vec<String>),
    /// The ConfigMap with users' own lines for FRR, and whether there are any in it.
    Extras(Change<bool>),
    /// What somebody should know of the configuration, all of it.
    Advice(Vec<Advice>),
    /// A class of pods.
    Class(Class, Change<String>),
    /// Where the API server is, as its Service says.
    ApiService(Change<Told>),
    /// The same, as its endpoints say.
    ApiEndpoints(Change<Told>),
}

/// All that decisions are made from.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) metallbs: BTreeMap<ObjectKey, MetalLB>,
    /// What carries our inventory label, and the registration of the operator's own webhook.
    pub(crate) operands: BTreeMap<Key, Operand>,
    pub(crate) pods: BTreeMap<String, Pod>,
    /// The Secret that each BGPPeer names, of those that name one.
    passwords: BTreeMap<ObjectKey, String>,
    pub(crate) memberlist: Memberlist,
    pub(crate) frr_k8s: FrrK8s,
    /// What somebody should know of the configuration, once that is known.
    pub(crate) advice: Option<Vec<Advice>>,
    pub(crate) classes: Classes,
    pub(crate) rights: Rights,
    /// What MetalLB's own operator left, once that was looked for.
    pub(crate) predecessors: Option<Leftovers>,
    pub(crate) api_server: ApiServer,
    /// The kinds that the cluster has, of those that it may do without.
    served: BTreeSet<Kind>,
    /// Since when the webhooks can be called, as far as this operator has seen.
    pub(crate) callable_since: Option<Instant>,
    /// The last spec that was valid, which stays in effect when an edit makes it invalid.
    pub(crate) last_valid: Option<MetalLBSpec>,
    /// How many addresses Services had, and when that was counted; while the `MetalLB` object is
    /// being deleted.
    pub(crate) in_use: Option<(u64, Instant)>,
    /// The definitions of MetalLB's that somebody has deleted.
    pub(crate) missing_definitions: Vec<String>,
    /// The cluster's definition of `MetalLB` lacks fields of the status that we write.
    pub(crate) definition_is_old: bool,
    /// Uids of what has our label but was not applied by us: a copy that somebody made.
    foreign: BTreeSet<String>,
    attempts: BTreeMap<Key, Attempts>,
    synced: BTreeSet<Source>,
}

/// What is known of the key in the memberlist Secret. It outlives the Secret: one that is deleted
/// by hand comes back with the same key, since speakers with two keys would not hear each other.
#[derive(Debug, Default)]
pub(crate) struct Memberlist {
    /// It was looked for.
    pub(crate) known: bool,
    /// The key that was there.
    pub(crate) existing: Option<Vec<u8>>,
    /// Randomness for a key, should there be none.
    pub(crate) fresh: [u8; 16],
    /// The state of the Secret that was looked at last.
    pub(crate) read_at: Option<Fingerprint>,
}

impl Memberlist {
    /// Takes in what the Secret has, if there is one; `random` is asked once.
    pub(crate) fn learn(
        &mut self,
        read: Option<(Option<Vec<u8>>, Fingerprint)>,
        random: impl FnOnce() -> [u8; 16],
    ) {
        if !std::mem::replace(&mut self.known, true) {
            self.fresh = random();
        }
        if let Some((key, fingerprint)) = read {
            self.read_at = Some(fingerprint);
            if key.is_some() {
                self.existing = key;
            }
        }
    }
}

/// What came of applying one object.
#[derive(Debug, Default)]
struct Attempts {
    applied: Option<Applied>,
    failure: Option<Failure>,
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
    wanted: u64,
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

impl Source {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let operands = Kind::ALL.map(Self::Operands);
        let others = [
            Self::MetalLBs,
            Self::Pods,
            Self::Peers,
            Self::FrrK8s,
            Self::Extras,
            Self::ApiService,
            Self::ApiEndpoints,
        ];
        others.into_iter().chain(operands)
    }
}

impl Index {
    pub(crate) fn handle(&mut self, news: News) {
        match news {
            News::MetalLB(change) => match *change {
                Change::Apply(metallb) => {
                    self.metallbs.insert(ObjectKey::of(&metallb), metallb);
                }
                Change::Delete(key) => {
                    self.metallbs.remove(&key);
                }
                // What is known stays in effect meanwhile.
                Change::Listing => {}
                Change::Synced => self.synced(Source::MetalLBs),
            },
            News::Operand(kind, Change::Apply(operand)) => {
                self.operands
                    .insert(Key::new(kind, operand.name.clone()), operand);
            }
            News::Operand(kind, Change::Delete(key)) => {
                self.operands.remove(&Key::new(kind, key.name()));
            }
            News::Operand(kind, Change::Synced) => self.synced(Source::Operands(kind)),
            News::Served(kind, true) => drop(self.served.insert(kind)),
            News::Served(kind, false) => {
                // They went with it.
                self.served.remove(&kind);
                self.operands.retain(|key, _| key.kind != kind);
                self.attempts.retain(|key, _| key.kind != kind);
            }
            News::Pod(Change::Apply(pod)) => {
                self.pods.insert(pod.name.clone(), pod);
            }
            News::Pod(Change::Delete(key)) => {
                self.pods.remove(key.name());
            }
            News::Pod(Change::Synced) => self.synced(Source::Pods),
            News::Operand(_, Change::Listing) | News::Pod(Change::Listing) => {}
            News::Peer(change) => match *change {
                Change::Apply(peer) => {
                    let key = ObjectKey::of(&peer);
                    let named = peer.spec.password_secret.and_then(|it| it.name);
                    match named.filter(|name| !name.is_empty()) {
                        Some(name) => drop(self.passwords.insert(key, name)),
                        None => drop(self.passwords.remove(&key)),
                    }
                }
                Change::Delete(key) => drop(self.passwords.remove(&key)),
                Change::Listing => {}
                Change::Synced => self.synced(Source::Peers),
            },
            News::FrrK8s(news) => {
                if self.frr_k8s.handle(news) {
                    self.synced(Source::FrrK8s);
                }
            }
            News::Definitions(missing) => self.missing_definitions = missing,
            News::Extras(change) => match change {
                Change::Apply(has_lines) => self.frr_k8s.has_extras = has_lines,
                Change::Delete(_) => self.frr_k8s.has_extras = false,
                Change::Listing => {}
                Change::Synced => self.synced(Source::Extras),
            },
            News::Advice(advice) => self.advice = Some(advice),
            News::Class(class, change) => self.classes.handle(class, change),
            News::ApiService(change) => {
                if self.api_server.handle(change) {
                    self.synced(Source::ApiService);
                }
            }
            News::ApiEndpoints(change) => {
                if self.api_server.handle(change) {
                    self.synced(Source::ApiEndpoints);
                }
            }
        }
    }

    /// Whether the cluster has the kind.
    pub(crate) fn serves(&self, kind: Kind) -> bool {
        kind.definition().is_none() || self.served.contains(&kind)
    }

    /// The Secrets that BGPPeers name.
    pub(crate) fn password_secrets(&self) -> BTreeSet<String> {
        self.passwords.values().cloned().collect()
    }

    /// How far the registration of the webhooks is, if there is one.
    pub(crate) fn registration(&self) -> Option<Registration> {
        let key = Key::new(Kind::ValidatingWebhookConfiguration, CONFIGURATION);
        self.operands.get(&key)?.registration
    }

    /// Notes what time it is, before a decision.
    pub(crate) fn note(&mut self, now: Instant) {
        let callable = self.registration().is_some_and(|it| it.callable);
        self.callable_since = callable.then(|| self.callable_since.unwrap_or(now));
    }

    fn synced(&mut self, source: Source) {
        self.synced.insert(source);
    }

    /// Whether all `MetalLB` objects are known.
    pub(crate) fn knows_metallbs(&self) -> bool {
        self.synced.contains(&Source::MetalLBs)
    }

    /// What was refused is due at once, since the reason is gone.
    pub(crate) fn retry(&mut self, now: Instant) {
        let all = self.attempts.values_mut();
        for failure in all.filter_map(|attempts| attempts.failure.as_mut()) {
            failure.retry_at = now;
        }
    }

    /// The sources that have not told everything yet.
    pub(crate) fn missing(&self) -> Vec<Source> {
        Source::all()
            .filter(|source| !self.synced.contains(source))
            .collect()
    }

    /// Whether the object `key`, wanted in the form with hash `wanted`, should be applied.
    pub(crate) fn due(&self, key: &Key, wanted: u64, now: Instant) -> Due {
        let seen = self.operands.get(key);
        // It cannot be made anew before it is gone; its end is news, too.
        if seen.is_some_and(|operand| operand.deleting) {
            return Due::Not;
        }
        let Some(attempts) = self.attempts.get(key) else {
            return Due::Now;
        };
        if let Some(failure) = attempts.failure.as_ref().filter(|f| f.wanted == wanted) {
            return later(failure.retry_at, now);
        }
        let Some(applied) = attempts.applied.as_ref().filter(|a| a.wanted == wanted) else {
            return Due::Now;
        };
        if seen.is_some_and(|operand| operand.fingerprint == applied.fingerprint) {
            return Due::Not;
        }
        match attempts.recent.front() {
            Some(first) if attempts.recent.len() == REPAIRS => later(*first + REPAIR_WINDOW, now),
            _ => Due::Now,
        }
    }

    /// Whether `key` was as wanted once, so that applying it again repairs what somebody did.
    pub(crate) fn was_applied(&self, key: &Key, wanted: u64) -> bool {
        let applied = self
            .attempts
            .get(key)
            .and_then(|attempts| attempts.applied.as_ref());
        applied.is_some_and(|applied| applied.wanted == wanted)
    }

    /// Whether `seen` is what the last write to `key` left.
    pub(crate) fn is_as_applied(&self, key: &Key, seen: &Operand) -> bool {
        let applied = self
            .attempts
            .get(key)
            .and_then(|attempts| attempts.applied.as_ref());
        applied.is_some_and(|applied| applied.fingerprint == seen.fingerprint)
    }

    /// Takes in that the server has `key` as wanted, in the state `fingerprint`.
    pub(crate) fn applied(
        &mut self,
        key: Key,
        wanted: u64,
        fingerprint: Fingerprint,
        now: Instant,
    ) {
        let attempts = self.attempts.entry(key).or_default();
        attempts.failure = None;
        attempts.applied = Some(Applied {
            wanted,
            fingerprint,
        });
        attempts.recent.push_back(now);
        if attempts.recent.len() > REPAIRS {
            attempts.recent.pop_front();
        }
    }

    /// Takes in that the server refused `key`. `permanent` says that the same request will be
    /// refused until somebody changes something. Returns when to try again.
    pub(crate) fn failed(
        &mut self,
        key: Key,
        wanted: u64,
        message: String,
        permanent: bool,
        now: Instant,
    ) -> Instant {
        let attempts = self.attempts.entry(key).or_default();
        let before = attempts
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
        attempts.failure = Some(Failure {
            message,
            wanted,
            count: before + 1,
            retry_at,
        });
        retry_at
    }

    /// What the operator made for the `MetalLB` object and has not seen go.
    pub(crate) fn inventory(&self) -> impl DoubleEndedIterator<Item = (&Key, &Operand)> {
        self.operands
            .iter()
            .filter(|(key, _)| key.name != OPERATOR_CONFIGURATION)
            .filter(|(_, operand)| !self.foreign.contains(&operand.uid))
    }

    /// What is to be left alone, in words.
    pub(crate) fn unmanaged(&self) -> Vec<String> {
        let unmanaged = self.inventory().filter(|(_, operand)| operand.unmanaged);
        unmanaged.map(|(key, _)| key.to_string()).collect()
    }

    /// Takes in that somebody else made the object `uid`, so that it is left alone.
    pub(crate) fn leave_alone(&mut self, uid: String) {
        self.foreign.insert(uid);
    }

    /// Forgets the `MetalLB` object's spec, its memberlist key and what came of writes, for there
    /// is no such object any more. The next one starts anew.
    pub(crate) fn forget_metallb(&mut self) {
        self.last_valid = None;
        self.in_use = None;
        self.predecessors = None;
        self.memberlist = Memberlist::default();
        self.attempts
            .retain(|key, _| key.name == OPERATOR_CONFIGURATION);
    }

    /// What could not be applied, and why, of what is `wanted` now: what somebody took back is no
    /// trouble any more.
    pub(crate) fn failures(
        &self,
        wanted: &BTreeMap<Key, u64>,
    ) -> impl Iterator<Item = (&Key, &Failure)> {
        let failures = self
            .attempts
            .iter()
            .filter_map(|(key, attempts)| Some((key, attempts.failure.as_ref()?)));
        failures.filter(|(key, failure)| wanted.get(*key) == Some(&failure.wanted))
    }
}

fn later(at: Instant, now: Instant) -> Due {
    if at <= now { Due::Now } else { Due::At(at) }
}

/// When somebody else keeps undoing what is applied, this many times in a window are enough.
const REPAIRS: usize = 10;
const REPAIR_WINDOW: Duration = Duration::from_mins(1);
/// First and longest pause after a failure.
const TRANSIENT_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
const PERMANENT_PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(5));

#[cfg(test)]
mod tests {
    use super::*;

    fn operand(uid: &str, version: &str) -> Operand {
        Operand {
            name: "speaker".to_owned(),
            uid: uid.to_owned(),
            deleting: false,
            unmanaged: false,
            template: None,
            finalizers: Vec::new(),
            fingerprint: Fingerprint::of_version(uid, version),
            workload: None,
            registration: None,
        }
    }

    fn key() -> Key {
        Key::new(Kind::Role, "speaker")
    }

    fn see(index: &mut Index, operand: Operand) {
        index.handle(News::Operand(Kind::Role, Change::Apply(operand)));
    }

    fn fingerprint(version: &str) -> Fingerprint {
        Fingerprint::of_version("1", version)
    }

    #[test]
    fn an_object_is_due_until_it_is_seen_as_applied() {
        let now = Instant::now();
        let mut index = Index::default();
        assert_eq!(index.due(&key(), 7, now), Due::Now, "never applied");
        index.applied(key(), 7, fingerprint("10"), now);
        see(&mut index, operand("1", "10"));
        assert_eq!(index.due(&key(), 7, now), Due::Not, "as applied");
        assert_eq!(index.due(&key(), 8, now), Due::Now, "wanted otherwise");
        see(&mut index, operand("1", "11"));
        assert_eq!(index.due(&key(), 7, now), Due::Now, "somebody edited it");
        index.handle(News::Operand(
            Kind::Role,
            Change::Delete(ObjectKey::new("n", "speaker")),
        ));
        assert_eq!(index.due(&key(), 7, now), Due::Now, "somebody deleted it");
        see(
            &mut index,
            Operand {
                deleting: true,
                ..operand("1", "12")
            },
        );
        assert_eq!(
            index.due(&key(), 7, now),
            Due::Not,
            "it must go before it can come back"
        );
    }

    #[test]
    fn a_fight_is_slowed_down_and_drift_is_not() {
        let now = Instant::now();
        let mut index = Index::default();
        for version in 0..REPAIRS {
            assert_eq!(index.due(&key(), 7, now), Due::Now, "repair {version}");
            index.applied(key(), 7, fingerprint("applied"), now);
            see(&mut index, operand("1", &format!("edit {version}")));
        }
        assert_eq!(index.due(&key(), 7, now), Due::At(now + REPAIR_WINDOW));
        assert_eq!(index.due(&key(), 7, now + REPAIR_WINDOW), Due::Now);
        assert_eq!(
            index.due(&key(), 8, now),
            Due::Now,
            "a change by the user does not wait"
        );
    }

    #[test]
    fn pauses_grow_and_end_when_something_else_is_wanted() {
        let now = Instant::now();
        let mut index = Index::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            index.failed(key(), 7, "no answer".to_owned(), false, now);
            assert_eq!(
                index.due(&key(), 7, now),
                Due::At(now + Duration::from_secs(seconds))
            );
        }
        assert_eq!(index.due(&key(), 8, now), Due::Now);
        index.failed(key(), 8, "refused".to_owned(), true, now);
        assert_eq!(
            index.due(&key(), 8, now),
            Due::At(now + Duration::from_secs(30))
        );
        index.applied(key(), 8, fingerprint("10"), now);
        assert_eq!(index.failures(&[(key(), 8)].into()).count(), 0);
    }

    #[test]
    fn nothing_is_decided_before_every_source_has_told_all() {
        let mut index = Index::default();
        index.handle(News::MetalLB(Box::new(Change::Synced)));
        index.handle(News::Pod(Change::Synced));
        index.handle(News::Peer(Box::new(Change::Synced)));
        index.handle(News::FrrK8s(FrrNews::Synced));
        index.handle(News::Extras(Change::Synced));
        index.handle(News::ApiService(Change::Synced));
        index.handle(News::ApiEndpoints(Change::Synced));
        for kind in Kind::ALL {
            assert!(index.missing().contains(&Source::Operands(kind)));
            index.handle(News::Operand(kind, Change::Synced));
        }
        assert_eq!(index.missing(), []);
    }
}
