//! What the tests of the allocator tell their stories with.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::net::IpAddr;

use metallb_config::{Config, Family, ObjectKey, Pool};
use metallb_ipam::{
    Adopted, Allocator, Assignment, Families, Ips, PoolsChanged, Port, Protocol, Refusal, Request,
};

pub(crate) const V4: Families = Families::One(Family::V4);
pub(crate) const V6: Families = Families::One(Family::V6);
pub(crate) const BOTH: Families = Families::Both;
pub(crate) const PREFER: Families = Families::PreferBoth { first: Family::V4 };
pub(crate) const PREFER_V6: Families = Families::PreferBoth { first: Family::V6 };

/// What is asked for beside the families.
pub(crate) type Ask = fn(&mut Request<'_>);

/// An allocator and its pools, as a story tells them.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) pools: Vec<Pool>,
    pub(crate) allocator: Allocator,
}

impl Story {
    /// Pools with these addresses, in this order.
    pub(crate) fn of(pools: &[(&str, &str)]) -> Self {
        let mut story = Self::default();
        for (name, ranges) in pools {
            story.pools.push(pool(name, ranges));
        }
        story.apply();
        story
    }

    pub(crate) fn with(pools: Vec<Pool>) -> Self {
        let mut story = Self {
            pools,
            ..Self::default()
        };
        story.apply();
        story
    }

    pub(crate) fn apply(&mut self) -> PoolsChanged {
        let mut config = Config::default();
        for pool in &self.pools {
            config.add_pool(pool.clone()).expect("sound pools");
        }
        self.allocator.set_pools(&config)
    }

    /// The addresses that `name` is given, or why not.
    pub(crate) fn allocate(&mut self, name: &str, families: Families) -> String {
        self.ask(name, |request| request.families = families)
    }

    pub(crate) fn ask(&mut self, name: &str, ask: impl FnOnce(&mut Request<'_>)) -> String {
        let key = key(name);
        let mut request = Request::new(&key, 0, V4);
        ask(&mut request);
        said(self.allocator.allocate(&request))
    }

    pub(crate) fn adopt(&mut self, name: &str, created: i64, addresses: &str) -> String {
        let key = key(name);
        let request = Request::new(&key, created, families(addresses));
        adopted(self.allocator.adopt(&request, &ips(addresses)))
    }

    /// Those who hold an address.
    pub(crate) fn holders(&self, ip: &str) -> Vec<String> {
        let holders = self.allocator.holders(ip.parse().expect("an address"));
        holders.map(ToString::to_string).collect()
    }

    pub(crate) fn holds(&self, name: &str) -> Option<String> {
        self.allocator
            .assignment(&key(name))
            .map(|held| said(Ok(held.clone())))
    }
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

pub(crate) fn pool(name: &str, ranges: &str) -> Pool {
    let ranges = ranges
        .split_whitespace()
        .map(|it| it.parse().expect("a range"));
    Pool::new(name, ranges.collect()).expect("a sound pool")
}

pub(crate) fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace()
        .map(|ip| ip.parse().expect("an address"))
        .collect()
}

pub(crate) fn these(text: &str) -> Ips {
    Ips::try_from(&*ips(text)).expect("addresses of one Service")
}

/// `tcp/80 udp/53`.
pub(crate) fn ports(text: &str) -> Vec<Port> {
    let port = |text: &str| {
        let (protocol, number) = text.split_once('/').expect("a port");
        let protocol: Protocol = protocol.to_uppercase().parse().expect("a protocol");
        Port::new(protocol, number.parse().expect("a number"))
    };
    text.split_whitespace().map(port).collect()
}

pub(crate) fn families(addresses: &str) -> Families {
    Families::of_cluster_ips(&ips(addresses), false).unwrap_or(BOTH)
}

/// What it holds now and who had to make room, or the refusal.
pub(crate) fn adopted(result: Result<Adopted, Refusal>) -> String {
    match result {
        Ok(Adopted {
            assignment,
            displaced,
        }) if !displaced.is_empty() => format!("{}, not {displaced:?}", said(Ok(assignment))),
        result => said(result.map(|it| it.assignment)),
    }
}

/// `pool: address address`, or the refusal.
pub(crate) fn said(result: Result<Assignment, Refusal>) -> String {
    match result {
        Ok(Assignment { pool, ips }) => {
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            format!("{pool}: {}", ips.join(" "))
        }
        Err(refusal) => refusal.to_string(),
    }
}
