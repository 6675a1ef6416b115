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
    /// In which of our terms we lead, if we do.
    Leads(Option<u64>),
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
    /// The term that we lead in, as we were told last.
    term: Option<u64>,
    /// The term that the decisions are of.
    decided_in: Option<u64>,
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
            term: None,
            decided_in: None,
            synced: Synced::default(),
            stale: false,
            effects: Vec::new(),
        }
    }

    /// Takes something in.
    pub(crate) fn handle(&mut self, input: Input) {
        match input {
            Input::Leads(term) => self.term = term,
            Input::Service(change) => self.service(change),
            Input::Pool(change) => self.pool(change),
            Input::Namespace(change) => self.namespace(change),
            Input::Written { key, service } => self.written(&key, service.as_deref()),
        }
    }

    /// What is to be done now, in order.
    pub(crate) fn poll(&mut self) -> Vec<Effect> {
        // A new term is a new start: another may have led since.
        if self.term != self.decided_in && self.decider.take().is_some() {
            self.effects = vec![Effect::Abandon];
        }
        if self.term.is_some() && self.synced.all() && self.decider.is_none() {
            let (decider, effects) = Decider::start(&mut self.index);
            self.decided_in = self.term;
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
        // The answer may be newer than what the watch has told so far. It may also be late: the
        // Service is gone by now, or another has its name.
        let is_known = |service: &&WatchedService| {
            let known = self.index.service(key);
            known.is_some_and(|known| service.metadata.uid.as_deref() == Some(&*known.uid))
        };
        if let Some(service) = service.filter(is_known) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Write;
    use crate::fixtures::pool;

    /// A controller that leads and knows of two addresses.
    fn leading() -> Control {
        let mut control = Control::new("");
        let pool = pool("pool", &["192.0.2.1-192.0.2.2"]);
        control.handle(Input::Pool(Change::Apply(pool)));
        control.handle(Input::Pool(Change::Synced));
        control.handle(Input::Namespace(Change::Synced));
        control.handle(Input::Service(Change::Synced));
        control.handle(Input::Leads(Some(1)));
        assert!(control.poll().is_empty());
        control
    }

    fn writes(control: &mut Control) -> Vec<Write> {
        let effects = control.poll().into_iter();
        effects
            .filter_map(|effect| match effect {
                Effect::Write(write) => Some(write),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn an_answer_that_comes_late_brings_no_deleted_service_back() {
        let mut control = leading();
        let old = WatchedService::test("ns/web").load_balancer();
        control.handle(Input::Service(Change::Apply(old.clone())));
        let key = writes(&mut control).remove(0).key;
        let gone = metallb_kit::watch::ObjectKey::of(&old);
        control.handle(Input::Service(Change::Delete(gone)));
        let mut new = old.clone().created(9).version(3);
        new.metadata.uid = Some("another".to_owned());
        control.handle(Input::Service(Change::Apply(new)));
        let answer = old.version(2).ingress("pool", &["192.0.2.1"]);
        control.handle(Input::Written {
            key,
            service: Some(Box::new(answer)),
        });
        let write = writes(&mut control).remove(0);
        assert_eq!(&*write.uid, "another");
    }

    #[test]
    fn a_new_term_is_a_new_start() {
        let mut control = leading();
        let service = WatchedService::test("ns/web").load_balancer();
        control.handle(Input::Service(Change::Apply(service)));
        assert_eq!(writes(&mut control).len(), 1);
        // We never heard that we did not lead in between.
        control.handle(Input::Leads(Some(2)));
        let effects = control.poll();
        assert_eq!(effects[0], Effect::Abandon);
        assert!(matches!(effects[1], Effect::Write(_)));
        control.handle(Input::Leads(None));
        assert_eq!(control.poll(), [Effect::Abandon]);
        assert_eq!(control.poll(), []);
    }
}
