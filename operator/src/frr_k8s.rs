//! An FRR-K8s that somebody else runs: whether it is there, what speakers wrote for it, and what
//! users wrote for one of MetalLB's own, which there is none of here.

mod unused;
mod watch;

use std::collections::BTreeMap;

use metallb_crds::v1beta1::MetalLBSpec;
use metallb_kit::watch::{Change, ObjectKey};

pub(crate) use unused::{Config, Unused, unused};
pub(crate) use watch::{extras, news};

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct FrrK8s {
    /// The cluster has a definition of FRRConfigurations.
    pub(crate) defined: bool,
    /// What speakers have written, with its uid. Nothing before it was looked for, nor while
    /// speakers may write more.
    pub(crate) written: Option<BTreeMap<ObjectKey, String>>,
    /// What users have written for it.
    users: BTreeMap<ObjectKey, Config>,
    /// Users have lines of their own for the FRR that upstream's speakers have beside them.
    pub(crate) has_extras: bool,
}

/// One piece of news.
#[derive(Clone, Debug)]
pub(crate) enum FrrNews {
    /// Whether the cluster has the definition.
    Defined(bool),
    /// What becomes of an FRRConfiguration that no speaker wrote.
    Config(Change<Config>),
    /// What there is has been told, as far as it could be.
    Synced,
}

impl FrrK8s {
    /// Takes in news; true if all has been told.
    pub(crate) fn handle(&mut self, news: FrrNews) -> bool {
        match news {
            FrrNews::Defined(defined) => {
                self.defined = defined;
                if !defined {
                    // They went with it.
                    self.users.clear();
                    self.written = None;
                }
            }
            FrrNews::Config(Change::Apply(config)) => {
                self.users.insert(config.key.clone(), config);
            }
            FrrNews::Config(Change::Delete(key)) => drop(self.users.remove(&key)),
            FrrNews::Config(Change::Listing | Change::Synced) => {}
            FrrNews::Synced => return true,
        }
        false
    }

    /// Whether what speakers have written must be looked for, since no speaker is to write more.
    pub(crate) fn must_look(&self) -> bool {
        self.defined && self.written.is_none()
    }

    /// What speakers have written and nobody has removed.
    pub(crate) fn leftovers(&self) -> impl Iterator<Item = (&ObjectKey, &String)> {
        self.written.iter().flatten()
    }

    /// The FRRConfiguration is gone.
    pub(crate) fn removed(&mut self, key: &ObjectKey) {
        if let Some(written) = &mut self.written {
            written.remove(key);
        }
    }
}

/// Where the FRR-K8s is that speakers write for: as the object says or, unless it does, as the operator was told.
pub(crate) fn namespace<'a>(spec: &'a MetalLBSpec, default: Option<&'a str>) -> Option<&'a str> {
    let config = spec.frrk8s_config.as_ref();
    let named = config.and_then(|config| config.namespace.as_deref());
    named.filter(|it| !it.is_empty()).or(default)
}
