//! The naive allocator: a list of who holds what. It looks at every address of every pool in turn.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_config::{Family, Labels, Pool};
use metallb_ipam::{Families, Port};

#[derive(Clone, Default)]
pub(crate) struct Naive {
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) holdings: BTreeMap<String, Holding>,
    /// What statuses still show of those who do not hold it any more.
    lingering: BTreeMap<String, Vec<IpAddr>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Holding {
    pub(crate) pool: String,
    pub(crate) ips: Vec<IpAddr>,
    created: i64,
    how: How,
}

/// What a Service asks for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// `namespace/name`.
    pub(crate) service: String,
    pub(crate) created: i64,
    pub(crate) labels: Labels,
    pub(crate) namespace_labels: Labels,
    pub(crate) families: Families,
    pub(crate) pool: Option<String>,
    pub(crate) ips: Option<Vec<IpAddr>>,
    pub(crate) how: How,
}

/// How a Service shares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct How {
    pub(crate) key: &'static str,
    pub(crate) backend: &'static str,
    pub(crate) ports: Vec<Port>,
}

impl How {
    pub(crate) fn may_share_with(&self, other: &Self) -> bool {
        !self.key.is_empty()
            && (self.key, self.backend) == (other.key, other.backend)
            && !self.ports.iter().any(|port| other.ports.contains(port))
    }
}

impl Naive {
    /// Those who lost their addresses, and those whose pool has another name.
    pub(crate) fn set_pools(
        &mut self,
        pools: &BTreeMap<String, Pool>,
    ) -> (Vec<String>, Vec<String>) {
        self.pools.clone_from(pools);
        let (mut lost, mut renamed) = (vec![], vec![]);
        for (service, mut held) in std::mem::take(&mut self.holdings) {
            match self.pool_with(&held.ips) {
                None => lost.push(service),
                Some(pool) => {
                    if pool != held.pool {
                        renamed.push(service.clone());
                    }
                    held.pool = pool;
                    self.holdings.insert(service, held);
                }
            }
        }
        (lost, renamed)
    }

    /// Those who are displaced, or nothing when the Service cannot have the addresses.
    pub(crate) fn adopt(&mut self, ask: &Ask, ips: &[IpAddr]) -> Option<Vec<String>> {
        let before = self.holdings.remove(&ask.service);
        let displaced = self.adopt_instead(ask, ips, before.as_ref());
        let other = before.filter(|it| displaced.is_none() && it.ips != ips);
        if let Some(held) = other.and_then(|it| self.kept(ask, it)) {
            self.holdings.insert(ask.service.clone(), held);
        }
        displaced
    }

    fn adopt_instead(
        &mut self,
        ask: &Ask,
        ips: &[IpAddr],
        before: Option<&Holding>,
    ) -> Option<Vec<String>> {
        let one_of_each = matches!(ips, [_]) || matches!(ips, [a, b] if a.is_ipv4() != b.is_ipv4());
        let pool = self.pool_with(ips).filter(|_| one_of_each)?;
        let holding = Holding::of(ask, pool, ips.to_vec());
        if !self.satisfies(ask, &holding) {
            return None;
        }
        let own = (ask.created, &ask.service);
        let mut displaced = Vec::new();
        for (service, rival) in &self.holdings {
            let contested = rival.ips.iter().filter(|ip| ips.contains(ip));
            let contested: Vec<_> = contested.collect();
            if contested.is_empty() || rival.how.may_share_with(&ask.how) {
                continue;
            }
            let was_there = |ip: &IpAddr| {
                let lingering = self.lingering.get(&ask.service);
                before.is_some_and(|it| it.ips.contains(ip))
                    || lingering.is_some_and(|ips| ips.contains(ip))
            };
            if contested.into_iter().any(was_there) || (rival.created, service) < own {
                return None;
            }
            displaced.push(service.clone());
        }
        self.holdings
            .retain(|service, _| !displaced.contains(service));
        self.holdings.insert(ask.service.clone(), holding);
        Some(displaced)
    }

    pub(crate) fn allocate(&mut self, ask: &Ask) -> Option<Holding> {
        let held = self.holdings.remove(&ask.service);
        let chosen = match held.and_then(|held| self.kept(ask, held)) {
            Some(held) => held,
            None => self.choose(ask)?,
        };
        self.holdings.insert(ask.service.clone(), chosen.clone());
        Some(chosen)
    }

    fn kept(&self, ask: &Ask, held: Holding) -> Option<Holding> {
        let will_do = self.satisfies(ask, &held) && self.is_shared(ask, &held.ips);
        will_do.then(|| Holding::of(ask, held.pool, held.ips))
    }

    pub(crate) fn add_family(&mut self, ask: &Ask) -> Option<Vec<IpAddr>> {
        let held = self.holdings.get(&ask.service)?;
        let (Families::PreferBoth { .. }, [ip]) = (ask.families, &held.ips[..]) else {
            return None;
        };
        let as_held = Ask {
            how: held.how.clone(),
            ..ask.clone()
        };
        let added = self.first(&as_held, &self.pools[&held.pool], ip.is_ipv4())?;
        let held = self.holdings.get_mut(&ask.service)?;
        held.ips.push(added);
        held.created = ask.created;
        Some(held.ips.clone())
    }

    pub(crate) fn linger(&mut self, service: &str, ips: &[IpAddr]) {
        let held = self.holdings.get(service);
        let is_held = |ip: &IpAddr| held.is_some_and(|held| held.ips.contains(ip));
        let ips = ips.iter().copied().filter(|ip| !is_held(ip)).collect();
        self.lingering.insert(service.to_owned(), ips);
    }

    /// Those who hold an address.
    pub(crate) fn holders(&self, ip: IpAddr) -> impl Iterator<Item = &String> {
        let holders = self
            .holdings
            .iter()
            .filter(move |(_, it)| it.ips.contains(&ip));
        holders.map(|(service, _)| service)
    }

    /// The pool that gives out all of these.
    pub(crate) fn pool_with(&self, ips: &[IpAddr]) -> Option<String> {
        let has_all = |pool: &&Pool| {
            let has = |ip: &IpAddr| addresses(pool).any(|it| it == *ip);
            !ips.is_empty() && ips.iter().all(has)
        };
        let pool = self.pools.values().find(has_all);
        pool.map(|pool| pool.name.clone())
    }

    fn choose(&self, ask: &Ask) -> Option<Holding> {
        let candidates = match (&ask.ips, &ask.pool) {
            (Some(ips), _) => {
                let pool = self.pool_with(ips).into_iter();
                pool.map(|pool| Holding::of(ask, pool, ips.clone()))
                    .collect()
            }
            (None, Some(pool)) => self.best(std::slice::from_ref(pool), ask),
            (None, None) => {
                let unasked = self.pools.values().filter(|pool| pool.auto_assign);
                let (mut reserved, general): (Vec<_>, Vec<_>) =
                    unasked.partition(|pool| pool.service_allocation.is_some());
                reserved.sort_by_key(|pool| {
                    let priority = pool.service_allocation.as_ref().map_or(0, |it| it.priority);
                    let rank = if priority == 0 { i64::MAX } else { priority };
                    (rank, pool.name.clone())
                });
                let names = |pools: Vec<&Pool>| -> Vec<_> {
                    pools.iter().map(|it| it.name.clone()).collect()
                };
                let mut candidates = self.best(&names(reserved), ask);
                candidates.extend(self.best(&names(general), ask));
                candidates
            }
        };
        let both_by_name = |ips: &[IpAddr]| match ask.families {
            Families::PreferBoth { .. } if ask.ips.is_some() => ips.len() == 2,
            _ => true,
        };
        candidates.into_iter().find(|it| {
            both_by_name(&it.ips) && self.satisfies(ask, it) && self.can_be_had(ask, &it.ips)
        })
    }

    /// What these pools have, the best first.
    fn best(&self, pools: &[String], ask: &Ask) -> Vec<Holding> {
        let pools: Vec<_> = pools
            .iter()
            .filter_map(|name| self.pools.get(name))
            .filter(|pool| may_use(pool, ask))
            .map(|pool| {
                let name = pool.name.as_str();
                let [v4, v6] = [false, true].map(|v6| self.first(ask, pool, v6));
                (name, v4, v6)
            })
            .collect();
        let one = |v6: bool| {
            let of_pool = move |it: &(&str, Option<IpAddr>, Option<IpAddr>)| {
                let ip = if v6 { it.2 } else { it.1 };
                Some(Holding::of(ask, it.0.to_owned(), vec![ip?]))
            };
            pools.iter().filter_map(of_pool).collect::<Vec<_>>()
        };
        let both = pools
            .iter()
            .filter_map(|(name, v4, v6)| {
                Some(Holding::of(ask, (*name).to_owned(), vec![(*v4)?, (*v6)?]))
            })
            .collect();
        match ask.families {
            Families::One(family) => one(family == Family::V6),
            Families::Both => both,
            Families::PreferBoth { first } => {
                let v6_first = first == Family::V6;
                [both, one(v6_first), one(!v6_first)].concat()
            }
        }
    }

    /// The first address of a pool that is free or can be shared.
    fn first(&self, ask: &Ask, pool: &Pool, v6: bool) -> Option<IpAddr> {
        addresses(pool).find(|ip| ip.is_ipv6() == v6 && self.can_be_had(ask, &[*ip]))
    }

    /// Whether these addresses can be given to a Service that does not have them yet.
    fn can_be_had(&self, ask: &Ask, ips: &[IpAddr]) -> bool {
        let mut others = self.lingering.iter();
        let linger = others.any(|(service, lingering)| {
            *service != ask.service && lingering.iter().any(|ip| ips.contains(ip))
        });
        !linger && self.is_shared(ask, ips)
    }

    /// Whether all others who hold these addresses would share them.
    fn is_shared(&self, ask: &Ask, ips: &[IpAddr]) -> bool {
        self.holdings.iter().all(|(service, held)| {
            *service == ask.service
                || !held.ips.iter().any(|ip| ips.contains(ip))
                || held.how.may_share_with(&ask.how)
        })
    }

    fn satisfies(&self, ask: &Ask, held: &Holding) -> bool {
        let families = match ask.families {
            Families::One(family) => held.ips.len() == 1 && Family::of(held.ips[0]) == family,
            Families::Both => held.ips.len() == 2,
            Families::PreferBoth { .. } => true,
        };
        let sorted = |ips: &[IpAddr]| {
            let mut ips = ips.to_vec();
            ips.sort();
            ips
        };
        let asks_for = ask.ips.as_ref().filter(|ips| {
            // The other family may have been added to the one that was asked for.
            let prefers_both = matches!(ask.families, Families::PreferBoth { .. });
            !(prefers_both && ips.len() == 1 && held.ips.contains(&ips[0]))
        });
        families
            && may_use(&self.pools[&held.pool], ask)
            && ask.pool.as_ref().is_none_or(|pool| *pool == held.pool)
            && asks_for.is_none_or(|ips| sorted(ips) == sorted(&held.ips))
    }
}

impl Holding {
    fn of(ask: &Ask, pool: String, ips: Vec<IpAddr>) -> Self {
        Self {
            pool,
            ips,
            created: ask.created,
            how: ask.how.clone(),
        }
    }
}

/// What a pool gives out, in the order of preference.
pub(crate) fn addresses(pool: &Pool) -> impl Iterator<Item = IpAddr> {
    let all = pool
        .ranges()
        .iter()
        .flat_map(|range| (0..).map_while(|n| range.nth(n)));
    all.filter(|ip| {
        let buggy = match ip {
            IpAddr::V4(ip) => [0, 255].contains(&ip.octets()[3]),
            IpAddr::V6(_) => false,
        };
        !(pool.avoid_buggy_ips && buggy)
    })
}

/// Whether a pool is for a Service.
pub(crate) fn may_use(pool: &Pool, ask: &Ask) -> bool {
    let namespace = ask
        .service
        .split_once('/')
        .map_or("", |(namespace, _)| namespace);
    pool.is_for(namespace, &ask.namespace_labels, &ask.labels)
}
