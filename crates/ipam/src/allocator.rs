//! Who holds what, and who gets what next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use metallb_config::{AddrRange, Config, Family};

use crate::ips::Ips;
use crate::pool::{Counters, PoolState};
use crate::refusal::Refusal;
use crate::request::{Families, Request, ServiceKey};
use crate::shelf::{Place, Shelf};

/// The pools, and which Service holds which of their addresses.
///
/// An address that a Service holds stays with it until the Service is
/// [released](Self::release), or [`set_pools`](Self::set_pools) takes the address out of all pools,
/// or an older Service turns out to hold it too ([`adopt`](Self::adopt)).
#[derive(Debug, Default)]
pub struct Allocator {
    pools: BTreeMap<Arc<str>, PoolState>,
    /// The pools for some Services only that are given out unasked.
    reserved: Shelf,
    /// The pools for all Services that are given out unasked.
    general: Shelf,
    /// All ranges of all pools, by their first address.
    ranges: BTreeMap<IpAddr, (AddrRange, Arc<str>)>,
    holdings: HashMap<ServiceKey, Holding>,
}

/// The addresses of a Service and where they are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The name of the pool.
    pub pool: Arc<str>,
    /// The addresses, in the order of the Service's status.
    pub ips: Ips,
}

/// What came of adopting the addresses of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What it holds now.
    pub assignment: Assignment,
    /// Younger Services that held one of the addresses. They hold nothing now and need new ones.
    pub displaced: Vec<ServiceKey>,
}

/// What a change of the pools did to those who hold addresses, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolsChanged {
    /// Their addresses are in no pool any more, or no more in one. They hold nothing now and need
    /// new ones.
    pub lost: Vec<ServiceKey>,
    /// Their addresses are in a pool of another name.
    pub renamed: Vec<ServiceKey>,
}

#[derive(Debug)]
struct Holding {
    assignment: Assignment,
    created: i64,
}

impl Allocator {
    /// Takes over the pools of `config`. Those who hold an address keep it, if some pool still has
    /// all that they hold.
    ///
    /// The rest of what a pool says of Services, `serviceAllocation` for one, is not looked at
    /// here: [adopt](Self::adopt) once more those whom a changed pool may concern.
    pub fn set_pools(&mut self, config: &Config) -> PoolsChanged {
        let mut old = mem::take(&mut self.pools);
        let mut homeless = BTreeSet::new();
        for (name, pool) in config.pools() {
            let (name, state) = match old.remove_entry(name.as_str()) {
                Some((name, mut state)) if state.has_addresses_of(pool) => {
                    state.pool.clone_from(pool);
                    (name, state)
                }
                Some((name, state)) => {
                    homeless.extend(state.holders().cloned());
                    (name, PoolState::new(pool))
                }
                None => (name.as_str().into(), PoolState::new(pool)),
            };
            self.pools.insert(name, state);
        }
        homeless.extend(old.values().flat_map(PoolState::holders).cloned());
        self.index_pools();
        self.rehouse(homeless)
    }

    /// Takes in what the status of a Service says that it holds. Do so for all Services before the
    /// first of them is allocated anything, and for each that changes.
    ///
    /// Refused when no pool gives out these addresses together, when the pool is not for the
    /// Service, when it asks for something else by now, or when an older Service, by creation time
    /// and then by key, holds one of them. Refused or not, the Service gives up what it held
    /// before.
    pub fn adopt(&mut self, request: &Request<'_>, ips: &[IpAddr]) -> Result<Adopted, Refusal> {
        self.release(request.service);
        let assignment = self.locate(Ips::try_from(ips)?)?;
        self.check(request, &assignment)?;
        let holders: BTreeMap<_, _> = assignment
            .ips
            .iter()
            .filter_map(|ip| Some((self.holder(*ip)?.clone(), *ip)))
            .collect();
        let seniority = (request.created, request.service);
        let older = |key: &ServiceKey| (self.holdings[key].created, key) < seniority;
        if let Some((by, ip)) = holders.iter().find(|(key, _)| older(key)) {
            return Err(Refusal::InUse {
                ip: *ip,
                by: by.clone(),
            });
        }
        let displaced: Vec<_> = holders.into_keys().collect();
        for key in &displaced {
            self.release(key);
        }
        self.hold(request.service, request.created, assignment.clone());
        Ok(Adopted {
            assignment,
            displaced,
        })
    }

    /// Gives a Service what it asks for: the addresses that it names, else the first free ones of
    /// the pool that it names, else the first free ones of any pool that it may have addresses of.
    ///
    /// One that holds addresses which satisfy the request keeps them; one that holds others gives
    /// them up first.
    pub fn allocate(&mut self, request: &Request<'_>) -> Result<Assignment, Refusal> {
        let held = self.release(request.service);
        let kept = held.filter(|held| self.check(request, held).is_ok());
        if let Some(held) = kept {
            self.hold(request.service, request.created, held.clone());
            return Ok(held);
        }
        let assignment = match (request.ips, request.pool) {
            (Some(ips), _) => self.requested_ips(request, ips)?,
            (None, Some(pool)) => self.out_of_requested_pool(request, pool)?,
            (None, None) => self.out_of_any_pool(request)?,
        };
        self.hold(request.service, request.created, assignment.clone());
        Ok(assignment)
    }

    /// Adds an address of the family that a Service prefers to have too and has not, out of the
    /// pool of the one that it has. Nothing when it lacks none.
    pub fn add_family(&mut self, request: &Request<'_>) -> Result<Option<Assignment>, Refusal> {
        let Some(Assignment { pool, ips }) = self.assignment(request.service).cloned() else {
            return Ok(None);
        };
        let (Families::PreferBoth { .. }, &[ip]) = (request.families, &*ips) else {
            return Ok(None);
        };
        let missing = Families::One(Family::of(ip).other());
        let state = &self.pools[&pool];
        let added = state
            .offer(missing)
            .ok_or_else(|| state.exhausted(missing))?;
        let ips = Ips::pair(ip, added.first().copied());
        let assignment = Assignment { pool, ips };
        self.release(request.service);
        self.hold(request.service, request.created, assignment.clone());
        Ok(Some(assignment))
    }

    /// Frees what a Service holds, and says what it was.
    pub fn release(&mut self, service: &ServiceKey) -> Option<Assignment> {
        let Holding { assignment, .. } = self.holdings.remove(service)?;
        self.change_pool(&assignment.pool, |state| state.give_back(&assignment.ips));
        Some(assignment)
    }

    /// What a Service holds.
    pub fn assignment(&self, service: &ServiceKey) -> Option<&Assignment> {
        self.holdings
            .get(service)
            .map(|holding| &holding.assignment)
    }

    /// Who holds an address.
    pub fn holder(&self, ip: IpAddr) -> Option<&ServiceKey> {
        self.pools[self.pool_with(ip)?]
            .space(Family::of(ip))
            .holder(ip)
    }

    /// How much of a pool is in use; nothing when there is no such pool.
    pub fn counters(&self, pool: &str) -> Option<Counters> {
        self.pools.get(pool).map(PoolState::counters)
    }

    /// How much of each pool is in use, by the pools' names.
    pub fn all_counters(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.pools
            .iter()
            .map(|(name, state)| (&**name, state.counters()))
    }

    /// Sets up what is found by way of the pools.
    fn index_pools(&mut self) {
        self.ranges.clear();
        for (name, state) in &self.pools {
            for range in state.pool.ranges() {
                self.ranges.insert(range.first(), (*range, name.clone()));
            }
        }
        (self.reserved, self.general) = (Shelf::default(), Shelf::default());
        for name in self.pools.keys().cloned().collect::<Vec<_>>() {
            self.restock(&name);
        }
    }

    /// Finds the pools for those whose pool changed its addresses or is gone.
    fn rehouse(&mut self, homeless: BTreeSet<ServiceKey>) -> PoolsChanged {
        let mut changed = PoolsChanged::default();
        for key in homeless {
            let Some(Holding {
                assignment,
                created,
            }) = self.holdings.remove(&key)
            else {
                continue;
            };
            match self.locate(assignment.ips) {
                Ok(found) => {
                    let renamed = found.pool != assignment.pool;
                    self.hold(&key, created, found);
                    if renamed {
                        changed.renamed.push(key);
                    }
                }
                Err(_) => changed.lost.push(key),
            }
        }
        changed
    }

    /// Whether the Service may have these addresses, if they are free.
    fn check(&self, request: &Request<'_>, assignment: &Assignment) -> Result<(), Refusal> {
        let Assignment { pool, ips } = assignment;
        if !request.families.accept(ips) {
            return Err(Refusal::HeldFamily {
                ips: *ips,
                families: request.families,
            });
        }
        self.pools[pool].check_is_for(request)?;
        if let Some(requested) = request.pool.filter(|requested| *requested != &**pool) {
            let (held, requested) = (pool.to_string(), requested.to_owned());
            return Err(Refusal::HeldPool {
                ips: *ips,
                held,
                requested,
            });
        }
        match request.ips {
            Some(requested) if !requested.same_set(ips) => Err(Refusal::HeldIps {
                held: *ips,
                requested,
            }),
            _ => Ok(()),
        }
    }

    fn requested_ips(&self, request: &Request<'_>, ips: Ips) -> Result<Assignment, Refusal> {
        // One address alone is not enough for PreferDualStack when it is asked for by name.
        let both = matches!(request.families, Families::PreferBoth { .. });
        if !request.families.accept(&ips) || (both && ips.len() == 1) {
            return Err(Refusal::RequestedFamily(ips));
        }
        let assignment = self.locate(ips)?;
        self.pools[&assignment.pool].check_is_for(request)?;
        for &ip in &*ips {
            if let Some(by) = self.holder(ip) {
                return Err(Refusal::InUse { ip, by: by.clone() });
            }
        }
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
    ) -> Result<Assignment, Refusal> {
        let (name, state) = self
            .pools
            .get_key_value(pool)
            .ok_or_else(|| Refusal::UnknownPool(pool.to_owned()))?;
        state.check_is_for(request)?;
        let ips = state
            .offer(request.families)
            .ok_or_else(|| state.exhausted(request.families))?;
        Ok(Assignment {
            pool: name.clone(),
            ips,
        })
    }

    fn out_of_any_pool(&self, request: &Request<'_>) -> Result<Assignment, Refusal> {
        let is_for = |pool: &Arc<str>| self.pools[pool].check_is_for(request).is_ok();
        // A pool that is reserved for the Service goes before all general ones, even with one
        // family of two.
        let pool = self
            .reserved
            .best(request.families, is_for)
            .or_else(|| self.general.best(request.families, |_| true))
            .ok_or(Refusal::Exhausted)?;
        let ips = self.pools[pool]
            .offer(request.families)
            .ok_or(Refusal::Exhausted)?;
        Ok(Assignment {
            pool: pool.clone(),
            ips,
        })
    }

    fn hold(&mut self, service: &ServiceKey, created: i64, assignment: Assignment) {
        self.change_pool(&assignment.pool, |state| {
            state.take(&assignment.ips, service);
        });
        self.holdings.insert(
            service.clone(),
            Holding {
                assignment,
                created,
            },
        );
    }

    fn change_pool(&mut self, pool: &Arc<str>, change: impl FnOnce(&mut PoolState)) {
        let state = self.pools.get_mut(pool).expect("what is held is in a pool");
        let before = state.stock();
        change(state);
        if state.stock() != before {
            self.restock(pool);
        }
    }

    /// Notes what a pool has left.
    fn restock(&mut self, name: &Arc<str>) {
        let state = &self.pools[name];
        if !state.pool.auto_assign {
            return;
        }
        let (pools, rank) = match &state.pool.service_allocation {
            Some(allocation) => (&mut self.reserved, allocation.rank()),
            None => (&mut self.general, Default::default()),
        };
        pools.put(
            &Place {
                rank,
                name: name.clone(),
            },
            state.stock(),
        );
    }

    /// The pool that gives out all of these addresses.
    fn locate(&self, ips: Ips) -> Result<Assignment, Refusal> {
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
    fn pool_with(&self, ip: IpAddr) -> Option<&Arc<str>> {
        let (_, (range, pool)) = self.ranges.range(..=ip).next_back()?;
        let gives = range.contains(ip) && self.pools[pool].space(Family::of(ip)).gives(ip);
        gives.then_some(pool)
    }
}
