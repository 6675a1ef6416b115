//! What moves when an address changes hands: whom that helps, which pools it concerns, and what is
//! not free yet although nobody is to have it.

use std::collections::HashMap;
use std::net::IpAddr;

use metallb_config::ObjectKey;
use metallb_ipam::Assignment;

use super::Decider;
use crate::service::Service;
use crate::wish::Want;

/// What a Service had before something was done about it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) assignment: Option<Assignment>,
    vacancies: u64,
}

/// What was sent to be written on a version that is still the last one known: the status may show
/// it by now, though no answer came.
#[derive(Debug, Default)]
pub(super) struct Sent {
    of: HashMap<ObjectKey, (Box<str>, Vec<IpAddr>)>,
}

impl Sent {
    pub(super) fn add(&mut self, service: &Service, ips: &[IpAddr]) {
        let version = &service.resource_version;
        let sent = self.of.entry(service.key.clone()).or_default();
        if sent.0 != *version {
            *sent = (version.clone(), Vec::new());
        }
        sent.1.extend(ips);
    }

    /// Whether the status of a Service, as far as its version is known, may become another than
    /// this by what was sent before: until then nobody else can have what it would show.
    pub(super) fn is_in_doubt(&self, service: &Service, ips: &[IpAddr]) -> bool {
        let sent = self.of.get(&service.key);
        sent.is_some_and(|(version, sent)| {
            *version == service.resource_version && sent.iter().any(|ip| !ips.contains(ip))
        })
    }

    /// What is assigned to a Service, and its status neither shows nor is being made to show.
    pub(super) fn unshown(&self, service: &Service, assigned: Option<&Assignment>) -> Vec<IpAddr> {
        let sent = self.of.get(&service.key);
        let sent = sent.filter(|(version, _)| *version == service.resource_version);
        let is_sent = |ip: &IpAddr| sent.is_some_and(|(_, ips)| ips.contains(ip));
        let assigned = assigned.into_iter().flat_map(|it| it.ips.iter());
        let unshown = assigned.filter(|ip| !service.ips().contains(ip) && !is_sent(ip));
        unshown.copied().collect()
    }

    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.of.remove(key);
    }

    /// What the status of a Service shows, or may show.
    fn shown(&mut self, service: &Service) -> Vec<IpAddr> {
        let mut shown = service.ips().to_vec();
        match self.of.get(&service.key) {
            Some((version, ips)) if *version == service.resource_version => shown.extend(ips),
            Some(_) => self.forget(&service.key),
            None => {}
        }
        shown
    }
}

impl Decider {
    /// What a Service has, to be settled after something was done about it.
    pub(super) fn account(&self, key: &ObjectKey) -> Account {
        Account {
            assignment: self.allocator.assignment(key).cloned(),
            vacancies: self.allocator.vacancies(),
        }
    }

    /// Draws the consequences of what was done about a Service.
    pub(super) fn settle(&mut self, service: &Service, before: Account) {
        let shown = self.sent.shown(service);
        let shares = matches!(&service.want, Want::Addresses(wish) if wish.sharing.is_some());
        self.settle_as(&service.key, &shown, shares, before);
    }

    /// A Service is gone, and with it what its status showed.
    pub(super) fn close(&mut self, service: &Service) {
        let before = self.account(&service.key);
        self.sent.forget(&service.key);
        self.allocator.release(&service.key);
        self.settle_as(&service.key, &[], false, before);
    }

    fn settle_as(&mut self, key: &ObjectKey, shown: &[IpAddr], shares: bool, before: Account) {
        let Account {
            assignment: before,
            vacancies,
        } = before;
        // An address is free when the API server says so.
        for ip in self.allocator.linger(key, shown) {
            if let Some(pool) = self.config.pool_of(&[ip]) {
                let pool = pool.name.clone();
                self.wake(&pool, &[ip]);
            }
        }
        let after = self.allocator.assignment(key).cloned();
        if before != after {
            let pools = before.iter().chain(&after).map(|it| it.pool.clone());
            self.touched_pools.extend(pools);
        }
        if let Some(before) = &before
            && self.allocator.vacancies() != vacancies
        {
            let held = after.as_ref().map(|after| &*after.ips).unwrap_or_default();
            let is_free = |ip: &&IpAddr| held.contains(*ip) || !shown.contains(*ip);
            let free: Vec<IpAddr> = before.ips.iter().filter(is_free).copied().collect();
            if !free.is_empty() {
                self.wake(&before.pool, &free);
            }
        }
        if let Some(after) = &after
            && shares
            && before.as_ref() != Some(after)
        {
            // Others may join it there.
            self.wake(&after.pool, &after.ips);
        }
    }
}
