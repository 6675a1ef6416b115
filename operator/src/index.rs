//! What the operator knows: the `MetalLB` objects, the operands as they are seen, and what came
//! of its own writes. Plain maps; nothing here talks to anybody.

mod attempts;
mod memberlist;
mod news;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use metallb_admission::{CONFIGURATION, OPERATOR_CONFIGURATION};
use metallb_config::Advice;
use metallb_crds::v1beta1::{MetalLB, MetalLBSpec};
use metallb_kit::watch::{Change, ObjectKey};

use crate::api_server::ApiServer;
use crate::classes::Classes;
use crate::frr_k8s::FrrK8s;
use crate::object::{Key, Kind};
use crate::observed::{Fingerprint, Operand, Pod, Registration};
use crate::predecessor::Leftovers;
use crate::predecessor::frr::Frr;
use crate::rights::Rights;
use attempts::Attempts;
pub(crate) use attempts::{Due, Failure};
pub(crate) use memberlist::Memberlist;
pub(crate) use news::{News, Source};

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
    /// How far its FRR-K8s has given way, as it was looked at last.
    pub(crate) frr: Option<Box<Frr>>,
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
                let key = Key::new(kind, operand.name.clone());
                self.operands.insert(key.clone(), operand);
                self.doubt_outdated(&key);
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
        for attempts in self.attempts.values_mut() {
            attempts.retry(now);
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
        attempts.due(wanted, seen.map(|operand| &operand.fingerprint), now)
    }

    /// Whether `key` was as wanted once, so that applying it again repairs what somebody did.
    pub(crate) fn was_applied(&self, key: &Key, wanted: u64) -> bool {
        self.attempts.get(key).is_some_and(|it| it.had(wanted))
    }

    /// Whether `seen` is what the last write to `key` left.
    pub(crate) fn is_as_applied(&self, key: &Key, seen: &Operand) -> bool {
        let attempts = self.attempts.get(key);
        attempts.is_some_and(|it| it.left(&seen.fingerprint))
    }

    /// Takes in that the server has `key` as wanted, in the state `fingerprint`.
    pub(crate) fn applied(
        &mut self,
        key: &Key,
        wanted: u64,
        fingerprint: Fingerprint,
        now: Instant,
    ) {
        let attempts = self.attempts.entry(key.clone()).or_default();
        attempts.applied(wanted, fingerprint, now);
        self.doubt_outdated(key);
    }

    /// How far a workload was before the last write, which the watch has yet to bring, says nothing of
    /// how far it is.
    fn doubt_outdated(&mut self, key: &Key) {
        let (Some(seen), Some(attempts)) = (self.operands.get_mut(key), self.attempts.get(key))
        else {
            return;
        };
        if attempts.outdates(&seen.fingerprint)
            && let Some(workload) = &mut seen.workload
        {
            workload.observed = false;
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
        attempts.failed(wanted, message, permanent, now)
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
        self.frr = None;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::attempts::{REPAIR_WINDOW, REPAIRS};
    use super::*;
    use crate::frr_k8s::FrrNews;

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
        index.applied(&key(), 7, fingerprint("10"), now);
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
            index.applied(&key(), 7, fingerprint("applied"), now);
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
        index.applied(&key(), 8, fingerprint("10"), now);
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
