//! One pool: its addresses, and what it has for a Service.

use metallb_config::{Family, ObjectKey, Pool};

use crate::ips::Ips;
use crate::refusal::Refusal;
use crate::request::{Families, Request};
use crate::sharing::{Share, Sharing};
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

    /// All who hold addresses of it, in no order.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &ObjectKey> {
        self.v4.all_tenants().chain(self.v6.all_tenants())
    }

    /// All ways in which its addresses are shared.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Sharing> {
        self.v4.groups().chain(self.v6.groups())
    }

    /// Whether addresses of it are shared in this way.
    pub(crate) fn has_group(&self, sharing: &Sharing) -> bool {
        self.v4.has_group(sharing) || self.v6.has_group(sharing)
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

    /// The first addresses of these families that are free or can be shared, if they can satisfy a
    /// Service.
    pub(crate) fn offer(&self, families: Families, share: Option<&Share>) -> Option<Ips> {
        let lowest = |family| self.space(family).lowest_for(share);
        families.in_turn().find_map(|families| match families {
            Families::One(family) => lowest(family).map(Ips::from),
            Families::Both | Families::PreferBoth { .. } => {
                Some(Ips::pair(lowest(Family::V4)?, Some(lowest(Family::V6)?)))
            }
        })
    }

    /// In which families it has addresses that nobody holds.
    pub(crate) fn stock(&self) -> Stock {
        Stock {
            v4: self.v4.has_free(),
            v6: self.v6.has_free(),
        }
    }

    /// Why nothing is offered.
    pub(crate) fn exhausted(&self, families: Families, share: Option<&Share>) -> Refusal {
        let pool = self.pool.name.clone();
        let has = |family| self.space(family).lowest_for(share).is_some();
        if has(Family::V4) || has(Family::V6) {
            Refusal::FamilyExhausted { pool, families }
        } else {
            Refusal::PoolExhausted(pool)
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

    /// Gives these addresses to a Service that may have them.
    pub(crate) fn take(&mut self, ips: &Ips, service: &ObjectKey, share: Option<&Share>) {
        for &ip in &**ips {
            self.space_mut(Family::of(ip)).take(ip, service, share);
        }
        self.services += 1;
    }

    /// A Service that holds these addresses holds them no more.
    pub(crate) fn give_back(&mut self, ips: &Ips, service: &ObjectKey, share: Option<&Share>) {
        for &ip in &**ips {
            self.space_mut(Family::of(ip)).give_back(ip, service, share);
        }
        self.services -= 1;
    }

    pub(crate) fn space_mut(&mut self, family: Family) -> &mut Space {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
