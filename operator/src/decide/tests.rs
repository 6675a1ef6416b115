//! Stories told on the index alone: what is decided, given what was seen.

mod frr_k8s;
mod killed;
mod older;
mod operands;
mod paused;
mod predecessor;
mod removal;
mod requests;
mod rollout;
mod statuses;
mod webhooks;

use std::collections::BTreeMap;

use metallb_admission::{CONFIGURATION, OPERATOR_CONFIGURATION};
use metallb_kit::watch::Change;
use serde_json::{Value, json};

use super::*;
use crate::frr_k8s::FrrNews;
use crate::index::News;
use crate::observed::{Fingerprint, Operand, Registration, TEMPLATE_HASH};
use crate::predecessor::Leftovers;
use crate::predecessor::frr::Frr;
use crate::predecessor::frr::tests::patched;
use crate::predecessor::frr::without;
use crate::report::{Report, reports};

/// An index in sync, and a server that does as it is told.
struct World {
    index: Index,
    settings: Settings,
    now: Instant,
    wall: Timestamp,
    version: u32,
    pace: Pace,
    /// The controller's pods are ready.
    serves: bool,
    /// They have said whom to trust.
    trusted: bool,
    /// What the registration says of the time without an answer.
    required: bool,
    /// What speakers have written for an FRR-K8s.
    frr_configurations: BTreeMap<ObjectKey, String>,
    /// What MetalLB's own operator has left.
    leftovers: Leftovers,
    /// How its FRR-K8s is.
    frr: Option<Frr>,
    /// How many addresses Services have.
    in_use: u64,
    /// Which form the pods of workloads have, as applied last.
    templates: BTreeMap<Key, String>,
}

impl World {
    fn new() -> Self {
        let mut index = Index::default();
        index.handle(News::MetalLB(Box::new(Change::Synced)));
        index.handle(News::Pod(Change::Synced));
        index.handle(News::Peer(Box::new(Change::Synced)));
        index.handle(News::FrrK8s(FrrNews::Synced));
        index.handle(News::Extras(Change::Synced));
        index.handle(News::ApiService(Change::Synced));
        index.handle(News::ApiEndpoints(Change::Synced));
        for kind in Kind::ALL {
            index.handle(News::Operand(kind, Change::Synced));
        }
        assert_eq!(index.missing(), []);
        index.predecessors = Some(Leftovers::new());
        let settings = Settings::new("metallb-system", "metallb:dev");
        let wall = Timestamp::from_second(1_000).expect("a time");
        Self {
            index,
            settings,
            now: Instant::now(),
            wall,
            version: 0,
            pace: Pace::Thorough,
            serves: false,
            trusted: false,
            required: false,
            frr_configurations: BTreeMap::new(),
            leftovers: Leftovers::new(),
            frr: None,
            in_use: 0,
            templates: BTreeMap::new(),
        }
    }

    /// With MetalLB installed and everything applied.
    fn installed() -> Self {
        let mut world = Self::new();
        world.see_metallb("metallb-system", "metallb", &json!({}));
        world.settle();
        assert_eq!(world.done(), NOTHING);
        world
    }

    /// The same, whose controllers do their work.
    fn serving() -> Self {
        let mut world = Self::installed();
        world.see_controllers(true);
        world.settle();
        assert_eq!(world.done(), NOTHING);
        world
    }

    /// The controllers' pods are new and ready from now on, or no more; nothing else has changed.
    fn see_controllers(&mut self, serves: bool) {
        self.serves = serves;
        let seen = self.index.operands[&controller()].clone();
        let operand = Operand {
            workload: serves.then(|| served(1)),
            ..seen
        };
        let news = News::Operand(Kind::Deployment, Change::Apply(operand));
        self.index.handle(news);
    }

    /// All speakers are of the newest form.
    fn see_speakers(&mut self) {
        let mut operand = self.index.operands[&speaker()].clone();
        operand.workload = Some(Workload {
            desired: 3,
            updated: 3,
            current: 3,
            ..served(3)
        });
        let change = Change::Apply(operand);
        self.index.handle(News::Operand(Kind::DaemonSet, change));
    }

    fn see_metallb(&mut self, namespace: &str, name: &str, spec: &Value) {
        let metallb = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "MetalLB",
            "metadata": {
                "namespace": namespace, "name": name, "uid": name, "generation": 1,
                "finalizers": [FINALIZER],
            },
            "spec": spec,
        });
        self.see(serde_json::from_value(metallb).expect("a MetalLB"));
    }

    fn see(&mut self, metallb: MetalLB) {
        self.index
            .handle(News::MetalLB(Box::new(Change::Apply(metallb))));
        if let Some(spec) = valid_spec(&self.index, &self.settings).cloned() {
            self.index.last_valid = Some(spec);
        }
    }

    fn own(&self) -> MetalLB {
        self.index.metallbs[&own_key(&self.settings)].clone()
    }

    fn see_leaving(&mut self) {
        let mut metallb = self.own();
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.wall);
        metallb.metadata.deletion_timestamp = Some(time);
        self.see(metallb);
        assert_eq!(self.done(), ["count addresses"]);
        self.settle_once();
    }

    /// An operand as it comes by the watch, newly written by somebody.
    fn see_operand(&mut self, key: &Key) -> Fingerprint {
        self.version += 1;
        let fingerprint = Fingerprint::of_version(&key.to_string(), &self.version.to_string());
        let operand = Operand {
            name: key.name.clone(),
            uid: key.to_string(),
            deleting: false,
            unmanaged: false,
            template: self.templates.get(key).cloned(),
            finalizers: Vec::new(),
            fingerprint: fingerprint.clone(),
            workload: (self.serves && key.kind == Kind::Deployment).then(|| served(1)),
            registration: (*key == registration()).then_some(Registration {
                callable: self.trusted,
                required: self.required,
            }),
        };
        self.index
            .handle(News::Operand(key.kind, Change::Apply(operand)));
        self.index.note(self.now);
        fingerprint
    }

    fn see_gone(&mut self, key: &Key) {
        let gone = ObjectKey::new("", &key.name);
        self.index
            .handle(News::Operand(key.kind, Change::Delete(gone)));
    }

    fn plan(&self) -> Plan {
        decide(&self.index, &self.settings, self.pace, self.now, self.wall)
    }

    /// Does what is decided until nothing is.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.settle_once();
        }
    }

    fn settle_once(&mut self) {
        for action in self.plan().actions {
            self.perform(action);
        }
    }

    /// Does one thing, as the server would.
    fn perform(&mut self, action: Action) {
        match action {
            Action::Apply { object, wanted, .. } => {
                if object.key == registration() {
                    self.required = object.manifest["webhooks"][0]["failurePolicy"] == "Fail";
                }
                let form = &object.manifest["metadata"]["annotations"][TEMPLATE_HASH];
                if let Some(form) = form.as_str() {
                    self.templates.insert(object.key.clone(), form.to_owned());
                }
                let fingerprint = self.see_operand(&object.key);
                self.index
                    .applied(&object.key, wanted, fingerprint, self.now);
            }
            Action::ReadMemberlistKey => {
                let seen = self.index.operands.get(&secret());
                self.index.memberlist.read_at = seen.map(|it| it.fingerprint.clone());
                self.index.memberlist.known = true;
                self.index.memberlist.fresh = *b"0123456789abcdef";
            }
            Action::Delete { key, .. } => self.see_gone(&key),
            Action::SetFinalizer { metallb, hold } => {
                let mut object = self.index.metallbs[&metallb].clone();
                let is_leaving = object.metadata.deletion_timestamp.is_some();
                object.metadata.finalizers = hold.then(|| vec![FINALIZER.to_owned()]);
                if hold || !(is_leaving || self.pace == Pace::Hurried) {
                    self.see(object);
                } else {
                    let gone = Change::Delete(metallb);
                    self.index.handle(News::MetalLB(Box::new(gone)));
                }
            }
            Action::CountAddresses => self.index.in_use = Some((self.in_use, self.now)),
            Action::LookForFrrConfigurations => {
                self.index.frr_k8s.written = Some(self.frr_configurations.clone());
            }
            Action::DeleteFrrConfiguration { key, .. } => {
                self.frr_configurations.remove(&key);
                self.index.frr_k8s.removed(&key);
            }
            Action::LookForLeftovers { .. } => {
                self.index.predecessors = Some(self.leftovers.clone());
            }
            Action::DeleteLeftover { key, .. } => {
                self.leftovers.remove(&key);
                self.index
                    .predecessors
                    .as_mut()
                    .map(|left| left.remove(&key));
            }
            Action::LookAtFrr { .. } => {
                self.index.frr = self.frr.clone().map(Box::new);
                if let Some(frr) = &mut self.index.frr {
                    frr.seen_at = self.now;
                }
            }
            Action::EndFrr { node, awaited } => {
                self.index.frr = None;
                let frr = self.frr.as_mut().expect("it is there");
                let patch = without(&frr.daemon_set, &node, &awaited);
                frr.daemon_set = patched(&frr.daemon_set, &patch);
            }
            Action::Forget => self.index.forget_metallb(),
            Action::DeleteControllerLease => {}
        }
    }

    /// What is decided, in words.
    fn done(&self) -> Vec<String> {
        self.plan().actions.iter().map(Action::to_string).collect()
    }

    fn reports(&self) -> Vec<Report> {
        reports(&self.index, &self.settings, &self.plan().outlook, self.wall)
    }

    /// Takes in the statuses that are reported, as the watch would.
    fn write_reports(&mut self) {
        for report in self.reports() {
            let mut metallb = self.index.metallbs[&report.metallb].clone();
            metallb.status = Some(report.status);
            self.see(metallb);
        }
    }
}

const NOTHING: [&str; 0] = [];

fn secret() -> Key {
    Key::new(Kind::Secret, MEMBERLIST_SECRET)
}

fn registration() -> Key {
    Key::new(Kind::ValidatingWebhookConfiguration, CONFIGURATION)
}

fn speaker() -> Key {
    Key::new(Kind::DaemonSet, "speaker")
}

fn controller() -> Key {
    Key::new(Kind::Deployment, "controller")
}

/// Two controllers of the newest form, of which so many do their work.
fn served(ready: i32) -> Workload {
    Workload {
        observed: true,
        desired: 2,
        updated: 2,
        ready,
        current: 2,
        complaint: None,
    }
}
