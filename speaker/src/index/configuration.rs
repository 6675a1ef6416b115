use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::{Resource, ResourceExt};
use metallb_config::{AddrRange, Config, Kind, Objects, Parsed, Pool, Rejected};
use metallb_crds::v1beta1::{IPAddressPool, L2Advertisement};
use metallb_kit::watch::{Change, ObjectKey};

use super::Touched;

/// The objects that users configure MetalLB with, and what they say together.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pools: BTreeMap<ObjectKey, Forms<IPAddressPool>>,
    l2_advertisements: BTreeMap<ObjectKey, Forms<L2Advertisement>>,
    config: Config,
    rejected: Vec<Rejected>,
}

/// An object as it is, and as it last was when it was good.
#[derive(Debug)]
struct Forms<K> {
    current: K,
    valid: Option<K>,
}

impl Configuration {
    /// Takes in a pool.
    pub(crate) fn pool(&mut self, change: Change<IPAddressPool>) -> Touched {
        let same = |old: &IPAddressPool, new: &IPAddressPool| {
            old.spec == new.spec && old.labels() == new.labels()
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
        let object = &self
            .pools
            .get(&ObjectKey::new(&bad.namespace, name))?
            .current;
        let one = |ip: &IpAddr| format!("{ip}-{ip}").parse::<AddrRange>().ok();
        let mut pool = Pool::new(name, ips.iter().map(one).collect::<Option<_>>()?).ok()?;
        pool.labels = object.labels().clone();
        Some(pool)
    }

    fn parse(&mut self) -> Touched {
        let current = self.parse_forms(|_| false);
        let rejected = current.rejected.clone();
        let is_bad = |kind, key: &ObjectKey| {
            rejected.iter().any(|bad| {
                bad.kind == kind && *bad.namespace == *key.namespace && *bad.name == *key.name
            })
        };
        let parsed = if rejected.is_empty() {
            current
        } else {
            self.parse_forms(|(kind, key)| is_bad(kind, key))
        };
        for (key, forms) in &mut self.pools {
            forms.learn(!is_bad(Kind::IPAddressPool, key));
        }
        for (key, forms) in &mut self.l2_advertisements {
            forms.learn(!is_bad(Kind::L2Advertisement, key));
        }
        for bad in rejected.iter().filter(|bad| !self.rejected.contains(bad)) {
            tracing::error!(
                op = "setConfig", kind = %bad.kind, name = bad.name, namespace = bad.namespace,
                error = %bad.error,
                "invalid object; its last valid form and everything else stay in effect"
            );
        }
        if self.config == parsed.config && self.rejected == rejected {
            return Touched::Nothing;
        }
        self.rejected = rejected;
        self.config = parsed.config;
        Touched::Everything
    }

    /// Parses the objects as they are, but those that `use_valid` picks as they last were good.
    fn parse_forms(&self, use_valid: impl Fn((Kind, &ObjectKey)) -> bool) -> Parsed {
        let pick = |kind, key: &ObjectKey| use_valid((kind, key));
        let pools: Vec<_> = self
            .pools
            .iter()
            .map(|(key, forms)| forms.form(pick(Kind::IPAddressPool, key)).clone())
            .collect();
        let l2_advertisements: Vec<_> = self
            .l2_advertisements
            .iter()
            .map(|(key, forms)| forms.form(pick(Kind::L2Advertisement, key)).clone())
            .collect();
        metallb_config::parse(&Objects {
            pools: &pools,
            l2_advertisements: &l2_advertisements,
        })
    }
}

impl<K: Clone> Forms<K> {
    fn form(&self, valid: bool) -> &K {
        self.valid
            .as_ref()
            .filter(|_| valid)
            .unwrap_or(&self.current)
    }

    fn learn(&mut self, is_good: bool) {
        if is_good {
            self.valid = Some(self.current.clone());
        }
    }
}

/// Whether anything that counts has changed.
fn take_in<K: Resource>(
    objects: &mut BTreeMap<ObjectKey, Forms<K>>,
    change: Change<K>,
    same: impl Fn(&K, &K) -> bool,
) -> bool {
    match change {
        Change::Synced => false,
        Change::Delete(key) => objects.remove(&key).is_some(),
        Change::Apply(object) => {
            let known = objects.remove(&ObjectKey::of(&object));
            // One that was deleted and made again is another object.
            let known = known.filter(|forms| forms.current.meta().uid == object.meta().uid);
            let changed = known
                .as_ref()
                .is_none_or(|forms| !same(&forms.current, &object));
            let valid = known.and_then(|forms| forms.valid);
            objects.insert(
                ObjectKey::of(&object),
                Forms {
                    current: object,
                    valid,
                },
            );
            changed
        }
    }
}
