//! What must hold in every life, judged by what the store saw, without the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use metallb_config::{Config, Objects, parse, reparse};
use metallb_ipam::{Claims, Ips, ServiceKey, Share};

use super::replica::Millis;
use super::rules::{
    self, Holders, Services, allowed, could_be_added, could_serve, may_share, wants,
};
use super::store::{self, Happened, Store};
use crate::decide::{Addresses, Write};
use crate::service::{Held, Service};
use crate::wish::Want;

/// The promises and what is remembered to judge them.
pub(super) struct Promises {
    /// Longer than anything is late in this life.
    memory: Millis,
    /// What the pools were, and since when.
    pools: Vec<(Millis, Pools)>,
    /// What each Service was, and since when.
    versions: BTreeMap<ServiceKey, Vec<(Millis, Service)>>,
    /// What each Service is.
    services: Services,
    /// Services on which somebody who did not lead, or a user, put an address; since when.
    tainted: BTreeMap<ServiceKey, Millis>,
    /// Addresses that two Services had which may not share them, and when last.
    contested: BTreeMap<IpAddr, Contest>,
    /// To whom addresses were to go, and when that was decided last.
    granted: BTreeMap<IpAddr, BTreeMap<ServiceKey, Millis>>,
    services_seen: usize,
    pools_seen: usize,
    pub(super) late_writes: u64,
    pub(super) doubles: u64,
    pub(super) moves: u64,
}

/// The pools that are there.
struct Pools {
    /// Those that are good.
    config: Config,
    /// Those that are good, and the others as they were when they were good last.
    last_good: Config,
    /// The names of the others.
    useless: BTreeSet<String>,
}

/// Two Services on one address.
#[derive(Clone, Copy)]
struct Contest {
    last: Millis,
    /// One of them should never have had it.
    by_mistake: bool,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) leads: bool,
    /// Since when the one who leads does so.
    pub(super) since: Millis,
}

impl Promises {
    pub(super) fn new(memory: Millis) -> Self {
        Self {
            memory,
            pools: Vec::new(),
            versions: BTreeMap::new(),
            services: Services::new(),
            tainted: BTreeMap::new(),
            contested: BTreeMap::new(),
            granted: BTreeMap::new(),
            services_seen: 0,
            pools_seen: 0,
            late_writes: 0,
            doubles: 0,
            moves: 0,
        }
    }

    /// Notes what there is now, after each step.
    pub(super) fn observe(&mut self, now: Millis, store: &Store) {
        if std::mem::replace(&mut self.pools_seen, store.pool_log.len()) != store.pool_log.len() {
            let pools: Vec<_> = store.pools.values().cloned().collect();
            let objects = Objects {
                pools: &pools,
                ..Objects::default()
            };
            let config = parse(&objects).config;
            let before = self.pools.last().map(|(_, pools)| pools.last_good.clone());
            let last_good = reparse(&objects, &before.unwrap_or_default()).config;
            let useless = |name: &&String| !config.pools().contains_key(*name);
            let useless = store.pools.keys().filter(useless).cloned().collect();
            let pools = Pools {
                config,
                last_good,
                useless,
            };
            self.pools.push((now, pools));
        }
        let news = &store.service_log[self.services_seen..];
        self.services_seen = store.service_log.len();
        if news.is_empty() {
            return;
        }
        for happened in news {
            let (Happened::Stored(object) | Happened::Deleted(object)) = happened;
            let key = store::key(object);
            let read = match happened {
                Happened::Stored(object) => Service::read(object, ""),
                Happened::Deleted(_) => {
                    // Whoever has its name next is another.
                    self.versions.remove(&key);
                    self.tainted.remove(&key);
                    None
                }
            };
            match read {
                Some(service) => {
                    let versions = self.versions.entry(key.clone()).or_default();
                    versions.push((now, service.clone()));
                    self.services.insert(key, service);
                }
                None => drop(self.services.remove(&key)),
            }
        }
        self.note_contests(now);
    }

    /// A user wrote a status by hand.
    pub(super) fn scribbled(&mut self, now: Millis, key: &ServiceKey) {
        self.tainted.insert(key.clone(), now);
    }

    /// A controller has decided on this.
    pub(super) fn decided(&mut self, now: Millis, write: &Write) {
        for ip in write.addresses.given().iter().flat_map(|ips| ips.iter()) {
            let granted = self.granted.entry(*ip).or_default();
            granted.insert(write.key.clone(), now);
        }
    }

    /// A status is about to be written, by the leader or by somebody who is not any more.
    pub(super) fn before_write(
        &mut self,
        now: Millis,
        write: &Write,
        writer: Writer,
    ) -> Result<(), String> {
        if !writer.leads {
            self.late_writes += 1;
            self.tainted.insert(write.key.clone(), now);
        }
        self.no_double(now, write, writer)?;
        self.no_move(now, write, writer)
    }

    /// An address goes to one Service and those with whom it shares it, unless a deposed leader or
    /// a user had a hand in it.
    fn no_double(&mut self, now: Millis, write: &Write, writer: Writer) -> Result<(), String> {
        let Some(service) = self.services.get(&write.key) else {
            return Ok(());
        };
        let since = now.saturating_sub(self.memory);
        let holders = rules::holders(&self.services);
        let given = write.addresses.given();
        let had = |ip: &&IpAddr| matches!(&service.held, Held::Ips(held) if held.contains(*ip));
        for ip in given
            .iter()
            .flat_map(|ips| ips.iter())
            .filter(|ip| !had(ip))
        {
            let others = holders.get(ip).into_iter().flatten();
            for other in others.filter(|other| **other != write.key) {
                // The other may have come to share in another way just now.
                let mut versions = in_force(since, &self.versions[other]);
                if versions.any(|other| may_share(service, other)) {
                    continue;
                }
                self.doubles += 1;
                let tainted =
                    self.tainted.contains_key(&write.key) || self.tainted.contains_key(other);
                if writer.leads && !tainted {
                    return Err(format!("{ip} goes to {}, and {other} has it", write.key));
                }
            }
        }
        Ok(())
    }

    /// An address stays where it is, unless some rule of the last while says otherwise.
    fn no_move(&mut self, now: Millis, write: &Write, writer: Writer) -> Result<(), String> {
        let Some((before, versions)) =
            self.services
                .get(&write.key)
                .and_then(|service| match &service.held {
                    Held::Ips(before) => Some((*before, self.versions.get(&write.key)?)),
                    Held::Nothing | Held::Unusable(_) => None,
                })
        else {
            return Ok(());
        };
        let after = write.addresses.given();
        let keeps = after.is_some_and(|after| before.iter().all(|ip| after.contains(ip)));
        if write.addresses == Addresses::Leave || keeps {
            return Ok(());
        }
        self.moves += 1;
        // What was to be done when there was no leader is done when there is one.
        let since = now.min(writer.since).saturating_sub(self.memory);
        let own: Vec<_> = in_force(since, versions).collect();
        let was_allowed = own.iter().all(|service| {
            let mut pools = in_force(since, &self.pools);
            pools.all(|pools| pools.let_keep(service, &before))
        });
        let contests = before.iter().filter_map(|ip| self.contested.get(ip));
        let contests: Vec<_> = contests.filter(|it| it.last >= since).collect();
        // Who shares in another way from now on moves himself. A new leader does not know who it
        // was, and what a mistake put there is no matter of sharing.
        let changed = own
            .windows(2)
            .any(|pair| sharing(pair[0]) != sharing(pair[1]));
        let unknown = writer.since + self.memory >= now || !writer.leads;
        let granted = |ip: &IpAddr| {
            let mut others = self.granted.get(ip).into_iter().flatten();
            others.any(|(other, at)| *other != write.key && *at >= since)
        };
        let contested = contests
            .iter()
            .any(|it| changed || unknown || it.by_mistake)
            || changed && before.iter().any(granted);
        // What a user or a deposed leader put there may be on its way to somebody older, whose
        // status does not show it yet.
        let tainted = self.tainted.get(&write.key).is_some_and(|at| *at >= since);
        if was_allowed && !contested && !tainted {
            return Err(format!(
                "{} had {before} and gets {after:?} without a reason",
                write.key
            ));
        }
        Ok(())
    }

    fn note_contests(&mut self, now: Millis) {
        for (ip, holders) in rules::holders(&self.services) {
            let conflict = self.conflict(holders.iter());
            if let Some((a, b)) = conflict {
                let tainted = |key| self.tainted.contains_key(key);
                let by_mistake = tainted(a) || tainted(b);
                let contest = Contest {
                    last: now,
                    by_mistake,
                };
                self.contested.insert(ip, contest);
            }
        }
    }

    /// Two of these that may not share.
    fn conflict<'a>(
        &self,
        keys: impl Iterator<Item = &'a ServiceKey> + Clone,
    ) -> Option<(&'a ServiceKey, &'a ServiceKey)> {
        let mut rest = keys;
        while let Some(a) = rest.next() {
            let is_rival = |b: &&ServiceKey| !may_share(&self.services[a], &self.services[*b]);
            if let Some(b) = rest.clone().find(is_rival) {
                return Some((a, b));
            }
        }
        None
    }

    /// No address is announced for two Services that may not share it: what a speaker makes of the
    /// statuses as they are.
    pub(super) fn announced_once(&self) -> Result<(), String> {
        let mut claims = Claims::default();
        for (key, service) in &self.services {
            if let (Held::Ips(ips), Want::Addresses(wish)) = (&service.held, &service.want) {
                let sharing = wish.sharing.as_deref();
                let share = sharing.and_then(|it| Share::new(&it.key, &it.backend, &it.ports));
                claims.show(key, service.created, ips, share);
            }
        }
        let announced = |key: &&ServiceKey| {
            matches!(self.services[*key].want, Want::Addresses(_))
                && claims.keeper_instead_of(key).is_none()
        };
        for (ip, holders) in rules::holders(&self.services) {
            if let Some((a, b)) = self.conflict(holders.iter().filter(announced)) {
                return Err(format!("{ip} is announced for {a} and for {b}"));
            }
        }
        Ok(())
    }

    /// After a rest everybody has what can be had, and nobody what cannot.
    pub(super) fn at_rest(&self) -> Result<(), String> {
        let (_, pools) = self.pools.last().ok_or("there were no pools")?;
        let holders = rules::holders(&self.services);
        for (ip, holders) in &holders {
            if let Some((a, b)) = self.conflict(holders.iter()) {
                return Err(format!("{a} and {b} still have {ip}"));
            }
        }
        for service in self.services.values() {
            self.has_its_due(pools, service, &holders)?;
        }
        Ok(())
    }

    fn has_its_due(
        &self,
        pools: &Pools,
        service: &Service,
        holders: &Holders,
    ) -> Result<(), String> {
        let key = &service.key;
        match (&service.want, &service.held) {
            (Want::Addresses(_), Held::Ips(ips)) => {
                if !pools.let_have(service, ips) {
                    return Err(format!("{key} has {ips}, which it may not have"));
                }
                if could_be_added(&pools.config, service, &self.services, holders) {
                    return Err(format!("{key} has {ips}, and the other family is there"));
                }
            }
            (Want::Addresses(_), Held::Nothing | Held::Unusable(_)) => {
                if let Some(pool) = could_serve(&pools.config, service, &self.services, holders) {
                    return Err(format!("{key} has none, and pool {pool} could serve it"));
                }
            }
            (_, Held::Nothing) => {}
            (_, held) => return Err(format!("{key} has {held:?} and wants nothing")),
        }
        Ok(())
    }
}

impl Pools {
    /// Whether a Service that has these addresses keeps them, whoever leads: who does not know how
    /// the pool was when it was good takes nothing away.
    fn let_keep(&self, service: &Service, ips: &Ips) -> bool {
        let last_good = self.last_good.pool_of(ips);
        let knows = last_good.is_some_and(|pool| Some(&*pool.name) == service.held_pool.as_deref());
        allowed(&self.config, service, ips) || knows && self.let_have(service, ips)
    }

    /// Whether a Service may have these addresses. What is from a pool that is no good stays until
    /// somebody makes the pool good.
    fn let_have(&self, service: &Service, ips: &Ips) -> bool {
        let from = service.held_pool.as_deref().unwrap_or_default();
        let is_kept = || {
            self.config.pool_of(ips).is_none()
                && self.useless.contains(from)
                && wants(service, from, ips)
        };
        allowed(&self.config, service, ips) || is_kept()
    }
}

/// How a Service shares.
fn sharing(service: &Service) -> Option<&crate::wish::Sharing> {
    match &service.want {
        Want::Addresses(wish) => wish.sharing.as_deref(),
        Want::Nothing | Want::Mistake(_) => None,
    }
}

/// What was in force at some time after `since`.
fn in_force<T>(since: Millis, versions: &[(Millis, T)]) -> impl Iterator<Item = &T> {
    let first = versions.iter().rposition(|(at, _)| *at <= since);
    let versions = &versions[first.unwrap_or(0)..];
    versions.iter().map(|(_, version)| version)
}
