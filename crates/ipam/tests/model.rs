//! The allocator beside a naive one, which keeps a list of who holds what and looks at every
//! address of every pool in turn: equal answers to every call, in any order of calls.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_config::{Config, Family, Pool, ServiceAllocation};
use metallb_ipam::{Allocator, Families, Ips, Request, ServiceKey};
use proptest::prelude::*;

/// The naive allocator.
#[derive(Default)]
struct Model {
    pools: BTreeMap<String, Pool>,
    holdings: BTreeMap<String, Holding>,
}

#[derive(Debug, Clone, PartialEq)]
struct Holding {
    pool: String,
    ips: Vec<IpAddr>,
    created: i64,
}

/// What a Service asks for.
#[derive(Debug, Clone)]
struct Ask {
    service: String,
    created: i64,
    families: Families,
    pool: Option<String>,
    ips: Option<Vec<IpAddr>>,
}

#[derive(Debug, Clone)]
enum Call {
    SetPools(Vec<Pool>),
    Adopt(Ask, Vec<IpAddr>),
    Allocate(Ask),
    AddFamily(Ask),
    Release(String),
}

impl Model {
    /// Those who lost their addresses, and those whose pool has another name.
    fn set_pools(&mut self, pools: &BTreeMap<String, Pool>) -> (Vec<String>, Vec<String>) {
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
    fn adopt(&mut self, ask: &Ask, ips: &[IpAddr]) -> Option<Vec<String>> {
        self.holdings.remove(&ask.service);
        let one_of_each = matches!(ips, [_]) || matches!(ips, [a, b] if a.is_ipv4() != b.is_ipv4());
        let pool = self.pool_with(ips).filter(|_| one_of_each)?;
        let holding = Holding {
            pool,
            ips: ips.to_vec(),
            created: ask.created,
        };
        if !self.satisfies(ask, &holding) {
            return None;
        }
        let rivals: Vec<_> = self
            .holdings
            .iter()
            .filter(|(_, it)| it.ips.iter().any(|ip| ips.contains(ip)))
            .collect();
        let own = (ask.created, &ask.service);
        if rivals
            .iter()
            .any(|(service, it)| (it.created, *service) < own)
        {
            return None;
        }
        let displaced: Vec<_> = rivals
            .into_iter()
            .map(|(service, _)| service.clone())
            .collect();
        self.holdings
            .retain(|service, _| !displaced.contains(service));
        self.holdings.insert(ask.service.clone(), holding);
        Some(displaced)
    }

    fn allocate(&mut self, ask: &Ask) -> Option<Holding> {
        if let Some(mut held) = self.holdings.remove(&ask.service)
            && self.satisfies(ask, &held)
        {
            held.created = ask.created;
            self.holdings.insert(ask.service.clone(), held.clone());
            return Some(held);
        }
        let candidates = match (&ask.ips, &ask.pool) {
            (Some(ips), _) => {
                let pool = self.pool_with(ips).into_iter();
                pool.map(|pool| Holding {
                    pool,
                    ips: ips.clone(),
                    created: ask.created,
                })
                .collect()
            }
            (None, Some(pool)) => self.best(std::slice::from_ref(pool), ask),
            (None, None) => {
                let unasked = self.pools.values().filter(|pool| pool.auto_assign);
                let (mut reserved, general): (Vec<_>, Vec<_>) =
                    unasked.partition(|pool| pool.service_allocation.is_some());
                reserved.sort_by_key(|pool| {
                    let priority = pool.service_allocation.as_ref().map_or(0, |it| it.priority);
                    (
                        if priority == 0 { i64::MAX } else { priority },
                        pool.name.clone(),
                    )
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
        let chosen = candidates.into_iter().find(|it| {
            both_by_name(&it.ips)
                && self.satisfies(ask, it)
                && it.ips.iter().all(|ip| self.holder(*ip).is_none())
        })?;
        self.holdings.insert(ask.service.clone(), chosen.clone());
        Some(chosen)
    }

    fn add_family(&mut self, ask: &Ask) -> Option<Vec<IpAddr>> {
        let held = self.holdings.get(&ask.service)?;
        let (Families::PreferBoth { .. }, [ip]) = (ask.families, &held.ips[..]) else {
            return None;
        };
        let added = self.first_free(&self.pools[&held.pool], ip.is_ipv4())?;
        let held = self.holdings.get_mut(&ask.service)?;
        held.ips.push(added);
        held.created = ask.created;
        Some(held.ips.clone())
    }

    /// What these pools have, the best first.
    fn best(&self, pools: &[String], ask: &Ask) -> Vec<Holding> {
        let pools: Vec<_> = pools
            .iter()
            .filter_map(|name| self.pools.get(name))
            .collect();
        let pools = pools.iter().filter(|pool| may_use(pool, &ask.service));
        let free = |v6| {
            let pools = pools.clone();
            pools
                .map(move |pool| (&*pool.name, self.first_free(pool, v6)))
                .collect::<Vec<_>>()
        };
        let (v4, v6) = (free(false), free(true));
        let ones = |of: &[(&str, Option<IpAddr>)]| -> Vec<(String, Vec<IpAddr>)> {
            of.iter()
                .filter_map(|(pool, ip)| Some(((*pool).to_owned(), vec![(*ip)?])))
                .collect()
        };
        let both: Vec<_> = v4
            .iter()
            .zip(&v6)
            .filter_map(|((pool, v4), (_, v6))| Some(((*pool).to_owned(), vec![(*v4)?, (*v6)?])))
            .collect();
        let ordered = match ask.families {
            Families::One(Family::V4) => ones(&v4),
            Families::One(Family::V6) => ones(&v6),
            Families::Both => both,
            Families::PreferBoth { first: Family::V4 } => [both, ones(&v4), ones(&v6)].concat(),
            Families::PreferBoth { first: Family::V6 } => [both, ones(&v6), ones(&v4)].concat(),
        };
        let created = ask.created;
        ordered
            .into_iter()
            .map(|(pool, ips)| Holding { pool, ips, created })
            .collect()
    }

    fn first_free(&self, pool: &Pool, v6: bool) -> Option<IpAddr> {
        addresses(pool).find(|ip| ip.is_ipv6() == v6 && self.holder(*ip).is_none())
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
        families
            && may_use(&self.pools[&held.pool], &ask.service)
            && ask.pool.as_ref().is_none_or(|pool| *pool == held.pool)
            && ask
                .ips
                .as_ref()
                .is_none_or(|ips| sorted(ips) == sorted(&held.ips))
    }

    fn pool_with(&self, ips: &[IpAddr]) -> Option<String> {
        let has_all = |pool: &&Pool| {
            let has = |ip: &IpAddr| addresses(pool).any(|it| it == *ip);
            !ips.is_empty() && ips.iter().all(has)
        };
        self.pools
            .values()
            .find(has_all)
            .map(|pool| pool.name.clone())
    }

    fn holder(&self, ip: IpAddr) -> Option<&String> {
        self.holdings
            .iter()
            .find(|(_, it)| it.ips.contains(&ip))
            .map(|(service, _)| service)
    }
}

/// What a pool gives out, in the order of preference.
fn addresses(pool: &Pool) -> impl Iterator<Item = IpAddr> {
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

fn may_use(pool: &Pool, service: &str) -> bool {
    let namespace = service
        .split_once('/')
        .map_or("", |(namespace, _)| namespace);
    match &pool.service_allocation {
        Some(allocation) if !allocation.namespaces.is_empty() => {
            allocation.namespaces.contains(namespace)
        }
        _ => true,
    }
}

/// Does one call on both, and compares what comes of it.
fn call(real: &mut Allocator, model: &mut Model, call: Call) {
    match call {
        Call::SetPools(pools) => {
            let mut config = Config::default();
            for pool in pools {
                // Those that clash with one before are left out.
                let _ = config.add_pool(pool);
            }
            let changed = real.set_pools(&config);
            let names = |keys: &[ServiceKey]| keys.iter().map(ToString::to_string).collect();
            let changed: (Vec<String>, Vec<String>) =
                (names(&changed.lost), names(&changed.renamed));
            assert_eq!(changed, model.set_pools(config.pools()));
        }
        Call::Adopt(ask, ips) => {
            let adopted = with_request(&ask, |request| real.adopt(request, &ips).ok());
            let displaced = adopted.map(|it| {
                it.displaced
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            });
            assert_eq!(displaced, model.adopt(&ask, &ips));
        }
        Call::Allocate(ask) => {
            let given = with_request(&ask, |request| real.allocate(request).ok());
            let given = given.map(|it| (it.pool.to_string(), it.ips.to_vec()));
            assert_eq!(given, model.allocate(&ask).map(|it| (it.pool, it.ips)));
        }
        Call::AddFamily(ask) => {
            let added = with_request(&ask, |request| real.add_family(request).ok().flatten());
            assert_eq!(added.map(|it| it.ips.to_vec()), model.add_family(&ask));
        }
        Call::Release(service) => {
            let released = real.release(&key(&service)).map(|it| it.ips.to_vec());
            assert_eq!(released, model.holdings.remove(&service).map(|it| it.ips));
        }
    }
}

/// Everything that can be asked of the allocator without changing it.
fn compare(real: &Allocator, model: &Model) {
    for service in services() {
        let held = real.assignment(&key(&service));
        let held = held.map(|it| (it.pool.to_string(), it.ips.to_vec()));
        let expected = model
            .holdings
            .get(&service)
            .map(|it| (it.pool.clone(), it.ips.clone()));
        assert_eq!(held, expected);
    }
    for ip in universe() {
        let holders: Vec<_> = real.holders(ip).map(ToString::to_string).collect();
        assert_eq!(holders, Vec::from_iter(model.holder(ip).cloned()));
    }
    for (name, counters) in real.all_counters() {
        let count = |v6: bool| {
            let all: Vec<_> = addresses(&model.pools[name])
                .filter(|ip| ip.is_ipv6() == v6)
                .collect();
            let held = all.iter().filter(|ip| model.holder(**ip).is_some());
            (number(all.len()), number(held.count()))
        };
        let usage = |it: metallb_ipam::Usage| (it.total, it.in_use);
        assert_eq!(usage(counters.ipv4), count(false), "{name}");
        assert_eq!(usage(counters.ipv6), count(true), "{name}");
        let services = model.holdings.values().filter(|it| it.pool == name).count();
        assert_eq!(counters.services, services, "{name}");
    }
    assert_eq!(real.all_counters().count(), model.pools.len());
}

fn number(of: usize) -> i64 {
    i64::try_from(of).expect("a few")
}

fn with_request<T>(ask: &Ask, then: impl FnOnce(&Request<'_>) -> T) -> T {
    let key = key(&ask.service);
    let mut request = Request::new(&key, ask.created, ask.families);
    request.pool = ask.pool.as_deref();
    request.ips = ask
        .ips
        .as_deref()
        .map(|ips| Ips::try_from(ips).expect("one of each family"));
    then(&request)
}

fn key(service: &str) -> ServiceKey {
    let (namespace, name) = service.split_once('/').expect("a key");
    ServiceKey::new(namespace, name)
}

fn services() -> impl Iterator<Item = String> {
    (0..12).map(|n| format!("{}/{n}", ["blue", "red"][n % 2]))
}

/// Few enough to be used up, with some that end in .255 and .0.
fn universe() -> Vec<IpAddr> {
    let v4 = (0..10u8).map(|n| [10, 0, u8::from(n > 4), 251u8.wrapping_add(n)].into());
    let v6 = (0..10u16).map(|n| [0xfd00, 0, 0, 0, 0, 0, 0, n].into());
    v4.chain(v6).collect()
}

fn any_service() -> impl Strategy<Value = String> {
    prop::sample::select(services().collect::<Vec<_>>())
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(universe())
}

fn any_ips() -> impl Strategy<Value = Vec<IpAddr>> {
    let pair = (any_ip(), any_ip()).prop_filter("families", |(a, b)| a.is_ipv4() != b.is_ipv4());
    prop_oneof![
        any_ip().prop_map(|ip| vec![ip]),
        pair.prop_map(|(a, b)| vec![a, b])
    ]
}

fn any_families() -> impl Strategy<Value = Families> {
    prop::sample::select(vec![
        Families::One(Family::V4),
        Families::One(Family::V6),
        Families::Both,
        Families::PreferBoth { first: Family::V4 },
        Families::PreferBoth { first: Family::V6 },
    ])
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let rarely = |of| prop::option::weighted(0.15, of);
    let pool = prop::sample::select(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    (
        any_service(),
        0..3i64,
        any_families(),
        rarely(pool),
        prop::option::weighted(0.15, any_ips()),
    )
        .prop_map(|(service, created, families, pool, ips)| Ask {
            service,
            created,
            families,
            pool,
            ips,
        })
}

fn any_pool() -> impl Strategy<Value = Pool> {
    let range = (any_ip(), any_ip()).prop_filter_map("families", |(a, b)| {
        let range = format!("{}-{}", a.min(b), a.max(b));
        (a.is_ipv4() == b.is_ipv4()).then(|| range.parse().expect("a range"))
    });
    let namespaces = prop::sample::subsequence(vec!["blue".to_owned(), "red".to_owned()], 0..=2);
    let allocation = (-1..3i64, namespaces).prop_map(|(priority, namespaces)| ServiceAllocation {
        priority,
        namespaces: namespaces.into_iter().collect(),
        ..ServiceAllocation::default()
    });
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    let ranges = prop::collection::vec(range, 1..4);
    let flags = (prop::bool::weighted(0.8), any::<bool>());
    (name, ranges, flags, prop::option::weighted(0.3, allocation)).prop_filter_map(
        "ranges that overlap",
        |(name, ranges, (auto_assign, avoid_buggy_ips), service_allocation)| {
            let mut pool = Pool::new(name, ranges).ok()?;
            pool.auto_assign = auto_assign;
            pool.avoid_buggy_ips = avoid_buggy_ips;
            pool.service_allocation = service_allocation;
            Some(pool)
        },
    )
}

fn any_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => prop::collection::vec(any_pool(), 0..4).prop_map(Call::SetPools),
        3 => (any_ask(), any_ips()).prop_map(|(ask, ips)| Call::Adopt(ask, ips)),
        6 => any_ask().prop_map(Call::Allocate),
        2 => any_ask().prop_map(Call::AddFamily),
        2 => any_service().prop_map(Call::Release),
    ]
}

proptest! {
    // More with PROPTEST_CASES=…
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1_000),
        // What failed is printed; a test of its own keeps it, where it can be read.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn as_the_naive_one(
        pools in prop::collection::vec(any_pool(), 1..5),
        calls in prop::collection::vec(any_call(), 1..40),
    ) {
        let (mut real, mut model) = (Allocator::default(), Model::default());
        call(&mut real, &mut model, Call::SetPools(pools));
        for next in calls {
            call(&mut real, &mut model, next);
            compare(&real, &model);
        }
    }
}
