//! Stories told on the index alone: what is decided, given what was seen.

mod frr_k8s;
mod operands;
mod removal;
mod statuses;
mod webhooks;

use metallb_admission::{CONFIGURATION, OPERATOR_CONFIGURATION};
use metallb_crds::v1beta1::MetalLBStatus;
use metallb_kit::watch::Change;
use serde_json::{Value, json};

use super::*;
use crate::frr_k8s::FrrNews;
use crate::index::News;
use crate::observed::{Fingerprint, Operand, Registration};
use crate::settings::{Images, Ports};

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
}

impl World {
    fn new() -> Self {
        let mut index = Index::default();
        index.handle(News::MetalLB(Box::new(Change::Synced)));
        index.handle(News::Pod(Change::Synced));
        index.handle(News::Peer(Box::new(Change::Synced)));
        index.handle(News::FrrK8s(FrrNews::Synced));
        index.handle(News::Extras(Change::Synced));
        for kind in Kind::ALL {
            index.handle(News::Operand(kind, Change::Synced));
        }
        assert_eq!(index.missing(), []);
        let image = "metallb:dev".to_owned();
        let settings = Settings {
            namespace: "metallb-system".to_owned(),
            images: Images {
                controller: image.clone(),
                speaker: image,
            },
            ports: Ports::default(),
            frr_k8s_namespace: None,
            webhook_service: None,
            without_effect: Vec::new(),
        };
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
    }

    /// An operand as it comes by the watch, newly written by somebody.
    fn see_operand(&mut self, key: &Key) -> Fingerprint {
        self.version += 1;
        let fingerprint = Fingerprint::of_version(&key.to_string(), &self.version.to_string());
        let operand = Operand {
            name: key.name.clone(),
            uid: key.to_string(),
            deleting: false,
            fingerprint: fingerprint.clone(),
            workload: (self.serves && key.kind == Kind::Deployment).then_some(Workload {
                observed: true,
                desired: 2,
                updated: 2,
                ready: 1,
                current: 2,
                complaint: None,
            }),
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
            match action {
                Action::Apply { object, wanted, .. } => {
                    if object.key == registration() {
                        self.required = object.manifest["webhooks"][0]["failurePolicy"] == "Fail";
                    }
                    let fingerprint = self.see_operand(&object.key);
                    self.index
                        .applied(object.key, wanted, fingerprint, self.now);
                }
                Action::ReadMemberlistKey => {
                    self.index.memberlist.known = true;
                    self.index.memberlist.fresh = *b"0123456789abcdef";
                }
                Action::Delete { key, .. } => self.see_gone(&key),
                Action::SetFinalizer { metallb, .. } => {
                    self.index
                        .handle(News::MetalLB(Box::new(Change::Delete(metallb))));
                }
                Action::LookForFrrConfigurations => {
                    self.index.frr_k8s.written = Some(self.frr_configurations.clone());
                }
                Action::DeleteFrrConfiguration { key, .. } => {
                    self.frr_configurations.remove(&key);
                    self.index.frr_k8s.removed(&key);
                }
                Action::DeleteControllerLease | Action::Forget => {}
            }
        }
    }

    /// What is decided, in words.
    fn done(&self) -> Vec<String> {
        let words = |action: &Action| match action {
            Action::ReadMemberlistKey => "read key".to_owned(),
            Action::SetFinalizer {
                metallb,
                hold: true,
            } => format!("hold {metallb}"),
            Action::SetFinalizer {
                metallb,
                hold: false,
            } => format!("let go {metallb}"),
            Action::Apply {
                object,
                repairs: false,
                ..
            } => format!("apply {}", object.key),
            Action::Apply {
                object,
                repairs: true,
                ..
            } => format!("repair {}", object.key),
            Action::Delete { key, .. } => format!("delete {key}"),
            Action::LookForFrrConfigurations => "look for FRRConfigurations".to_owned(),
            Action::DeleteFrrConfiguration { key, .. } => format!("delete FRRConfiguration {key}"),
            Action::DeleteControllerLease => "delete lease".to_owned(),
            Action::Forget => "forget".to_owned(),
        };
        self.plan().actions.iter().map(words).collect()
    }

    fn reports(&self) -> Vec<Report> {
        reports(&self.index, &self.settings, self.wall)
    }

    /// Takes in the statuses that are reported, as the watch would.
    fn write_reports(&mut self) {
        for report in self.reports() {
            let mut metallb = self.index.metallbs[&report.metallb].clone();
            metallb.status = Some(MetalLBStatus {
                conditions: report.conditions,
                observed_generation: report.generation,
            });
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
