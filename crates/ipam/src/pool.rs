//! One pool: its addresses, and what it has for a Service.

use metallb_config::{Family, Pool};

use crate::ips::Ips;
use crate::refusal::Refusal;
use crate::request::{Families, Request, ServiceKey};
use crate::shelf::Stock;
use crate::space::Space;
use crate::usage::Usage;

/// How much of a pool is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Its IPv4 addresses.
    pub ipv4: Usage,
    /// Its IPv6 addresses.
    pub ipv6: Usage,
    /// How many Services hold addresses of it.
    pub services: usize,
}

/// A pool and who holds its addresses.
#[derive(Debug)]
pub(crate) struct PoolState {
    pub(crate) pool: Pool,
    v4: Space,
    v6: Space,
    services: usize,
}

impl PoolState {
    pub(crate) fn new(pool: &Pool) -> Self {
        Self {
            v4: Space::new(pool, Family::V4),
            v6: Space::new(pool, Family::V6),
            pool: pool.clone(),
            services: 0,
        }
    }

    /// Whether `pool` gives out the same addresses in the same order.
    pub(crate) fn has_addresses_of(&self, pool: &Pool) -> bool {
        self.pool.ranges() == pool.ranges() && self.pool.avoid_buggy_ips == pool.avoid_buggy_ips
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = &ServiceKey> {
        self.v4.holders().chain(self.v6.holders())
    }

    pub(crate) fn check_is_for(&self, request: &Request<'_>) -> Result<(), Refusal> {
        let Request {
            service,
            labels,
            namespace_labels,
            ..
        } = request;
        if self
            .pool
            .is_for(service.namespace(), namespace_labels, labels)
        {
            Ok(())
        } else {
            Err(Refusal::NotForService(self.pool.name.clone()))
        }
    }

    /// The first free addresses of these families, if they can satisfy a Service.
    pub(crate) fn offer(&self, families: Families) -> Option<Ips> {
        let free = |family| self.space(family).lowest_free();
        let both = || Some(Ips::pair(free(Family::V4)?, Some(free(Family::V6)?)));
        let one = |family| free(family).map(Ips::from);
        match families {
            Families::One(family) => one(family),
            Families::Both => both(),
            Families::PreferBoth { first } => {
                both().or_else(|| one(first)).or_else(|| one(first.other()))
            }
        }
    }

    /// In which families it has addresses left.
    pub(crate) fn stock(&self) -> Stock {
        let has = |space: &Space| space.lowest_free().is_some();
        Stock {
            v4: has(&self.v4),
            v6: has(&self.v6),
        }
    }

    pub(crate) fn exhausted(&self, families: Families) -> Refusal {
        let pool = self.pool.name.clone();
        match self.stock() {
            Stock {
                v4: false,
                v6: false,
            } => Refusal::PoolExhausted(pool),
            _ => Refusal::FamilyExhausted { pool, families },
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            ipv4: self.v4.usage(),
            ipv6: self.v6.usage(),
            services: self.services,
        }
    }

    pub(crate) fn space(&self, family: Family) -> &Space {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Gives these addresses, which are free, to `service`.
    pub(crate) fn take(&mut self, ips: &Ips, service: &ServiceKey) {
        for &ip in &**ips {
            self.space_mut(Family::of(ip)).take(ip, service.clone());
        }
        self.services += 1;
    }

    /// One Service holds these addresses no more.
    pub(crate) fn give_back(&mut self, ips: &Ips) {
        for &ip in &**ips {
            self.space_mut(Family::of(ip)).give_back(ip);
        }
        self.services -= 1;
    }

    fn space_mut(&mut self, family: Family) -> &mut Space {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
