//! Services with their statuses, and a controller as plain as can be: after each step it takes in
//! what the statuses hold, then serves those that lack something, the oldest first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use metallb_config::Pool;
use metallb_ipam::Families;

use crate::both::Both;
use crate::chance;
use crate::naive::{Ask, may_use};
use crate::steps::{Edit, Step};

/// Does all steps; panics when a rule is broken.
pub(crate) fn run(program: &[Step]) {
    let mut world = World::default();
    let (services, universe) = (chance::services(), chance::universe());
    for step in program {
        let before = world.services.clone();
        let touched = world.step(step);
        let recorded = world.services.clone();
        world.decide();
        world.both.compare(&services, &universe);
        world.check_no_conflicts();
        world.check_moves(&before, &recorded, step, touched.as_deref());
        world.check_nobody_waits_in_vain();
    }
}

#[derive(Default)]
struct World {
    both: Both,
    pools: BTreeMap<String, Pool>,
    services: BTreeMap<String, Service>,
    /// Those to look at, oldest first.
    dirty: BTreeSet<(i64, String)>,
}

#[derive(Debug, Clone)]
struct Service {
    ask: Ask,
    /// What its status holds.
    status: Vec<IpAddr>,
}

impl World {
    /// The Service that the step is about.
    fn step(&mut self, step: &Step) -> Option<String> {
        match step {
            Step::Create(ask) => {
                let fresh = Service {
                    ask: ask.clone(),
                    status: vec![],
                };
                self.services.entry(ask.service.clone()).or_insert(fresh);
                self.look_at(&ask.service);
                Some(ask.service.clone())
            }
            Step::Edit(name, edit) => {
                if let Some(Service { ask, .. }) = self.services.get_mut(name) {
                    match edit.clone() {
                        Edit::Share(how) => ask.how = how,
                        Edit::Families(families) => ask.families = families,
                        Edit::Pool(pool) => ask.pool = pool,
                        Edit::Ips(ips) => ask.ips = ips,
                    }
                }
                self.look_at(name);
                Some(name.clone())
            }
            Step::Delete(name) => {
                self.services.remove(name);
                self.watch_vacancies(|world| {
                    world.both.release(name);
                    world.both.linger(name, &[]);
                });
                Some(name.clone())
            }
            Step::Record(name, ips) => {
                if let Some(service) = self.services.get_mut(name) {
                    service.status.clone_from(ips);
                }
                self.look_at(name);
                Some(name.clone())
            }
            Step::Pool(pool) => {
                self.pools.insert(pool.name.clone(), pool.clone());
                self.pools_changed();
                None
            }
            Step::EditPool(which, edit) => {
                edit.apply(&mut self.pools, *which);
                self.pools_changed();
                None
            }
            Step::Restart => {
                self.both = Both::default();
                self.both.set_pools(&self.pools);
                self.look_at_all();
                None
            }
        }
    }

    fn pools_changed(&mut self) {
        self.both.set_pools(&self.pools);
        // What a pool says of Services may have changed too.
        self.look_at_all();
    }

    fn look_at(&mut self, name: &str) {
        if let Some(service) = self.services.get(name) {
            self.dirty.insert((service.ask.created, name.to_owned()));
        }
    }

    fn look_at_all(&mut self) {
        for name in self.services.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&name);
        }
    }

    fn look_at_waiting(&mut self) {
        let waiting = |service: &&Service| match service.ask.families {
            Families::PreferBoth { .. } => service.status.len() < 2,
            _ => service.status.is_empty(),
        };
        let waiting: Vec<_> = self.services.values().filter(waiting).collect();
        let waiting: Vec<_> = waiting.iter().map(|it| it.ask.service.clone()).collect();
        for name in waiting {
            self.look_at(&name);
        }
    }

    fn decide(&mut self) {
        for (_, name) in self.dirty.clone() {
            self.watch_vacancies(|world| {
                world.adopt(&name);
            });
        }
        while let Some((_, name)) = self.dirty.pop_first() {
            self.watch_vacancies(|world| world.converge(&name));
        }
    }

    /// Looks at those who wait, if this may help them.
    fn watch_vacancies(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.both.vacancies();
        change(self);
        if self.both.vacancies() != before {
            self.look_at_waiting();
        }
    }

    /// Whether the Service keeps what its status holds.
    fn adopt(&mut self, name: &str) -> bool {
        let Service { ask, status } = self.services[name].clone();
        if status.is_empty() {
            return false;
        }
        let displaced = self.both.adopt(&ask, &status);
        self.both.linger(name, &status);
        for other in displaced.iter().flatten() {
            self.look_at(other);
        }
        displaced.is_some()
    }

    fn converge(&mut self, name: &str) {
        if !self.adopt(name) {
            self.services.get_mut(name).expect("it is there").status = vec![];
        }
        let Service { ask, status } = self.services[name].clone();
        let mut given = self.both.allocate(&ask).unwrap_or_default();
        if !given.is_empty() && given == status {
            given = self.both.add_family(&ask).unwrap_or(given);
        }
        // It is written at once.
        self.both.linger(name, &given);
        self.services.get_mut(name).expect("it is there").status = given;
    }

    /// No two hold one address unless they may share it.
    fn check_no_conflicts(&self) {
        let services: Vec<_> = self.services.values().collect();
        for (n, a) in services.iter().enumerate() {
            for b in &services[n + 1..] {
                let contested = a.status.iter().any(|ip| b.status.contains(ip));
                let share = a.ask.how.may_share_with(&b.ask.how);
                assert!(!contested || share, "{a:?} and {b:?} hold one address");
            }
        }
    }

    /// Who had an address that he may have, and did nothing, has it still. `recorded` is what the
    /// statuses held when the controller looked at them.
    fn check_moves(
        &self,
        before: &BTreeMap<String, Service>,
        recorded: &BTreeMap<String, Service>,
        step: &Step,
        touched: Option<&str>,
    ) {
        for (name, Service { ask, status, .. }) in before {
            if touched == Some(name) || status.is_empty() {
                continue;
            }
            let Some(pool) = self.both.naive.pool_with(status) else {
                continue;
            };
            let of_another_pool = ask.pool.as_ref().is_some_and(|asked| *asked != pool);
            if of_another_pool || !may_use(&self.both.naive.pools[&pool], ask) {
                continue;
            }
            // Somebody else was given the address by a write that should not have been. The older
            // keeps it.
            let is_record = matches!(step, Step::Record(..));
            let lost_to_older = is_record
                && recorded.values().any(|other| {
                    let rank = |ask: &Ask| (ask.created, ask.service.clone());
                    rank(&other.ask) < rank(ask)
                        && other.status.iter().any(|ip| status.contains(ip))
                        && !other.ask.how.may_share_with(&ask.how)
                });
            if lost_to_older {
                continue;
            }
            let now = &self.services[name].status;
            let kept = status.iter().all(|ip| now.contains(ip));
            assert!(kept, "{name} had {status:?} and has {now:?}: {ask:?}");
        }
    }

    /// Nobody is without an address that could have one.
    fn check_nobody_waits_in_vain(&self) {
        for Service { ask, status } in self.services.values() {
            if status.is_empty() {
                let given = self.both.naive.clone().allocate(ask);
                assert!(given.is_none(), "{ask:?} could have {given:?}");
            }
        }
    }
}
