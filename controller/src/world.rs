//! For tests: a controller's core and a small API server that has its Services and tells of them.

mod allocation;
mod answers;
mod bad_input;
mod events;
mod leadership;
mod pools;
mod sharing;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use metallb_crds::v1beta1::{ConfigurationResult, IPAddressPool, IPAddressPoolStatus};
use metallb_kit::watch::{Change, ObjectKey};
use serde_json::Value;

use crate::apply::put::edit;
use crate::control::{Control, Input, Outcome};
use crate::decide::{Effect, Note, Write};
use crate::watched::{WatchedNamespace, WatchedService};

/// The API server, one controller, and what was said.
struct World {
    control: Control,
    now: Instant,
    version: u64,
    term: u64,
    services: BTreeMap<String, WatchedService>,
    /// Whether the watch of Services tells of what happens.
    watch: bool,
    /// What it would have told.
    untold: Vec<Change<WatchedService>>,
    /// Writes that the API server does not take, by Service, with the answer.
    refuses: BTreeMap<String, fn() -> Outcome>,
    /// `Type Reason object: message` of all Events so far.
    events: Vec<String>,
    /// The Services whose status was written, in turn.
    writes: Vec<String>,
    /// The log.
    lines: Vec<String>,
    doubles: u64,
}

impl World {
    /// A controller that leads, with these pools and Services.
    fn start(pools: &[IPAddressPool], services: &[WatchedService]) -> Self {
        let mut world = Self::empty("");
        for service in services {
            world.put(service.clone());
        }
        world.boot(pools);
        world
    }

    fn empty(class: &str) -> Self {
        Self {
            control: Control::new(class),
            now: Instant::now(),
            version: 100,
            term: 0,
            services: BTreeMap::new(),
            watch: true,
            untold: Vec::new(),
            refuses: BTreeMap::new(),
            events: Vec::new(),
            writes: Vec::new(),
            lines: Vec::new(),
            doubles: 0,
        }
    }

    /// The controller starts: learns everything and leads.
    fn boot(&mut self, pools: &[IPAddressPool]) {
        self.control = Control::new("");
        self.untold.clear();
        self.learn(pools);
        self.lead(true);
    }

    /// The controller learns everything.
    fn learn(&mut self, pools: &[IPAddressPool]) {
        self.handle(Input::Namespace(Change::Synced));
        self.handle(Input::Community(Change::Synced));
        self.handle(Input::Pool(Change::Listing));
        for pool in pools {
            self.handle(Input::Pool(Change::Apply(pool.clone())));
        }
        self.handle(Input::Pool(Change::Synced));
        self.list();
    }

    /// The watch of Services begins, once more or for the first time.
    fn list(&mut self) {
        self.told(Change::Listing);
        for service in self.services.clone().into_values() {
            self.told(Change::Apply(service));
        }
        self.told(Change::Synced);
    }

    /// The API server does not answer who writes this Service.
    fn does_not_answer(&mut self, name: &str) {
        self.refuses.insert(name.to_owned(), || Outcome::Delayed);
    }

    /// A write of this Service that got no answer is given up, and decided on again.
    fn gives_up(&mut self, name: &str) {
        let key = crate::service::key_of(&self.services[name]);
        let outcome = Outcome::Retry;
        self.handle(Input::Written { key, outcome });
        self.settle();
    }

    fn lead(&mut self, leads: bool) {
        self.term += u64::from(leads);
        let term = leads.then_some(self.term);
        self.handle(Input::Leads(term));
        self.settle();
    }

    fn handle(&mut self, input: Input) {
        self.control.handle(input, self.now);
    }

    /// The watch of Services tells this.
    fn told(&mut self, change: Change<WatchedService>) {
        self.handle(Input::Service(change));
    }

    /// Somebody writes a Service.
    fn apply(&mut self, service: WatchedService) {
        let service = self.put(service);
        self.tell(Change::Apply(service));
        self.settle();
    }

    fn put(&mut self, service: WatchedService) -> WatchedService {
        self.version += 1;
        let service = service.version(self.version);
        self.services.insert(key_of(&service), service.clone());
        service
    }

    fn delete(&mut self, key: &str) {
        self.version += 1;
        self.services.remove(key);
        let (namespace, name) = key.split_once('/').unwrap();
        self.tell(Change::Delete(ObjectKey::new(namespace, name)));
        self.settle();
    }

    fn tell(&mut self, change: Change<WatchedService>) {
        if self.watch {
            self.told(change);
        } else {
            self.untold.push(change);
        }
    }

    /// The watch tells what it owes.
    fn catch_up(&mut self) {
        self.watch = true;
        for change in std::mem::take(&mut self.untold) {
            self.told(change);
        }
        self.settle();
    }

    fn apply_pool(&mut self, pool: IPAddressPool) {
        self.handle(Input::Pool(Change::Apply(pool)));
        self.settle();
    }

    fn delete_pool(&mut self, name: &str) {
        let key = ObjectKey::new("metallb-system", name);
        self.handle(Input::Pool(Change::Delete(key)));
        self.settle();
    }

    fn label_namespace(&mut self, name: &str, label: (&str, &str)) {
        let mut namespace = WatchedNamespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let labels = namespace.metadata.labels.get_or_insert_default();
        labels.insert(label.0.to_owned(), label.1.to_owned());
        self.handle(Input::Namespace(Change::Apply(namespace)));
        self.settle();
    }

    /// Decides and writes until there is nothing to do.
    fn settle(&mut self) {
        for _ in 0..100 {
            let effects = self.control.poll(usize::MAX);
            self.doubles += self.control.take_figures().doubles;
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.perform(effect);
            }
        }
        panic!("it does not come to rest: {:?}", self.events);
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Abandon => {}
            Effect::Event(about, note) => self.note(about.key.name(), &note),
            Effect::Log(line) => self.lines.push(format!(
                "{} {} {}{}",
                line.event,
                line.service,
                line.reason.map(|it| format!("{it}: ")).unwrap_or_default(),
                line.error.as_deref().unwrap_or(line.msg),
            )),
            Effect::Write(write) => {
                let key = write.key.to_string();
                let outcome = match self.refuses.get(&key) {
                    Some(answer) => answer(),
                    None => self.write(&write),
                };
                let written = match &outcome {
                    Outcome::Written(service) => Some(service.clone()),
                    _ => None,
                };
                let key = write.key.clone();
                self.handle(Input::Written { key, outcome });
                if let Some(service) = written {
                    self.writes.push(write.key.to_string());
                    for note in &write.notes {
                        self.note(write.key.name(), note);
                    }
                    self.tell(Change::Apply(*service));
                }
            }
        }
    }

    /// The API server's part of a write.
    fn write(&mut self, write: &Write) -> Outcome {
        let Some(service) = self.services.get(&write.key.to_string()).cloned() else {
            return Outcome::Gone(write.uid.clone());
        };
        let meta = &service.metadata;
        if meta.resource_version.as_deref() != Some(&*write.resource_version)
            || meta.uid.as_deref() != Some(&*write.uid)
        {
            return Outcome::Stale(Some(Box::new(service)));
        }
        let before = serde_json::to_value(&service).unwrap();
        let mut object = before.clone();
        edit(&mut object, write, "now");
        if object == before {
            // What changes nothing is no new version.
            return Outcome::Written(Box::new(service));
        }
        let service = self.put(serde_json::from_value(object).unwrap());
        Outcome::Written(Box::new(service))
    }

    fn note(&mut self, name: &str, note: &Note) {
        let event_type = note.event_type.as_str();
        self.events.push(format!(
            "{event_type} {} {name}: {}",
            note.reason, note.message
        ));
    }

    /// The status of a Service as `pool: ip ip`, empty when it has none.
    fn status(&self, key: &str) -> String {
        let service = &self.services[key];
        let ingress = service.status.load_balancer.ingress.iter();
        let ips: Vec<_> = ingress.map(|entry| entry.ip.as_str()).collect();
        let annotations = service.metadata.annotations.clone().unwrap_or_default();
        match annotations.get("metallb.io/ip-allocated-from-pool") {
            Some(pool) => format!("{pool}: {}", ips.join(" ")),
            None => ips.join(" "),
        }
    }

    /// Its condition as `status reason: message`, empty when it has none.
    fn condition(&self, key: &str) -> String {
        let conditions = self.services[key].status.rest.get("conditions");
        let conditions = conditions.and_then(Value::as_array);
        let found = conditions
            .into_iter()
            .flatten()
            .find(|it| it["type"] == "metallb.io/AddressAssigned");
        found.map_or_else(String::new, |it| {
            let text = |field: &str| it[field].as_str().unwrap();
            format!("{} {}: {}", text("status"), text("reason"), text("message"))
        })
    }

    /// Whether some object is no good.
    fn is_stale(&self) -> bool {
        self.control.report().unwrap().result != ConfigurationResult::Valid
    }

    fn pool_status(&self, name: &str) -> Option<IPAddressPoolStatus> {
        self.control.pool_usage(name).map(|usage| usage.status())
    }

    /// The address of a Service.
    fn ip(&self, key: &str) -> String {
        let ingress = &self.services[key].status.load_balancer.ingress;
        ingress.first().map(|it| it.ip.clone()).unwrap_or_default()
    }

    fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }

    fn take_writes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.writes)
    }

    /// No address is with two Services.
    fn check_no_doubles(&self) {
        let mut seen = BTreeSet::new();
        for (key, service) in &self.services {
            for entry in &service.status.load_balancer.ingress {
                assert!(
                    seen.insert(entry.ip.clone()),
                    "{} is with {key} too",
                    entry.ip
                );
            }
        }
    }
}

fn key_of(service: &WatchedService) -> String {
    crate::service::key_of(service).to_string()
}

fn balancer(key: &str) -> WatchedService {
    WatchedService::test(key).load_balancer()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
