//! Who holds what, and who gets what next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use metallb_config::{AddrRange, Config, Family, ObjectKey};

use crate::ips::Ips;
use crate::pool::{Counters, PoolState};
use crate::refusal::Refusal;
use crate::request::{Families, Request};
use crate::sharing::Share;
use crate::shelf::Shelves;
use linger::Lingering;

mod choose;
mod explain;
mod linger;

pub use explain::Explanation;

/// The pools, and which Service holds which of their addresses.
///
/// An address that a Service holds stays with it until the Service is
/// [released](Self::release), or [`set_pools`](Self::set_pools) takes the address out of all pools,
/// or an older Service with which it cannot share turns out to hold it too
/// ([`adopt`](Self::adopt)). What it gave up and its status still shows goes to nobody else
/// ([`linger`](Self::linger)).
///
/// Services share an address when they have one sharing key, which is not empty, one backend key,
/// and no port in common.
#[derive(Debug, Default)]
pub struct Allocator {
    pools: BTreeMap<Arc<str>, PoolState>,
    /// Those that are given out unasked.
    shelves: Shelves,
    /// All ranges of all pools, by their first address.
    ranges: BTreeMap<IpAddr, (AddrRange, Arc<str>)>,
    holdings: HashMap<ObjectKey, Holding>,
    /// What statuses still show of those who do not hold it any more.
    lingering: Lingering,
    vacancies: u64,
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
    pub displaced: Vec<ObjectKey>,
}

/// What a change of the pools did to those who hold addresses, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolsChanged {
    /// Their addresses are in no pool any more, or no more in one. They hold nothing now and need
    /// new ones.
    pub lost: Vec<ObjectKey>,
    /// Their addresses are in a pool of another name.
    pub renamed: Vec<ObjectKey>,
}

#[derive(Debug)]
struct Holding {
    assignment: Assignment,
    created: i64,
    /// Nothing when it shares with nobody.
    share: Option<Box<Share>>,
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
                    homeless.extend(state.tenants().cloned());
                    (name, PoolState::new(pool))
                }
                None => (name.as_str().into(), PoolState::new(pool)),
            };
            self.pools.insert(name, state);
        }
        homeless.extend(old.values().flat_map(PoolState::tenants).cloned());
        self.index_pools();
        self.mark_all_lingering();
        self.rehouse(homeless)
    }

    /// Takes in what the status of a Service says that it holds. Do so for all Services before the
    /// first of them is allocated anything, and for each that changes.
    ///
    /// Refused when no pool gives out these addresses together, when the pool is not for the
    /// Service, when it asks for something else by now, or when one with which it cannot share
    /// holds one of them: an older one, by creation time and then by key, or any if it held the
    /// address before, or [still shows](Self::linger) what it gave up, and only the way it shares
    /// has changed. The Service gives up what it held before, unless it is refused and that was
    /// something else that will do.
    pub fn adopt(&mut self, request: &Request<'_>, ips: &[IpAddr]) -> Result<Adopted, Refusal> {
        let before = self.remove(request.service);
        let adopted = self.adopt_instead(request, ips, before.as_ref());
        if adopted.is_err() {
            let other = before
                .as_ref()
                .filter(|before| *before.assignment.ips != *ips);
            let share = Share::of(request);
            if let Some(held) = self.kept(request, share.as_ref(), other) {
                self.hold(request, held, share.map(Box::new));
            }
        }
        self.note_vacancy(request.service, before.as_ref());
        adopted
    }

    /// Gives a Service what it asks for: the addresses that it names, else the first of the pool
    /// that it names, else the first of any pool that it may have addresses of. The first are
    /// those that are free or that it can share.
    ///
    /// One that holds addresses which satisfy the request keeps them; one that holds others gives
    /// them up first.
    pub fn allocate(&mut self, request: &Request<'_>) -> Result<Assignment, Refusal> {
        let before = self.remove(request.service);
        // What lingers on itself it may have again.
        self.mark_lingering_on(request.service, false);
        let given = self.allocate_instead(request, before.as_ref());
        self.mark_lingering_on(request.service, true);
        self.note_vacancy(request.service, before.as_ref());
        given
    }

    /// Adds an address of the family that a Service prefers to have too and has not, out of the
    /// pool of the one that it has. Nothing when it lacks none. It is shared as that one is.
    pub fn add_family(&mut self, request: &Request<'_>) -> Result<Option<Assignment>, Refusal> {
        self.mark_lingering_on(request.service, false);
        let added = self.missing_family(request);
        self.mark_lingering_on(request.service, true);
        let Some(assignment) = added? else {
            return Ok(None);
        };
        let share = self.remove(request.service).and_then(|held| held.share);
        self.hold(request, assignment.clone(), share);
        Ok(Some(assignment))
    }

    /// Frees what a Service holds, and says what it was.
    pub fn release(&mut self, service: &ObjectKey) -> Option<Assignment> {
        let before = self.remove(service)?;
        self.vacancies += 1;
        Some(before.assignment)
    }

    /// A number that grows whenever somebody who was refused may have better luck: an address is
    /// free again, or one of its ports, or it is shared in another way. Nothing else helps but a
    /// change of the pools or of the request.
    pub fn vacancies(&self) -> u64 {
        self.vacancies
    }

    /// What a Service holds.
    pub fn assignment(&self, service: &ObjectKey) -> Option<&Assignment> {
        self.holdings
            .get(service)
            .map(|holding| &holding.assignment)
    }

    /// Those who hold an address, by their keys: hardly ever more than one.
    pub fn holders(&self, ip: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        let pool = self.pool_with(ip).map(|pool| &self.pools[pool]);
        pool.into_iter()
            .flat_map(move |state| state.space(Family::of(ip)).tenants(ip))
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
        self.shelves = Shelves::default();
        for (name, state) in &self.pools {
            self.shelves.put(&state.pool, name, state.stock());
            for sharing in state.groups() {
                self.shelves.put_shared(&state.pool, name, sharing, true);
            }
        }
    }

    /// Those who make room for an older Service that turns out to hold these addresses, or why it
    /// cannot have them. `before` is what it held till now.
    fn displaced(
        &self,
        request: &Request<'_>,
        before: Option<Ips>,
        ips: &Ips,
        share: Option<&Share>,
    ) -> Result<BTreeSet<ObjectKey>, Refusal> {
        let seniority = (request.created, request.service);
        let mut displaced = BTreeSet::new();
        for &ip in &**ips {
            let Some(rivals) = self.rivals(ip, share) else {
                continue;
            };
            let was_there = before.is_some_and(|held| held.contains(&ip))
                || self.lingering.has(request.service, ip);
            let who = || {
                self.holders(ip)
                    .filter(|key| self.is_rival(key, &rivals, share))
            };
            let older = |key: &ObjectKey| (self.holdings[key].created, key) < seniority;
            if was_there || who().any(older) {
                return Err(self.taken(request.service, ip, rivals));
            }
            displaced.extend(who().cloned());
        }
        Ok(displaced)
    }

    /// Finds the pools for those whose pool changed its addresses or is gone.
    fn rehouse(&mut self, homeless: BTreeSet<ObjectKey>) -> PoolsChanged {
        let mut changed = PoolsChanged::default();
        for key in homeless {
            // Its pool knows nothing of it any more.
            let Some(mut holding) = self.holdings.remove(&key) else {
                continue;
            };
            match self.locate(holding.assignment.ips) {
                Ok(found) => {
                    let renamed = found.pool != holding.assignment.pool;
                    holding.assignment = found;
                    self.insert(&key, holding);
                    if renamed {
                        changed.renamed.push(key);
                    }
                }
                Err(_) => changed.lost.push(key),
            }
        }
        changed
    }

    /// Adopts for one who has held this till now.
    fn adopt_instead(
        &mut self,
        request: &Request<'_>,
        ips: &[IpAddr],
        before: Option<&Holding>,
    ) -> Result<Adopted, Refusal> {
        let assignment = self.locate(Ips::try_from(ips)?)?;
        self.check(request, &assignment)?;
        let share = Share::of(request);
        let before = before.map(|before| before.assignment.ips);
        let displaced = self.displaced(request, before, &assignment.ips, share.as_ref())?;
        for key in &displaced {
            self.release(key);
        }
        self.hold(request, assignment.clone(), share.map(Box::new));
        Ok(Adopted {
            assignment,
            displaced: displaced.into_iter().collect(),
        })
    }

    /// Allocates for one who has held this till now.
    fn allocate_instead(
        &mut self,
        request: &Request<'_>,
        before: Option<&Holding>,
    ) -> Result<Assignment, Refusal> {
        let share = Share::of(request);
        let assignment = match self.kept(request, share.as_ref(), before) {
            Some(held) => held,
            None => self.choose(request, share.as_ref())?,
        };
        self.hold(request, assignment.clone(), share.map(Box::new));
        Ok(assignment)
    }

    /// What one has held till now, if that will do.
    fn kept(
        &self,
        request: &Request<'_>,
        share: Option<&Share>,
        before: Option<&Holding>,
    ) -> Option<Assignment> {
        let held = before.map(|before| &before.assignment)?;
        let sharing = || self.check_sharing(request.service, &held.ips, share);
        (self.check(request, held).is_ok() && sharing().is_ok()).then(|| held.clone())
    }

    /// What a Service holds and an address of the family that it lacks.
    fn missing_family(&self, request: &Request<'_>) -> Result<Option<Assignment>, Refusal> {
        let Some(Holding {
            assignment, share, ..
        }) = self.holdings.get(request.service)
        else {
            return Ok(None);
        };
        let (Families::PreferBoth { .. }, &[ip]) = (request.families, &*assignment.ips) else {
            return Ok(None);
        };
        let missing = Families::One(Family::of(ip).other());
        let (state, share) = (&self.pools[&assignment.pool], share.as_deref());
        let added = state
            .offer(missing, share)
            .ok_or_else(|| state.exhausted(missing, share))?;
        let pool = assignment.pool.clone();
        let ips = Ips::pair(ip, added.first().copied());
        Ok(Some(Assignment { pool, ips }))
    }

    /// Counts a vacancy if the Service does not hold all that it held before, or shares it in
    /// another way.
    fn note_vacancy(&mut self, service: &ObjectKey, before: Option<&Holding>) {
        let Some(before) = before else { return };
        let now = self.holdings.get(service);
        let is_same = now.is_some_and(|now| {
            (&now.assignment.ips, &now.share) == (&before.assignment.ips, &before.share)
        });
        self.vacancies += u64::from(!is_same);
    }

    fn hold(&mut self, request: &Request<'_>, assignment: Assignment, share: Option<Box<Share>>) {
        let holding = Holding {
            assignment,
            created: request.created,
            share,
        };
        self.insert(request.service, holding);
    }

    fn insert(&mut self, service: &ObjectKey, holding: Holding) {
        let Holding {
            assignment, share, ..
        } = &holding;
        self.change_pool(&assignment.pool, share.as_deref(), |state| {
            state.take(&assignment.ips, service, share.as_deref());
        });
        self.holdings.insert(service.clone(), holding);
    }

    fn remove(&mut self, service: &ObjectKey) -> Option<Holding> {
        let holding = self.holdings.remove(service)?;
        let Holding {
            assignment, share, ..
        } = &holding;
        self.change_pool(&assignment.pool, share.as_deref(), |state| {
            state.give_back(&assignment.ips, service, share.as_deref());
        });
        Some(holding)
    }

    /// Changes who holds what of a pool, for one who shares like this.
    fn change_pool(
        &mut self,
        pool: &Arc<str>,
        share: Option<&Share>,
        change: impl FnOnce(&mut PoolState),
    ) {
        let state = self.pools.get_mut(pool).expect("what is held is in a pool");
        let before = state.stock();
        change(state);
        let after = state.stock();
        if after != before {
            self.shelves.put(&state.pool, pool, after);
        }
        if let Some(Share { sharing, .. }) = share {
            let are_shared = state.has_group(sharing);
            self.shelves
                .put_shared(&state.pool, pool, sharing, are_shared);
        }
    }
}
