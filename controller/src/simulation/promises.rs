//! What must hold in every life, judged by what the store saw, without the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use metallb_config::{Config, Family, Objects, parse};
use metallb_ipam::{Families, ServiceKey};

use super::replica::Millis;
use super::store::{self, Happened, Store};
use crate::decide::{Addresses, Write};
use crate::service::{Held, Service};
use crate::watched::WatchedService;
use crate::wish::{Requested, Want, Wish};

/// The promises and what is remembered to judge them.
#[derive(Default)]
pub(super) struct Promises {
    /// What the pools were, and since when.
    pools: Vec<(Millis, Config)>,
    /// What each Service was, and since when.
    services: BTreeMap<ServiceKey, Vec<(Millis, WatchedService)>>,
    /// Services on which somebody who did not lead, or a user, put an address; since when.
    tainted: BTreeMap<ServiceKey, Millis>,
    /// Addresses that two Services had, and when last.
    shared: BTreeMap<IpAddr, Millis>,
    services_seen: usize,
    pools_seen: usize,
    pub(super) late_writes: u64,
    pub(super) doubles: u64,
    pub(super) moves: u64,
}

impl Promises {
    /// Notes what there is now, after each step.
    pub(super) fn observe(&mut self, now: Millis, store: &Store) {
        if std::mem::replace(&mut self.pools_seen, store.pool_log.len()) != store.pool_log.len() {
            let pools: Vec<_> = store.pools.values().cloned().collect();
            let objects = Objects {
                pools: &pools,
                ..Objects::default()
            };
            self.pools.push((now, parse(&objects).config));
        }
        let news = &store.service_log[self.services_seen..];
        self.services_seen = store.service_log.len();
        if news.is_empty() {
            return;
        }
        for happened in news {
            match happened {
                Happened::Stored(service) => {
                    let versions = self.services.entry(store::key(service)).or_default();
                    versions.push((now, service.clone()));
                }
                // Whoever has its name next is another.
                Happened::Deleted(service) => {
                    self.services.remove(&store::key(service));
                    self.tainted.remove(&store::key(service));
                }
            }
        }
        for (ip, holders) in holders(store) {
            if holders.len() > 1 {
                self.shared.insert(ip, now);
            }
        }
    }

    /// A user wrote a status by hand.
    pub(super) fn scribbled(&mut self, now: Millis, key: &ServiceKey) {
        self.tainted.insert(key.clone(), now);
    }

    /// A status is about to be written, by the leader or by somebody who is not any more.
    pub(super) fn before_write(
        &mut self,
        now: Millis,
        store: &Store,
        write: &Write,
        leads: bool,
    ) -> Result<(), String> {
        if !leads {
            self.late_writes += 1;
            self.tainted.insert(write.key.clone(), now);
        }
        self.no_double(store, write, leads)?;
        self.no_move(now, store, write)
    }

    /// An address goes to one Service, unless a deposed leader or a user had a hand in it.
    fn no_double(&mut self, store: &Store, write: &Write, leads: bool) -> Result<(), String> {
        let holders = holders(store);
        let ips = write.addresses.given().map(|ips| ips.to_vec());
        for ip in &ips.unwrap_or_default() {
            let others = holders.get(ip).into_iter().flatten();
            for other in others.filter(|other| **other != write.key) {
                self.doubles += 1;
                let tainted =
                    self.tainted.contains_key(&write.key) || self.tainted.contains_key(other);
                if leads && !tainted {
                    return Err(format!("{ip} goes to {}, and {other} has it", write.key));
                }
            }
        }
        Ok(())
    }

    /// An address stays where it is, unless some rule of the last while says otherwise.
    fn no_move(&mut self, now: Millis, store: &Store, write: &Write) -> Result<(), String> {
        let Some(Held::Ips(before)) = store
            .services
            .get(&write.key)
            .and_then(|service| Service::read(service, ""))
            .map(|service| service.held)
        else {
            return Ok(());
        };
        if write.addresses == Addresses::Leave {
            return Ok(());
        }
        let after = write.addresses.given();
        if after.is_some_and(|after| after.same_set(&before)) {
            return Ok(());
        }
        self.moves += 1;
        let since = now.saturating_sub(MEMORY);
        let versions = in_force(since, self.services.get(&write.key).into_iter().flatten());
        let services: Vec<_> = versions
            .filter_map(|service| Service::read(service, ""))
            .collect();
        let pools: Vec<_> = in_force(since, &self.pools).collect();
        let always_allowed = services.iter().all(|service| match &service.want {
            Want::Addresses(wish) => pools.iter().all(|pools| allowed(pools, wish, &before)),
            _ => false,
        });
        let contested = before
            .iter()
            .any(|ip| self.shared.get(ip).is_some_and(|at| *at >= since));
        // What a user or a deposed leader put there may be on its way to somebody older, whose
        // status does not show it yet.
        let tainted = self.tainted.get(&write.key).is_some_and(|at| *at >= since);
        if always_allowed && !contested && !tainted {
            return Err(format!(
                "{} had {before} and gets {after:?} without a reason",
                write.key
            ));
        }
        Ok(())
    }

    /// After a rest everybody has what can be had, and nobody what cannot.
    pub(super) fn at_rest(&self, store: &Store) -> Result<(), String> {
        let (_, pools) = self.pools.last().ok_or("there were no pools")?;
        let holders = holders(store);
        if let Some((ip, both)) = holders.iter().find(|(_, all)| all.len() > 1) {
            return Err(format!("{both:?} still have {ip}"));
        }
        for service in store
            .services
            .values()
            .filter_map(|service| Service::read(service, ""))
        {
            let key = &service.key;
            match (&service.want, &service.held) {
                (Want::Addresses(wish), Held::Ips(ips)) if !allowed(pools, wish, ips) => {
                    return Err(format!("{key} has {ips}, which it may not have"));
                }
                (Want::Addresses(wish), Held::Nothing | Held::Unusable(_)) => {
                    if let Some(pool) = could_serve(pools, wish, &holders) {
                        return Err(format!("{key} has none, and pool {pool} could serve it"));
                    }
                }
                (Want::Nothing, held) if *held != Held::Nothing => {
                    return Err(format!("{key} has {held:?} and wants nothing"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Longer than anything is late in a life.
const MEMORY: Millis = 60_000;

/// What was in force at some time after `since`.
fn in_force<'a, T: 'a>(
    since: Millis,
    versions: impl IntoIterator<Item = &'a (Millis, T)>,
) -> impl Iterator<Item = &'a T> {
    let versions: Vec<_> = versions.into_iter().collect();
    let first = versions
        .iter()
        .rposition(|(at, _)| *at <= since)
        .unwrap_or(0);
    versions.into_iter().skip(first).map(|(_, version)| version)
}

/// Who has which address, by the statuses.
fn holders(store: &Store) -> BTreeMap<IpAddr, BTreeSet<ServiceKey>> {
    let mut holders: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (key, service) in &store.services {
        for entry in &service.status.load_balancer.ingress {
            if let Ok(ip) = entry.ip.parse() {
                holders.entry(ip).or_default().insert(key.clone());
            }
        }
    }
    holders
}

/// Whether a Service that wants this may have these addresses, if nobody else had them.
fn allowed(pools: &Config, wish: &Wish, ips: &metallb_ipam::Ips) -> bool {
    let Some(pool) = pools.pool_of(ips) else {
        return false;
    };
    wish.families.accept(ips)
        && wish
            .pool
            .as_deref()
            .is_none_or(|wanted| wanted == pool.name)
        && match &wish.ips {
            Requested::Any | Requested::Unusable(_) => true,
            Requested::These(wanted) => wanted.same_set(ips),
        }
}

/// A pool that has free addresses for a Service that wants this.
fn could_serve<'a>(
    pools: &'a Config,
    wish: &Wish,
    holders: &BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
) -> Option<&'a str> {
    let free = |ip: &IpAddr| !holders.contains_key(ip);
    if let Requested::These(ips) = &wish.ips {
        let pool = pools.pool_of(ips)?;
        return (allowed(pools, wish, ips) && ips.iter().all(free)).then_some(&*pool.name);
    }
    if matches!(wish.ips, Requested::Unusable(_)) {
        return None;
    }
    let pool = pools.pools().values().find(|pool| {
        let has = |family| {
            let ranges = pool
                .ranges()
                .iter()
                .filter(|range| range.family() == family);
            ranges
                .flat_map(|range| (0..range.len()).filter_map(|n| range.nth(n)))
                .any(|ip| free(&ip))
        };
        let wanted = wish
            .pool
            .as_deref()
            .is_none_or(|wanted| wanted == pool.name);
        wanted
            && match wish.families {
                Families::One(family) => has(family),
                Families::Both => has(Family::V4) && has(Family::V6),
                Families::PreferBoth { .. } => has(Family::V4) || has(Family::V6),
            }
    })?;
    Some(&pool.name)
}
