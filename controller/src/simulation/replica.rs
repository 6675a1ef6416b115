//! One controller: what it knows and decides, its elector, and the watches that tell it, late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use metallb_crds::v1beta1::IPAddressPool;
use metallb_kit::watch::{Change, ObjectKey};
use metallb_lease::{Action, Elector, Now, Observation, Settings};

use super::store::{self, Happened, Store};
use super::users::NAMESPACES;
use crate::control::{Control, Input, Outcome};
use crate::decide::Effect;
use crate::watched::{WatchedNamespace, WatchedService};

/// Milliseconds since the beginning.
pub(super) type Millis = u64;

/// A process that may lead.
pub(super) struct Replica {
    pub(super) control: Control,
    elector: Elector,
    clock: Clock,
    pub(super) services: Watch<WatchedService>,
    pub(super) pools: Watch<IPAddressPool>,
    lease_call: Option<LeaseCall>,
    /// Does nothing before: a busy node, a frozen one.
    pub(super) frozen_until: Millis,
    /// The version of each Service that it was told of last.
    pub(super) told: BTreeMap<ObjectKey, u64>,
    /// Those of whom it was told since it was last asked for its decisions.
    pub(super) news: BTreeSet<ObjectKey>,
    /// Answers to what was asked before the last stepping down or death go nowhere.
    pub(super) epoch: u32,
}

/// This process's own clocks: a quartz that is off, and a wall clock set wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) start: Instant,
    /// Thousandths that it runs fast.
    pub(super) drift: i64,
    /// Milliseconds that the wall clock is ahead.
    pub(super) wall: i64,
}

/// A watch: how much of what happened it has told, and what of a list is still to be told.
#[derive(Debug)]
pub(super) struct Watch<K> {
    told: usize,
    /// How much of it is known at the other end, if that is everything up to there.
    heard: Option<usize>,
    listing: VecDeque<Change<K>>,
    /// What it has told of.
    known: BTreeSet<ObjectKey>,
    pub(super) silent_until: Millis,
}

#[derive(Debug)]
struct LeaseCall {
    action: Action,
    /// When the API server does it; it has, when `answer` is there.
    reaches: Millis,
    answered: Millis,
    /// When it is not waited for any more.
    given_up: Millis,
    answer: Option<Observation>,
    fails: bool,
}

/// How long an answer about the Lease is waited for.
const PATIENCE: Millis = 1_200;

/// How late the API server is, and whether it fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) reaches: Millis,
    pub(super) answered: Millis,
    pub(super) fails: bool,
}

impl Clock {
    pub(super) fn now(self, at: Millis) -> Now {
        let at = i64::try_from(at).expect("lives are short");
        let monotonic = u64::try_from(at + at * self.drift / 1000).expect("after the start");
        Now {
            monotonic: self.start + Duration::from_millis(monotonic),
            wall: Timestamp::from_millisecond(at + self.wall).expect("a time of this age"),
        }
    }
}

impl Replica {
    /// A process that has just been started, under an identity that none had before.
    pub(super) fn start(identity: &str, seed: u64, clock: Clock, store: &Store) -> Self {
        let mut control = Control::new("");
        let namespaces = NAMESPACES.map(|name| {
            let mut namespace = WatchedNamespace::default();
            namespace.metadata.name = Some(name.to_owned());
            Change::Apply(namespace)
        });
        for change in namespaces.into_iter().chain([Change::Synced]) {
            control.handle(Input::Namespace(change), clock.start);
        }
        control.handle(Input::Community(Change::Synced), clock.start);
        Self {
            control,
            elector: Elector::new(Settings::prompt(identity), seed),
            clock,
            services: Watch::list(&store.service_log),
            pools: Watch::list(&store.pool_log),
            lease_call: None,
            frozen_until: 0,
            told: BTreeMap::new(),
            news: BTreeSet::new(),
            epoch: 0,
        }
    }

    /// In which of its terms it believes that it leads.
    pub(super) fn term(&self, at: Millis) -> Option<u64> {
        self.elector.term(self.clock.now(at).monotonic)
    }

    /// Asks for the Lease, and hears of it, as the elector wants; `fate` is for a new request.
    pub(super) fn elect(&mut self, at: Millis, store: &mut Store, fate: Fate) {
        let now = self.clock.now(at);
        if let Some(call) = &mut self.lease_call {
            if call.answer.is_none() && at >= call.reaches {
                call.answer = Some(call.done_by(store));
            }
            let late = self
                .elector
                .leads_until()
                .is_some_and(|until| now.monotonic >= until);
            let heard = at >= call.answered && !call.fails;
            if late || heard || at >= call.given_up {
                let answer = call.answer.take().filter(|_| heard);
                self.lease_call = None;
                self.elector
                    .observe(now, answer.unwrap_or(Observation::Failed));
            }
            return;
        }
        match self.elector.decide(now) {
            Action::Wait(_) => {}
            action => {
                self.lease_call = Some(LeaseCall {
                    action,
                    reaches: fate.reaches,
                    answered: fate.answered,
                    given_up: at + PATIENCE,
                    answer: None,
                    fails: fate.fails,
                });
            }
        }
    }

    /// Sees the Lease by its watch.
    pub(super) fn see_lease(&mut self, at: Millis, store: &Store) {
        self.elector.see(self.clock.now(at), store.lease.clone());
    }

    /// Lets the watches tell at most `count` changes each.
    pub(super) fn listen(&mut self, at: Millis, count: usize, store: &Store) {
        for _ in 0..count {
            let before = (
                self.services.left(&store.service_log),
                self.pools.left(&store.pool_log),
            );
            if before == (0, 0) {
                return;
            }
            if let Some(change) = self.pools.next(at, &store.pool_log) {
                self.hear(at, Input::Pool(change));
            }
            if let Some(change) = self.services.next(at, &store.service_log) {
                self.hear(at, Input::Service(change));
            }
        }
    }

    /// Is told something.
    pub(super) fn hear(&mut self, at: Millis, input: Input) {
        match &input {
            Input::Service(Change::Apply(service)) => self.note(service),
            Input::Written {
                outcome: Outcome::Written(service) | Outcome::Stale(Some(service)),
                ..
            } => self.note(service),
            _ => {}
        }
        self.control.handle(input, self.clock.now(at).monotonic);
    }

    fn note(&mut self, service: &WatchedService) {
        let version = service.metadata.resource_version.as_deref();
        let version = version.and_then(|version| version.parse().ok());
        let key = store::key(service);
        let told = self.told.entry(key.clone()).or_default();
        *told = version.unwrap_or(0).max(*told);
        self.news.insert(key);
    }

    /// What it decides on what it knows.
    pub(super) fn decide(&mut self, at: Millis, store: &Store) -> Vec<Effect> {
        if self.control.is_deaf(self.clock.now(at).monotonic) {
            self.services.silent_until = 0;
            self.services.relist(&store.service_log);
        }
        self.hear(at, Input::Leads(self.term(at)));
        self.control.poll(usize::MAX)
    }
}

impl LeaseCall {
    fn done_by(&self, store: &mut Store) -> Observation {
        let written = match &self.action {
            Action::Get | Action::Wait(_) => return Observation::Lease(store.lease.clone()),
            Action::Create(spec) => store.write_lease(None, spec.clone()),
            Action::Update(record) => {
                store.write_lease(Some(&record.resource_version), record.spec.clone())
            }
        };
        written.map_or(Observation::Conflict, |record| {
            Observation::Lease(Some(record))
        })
    }
}

impl<K: kube::Resource + Clone> Watch<K> {
    /// Begins with a list of what there is now.
    fn list(log: &[Happened<K>]) -> Self {
        let mut watch = Self {
            told: 0,
            heard: None,
            listing: VecDeque::new(),
            known: BTreeSet::new(),
            silent_until: 0,
        };
        watch.relist(log);
        watch
    }

    /// Everything is told anew: changes may have been missed.
    pub(super) fn relist(&mut self, log: &[Happened<K>]) {
        let mut there = BTreeMap::new();
        for happened in log {
            match happened {
                Happened::Stored(object) => drop(there.insert(key(object), object)),
                Happened::Deleted(object) => drop(there.remove(&key(object))),
            }
        }
        let now: BTreeSet<_> = there.keys().cloned().collect();
        self.listing.clear();
        self.listing.push_back(Change::Listing);
        let there = there.into_values().cloned();
        self.listing.extend(there.map(Change::Apply));
        let gone = self.known.difference(&now).cloned();
        self.listing.extend(gone.map(Change::Delete));
        self.listing.push_back(Change::Synced);
        self.told = log.len();
    }

    /// How much of the log is known at the other end; nothing in the middle of a list.
    pub(super) fn heard(&self) -> Option<usize> {
        self.heard
    }

    /// How much is still to be told.
    fn left(&self, log: &[Happened<K>]) -> usize {
        self.listing.len() + log.len() - self.told
    }

    fn next(&mut self, at: Millis, log: &[Happened<K>]) -> Option<Change<K>> {
        if at < self.silent_until {
            return None;
        }
        let change = if let Some(change) = self.listing.pop_front() {
            change
        } else {
            let happened = log.get(self.told)?.clone();
            self.told += 1;
            self.heard = Some(self.told);
            match happened {
                Happened::Stored(object) => Change::Apply(object),
                Happened::Deleted(object) => Change::Delete(key(&object)),
            }
        };
        match &change {
            Change::Apply(object) => drop(self.known.insert(key(object))),
            Change::Delete(key) => drop(self.known.remove(key)),
            Change::Listing => self.heard = None,
            Change::Synced => self.heard = Some(self.told),
        }
        Some(change)
    }
}

fn key<K: kube::Resource>(object: &K) -> ObjectKey {
    ObjectKey::new(&object.namespace().unwrap_or_default(), &object.name_any())
}
