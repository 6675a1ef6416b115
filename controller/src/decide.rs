//! Which Service gets which address, and what is said about it. Pure: no client, no clock.
//!
//! Only the leader decides. First it takes in all that the statuses hold, oldest Service first;
//! then it makes sure that nothing is missing from what it knows ([`term`]); then it serves those
//! that wait, in the order of their creation.

mod account;
mod converge;
mod effect;
mod hold_back;
mod pools;
mod term;
mod waiting;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use metallb_config::{Config, ObjectKey, Parsed};
use metallb_ipam::{Allocator, Ips, Refusal, Request};

pub(crate) use effect::{Addresses, Effect, Line, Note, Write};
pub(crate) use pools::PoolUsage;

use crate::index::{Index, labels_matter};
use crate::service::{Held, Service};
use crate::wish::{Requested, Want, Wish};
use account::Sent;
use pools::Rejections;
use term::Term;
use waiting::{Age, Waiting};

/// Decides for all Services, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Decider {
    allocator: Allocator,
    config: Config,
    /// Whether any pool is for some Services only.
    labels_matter: bool,
    rejections: Rejections,
    term: Term,
    /// Whether something may have been given out; before that, what is assigned is what the
    /// statuses show.
    gives: bool,
    /// Those to look at, oldest first.
    dirty: BTreeSet<Age>,
    /// Those of them of whom it is known what their statuses hold.
    ready: BTreeSet<Age>,
    /// Those that lack an address.
    waiting: Waiting,
    /// Those that keep what they hold although no valid pool has it, with the pool that it is from.
    kept: BTreeMap<ObjectKey, Box<str>>,
    /// What was said last about each Service that something is wrong with, so that it is said once.
    said: HashMap<ObjectKey, u64>,
    /// Those whose status is being written, with the version that this was decided on.
    writing: HashMap<ObjectKey, Box<str>>,
    sent: Sent,
    /// Those that hold an address which an older one holds, and may not share it.
    doubled: HashSet<ObjectKey>,
    /// The pools of which more or less is in use than when they were last asked for.
    touched_pools: BTreeSet<Arc<str>>,
    /// How many Services turned out to hold an address of another.
    doubles: u64,
    /// Those that were decided on since this was last asked.
    decided: Vec<ObjectKey>,
}

impl Decider {
    /// Begins with what the statuses hold; everything is looked at once.
    pub(crate) fn start(index: &Index) -> Self {
        let mut this = Self::default();
        this.all_changed(index);
        this
    }

    /// Takes over the pools as they are now. To be called once before anything is decided.
    pub(crate) fn pools_changed(&mut self, index: &Index, parsed: Parsed) -> Vec<Effect> {
        let Parsed { config, rejected } = parsed;
        let changed = self.allocator.set_pools(&config);
        let mattered = mem::replace(&mut self.labels_matter, labels_matter(&config));
        if mattered || self.labels_matter {
            self.all_changed(index);
        }
        for key in changed.lost.iter().chain(&changed.renamed) {
            if let Some(service) = index.service(key) {
                self.settle(service, self.account(key));
                self.dirty.insert(age(service));
            }
        }
        // Whatever anybody waits for, this may be it.
        self.dirty.extend(self.waiting.all());
        for key in mem::take(&mut self.kept).into_keys() {
            self.service_changed(index, &key);
        }
        self.term.stir();
        self.touch_all_pools(&config);
        self.config = config;
        let effects = self.rejections.tell(rejected);
        self.touch_rejected_pools();
        effects
    }

    /// The labels of a namespace changed, which pools may select by.
    pub(crate) fn labels_changed(&mut self, index: &Index, namespace: &str) {
        if self.labels_matter {
            self.dirty.extend(index.services_in(namespace).map(age));
        }
    }

    /// Looks at this Service again.
    pub(crate) fn service_changed(&mut self, index: &Index, key: &ObjectKey) {
        self.dirty.extend(index.service(key).map(age));
    }

    /// Frees what this Service had.
    pub(crate) fn service_gone(&mut self, service: &Service) {
        let key = &service.key;
        self.waiting.remove(key);
        self.writing.remove(key);
        self.said.remove(key);
        self.term.gone(&age(service));
        self.unkeep(key);
        self.doubled.remove(key);
        self.close(service);
    }

    /// The writing of this Service's status has not ended well, or takes long: no more is to be
    /// waited for on its account.
    pub(crate) fn delayed(&mut self, key: &ObjectKey) {
        self.term.written(key, None);
    }

    /// The writing of this Service's status has ended: with this version, or because the Service
    /// is no longer what was decided on. It is looked at again.
    pub(crate) fn written(&mut self, index: &Index, key: &ObjectKey, version: Option<u64>) {
        self.term.written(key, version);
        self.writing.remove(key);
        self.service_changed(index, key);
    }

    /// Changes may have been missed: what the statuses hold is to be known for sure again before
    /// anything is given out.
    pub(crate) fn doubt(&mut self) {
        self.dirty.append(&mut self.term.begin_anew());
    }

    /// Decides for all that changed, or for the oldest of them, until there are about `room`
    /// effects: what is decided is kept in memory until it is done.
    pub(crate) fn decide(&mut self, index: &Index, room: usize) -> Vec<Effect> {
        self.adopt_dirty(index);
        self.dirty.append(&mut self.term.hear(index.heard()));
        self.gives |= self.term.is_heard();
        self.dirty.append(&mut self.term.take_stirred());
        self.adopt_dirty(index);
        let mut effects = Vec::new();
        if !self.term.is_heard() {
            self.hold_back(index, &mut effects);
            return effects;
        }
        while effects.len() < room {
            self.adopt_dirty(index);
            let Some((_, key)) = self.ready.pop_first() else {
                break;
            };
            match index.service(&key) {
                None => {}
                Some(service) if self.writing.contains_key(&key) => self.pass_over(service),
                Some(service) => self.converge(index, service, &mut effects),
            }
            self.decided.push(key);
        }
        effects
    }

    /// How many Services turned out to hold an address that another holds by right, since this was
    /// last asked.
    pub(crate) fn take_doubles(&mut self) -> u64 {
        mem::take(&mut self.doubles)
    }

    /// The Services that were decided on since this was last asked.
    pub(crate) fn take_decided(&mut self) -> Vec<ObjectKey> {
        mem::take(&mut self.decided)
    }

    fn all_changed(&mut self, index: &Index) {
        self.dirty.extend(index.services().map(age));
    }

    /// Takes in what is assigned, so that nobody else is given it.
    fn adopt_dirty(&mut self, index: &Index) {
        while let Some(age) = self.dirty.pop_first() {
            let key = age.1.clone();
            self.ready.insert(age);
            let Some(service) = index.service(&key) else {
                continue;
            };
            if self.writing.get(&key) == Some(&service.resource_version) {
                // Its status may be another by now. A later version has the write in it, or has
                // foiled it.
                self.settle(service, self.account(&key));
                continue;
            }
            if let (Want::Addresses(wish), Held::Ips(ips)) = (&service.want, &service.held) {
                let had = self.allocator.assignment(&key).map(|it| it.ips);
                let adopted = self.adopt(index, service, wish, ips);
                // A refusal is told when its turn comes. One that had it before has come to share
                // it in another way.
                let in_use = |it| matches!(it, Refusal::InUse(_) | Refusal::PortInUse { .. });
                if had != Some(*ips) && adopted.is_err_and(in_use) {
                    self.doubled.insert(key);
                }
            } else if self.gives && matches!(service.want, Want::Addresses(_)) {
                self.settle(service, self.account(&key));
            } else {
                // Nobody has to leave for one that wants nothing any more, or that lost what it
                // had before we came to know.
                self.free(service);
            }
        }
    }

    fn adopt(
        &mut self,
        index: &Index,
        service: &Service,
        wish: &Wish,
        ips: &Ips,
    ) -> Result<(), Refusal> {
        let account = self.account(&service.key);
        let asker = Asker::new(self, index, service);
        let adopted = self.allocator.adopt(&asker.request(wish), ips);
        if adopted.is_err() && !self.gives {
            self.allocator.release(&service.key);
        }
        self.settle(service, account);
        for key in adopted?.displaced {
            self.dirty.extend(index.service(&key).map(age));
            self.doubled.insert(key);
        }
        Ok(())
    }

    /// The status of a Service is being written from now on.
    fn begin_write(&mut self, service: &Service) {
        let version = service.resource_version.clone();
        self.writing.insert(service.key.clone(), version);
    }

    /// Lets those try who may get something of these addresses.
    fn wake(&mut self, pool: &str, ips: &[IpAddr]) {
        self.term.stir();
        for need in self.waiting.needs_met_by(pool, ips) {
            let may = |key: &ObjectKey| !self.writing.contains_key(key);
            self.dirty.extend(self.waiting.oldest(&need, may).cloned());
        }
    }

    /// A Service cannot be served now, since its status is being written. Whoever needs the same
    /// need not wait for that.
    fn pass_over(&mut self, service: &Service) {
        let Some(need) = self.waiting.need(&service.key) else {
            return;
        };
        let passed = age(service);
        let may = |key: &ObjectKey| !self.writing.contains_key(key);
        let next = self.waiting.oldest(need, may);
        self.dirty
            .extend(next.filter(|next| **next > passed).cloned());
    }
}

/// A Service as the allocator is asked about it.
struct Asker<'a> {
    index: &'a Index,
    service: &'a Service,
    labels: Option<metallb_config::Labels>,
}

impl<'a> Asker<'a> {
    fn new(decider: &Decider, index: &'a Index, service: &'a Service) -> Self {
        Self {
            index,
            service,
            labels: decider.labels_matter.then(|| service.labels.to_map()),
        }
    }

    fn request<'b>(&'b self, wish: &'b Wish) -> Request<'b> {
        let Self { index, service, .. } = self;
        let mut request = Request::new(&service.key, service.created, wish.families);
        if let Some(labels) = &self.labels {
            request.labels = labels;
            request.namespace_labels = index.namespace_labels(service.key.namespace());
        }
        request.pool = wish.pool.as_deref();
        request.ips = match &wish.ips {
            Requested::These(ips) => Some(*ips),
            Requested::Any | Requested::Unusable(_) => None,
        };
        if let Some(sharing) = &wish.sharing {
            request.sharing_key = &sharing.key;
            request.backend_key = &sharing.backend;
            request.ports = &sharing.ports;
        }
        request
    }
}

fn age(service: &Service) -> Age {
    (service.created, service.key.clone())
}
