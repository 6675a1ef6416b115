//! What must hold in every life, judged by what the store saw and the writer had heard, without the
//! code under test.

use std::net::IpAddr;

use metallb_config::ObjectKey;
use metallb_ipam::{Claim, Claims, Ips, Share};

use super::contest::{Contest, Reason, is_older};
use super::history::{Hand, History};
use super::knowledge::{Grant, Knowledge, KnownPools};
use super::rules::{self, Holders, could_be_added, could_serve, may_share};
use super::store::Store;
use crate::decide::{Addresses, Write};
use crate::service::{Held, Service};
use crate::wish::Want;

/// The promises and what is remembered to judge them.
#[derive(Default)]
pub(super) struct Promises {
    history: History,
    /// Statuses changed since it was judged what is announced.
    unjudged: bool,
    pub(super) counts: Counts,
}

/// How often what seldom happens has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Writes done when the one that decided on them did not lead any more.
    pub(super) late_writes: u64,
    /// Addresses that were given out while another had them by mistake.
    pub(super) doubles: u64,
    /// Moves since the pools or the Service itself ask for it.
    pub(super) asked: u64,
    /// Moves of those who came to share in another way.
    pub(super) unshared: u64,
    /// Moves of the younger of two.
    pub(super) yielded: u64,
}

impl Promises {
    /// Notes what there is now, after something was written by one hand.
    pub(super) fn observe(&mut self, store: &Store, by: Hand) {
        self.unjudged |= self.history.observe(store, by);
    }

    /// The Service that a decision is about, as it was then.
    pub(super) fn decided_on(&self, write: &Write) -> &Service {
        let service = self.history.version(&write.key, &write.resource_version);
        service.expect("who decides has heard of it")
    }

    /// A status is about to be written that was decided on such knowledge.
    pub(super) fn before_write(
        &mut self,
        write: &Write,
        knew: &Knowledge,
        by: Hand,
    ) -> Result<(), String> {
        self.counts.late_writes += u64::from(by == Hand::Deposed);
        let Some(service) = self.history.services.get(&write.key) else {
            return Ok(());
        };
        let given = write.addresses.given();
        let news = given.iter().flat_map(|ips| ips.iter());
        let news = news.filter(|ip| !service.ips().contains(ip));
        let mut doubles = 0;
        for ip in news {
            doubles += self.no_double(service, ip, knew, by)?;
        }
        self.counts.doubles += doubles;
        let Held::Ips(before) = service.held else {
            return Ok(());
        };
        let keeps = given.is_some_and(|given| before.iter().all(|ip| given.contains(ip)));
        if write.addresses == Addresses::Leave || keeps {
            return Ok(());
        }
        match self.why_moved(service, &before, knew) {
            Some(Reason::Asked) => self.counts.asked += 1,
            Some(Reason::Unshared) => self.counts.unshared += 1,
            Some(Reason::Yielded) => self.counts.yielded += 1,
            None => {
                return Err(format!(
                    "{} had {before} and gets {given:?} without a reason",
                    write.key
                ));
            }
        }
        Ok(())
    }

    /// An address goes to one Service and those with whom it shares it. Only by mistake it goes to
    /// two: somebody who should not have written put it on the other. Then whoever decides has not
    /// heard of that, or knows that the other will lose it. Counts those who have it.
    fn no_double(
        &self,
        service: &Service,
        ip: &IpAddr,
        knew: &Knowledge,
        by: Hand,
    ) -> Result<u64, String> {
        let (history, end) = (&self.history, self.history.end());
        let mut doubles = 0;
        for other in history.services.values() {
            let Some(hold) = history
                .hold(&other.key, ip)
                .filter(|_| other.key != service.key)
            else {
                continue;
            };
            // The other may have come to share in another way since that was decided first.
            let is_it = |grant: &&Grant| grant.service.uid == service.uid && grant.ips.contains(ip);
            let grant = knew.granted.get(&service.key).filter(is_it);
            let since = grant.map_or(knew.told, |grant| grant.told);
            let mut versions = history.between(&other.key, since, end);
            let promised = grant.map_or(service, |grant| &grant.service);
            if versions.any(|it| it.shares(ip, service) || it.shares(ip, promised)) {
                continue;
            }
            doubles += 1;
            let is_mistake = hold.by != Hand::Leader;
            let is_unheard = hold.from > knew.told && (is_mistake || by == Hand::Deposed);
            let was_first = grant.is_some_and(|grant| grant.told < hold.from);
            let will_leave = is_mistake && (was_first || is_older(service, other));
            if !is_unheard && !will_leave {
                return Err(format!(
                    "{ip} goes to {}, and {} has it",
                    service.key, other.key
                ));
            }
        }
        Ok(doubles)
    }

    /// By what rule a Service loses addresses.
    fn why_moved(&self, service: &Service, before: &Ips, knew: &Knowledge) -> Option<Reason> {
        if !knew.pools.let_keep(service, before) {
            return Some(Reason::Asked);
        }
        let contest = Contest {
            history: &self.history,
            service,
            held: before,
            knew,
        };
        contest.why_lost()
    }

    /// No address is announced for two Services that may not share it: what a speaker makes of the
    /// statuses as they are.
    pub(super) fn announced_once(&mut self) -> Result<(), String> {
        if !std::mem::take(&mut self.unjudged) {
            return Ok(());
        }
        let services = &self.history.services;
        let mut shown: Vec<_> = services.values().flat_map(Service::ips).collect();
        shown.sort_unstable();
        if shown.is_sorted_by(|a, b| a < b) {
            return Ok(());
        }
        let mut claims = Claims::default();
        for (key, service) in services {
            if let (Held::Ips(ips), Want::Addresses(wish)) = (&service.held, &service.want) {
                let sharing = wish.sharing.as_deref();
                let share = sharing.and_then(|it| Share::new(&it.key, &it.backend, &it.ports));
                let created = service.created;
                claims.insert(
                    key,
                    Shown {
                        created,
                        ips,
                        share,
                    },
                );
            }
        }
        let announced = |key: &&ObjectKey| {
            matches!(services[*key].want, Want::Addresses(_))
                && claims.keeper_instead_of(key).is_none()
        };
        for (ip, holders) in rules::holders(services) {
            if let Some((a, b)) = self.conflict(holders.iter().filter(announced)) {
                return Err(format!("{ip} is announced for {a} and for {b}"));
            }
        }
        Ok(())
    }

    /// Two of these that may not share.
    fn conflict<'a>(
        &self,
        keys: impl Iterator<Item = &'a ObjectKey> + Clone,
    ) -> Option<(&'a ObjectKey, &'a ObjectKey)> {
        let services = &self.history.services;
        let mut rest = keys;
        while let Some(a) = rest.next() {
            let is_rival = |b: &&ObjectKey| !may_share(&services[a], &services[*b]);
            if let Some(b) = rest.clone().find(is_rival) {
                return Some((a, b));
            }
        }
        None
    }

    /// After a rest everybody has what can be had, and nobody what cannot, of the pools as the
    /// leader sees them.
    pub(super) fn at_rest(&self, pools: &KnownPools) -> Result<(), String> {
        let services = &self.history.services;
        let holders = rules::holders(services);
        for (ip, holders) in &holders {
            // What is kept from a pool that is no good stays, whoever else keeps it.
            let is_kept = pools.config.pool_of(&[*ip]).is_none();
            if let Some((a, b)) = self.conflict(holders.iter()).filter(|_| !is_kept) {
                return Err(format!("{a} and {b} still have {ip}"));
            }
        }
        for service in services.values() {
            self.has_its_due(pools, service, &holders)?;
        }
        Ok(())
    }

    fn has_its_due(
        &self,
        pools: &KnownPools,
        service: &Service,
        holders: &Holders,
    ) -> Result<(), String> {
        let (key, services) = (&service.key, &self.history.services);
        match (&service.want, &service.held) {
            (Want::Addresses(_), Held::Ips(ips)) => {
                if !pools.let_keep(service, ips) {
                    return Err(format!("{key} has {ips}, which it may not have"));
                }
                if could_be_added(&pools.config, service, services, holders) {
                    return Err(format!("{key} has {ips}, and the other family is there"));
                }
            }
            (Want::Addresses(_), Held::Nothing | Held::Unusable(_)) => {
                if let Some(pool) = could_serve(&pools.config, service, services, holders) {
                    return Err(format!("{key} has none, and pool {pool} could serve it"));
                }
            }
            (_, Held::Nothing) => {}
            (_, held) => return Err(format!("{key} has {held:?} and wants nothing")),
        }
        Ok(())
    }
}

/// A Service, as a speaker sees it.
struct Shown<'a> {
    created: i64,
    ips: &'a [IpAddr],
    share: Option<Share>,
}

impl Claim for Shown<'_> {
    fn created(&self) -> i64 {
        self.created
    }

    fn ips(&self) -> &[IpAddr] {
        self.ips
    }

    fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }
}
