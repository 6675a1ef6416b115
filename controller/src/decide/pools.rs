//! What is said of the pools: how much of each is in use, and which are no good.

use std::collections::BTreeMap;
use std::sync::Arc;

use metallb_config::{Config, Family, ObjectKey, Rejected};
use metallb_crds::v1beta1::IPAddressPoolStatus;
use metallb_ipam::{Assignment, Ips, Request, Usage};
use metallb_kit::events::{About, Uid};

use super::{Addresses, Decider, Effect, Note, words};
use crate::index::Index;
use crate::service::{Held, Service};

/// How much of a pool is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolUsage {
    pub(crate) ipv4: Usage,
    pub(crate) ipv6: Usage,
    /// How many Services have addresses of it.
    pub(crate) services: usize,
}

/// The objects that are no good.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    /// The reasons, by kind and name.
    reasons: BTreeMap<String, Rejected>,
}

impl PoolUsage {
    /// As the pool's status says it.
    pub(crate) fn status(&self) -> IPAddressPoolStatus {
        IPAddressPoolStatus {
            assigned_ipv4: self.ipv4.in_use,
            assigned_ipv6: self.ipv6.in_use,
            available_ipv4: self.ipv4.available(),
            available_ipv6: self.ipv6.available(),
        }
    }
}

impl Rejections {
    /// An Event for each object that is no good and was not so, or not for this reason, before.
    pub(super) fn tell(&mut self, rejected: Vec<Rejected>) -> Vec<Effect> {
        let before = std::mem::take(&mut self.reasons);
        let mut effects = Vec::new();
        for bad in rejected {
            let name = format!("{}/{}", bad.kind, bad.name);
            if before.get(&name).is_none_or(|it| it.error != bad.error) {
                let about = About {
                    api_version: "metallb.io/v1beta1".into(),
                    kind: bad.kind.to_string().into(),
                    key: ObjectKey::new(&bad.namespace, &bad.name),
                    uid: bad.uid.as_deref().map(Uid::from),
                    resource_version: None,
                };
                let note = Note::warning("InvalidConfiguration", bad.error.to_string());
                effects.push(Effect::Event(Box::new(about), note));
            }
            self.reasons.insert(name, bad);
        }
        effects
    }

    fn pools(&self) -> impl Iterator<Item = &str> {
        let pools = self.reasons.values();
        pools
            .filter(|bad| bad.kind == metallb_config::Kind::IPAddressPool)
            .map(|bad| bad.name.as_str())
    }

    /// Whether this pool is no good as it is.
    pub(super) fn has_pool(&self, name: &str) -> bool {
        self.reasons
            .contains_key(&format!("{}/{name}", metallb_config::Kind::IPAddressPool))
    }
}

impl Decider {
    /// The pools of which more or less is in use than when this was last asked, or that came or
    /// went.
    pub(crate) fn take_touched_pools(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.touched_pools)
            .into_iter()
            .collect()
    }

    /// Somebody else may have written the status of this pool.
    pub(crate) fn touch_pool(&mut self, name: Arc<str>) {
        self.touched_pools.insert(name);
    }

    /// How much of a pool is in use; nothing when there is no such pool. Of one that was never
    /// valid since we started, what Services hold of it is all that there is.
    pub(crate) fn pool_usage(&self, index: &Index, name: &str) -> Option<PoolUsage> {
        if let Some(counters) = self.allocator.counters(name) {
            return Some(PoolUsage {
                ipv4: counters.ipv4,
                ipv6: counters.ipv6,
                services: counters.services,
            });
        }
        self.rejections.has_pool(name).then(|| {
            let kept = self.kept.iter().filter(|(_, pool)| &***pool == name);
            let kept = kept.filter_map(|(key, _)| index.service(key));
            let mut usage = PoolUsage::default();
            for service in kept {
                usage.services += 1;
                for ip in service.ips() {
                    let family = match Family::of(*ip) {
                        Family::V4 => &mut usage.ipv4,
                        Family::V6 => &mut usage.ipv6,
                    };
                    family.in_use += 1;
                    family.total += 1;
                }
            }
            usage
        })
    }

    /// Whether a Service keeps what it holds although no valid pool has it: the pool that it is
    /// from is there and is no good at present, and it asks for nothing else.
    pub(super) fn is_kept(&self, service: &Service, request: &Request<'_>, held: &Ips) -> bool {
        let pool = service.held_pool.as_deref().unwrap_or("");
        self.config.pool_of(held).is_none()
            && self.rejections.has_pool(pool)
            && !self.config.pools().contains_key(pool)
            && request.accepts(pool, held).is_ok()
    }

    /// It keeps what it holds, and nothing is written unless to foil what was sent before.
    pub(super) fn keep(&mut self, service: &Service, effects: &mut Vec<Effect>) {
        self.free(service);
        let pool: Arc<str> = service.held_pool.as_deref().unwrap_or("").into();
        self.touched_pools.insert(pool.clone());
        self.kept.insert(service.key.clone(), (&*pool).into());
        let Held::Ips(ips) = service.held else {
            return;
        };
        let sure = words::assigned(&Assignment { pool, ips }, None);
        let unsure = words::unsure(sure.clone());
        let is_told = service.told == Some(unsure.told());
        let condition = match self.sent.is_in_doubt(service, &ips) {
            true if !is_told => unsure,
            false if !is_told => return,
            _ => sure,
        };
        self.write(
            service,
            Addresses::Leave,
            Some(condition),
            Vec::new(),
            effects,
        );
    }

    pub(super) fn unkeep(&mut self, key: &ObjectKey) {
        if let Some(pool) = self.kept.remove(key) {
            self.touched_pools.insert((&*pool).into());
        }
    }

    /// Notes all pools, those of before and those of `now`.
    pub(super) fn touch_all_pools(&mut self, now: &Config) {
        let names = self.config.pools().keys().chain(now.pools().keys());
        self.touched_pools
            .extend(names.map(|name| name.as_str().into()));
        self.touch_rejected_pools();
    }

    pub(super) fn touch_rejected_pools(&mut self) {
        self.touched_pools
            .extend(self.rejections.pools().map(Into::into));
    }
}
