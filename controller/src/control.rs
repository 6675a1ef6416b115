//! The controller without its wires: takes in what the watches, the election and the writes tell,
//! says what is to be done. No client and no clock, so that lives of it are told in tests.

use metallb_crds::v1beta1::IPAddressPool;
use metallb_ipam::{Allocator, ServiceKey};
use metallb_kit::watch::Change;

use crate::decide::{Decider, Effect};
use crate::index::{Index, Touched, WatchedNamespace};
use crate::service::WatchedService;

/// Something to take in.
#[derive(Debug)]
pub(crate) enum Input {
    /// Whether we lead.
    Leads(bool),
    Service(Change<WatchedService>),
    Pool(Change<IPAddressPool>),
    Namespace(Change<WatchedNamespace>),
    /// A status write has ended, well or not.
    Written {
        key: ServiceKey,
        /// The Service as the API server has it now, if it said so.
        service: Option<Box<WatchedService>>,
    },
}

/// What is known and, while we lead, what follows from it.
#[derive(Debug)]
pub(crate) struct Control {
    index: Index,
    /// There while we lead and know everything.
    decider: Option<Decider>,
    leads: bool,
    pub(crate) synced: Synced,
    /// Whether some object of the configuration is not in effect as it is.
    stale: bool,
    effects: Vec<Effect>,
}

/// The kinds of which everything is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    pub(crate) services: bool,
    pub(crate) pools: bool,
    pub(crate) namespaces: bool,
}

impl Synced {
    fn all(self) -> bool {
        self.services && self.pools && self.namespaces
    }
}

impl Control {
    /// Nothing known yet. `class` is `--lb-class`, empty when not given.
    pub(crate) fn new(class: &str) -> Self {
        Self {
            index: Index::new(class),
            decider: None,
            leads: false,
            synced: Synced::default(),
            stale: false,
            effects: Vec::new(),
        }
    }

    /// Takes something in.
    pub(crate) fn handle(&mut self, input: Input) {
        match input {
            Input::Leads(leads) => self.leads = leads,
            Input::Service(change) => self.service(change),
            Input::Pool(change) => self.pool(change),
            Input::Namespace(change) => self.namespace(change),
            Input::Written { key, service } => self.written(&key, service.as_deref()),
        }
    }

    /// What is to be done now, in order.
    pub(crate) fn poll(&mut self) -> Vec<Effect> {
        if !self.leads && self.decider.take().is_some() {
            self.effects.clear();
            return vec![Effect::Abandon];
        }
        if self.leads && self.synced.all() && self.decider.is_none() {
            let (decider, effects) = Decider::start(&mut self.index);
            self.stale = decider.is_stale();
            self.decider = Some(decider);
            self.effects.extend(effects);
        }
        if let Some(decider) = &mut self.decider {
            self.effects.extend(decider.decide(&self.index));
        }
        std::mem::take(&mut self.effects)
    }

    /// Who holds what; only who leads knows.
    pub(crate) fn allocator(&self) -> Option<&Allocator> {
        self.decider.as_ref().map(Decider::allocator)
    }

    /// Whether some object is not in effect as it is; nothing before the configuration was read.
    pub(crate) fn is_stale(&self) -> Option<bool> {
        self.synced.pools.then_some(self.stale)
    }

    fn service(&mut self, change: Change<WatchedService>) {
        let touched = match change {
            Change::Apply(service) => self.index.apply_service(&service),
            Change::Delete(key) => self
                .index
                .delete_service(&ServiceKey::new(&key.namespace, &key.name)),
            Change::Listing => Touched::Nothing,
            Change::Synced => {
                self.synced.services = true;
                Touched::Nothing
            }
        };
        self.touched(&touched);
    }

    fn touched(&mut self, touched: &Touched) {
        let Some(decider) = &mut self.decider else {
            return;
        };
        match touched {
            Touched::Nothing => {}
            Touched::Changed(key) => decider.service_changed(&self.index, key),
            Touched::Gone(key) => decider.service_gone(&self.index, key),
        }
    }

    fn written(&mut self, key: &ServiceKey, service: Option<&WatchedService>) {
        // The answer is newer than what the watch has told so far.
        if let Some(service) = service {
            let touched = self.index.apply_service(service);
            self.touched(&touched);
        }
        if let Some(decider) = &mut self.decider {
            decider.written(&self.index, key);
        }
    }

    fn pool(&mut self, change: Change<IPAddressPool>) {
        let changed = match change {
            Change::Apply(pool) => self.index.apply_pool(pool),
            Change::Delete(key) => {
                self.index.delete_pool(&key.name);
                true
            }
            Change::Listing => false,
            Change::Synced => {
                self.synced.pools = true;
                true
            }
        };
        if !changed || !self.synced.pools {
            return;
        }
        if let Some(decider) = &mut self.decider {
            self.effects.extend(decider.pools_changed(&mut self.index));
            self.stale = decider.is_stale();
        } else {
            // Also who does not lead says whether the configuration is good.
            self.stale = !self.index.parse().rejected.is_empty();
        }
    }

    fn namespace(&mut self, change: Change<WatchedNamespace>) {
        let changed = match change {
            Change::Apply(namespace) => self.index.apply_namespace(&namespace),
            Change::Delete(key) => {
                self.index.delete_namespace(&key.name);
                false
            }
            Change::Listing => false,
            Change::Synced => {
                self.synced.namespaces = true;
                false
            }
        };
        if let Some(decider) = &mut self.decider
            && changed
        {
            decider.labels_changed(&self.index);
        }
    }
}
