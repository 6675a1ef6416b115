use std::collections::BTreeMap;

use metallb_config::{Config, Objects, Rejected};
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
        if !take_in(&mut self.pools, change, |old, new| {
            old.spec == new.spec && old.metadata.labels == new.metadata.labels
        }) {
            return Touched::Nothing;
        }
        self.parse()
    }

    /// Takes in an advertisement.
    pub(crate) fn l2_advertisement(&mut self, change: Change<L2Advertisement>) -> Touched {
        if !take_in(&mut self.l2_advertisements, change, |old, new| {
            old.spec == new.spec
        }) {
            return Touched::Nothing;
        }
        self.parse()
    }

    /// What the sound objects say.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The objects that are left out.
    pub(crate) fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    fn parse(&mut self) -> Touched {
        let pools: Vec<_> = self.pools.values().cloned().collect();
        let l2_advertisements: Vec<_> = self.l2_advertisements.values().cloned().collect();
        let parsed = metallb_config::parse(&Objects {
            pools: &pools,
            l2_advertisements: &l2_advertisements,
        });
        for rejected in parsed
            .rejected
            .iter()
            .filter(|it| !self.rejected.contains(it))
        {
            tracing::error!(
                op = "setConfig", kind = %rejected.kind, name = rejected.name,
                namespace = rejected.namespace, error = %rejected.error,
                "invalid object is left out, everything else stays in effect"
            );
        }
        self.rejected = parsed.rejected;
        if self.config == parsed.config {
            return Touched::Nothing;
        }
        self.config = parsed.config;
        Touched::Everything
    }
}

/// Whether anything that counts has changed.
fn take_in<K: kube::Resource>(
    objects: &mut BTreeMap<ObjectKey, K>,
    change: Change<K>,
    same: impl Fn(&K, &K) -> bool,
) -> bool {
    match change {
        Change::Synced => false,
        Change::Delete(key) => objects.remove(&key).is_some(),
        Change::Apply(object) => {
            let key = ObjectKey::of(&object);
            let changed = objects.get(&key).is_none_or(|known| !same(known, &object));
            objects.insert(key, object);
            changed
        }
    }
}
