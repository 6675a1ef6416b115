//! The allocator and the naive one, side by side: every answer must be the same.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_config::{Config, ObjectKey, Pool};
use metallb_ipam::{Allocator, Ips, Request, Usage};

use crate::naive::{Ask, Naive, addresses};

#[derive(Default)]
pub(crate) struct Both {
    real: Allocator,
    pub(crate) naive: Naive,
}

impl Both {
    /// Those who lost their addresses, and those whose pool has another name. Of pools that clash
    /// the first by name stays.
    pub(crate) fn set_pools(
        &mut self,
        pools: &BTreeMap<String, Pool>,
    ) -> (Vec<String>, Vec<String>) {
        let mut config = Config::default();
        for pool in pools.values() {
            let _ = config.add_pool(pool.clone());
        }
        let changed = self.real.set_pools(&config);
        let names = |keys: &[ObjectKey]| keys.iter().map(ToString::to_string).collect();
        let changed = (names(&changed.lost), names(&changed.renamed));
        assert_eq!(changed, self.naive.set_pools(config.pools()));
        changed
    }

    /// Those who are displaced, or nothing when the Service cannot have the addresses.
    pub(crate) fn adopt(&mut self, ask: &Ask, ips: &[IpAddr]) -> Option<Vec<String>> {
        let adopted = with_request(ask, |request| self.real.adopt(request, ips).ok());
        let displaced = adopted.map(|it| it.displaced.iter().map(ToString::to_string).collect());
        assert_eq!(displaced, self.naive.adopt(ask, ips), "{ask:?} {ips:?}");
        displaced
    }

    pub(crate) fn allocate(&mut self, ask: &Ask) -> Option<Vec<IpAddr>> {
        let given = with_request(ask, |request| self.real.allocate(request).ok());
        let given = given.map(|it| (it.pool.to_string(), it.ips.to_vec()));
        let expected = self.naive.allocate(ask).map(|it| (it.pool, it.ips));
        assert_eq!(given, expected, "{ask:?}");
        given.map(|(_, ips)| ips)
    }

    pub(crate) fn add_family(&mut self, ask: &Ask) -> Option<Vec<IpAddr>> {
        let added = with_request(ask, |request| self.real.add_family(request).ok().flatten());
        let added = added.map(|it| it.ips.to_vec());
        assert_eq!(added, self.naive.add_family(ask), "{ask:?}");
        added
    }

    pub(crate) fn linger(&mut self, service: &str, ips: &[IpAddr]) {
        self.real.linger(&key(service), ips);
        self.naive.linger(service, ips);
    }

    pub(crate) fn release(&mut self, service: &str) -> Option<Vec<IpAddr>> {
        let released = self.real.release(&key(service)).map(|it| it.ips.to_vec());
        let expected = self.naive.holdings.remove(service).map(|it| it.ips);
        assert_eq!(released, expected, "{service}");
        released
    }

    /// Whether somebody who was refused may have better luck now. The naive one does not know;
    /// that nobody waits in vain is a rule of its own.
    pub(crate) fn vacancies(&self) -> u64 {
        self.real.vacancies()
    }

    /// Everything that can be asked without changing anything.
    pub(crate) fn compare(&self, services: &[String], universe: &[IpAddr]) {
        let Self { real, naive } = self;
        for service in services {
            let held = real.assignment(&key(service));
            let held = held.map(|it| (&*it.pool, &*it.ips));
            let expected = naive.holdings.get(service);
            assert_eq!(held, expected.map(|it| (&*it.pool, &*it.ips)), "{service}");
        }
        for &ip in universe {
            let holders = real.holders(ip).map(ToString::to_string);
            assert!(holders.eq(naive.holders(ip).cloned()), "{ip}");
        }
        for (name, counters) in real.all_counters() {
            let count = |v6: bool| {
                let all = addresses(&naive.pools[name]).filter(|ip| ip.is_ipv6() == v6);
                let all: Vec<_> = all.collect();
                let held = all.iter().filter(|ip| naive.holders(**ip).next().is_some());
                let (total, in_use) = (number(all.len()), number(held.count()));
                Usage { total, in_use }
            };
            assert_eq!(counters.ipv4, count(false), "{name}");
            assert_eq!(counters.ipv6, count(true), "{name}");
            let holdings = naive.holdings.values();
            let services = holdings.filter(|it| it.pool == name).count();
            assert_eq!(counters.services, services, "{name}");
        }
        assert_eq!(real.all_counters().count(), naive.pools.len());
    }

    /// Whether the explanation of a refusal has no pool that could have been the answer.
    pub(crate) fn compare_explanation(&self, ask: &Ask) {
        let explained = with_request(ask, |request| self.real.explain(request, 2));
        if (&ask.pool, &ask.ips) == (&None, &None) {
            let shown = explained.pools.len();
            assert!(shown <= 2, "{explained}");
            assert_eq!(shown + explained.more, self.naive.pools.len(), "{ask:?}");
        }
    }
}

fn number(of: usize) -> i64 {
    i64::try_from(of).expect("a few")
}

fn with_request<T>(ask: &Ask, then: impl FnOnce(&Request<'_>) -> T) -> T {
    let key = key(&ask.service);
    let mut request = Request::new(&key, ask.created, ask.families);
    request.labels = &ask.labels;
    request.namespace_labels = &ask.namespace_labels;
    request.pool = ask.pool.as_deref();
    let ips = ask.ips.as_deref().map(Ips::try_from);
    request.ips = ips.map(|ips| ips.expect("one of each family"));
    request.sharing_key = ask.how.key;
    request.backend_key = ask.how.backend;
    request.ports = &ask.how.ports;
    then(&request)
}

fn key(service: &str) -> ObjectKey {
    let (namespace, name) = service.split_once('/').expect("a key");
    ObjectKey::new(namespace, name)
}
