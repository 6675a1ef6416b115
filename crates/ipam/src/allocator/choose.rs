//! Which addresses a Service gets, and whether it may have these.

use std::net::IpAddr;
use std::sync::Arc;

use metallb_config::{Family, ObjectKey};

use super::{Allocator, Assignment};
use crate::ips::Ips;
use crate::port::Port;
use crate::refusal::{InUse, Refusal};
use crate::request::{Families, Request};
use crate::sharing::{Mismatch, Share, agree};
use crate::shelf::Pools;

/// Those who hold an address and cannot share it with another.
pub(super) enum Rivals {
    /// All who hold it.
    All { why: Mismatch },
    /// Those who have one of its ports: the first one by its key is here, with the port.
    OfPort { first: ObjectKey, port: Port },
}

impl Allocator {
    /// Whether the Service may have these addresses, if they are free.
    pub(super) fn check(
        &self,
        request: &Request<'_>,
        assignment: &Assignment,
    ) -> Result<(), Refusal> {
        let Assignment { pool, ips } = assignment;
        request.accepts_families(ips)?;
        self.pools[pool].check_is_for(request)?;
        request.accepts(pool, ips)
    }

    /// Whether those who hold these addresses, if there are any, share them with the Service.
    pub(super) fn check_sharing(
        &self,
        service: &ObjectKey,
        ips: &Ips,
        share: Option<&Share>,
    ) -> Result<(), Refusal> {
        let refused = ips.iter().find_map(|ip| {
            let rivals = self.rivals(*ip, share)?;
            Some(self.taken(service, *ip, rivals))
        });
        refused.map_or(Ok(()), Err)
    }

    /// What a Service gets that has nothing that it can keep.
    pub(super) fn choose(
        &self,
        request: &Request<'_>,
        share: Option<&Share>,
    ) -> Result<Assignment, Refusal> {
        match (request.ips, request.pool) {
            (Some(ips), _) => self.requested_ips(request, ips, share),
            (None, Some(pool)) => self.out_of_requested_pool(request, pool, share),
            (None, None) => self.out_of_any_pool(request, share),
        }
    }

    /// The pool that gives out all of these addresses.
    pub(super) fn locate(&self, ips: Ips) -> Result<Assignment, Refusal> {
        let mut pools = ips.iter().map(|ip| self.pool_with(*ip));
        let pool = pools.next().flatten();
        match pool {
            Some(pool) if pools.all(|other| other == Some(pool)) => Ok(Assignment {
                pool: pool.clone(),
                ips,
            }),
            _ => Err(Refusal::NotInPools(ips)),
        }
    }

    /// The pool that gives out this address.
    pub(super) fn pool_with(&self, ip: IpAddr) -> Option<&Arc<str>> {
        let pool = self.pool_around(ip)?;
        let gives = self.pools[pool].space(Family::of(ip)).gives(ip);
        gives.then_some(pool)
    }

    /// The pool that has this address in a range, given out or not.
    pub(super) fn pool_around(&self, ip: IpAddr) -> Option<&Arc<str>> {
        let (_, (range, pool)) = self.ranges.range(..=ip).next_back()?;
        range.contains(ip).then_some(pool)
    }

    /// Those who hold `ip` and cannot share it with one who shares like this. All who hold an
    /// address share it in one way, so any of them tells for all.
    pub(super) fn rivals(&self, ip: IpAddr, share: Option<&Share>) -> Option<Rivals> {
        let first = self.holders(ip).next()?;
        let existing = self.share_of(first);
        if let Err(why) = agree(existing, share) {
            return Some(Rivals::All { why });
        }
        let share = share?;
        let space = self.pools[self.pool_with(ip)?].space(Family::of(ip));
        if !space.is_taken(ip, &share.sharing, &share.ports) {
            return None;
        }
        self.holders(ip).find_map(|key| {
            let port = self.share_of(key)?.common_port(share)?;
            let first = key.clone();
            Some(Rivals::OfPort { first, port })
        })
    }

    /// Whether one who holds `ip` is among these rivals of one who shares like this.
    pub(super) fn is_rival(&self, key: &ObjectKey, rivals: &Rivals, share: Option<&Share>) -> bool {
        let common = || self.share_of(key)?.common_port(share?);
        matches!(rivals, Rivals::All { .. }) || common().is_some()
    }

    /// Why `service` does not get an address that others hold.
    pub(super) fn taken(&self, service: &ObjectKey, ip: IpAddr, rivals: Rivals) -> Refusal {
        match rivals {
            Rivals::All { why } => {
                let mut holders = self.holders(ip).cloned();
                Refusal::InUse(Box::new(InUse {
                    service: service.clone(),
                    ip,
                    by: holders.by_ref().take(FEW).collect(),
                    more: holders.count(),
                    why,
                }))
            }
            Rivals::OfPort { first, port } => Refusal::PortInUse {
                port,
                ip,
                by: first,
            },
        }
    }

    fn requested_ips(
        &self,
        request: &Request<'_>,
        ips: Ips,
        share: Option<&Share>,
    ) -> Result<Assignment, Refusal> {
        // One address alone is not enough for PreferDualStack when it is asked for by name.
        let both = matches!(request.families, Families::PreferBoth { .. });
        if !request.families.accept(&ips) || (both && ips.len() == 1) {
            return Err(Refusal::RequestedFamily(ips));
        }
        let assignment = self.locate(ips)?;
        self.pools[&assignment.pool].check_is_for(request)?;
        self.check_sharing(request.service, &ips, share)?;
        self.check_lingering(request.service, &ips)?;
        match request.pool {
            Some(pool) if pool != &*assignment.pool => Err(Refusal::NotInRequestedPool {
                ips,
                pool: pool.to_owned(),
            }),
            _ => Ok(assignment),
        }
    }

    fn out_of_requested_pool(
        &self,
        request: &Request<'_>,
        pool: &str,
        share: Option<&Share>,
    ) -> Result<Assignment, Refusal> {
        let (name, state) = self
            .pools
            .get_key_value(pool)
            .ok_or_else(|| Refusal::UnknownPool(pool.to_owned()))?;
        state.check_is_for(request)?;
        let ips = state
            .offer(request.families, share)
            .ok_or_else(|| state.exhausted(request.families, share))?;
        let pool = name.clone();
        Ok(Assignment { pool, ips })
    }

    fn out_of_any_pool(
        &self,
        request: &Request<'_>,
        share: Option<&Share>,
    ) -> Result<Assignment, Refusal> {
        let pool = self.shelves.best(request, share, self);
        let offer = pool.and_then(|pool| {
            let ips = self.pools[pool].offer(request.families, share)?;
            let pool = pool.clone();
            Some(Assignment { pool, ips })
        });
        offer.ok_or(Refusal::Exhausted)
    }

    fn share_of(&self, service: &ObjectKey) -> Option<&Share> {
        self.holdings.get(service)?.share.as_deref()
    }
}

impl Pools for Allocator {
    fn is_for(&self, pool: &Arc<str>, request: &Request<'_>) -> bool {
        self.pools[pool].check_is_for(request).is_ok()
    }

    fn has(&self, pool: &Arc<str>, families: Families, share: Option<&Share>) -> bool {
        self.pools[pool].offer(families, share).is_some()
    }
}

/// How many Services a refusal names.
const FEW: usize = 5;
