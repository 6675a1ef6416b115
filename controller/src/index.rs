//! What the watches have told: Services, pools, namespaces. No decisions, no I/O.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::Namespace as CoreNamespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use metallb_config::{Config, Labels, Objects, Parsed, reparse};
use metallb_crds::v1beta1::IPAddressPool;
use metallb_ipam::ServiceKey;
use serde::{Deserialize, Serialize};

use crate::service::{Service, WatchedService};

/// A Namespace as it comes from the API server, with only its labels.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
#[resource(inherit = CoreNamespace)]
pub(crate) struct WatchedNamespace {
    pub(crate) metadata: ObjectMeta,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// `--lb-class`.
    class: String,
    services: HashMap<ServiceKey, Service>,
    namespaces: HashMap<Box<str>, Labels>,
    pools: BTreeMap<Box<str>, IPAddressPool>,
    /// What is in effect.
    config: Config,
}

/// What became of a Service.
#[derive(Debug, PartialEq)]
pub(crate) enum Touched {
    /// Nothing that matters.
    Nothing,
    /// It is new or changed.
    Changed(ServiceKey),
    /// It is no longer one of ours.
    Gone(ServiceKey),
}

impl Index {
    /// Nothing known yet. `class` is `--lb-class`, empty when not given.
    pub(crate) fn new(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn apply_service(&mut self, watched: &WatchedService) -> Touched {
        let Some(service) = Service::read(watched, &self.class) else {
            let (namespace, name) = (watched.namespace().unwrap_or_default(), watched.name_any());
            return self.delete_service(&ServiceKey::new(&namespace, &name));
        };
        if let Some(known) = self.services.get(&service.key)
            && (*known == service || is_older(&service, known))
        {
            return Touched::Nothing;
        }
        let key = service.key.clone();
        self.services.insert(key.clone(), service);
        Touched::Changed(key)
    }

    pub(crate) fn delete_service(&mut self, key: &ServiceKey) -> Touched {
        match self.services.remove_entry(key) {
            Some((key, _)) => Touched::Gone(key),
            None => Touched::Nothing,
        }
    }

    pub(crate) fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key)
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// Says whether the labels are others than before.
    pub(crate) fn apply_namespace(&mut self, namespace: &WatchedNamespace) -> bool {
        let labels = namespace.labels().clone();
        let name = namespace.name_any().into_boxed_str();
        self.namespaces
            .insert(name, labels.clone())
            .is_none_or(|before| before != labels)
    }

    pub(crate) fn delete_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    pub(crate) fn namespace_labels(&self, name: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(name).unwrap_or(&NONE)
    }

    /// Says whether it is another than before, apart from its status.
    pub(crate) fn apply_pool(&mut self, pool: IPAddressPool) -> bool {
        match self.pools.entry(pool.name_any().into_boxed_str()) {
            Entry::Vacant(entry) => {
                entry.insert(pool);
                true
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(pool);
                let now = entry.get();
                before.uid() != now.uid()
                    || before.spec != now.spec
                    || before.labels() != now.labels()
            }
        }
    }

    pub(crate) fn delete_pool(&mut self, name: &str) {
        self.pools.remove(name);
    }

    /// The configuration: every pool as it is, or, if that is no good, as it last was when it was
    /// good. What is no good is told either way.
    pub(crate) fn parse(&mut self) -> Parsed {
        let pools: Vec<_> = self.pools.values().cloned().collect();
        let objects = Objects {
            pools: &pools,
            ..Objects::default()
        };
        let parsed = reparse(&objects, &self.config);
        self.config = parsed.config.clone();
        parsed
    }
}

/// Whether any pool is for some Services only, so that labels matter.
pub(crate) fn labels_matter(config: &Config) -> bool {
    config
        .pools()
        .values()
        .any(|pool| pool.service_allocation.is_some())
}

/// The answer to a write may come before the watch tells of what was before it.
fn is_older(new: &Service, known: &Service) -> bool {
    let version = |service: &Service| service.resource_version.parse::<u64>().ok();
    new.uid == known.uid
        && matches!((version(new), version(known)), (Some(new), Some(known)) if new < known)
}
