//! Addresses that are on their way out.
//!
//! A Service that is to give up an address has it in its status until that is written, which may
//! fail, or wait. Until then nobody else is given it: an address is free when the API server says
//! so.

use std::collections::HashMap;
use std::net::IpAddr;

use metallb_config::{Family, ObjectKey};

use super::Allocator;
use crate::refusal::Refusal;

/// What lingers on whom.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    of: HashMap<ObjectKey, Vec<IpAddr>>,
    /// Two Services may have had one address, and both be about to give it up.
    on: HashMap<IpAddr, Vec<ObjectKey>>,
}

impl Lingering {
    /// Whether this address lingers on this Service.
    pub(super) fn has(&self, service: &ObjectKey, ip: IpAddr) -> bool {
        self.of.get(service).is_some_and(|ips| ips.contains(&ip))
    }

    fn insert(&mut self, service: &ObjectKey, ips: Vec<IpAddr>) {
        for ip in &ips {
            self.on.entry(*ip).or_default().push(service.clone());
        }
        if !ips.is_empty() {
            self.of.insert(service.clone(), ips);
        }
    }

    fn remove(&mut self, service: &ObjectKey) -> Vec<IpAddr> {
        let ips = self.of.remove(service).unwrap_or_default();
        for ip in &ips {
            if let Some(services) = self.on.get_mut(ip) {
                services.retain(|other| other != service);
                if services.is_empty() {
                    self.on.remove(ip);
                }
            }
        }
        ips
    }
}

impl Allocator {
    /// Says which addresses the status of a Service still shows that it does not hold here; none
    /// ends it. Says which of those that lingered are free now, or free to be joined: each is a
    /// [vacancy](Self::vacancies), too.
    pub fn linger(&mut self, service: &ObjectKey, ips: &[IpAddr]) -> Vec<IpAddr> {
        let held = self.holdings.get(service);
        let is_held = |ip: &IpAddr| held.is_some_and(|held| held.assignment.ips.contains(ip));
        let now: Vec<IpAddr> = ips.iter().copied().filter(|ip| !is_held(ip)).collect();
        let before = self.lingering.remove(service);
        if before.is_empty() && now.is_empty() {
            return Vec::new();
        }
        self.lingering.insert(service, now.clone());
        for ip in now {
            self.mark_lingering(ip, true);
        }
        let mut freed = Vec::new();
        for ip in before {
            if !self.lingering.on.contains_key(&ip) {
                self.mark_lingering(ip, false);
                freed.push(ip);
                self.vacancies += 1;
            }
        }
        freed
    }

    /// Whether one of these addresses [lingers](Self::linger) on another Service.
    pub fn lingers_elsewhere(&self, service: &ObjectKey, ips: &[IpAddr]) -> bool {
        self.check_lingering(service, ips).is_err()
    }

    /// For the time in which the Service itself is served.
    pub(super) fn mark_lingering_on(&mut self, service: &ObjectKey, lingers: bool) {
        let Some(ips) = self.lingering.of.get(service).cloned() else {
            return;
        };
        for ip in ips {
            if self.lingering.on.get(&ip).is_some_and(|on| on.len() == 1) {
                self.mark_lingering(ip, lingers);
            }
        }
    }

    /// After a change of the pools.
    pub(super) fn mark_all_lingering(&mut self) {
        let all: Vec<_> = self.lingering.on.keys().copied().collect();
        for ip in all {
            self.mark_lingering(ip, true);
        }
    }

    /// Whether none of these addresses is on its way out of another Service.
    pub(super) fn check_lingering(
        &self,
        service: &ObjectKey,
        ips: &[IpAddr],
    ) -> Result<(), Refusal> {
        for &ip in ips {
            let mut on = self.lingering.on.get(&ip).into_iter().flatten();
            if let Some(by) = on.find(|by| *by != service) {
                let by = by.clone();
                return Err(Refusal::Lingering { ip, by });
            }
        }
        Ok(())
    }

    fn mark_lingering(&mut self, ip: IpAddr, lingers: bool) {
        if let Some(pool) = self.pool_with(ip).cloned() {
            self.change_pool(&pool, None, |state| {
                state.space_mut(Family::of(ip)).set_lingering(ip, lingers);
            });
        }
    }
}
