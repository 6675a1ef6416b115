//! What a controller knows when it decides, told from how far its watches have come.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use metallb_config::{Config, ObjectKey, Objects, reparse};
use metallb_crds::v1beta1::IPAddressPool;
use metallb_ipam::Ips;

use super::history::{Place, Version};
use super::replica::{Millis, Replica};
use super::rules::{allowed, wants};
use super::store::{Happened, Store};
use crate::decide::{Addresses, Write};
use crate::service::Service;

/// What one decision was made on.
#[derive(Clone)]
pub(super) struct Knowledge {
    /// How much of the log of Services it had heard when its term began.
    pub(super) began: Place,
    /// How much there was then: answers may tell of that out of order.
    pub(super) there: Place,
    /// How much it has heard.
    pub(super) told: Place,
    /// How much there was: answers to its own writes are faster than the watch.
    pub(super) now: Place,
    /// The versions of Services that it has taken in since its term began, and at which of its
    /// turns: of what it hears at once, only the last of each.
    seen: Rc<Vec<(u64, usize)>>,
    /// How much it had heard before it decided, each time in this term, and how much there was: what
    /// it hears in one go it takes in one after the other.
    pub(super) turns: Rc<Vec<(Place, Place)>>,
    /// The pools as it sees them.
    pub(super) pools: Rc<KnownPools>,
    /// The same since its term began.
    pub(super) pools_before: Vec<Rc<KnownPools>>,
    /// What it has decided in this term for each Service that got something.
    pub(super) granted: BTreeMap<ObjectKey, Grant>,
}

/// Addresses that are to go to a Service.
#[derive(Clone)]
pub(super) struct Grant {
    /// As it was when that was decided.
    pub(super) service: Service,
    pub(super) ips: Ips,
    /// How much the leader had heard when it decided so first.
    pub(super) told: Place,
}

/// Pools as somebody sees them who remembers how they were when they were good.
#[derive(Default)]
pub(super) struct KnownPools {
    pub(super) config: Config,
    /// Those that are no good, whatever of them is in effect.
    useless: BTreeSet<String>,
}

/// What a controller has come to know.
pub(super) struct Mind {
    term: Option<u64>,
    /// How often it has decided in it.
    turn: usize,
    pools_told: Option<usize>,
    knowledge: Knowledge,
}

impl KnownPools {
    /// What becomes of them when the pools are these.
    fn reread(&self, pools: &[IPAddressPool]) -> Self {
        let objects = Objects {
            pools,
            ..Objects::default()
        };
        let parsed = reparse(&objects, &self.config);
        Self {
            config: parsed.config,
            useless: parsed.rejected.into_iter().map(|it| it.name).collect(),
        }
    }

    /// Whether a Service keeps these addresses, as far as pools and its own wishes go: what is from
    /// a pool of which nothing is in effect stays until somebody makes the pool good.
    pub(super) fn let_keep(&self, service: &Service, ips: &Ips) -> bool {
        let from = service.held_pool.as_deref().unwrap_or_default();
        let has_nothing_in_effect =
            self.useless.contains(from) && !self.config.pools().contains_key(from);
        match self.config.pool_of(ips) {
            Some(_) => allowed(&self.config, service, ips),
            None => has_nothing_in_effect && wants(service, from, ips),
        }
    }
}

impl Knowledge {
    /// At which turn in its term it took the Service for this, if it ever did.
    pub(super) fn saw(&self, version: &Version) -> Option<usize> {
        let number = version.service.as_ref()?.version()?;
        let mut seen = self.seen.iter();
        seen.find(|(it, _)| *it == number).map(|(_, turn)| *turn)
    }
}

impl Mind {
    /// That of a process that has just been started.
    pub(super) fn new() -> Self {
        Self {
            term: None,
            turn: 0,
            pools_told: None,
            knowledge: Knowledge {
                began: 0,
                there: 0,
                told: 0,
                now: 0,
                seen: Rc::default(),
                turns: Rc::default(),
                pools: Rc::default(),
                pools_before: Vec::new(),
                granted: BTreeMap::new(),
            },
        }
    }

    /// Follows a controller that has just been asked for its decisions.
    pub(super) fn follow(&mut self, now: Millis, replica: &mut Replica, store: &Store) {
        let (services, pools) = (replica.services.heard(), replica.pools.heard());
        let (Some(services), Some(pools)) = (services, pools) else {
            // It decides nothing.
            return;
        };
        let knowledge = &mut self.knowledge;
        let mut before = knowledge.told;
        (knowledge.told, knowledge.now) = (services, store.service_log.len());
        // It reads the pools anew when it knows all that there is.
        if self.pools_told.replace(pools) != Some(pools) {
            let there = there(&store.pool_log[..pools]);
            knowledge.pools = Rc::new(knowledge.pools.reread(&there));
            knowledge.pools_before.push(knowledge.pools.clone());
        }
        let is_leading = replica.control.is_leading();
        let term = replica.term(now).filter(|_| is_leading);
        if self.term != term {
            self.term = term;
            before = services;
            knowledge.began = services;
            knowledge.there = store.service_log.len();
            knowledge.granted.clear();
            self.turn = 0;
            knowledge.seen = Rc::new(replica.told.values().map(|it| (*it, 0)).collect());
            knowledge.turns = Rc::default();
            knowledge.pools_before = vec![knowledge.pools.clone()];
        }
        let news = std::mem::take(&mut replica.news);
        if !news.is_empty() {
            let news = news.iter().map(|key| (replica.told[key], self.turn));
            Rc::make_mut(&mut knowledge.seen).extend(news);
        }
        self.turn += 1;
        let turn = (before, knowledge.now);
        if knowledge.turns.last() != Some(&turn) {
            Rc::make_mut(&mut knowledge.turns).push(turn);
        }
    }

    /// What it knows as it decides on this Service.
    pub(super) fn decide(&mut self, write: &Write, service: &Service) -> Knowledge {
        let knowledge = self.knowledge.clone();
        let granted = &mut self.knowledge.granted;
        match &write.addresses {
            Addresses::Set(assignment) => {
                let again = |before: &&Grant| {
                    before.service.uid == write.uid && before.ips == assignment.ips
                };
                let before = granted.get(&write.key).filter(again);
                let grant = Grant {
                    service: service.clone(),
                    ips: assignment.ips,
                    told: before.map_or(knowledge.told, |before| before.told),
                };
                granted.insert(write.key.clone(), grant);
            }
            Addresses::Clear => drop(granted.remove(&write.key)),
            Addresses::Leave => {}
        }
        knowledge
    }

    /// The pools as it sees them.
    pub(super) fn pools(&self) -> &KnownPools {
        &self.knowledge.pools
    }
}

/// The pools that there are when so much has happened.
fn there(log: &[Happened<IPAddressPool>]) -> Vec<IPAddressPool> {
    let mut there = BTreeMap::new();
    for happened in log {
        match happened {
            Happened::Stored(pool) => drop(there.insert(&pool.metadata.name, pool)),
            Happened::Deleted(pool) => drop(there.remove(&pool.metadata.name)),
        }
    }
    there.into_values().cloned().collect()
}
