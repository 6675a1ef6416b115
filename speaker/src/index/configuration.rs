use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use kube::{Resource, ResourceExt};
use metallb_config::{AddrRange, Config, Kind, Objects, Parsed, Pool, Rejected, reparse};
use metallb_crds::names::PROBE_BEFORE_USE;
use metallb_crds::v1beta1::{IPAddressPool, L2Advertisement};
use metallb_kit::watch::{Change, ObjectKey};

use super::Touched;

/// The objects that users configure MetalLB with, and what they say together.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pools: BTreeMap<ObjectKey, IPAddressPool>,
    l2_advertisements: BTreeMap<ObjectKey, L2Advertisement>,
    config: Config,
    rejected: Vec<Rejected>,
}

impl Configuration {
    /// Takes in a pool.
    pub(crate) fn pool(&mut self, change: Change<IPAddressPool>) -> Touched {
        let same = |old: &IPAddressPool, new: &IPAddressPool| {
            let annotation = |it: &IPAddressPool| it.annotations().get(PROBE_BEFORE_USE).cloned();
            old.spec == new.spec
                && old.labels() == new.labels()
                && annotation(old) == annotation(new)
        };
        if take_in(&mut self.pools, change, same) {
            self.parse()
        } else {
            Touched::Nothing
        }
    }

    /// Takes in an advertisement.
    pub(crate) fn l2_advertisement(&mut self, change: Change<L2Advertisement>) -> Touched {
        let same = |old: &L2Advertisement, new: &L2Advertisement| old.spec == new.spec;
        if take_in(&mut self.l2_advertisements, change, same) {
            self.parse()
        } else {
            Touched::Nothing
        }
    }

    /// What is in effect: each object as it is or, if that is no good, as it last was when it was
    /// good.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The objects that are no good as they are.
    pub(crate) fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// The pool `name` as far as `ips` go, if it is there and was never good since we started.
    /// What was assigned from it before stays announced until somebody mends it.
    pub(crate) fn broken_pool(&self, name: &str, ips: &[IpAddr]) -> Option<Pool> {
        let bad = |it: &&Rejected| it.kind == Kind::IPAddressPool && it.name == name;
        let bad = self.rejected.iter().find(bad)?;
        if self.config.pools().contains_key(name) {
            return None;
        }
        let object = self.pools.get(&ObjectKey::new(&bad.namespace, name))?;
        let one = |ip: &IpAddr| format!("{ip}-{ip}").parse::<AddrRange>().ok();
        let mut pool = Pool::new(name, ips.iter().map(one).collect::<Option<_>>()?).ok()?;
        pool.labels = object.labels().clone();
        Some(pool)
    }

    fn parse(&mut self) -> Touched {
        let pools: Vec<_> = self.pools.values().cloned().collect();
        let l2_advertisements: Vec<_> = self.l2_advertisements.values().cloned().collect();
        let objects = Objects {
            pools: &pools,
            l2_advertisements: &l2_advertisements,
            ..Objects::default()
        };
        let Parsed { config, rejected } = reparse(&objects, &self.config);
        for bad in rejected.iter().filter(|bad| !self.rejected.contains(bad)) {
            tracing::error!(
                op = "setConfig", kind = %bad.kind, name = bad.name, namespace = bad.namespace,
                error = %bad.error,
                "invalid object; its last valid form and everything else stay in effect"
            );
        }
        if self.config == config && self.rejected == rejected {
            return Touched::Nothing;
        }
        self.rejected = rejected;
        self.config = config;
        Touched::Everything
    }
}

/// Whether anything that counts has changed.
fn take_in<K: Resource>(
    objects: &mut BTreeMap<ObjectKey, K>,
    change: Change<K>,
    same: impl Fn(&K, &K) -> bool,
) -> bool {
    match change {
        Change::Listing | Change::Synced => false,
        Change::Delete(key) => objects.remove(&key).is_some(),
        Change::Apply(object) => match objects.entry(ObjectKey::of(&object)) {
            Entry::Vacant(entry) => {
                entry.insert(object);
                true
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(object);
                // One that was deleted and made again is another object.
                before.meta().uid != entry.get().meta().uid || !same(&before, entry.get())
            }
        },
    }
}
