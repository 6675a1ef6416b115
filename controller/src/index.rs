//! What the watches have told: Services, pools, namespaces. No decisions, no I/O.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use kube::ResourceExt as _;
use metallb_config::{Config, Labels, ObjectKey, Objects, Parsed, reparse};
use metallb_crds::v1beta1::{Community, IPAddressPool};

use crate::service::{Service, key_of};
use crate::watched::{WatchedNamespace, WatchedService};

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// `--lb-class`.
    class: String,
    /// Those of one namespace are beside one another.
    services: BTreeMap<ObjectKey, Service>,
    /// The uids of those that an answer has told to be gone, until the watch has come so far.
    gone: HashMap<ObjectKey, Box<str>>,
    /// The latest version of any Service that the watch has told.
    heard: u64,
    namespaces: HashMap<Box<str>, Labels>,
    pools: BTreeMap<Box<str>, IPAddressPool>,
    communities: BTreeMap<Box<str>, Community>,
    /// What is in effect.
    config: Config,
}

/// What became of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Touched {
    /// Nothing that matters.
    Nothing,
    /// It is new or changed.
    Changed(ObjectKey),
    /// It is no longer one of ours. This is what it was.
    Gone(Box<Service>),
}

/// What of a pool is another than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PoolTouched {
    /// What it says, or which object it is.
    pub(crate) spec: bool,
    /// Its status.
    pub(crate) status: bool,
}

impl Index {
    /// Nothing known yet. `class` is `--lb-class`, empty when not given.
    pub(crate) fn new(class: &str) -> Self {
        Self {
            class: class.to_owned(),
            ..Self::default()
        }
    }

    /// Takes in a Service that the watch tells of.
    pub(crate) fn apply_service(&mut self, watched: &WatchedService) -> Touched {
        let version = version_of(watched);
        self.heard = self.heard.max(version.unwrap_or(0));
        let key = key_of(watched);
        let uid = watched.metadata.uid.as_deref();
        if self.gone.get(&key).is_some_and(|it| Some(&**it) == uid) {
            return Touched::Nothing;
        }
        self.gone.remove(&key);
        let known = self.services.get(&key);
        if known.is_some_and(|known| version < known.version()) {
            // An answer was faster.
            return Touched::Nothing;
        }
        self.insert(key, watched)
    }

    /// Takes in a Service as the API server has answered a request about it, before or after the
    /// watch tells of it.
    pub(crate) fn apply_answer(&mut self, watched: &WatchedService) -> Touched {
        let key = key_of(watched);
        // What is not known is gone, or the watch tells of it in time.
        let Some(known) = self.services.get(&key) else {
            return Touched::Nothing;
        };
        if version_of(watched) < known.version() {
            return Touched::Nothing;
        }
        if watched.metadata.uid.as_deref() != Some(&*known.uid) {
            // Another of that name; the watch tells of it in time.
            return self.bury_service(&key);
        }
        self.insert(key, watched)
    }

    fn insert(&mut self, key: ObjectKey, watched: &WatchedService) -> Touched {
        let Some(service) = Service::read(watched, &self.class) else {
            return self.delete_service(&key);
        };
        if self.services.get(&key) == Some(&service) {
            return Touched::Nothing;
        }
        self.services.insert(key.clone(), service);
        Touched::Changed(key)
    }

    /// An answer says that a Service is gone; the watch may still tell what it was before.
    pub(crate) fn bury_service(&mut self, key: &ObjectKey) -> Touched {
        let touched = self.delete_service(key);
        if let Touched::Gone(service) = &touched {
            self.gone.insert(key.clone(), service.uid.clone());
        }
        touched
    }

    pub(crate) fn delete_service(&mut self, key: &ObjectKey) -> Touched {
        self.gone.remove(key);
        match self.services.remove(key) {
            Some(service) => Touched::Gone(Box::new(service)),
            None => Touched::Nothing,
        }
    }

    /// Forgets the one of the same name that was there before this one.
    pub(crate) fn delete_predecessor(&mut self, watched: &WatchedService) -> Touched {
        let key = key_of(watched);
        let is_another = |known: &Service| {
            watched.metadata.uid.as_deref() != Some(&*known.uid)
                && version_of(watched) > known.version()
        };
        if self.services.get(&key).is_some_and(is_another) {
            return self.delete_service(&key);
        }
        Touched::Nothing
    }

    pub(crate) fn service(&self, key: &ObjectKey) -> Option<&Service> {
        self.services.get(key)
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The Services of a namespace.
    pub(crate) fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Service> {
        self.services
            .range(ObjectKey::new(namespace, "")..)
            .map(|(_, service)| service)
            .take_while(move |service| service.key.namespace() == namespace)
    }

    /// The latest version of any Service that the watch has told: whatever was written to Services
    /// before that version is known, since a watch tells in order and leaves nothing out.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
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

    /// Takes in a pool.
    pub(crate) fn apply_pool(&mut self, pool: IPAddressPool) -> PoolTouched {
        match self.pools.entry(pool.name_any().into_boxed_str()) {
            Entry::Vacant(entry) => {
                entry.insert(pool);
                PoolTouched {
                    spec: true,
                    status: true,
                }
            }
            Entry::Occupied(mut entry) => {
                let before = entry.insert(pool);
                let now = entry.get();
                PoolTouched {
                    spec: before.uid() != now.uid()
                        || before.spec != now.spec
                        || before.labels() != now.labels(),
                    status: before.status != now.status,
                }
            }
        }
    }

    pub(crate) fn delete_pool(&mut self, name: &str) {
        self.pools.remove(name);
    }

    pub(crate) fn pool(&self, name: &str) -> Option<&IPAddressPool> {
        self.pools.get(name)
    }

    /// Takes in names for communities, which only the report on the configuration is about. Says
    /// whether they are others than before.
    pub(crate) fn apply_community(&mut self, community: Community) -> bool {
        let name = community.name_any().into_boxed_str();
        let is_same =
            |before: &Community| before.uid() == community.uid() && before.spec == community.spec;
        let same = self.communities.get(&name).is_some_and(is_same);
        self.communities.insert(name, community);
        !same
    }

    pub(crate) fn delete_community(&mut self, name: &str) {
        self.communities.remove(name);
    }

    /// The configuration: every object as it is, or, if that is no good, as it last was when it was
    /// good. What is no good is told either way.
    pub(crate) fn parse(&mut self) -> Parsed {
        let pools: Vec<_> = self.pools.values().cloned().collect();
        let communities: Vec<_> = self.communities.values().cloned().collect();
        let objects = Objects {
            pools: &pools,
            communities: &communities,
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

/// Bigger is later, for all Services of a cluster.
fn version_of(watched: &WatchedService) -> Option<u64> {
    watched.metadata.resource_version.as_deref()?.parse().ok()
}
