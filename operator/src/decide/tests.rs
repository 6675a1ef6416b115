//! Stories told on the index alone: what is decided, given what was seen.

use metallb_admission::CONFIGURATION;
use metallb_crds::v1beta1::MetalLBStatus;
use metallb_kit::watch::Change;
use serde_json::{Value, json};

use super::*;
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
}

impl World {
    fn new() -> Self {
        let mut index = Index::default();
        index.handle(News::MetalLB(Box::new(Change::Synced)));
        index.handle(News::Pod(Change::Synced));
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

/// What happens when the webhooks cannot be asked, as it would be applied now.
fn failure_policy(world: &World) -> Option<Value> {
    let actions = world.plan().actions;
    let object = actions.into_iter().find_map(|action| match action {
        Action::Apply { object, .. } if object.key == registration() => Some(object),
        _ => None,
    })?;
    Some(object.manifest["webhooks"][0]["failurePolicy"].clone())
}

fn speaker() -> Key {
    Key::new(Kind::DaemonSet, "speaker")
}

#[test]
fn without_a_metallb_object_there_is_nothing_to_do() {
    let world = World::new();
    assert_eq!(world.done(), ["forget"]);
    assert!(world.reports().is_empty());
}

#[test]
fn a_new_object_is_held_then_turned_into_operands_in_order() {
    let mut world = World::new();
    world.see_metallb("metallb-system", "metallb", &json!({}));
    let mut metallb = world.own();
    metallb.metadata.finalizers = None;
    world.see(metallb);
    assert_eq!(world.done(), ["hold metallb-system/metallb", "read key"]);

    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.index.memberlist.known = true;
    assert_eq!(
        world.done(),
        [
            "apply ServiceAccount controller",
            "apply ServiceAccount speaker",
            "apply ClusterRole metallb-system:controller",
            "apply ClusterRole metallb-system:speaker",
            "apply ClusterRoleBinding metallb-system:controller",
            "apply ClusterRoleBinding metallb-system:speaker",
            "apply Role controller",
            "apply Role speaker",
            "apply RoleBinding controller",
            "apply RoleBinding speaker",
            "apply Secret metallb-memberlist",
            "apply Secret metallb-webhook-cert",
            "apply ConfigMap metallb-excludel2",
            "apply Service metallb-webhook-service",
        ]
    );
    // Pods are told whose they are.
    world.settle_once();
    assert_eq!(
        world.done(),
        ["apply Deployment controller", "apply DaemonSet speaker"]
    );
}

#[test]
fn pods_are_replaced_when_their_account_is_another() {
    let mut world = World::installed();
    let account = Key::new(Kind::ServiceAccount, "speaker");
    world.see_gone(&account);
    assert_eq!(world.done(), ["repair ServiceAccount speaker"]);
    world.see_operand(&account);
    let another = Operand {
        uid: "another".to_owned(),
        ..world.index.operands[&account].clone()
    };
    let news = News::Operand(Kind::ServiceAccount, Change::Apply(another));
    world.index.handle(news);
    let actions = world.plan().actions;
    let [_, Action::Apply { object, .. }] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(object.key, speaker());
    let annotations = &object.manifest["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations[account::ANNOTATION], "another");
}

#[test]
fn what_is_deleted_or_edited_by_hand_is_repaired_and_nothing_else() {
    let mut world = World::installed();
    world.see_gone(&speaker());
    assert_eq!(world.done(), ["repair DaemonSet speaker"]);
    world.settle();
    world.see_operand(&Key::new(Kind::ClusterRole, "metallb-system:speaker"));
    assert_eq!(world.done(), ["repair ClusterRole metallb-system:speaker"]);
    world.settle();
    assert_eq!(world.done(), NOTHING);
    assert_eq!(world.plan().wake_at, None);
}

#[test]
fn a_change_of_the_spec_touches_what_depends_on_it() {
    let mut world = World::installed();
    world.see_metallb(
        "metallb-system",
        "metallb",
        &json!({ "speakerConfig": { "priorityClassName": "high" } }),
    );
    assert_eq!(world.done(), ["apply DaemonSet speaker"]);
}

#[test]
fn a_memberlist_secret_deleted_by_hand_comes_back_with_the_same_key() {
    let mut world = World::installed();
    world.see_gone(&secret());
    assert_eq!(world.done(), ["repair Secret metallb-memberlist"]);
}

#[test]
fn a_memberlist_key_set_by_hand_wins() {
    let mut world = World::installed();
    let seen = world.see_operand(&secret());
    assert_eq!(world.done(), ["read key"]);
    world.index.memberlist.read_at = Some(seen);
    world.index.memberlist.existing = Some(b"mine".to_vec());
    assert_eq!(world.done(), ["apply Secret metallb-memberlist"]);
    world.settle();
    assert_eq!(world.done(), NOTHING);
}

#[test]
fn what_is_not_wanted_any_more_is_pruned_unless_somebody_else_made_it() {
    let mut world = World::installed();
    let old = Key::new(Kind::ConfigMap, "frr-startup");
    world.see_operand(&old);
    assert_eq!(world.done(), ["delete ConfigMap frr-startup"]);
    world.index.leave_alone(old.to_string());
    assert_eq!(world.done(), NOTHING);
}

#[test]
fn a_refused_object_stops_itself_and_waits() {
    let mut world = World::new();
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.index.memberlist.known = true;
    world.settle_once();
    let wanted = world.plan().actions.iter().find_map(|action| match action {
        Action::Apply { object, wanted, .. } if object.key == speaker() => Some(*wanted),
        _ => None,
    });
    let retry_at = world.index.failed(
        speaker(),
        wanted.expect("it is wanted"),
        "spec.template is odd".to_owned(),
        true,
        world.now,
    );
    let done = world.done();
    assert!(
        done.contains(&"apply Deployment controller".to_owned()),
        "{done:?}"
    );
    assert!(
        !done.contains(&"apply DaemonSet speaker".to_owned()),
        "{done:?}"
    );
    assert_eq!(world.plan().wake_at, Some(retry_at));
    let reports = world.reports();
    let degraded = &reports[0].conditions[3];
    assert_eq!(
        (
            degraded.status.as_str(),
            degraded.reason.as_str(),
            degraded.message.as_str()
        ),
        (
            "True",
            "ApplyFailed",
            "DaemonSet speaker: spec.template is odd"
        )
    );
    world.now = retry_at;
    assert!(world.done().contains(&"apply DaemonSet speaker".to_owned()));
}

#[test]
fn an_invalid_edit_leaves_the_last_valid_form_in_effect() {
    let mut world = World::installed();
    let invalid = json!({ "bgpBackend": "bird", "logLevel": "debug" });
    world.see_metallb("metallb-system", "metallb", &invalid);
    assert_eq!(world.done(), NOTHING);
    world.see_gone(&speaker());
    assert_eq!(
        world.done(),
        ["repair DaemonSet speaker"],
        "and drift is still repaired"
    );
    let degraded = &world.reports()[0].conditions[3];
    assert_eq!(degraded.reason, "InvalidConfiguration");
    assert_eq!(
        degraded.message,
        "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external"
    );

    let mut restarted = World::new();
    restarted.see_metallb("metallb-system", "metallb", &invalid);
    restarted.see_operand(&speaker());
    assert_eq!(
        restarted.done(),
        NOTHING,
        "what runs is neither changed nor pruned"
    );
}

#[test]
fn an_object_of_another_name_or_namespace_is_told_why_it_is_ignored() {
    let mut world = World::installed();
    world.see_metallb("metallb-system", "mylb", &json!({}));
    world.see_metallb("operators", "metallb", &json!({}));
    assert_eq!(world.done(), NOTHING, "the right one is unaffected");
    let degraded = |report: &Report| report.conditions[3].clone();
    let by_name: BTreeMap<String, Report> = world
        .reports()
        .into_iter()
        .map(|r| (r.metallb.to_string(), r))
        .collect();

    let wrong_name = &by_name["metallb-system/mylb"];
    assert_eq!(degraded(wrong_name).reason, "IncorrectMetalLBResourceName");
    assert!(
        degraded(wrong_name)
            .message
            .starts_with("Incorrect MetalLB resource name: mylb"),
        "upstream's words"
    );
    let wrong_namespace = &by_name["operators/metallb"];
    assert_eq!(degraded(wrong_namespace).reason, "WrongNamespace");
    assert!(
        degraded(wrong_namespace).message.contains("metallb-system"),
        "where it belongs"
    );
    for report in [wrong_name, wrong_namespace] {
        assert_eq!(report.turns.len(), 1, "one Event");
        assert!(report.turns[0].is_warning);
    }
    world.write_reports();
    assert!(world.reports().is_empty(), "told once");
}

#[test]
fn a_status_is_written_when_it_says_something_new() {
    let mut world = World::installed();
    assert_eq!(world.reports().len(), 1);
    world.write_reports();
    world.wall = Timestamp::from_second(5_000).expect("a time");
    assert!(world.reports().is_empty(), "time alone is no news");
    let mut metallb = world.own();
    metallb.metadata.generation = Some(2);
    world.see(metallb);
    let reports = world.reports();
    assert_eq!(reports[0].generation, Some(2));
    assert_eq!(
        reports[0].conditions[0].last_transition_time.0.as_second(),
        1_000
    );
    assert!(reports[0].turns.is_empty(), "nothing has turned");
}

#[test]
fn removal_stops_the_workloads_first_and_takes_the_rights_last() {
    let mut world = World::installed();
    world.see_leaving();
    assert_eq!(
        world.done(),
        ["delete DaemonSet speaker", "delete Deployment controller"]
    );
    world.see_gone(&speaker());
    assert_eq!(
        world.done(),
        ["delete Deployment controller"],
        "the other still stops"
    );
    assert!(
        world.reports()[0].conditions[2]
            .message
            .contains("1 deployments")
    );
    world.see_gone(&Key::new(Kind::Deployment, "controller"));
    assert_eq!(
        world.done(),
        [
            "delete Service metallb-webhook-service",
            "delete ConfigMap metallb-excludel2",
            "delete Secret metallb-webhook-cert",
            "delete Secret metallb-memberlist",
            "delete RoleBinding speaker",
            "delete RoleBinding controller",
            "delete Role speaker",
            "delete Role controller",
            "delete ClusterRoleBinding metallb-system:speaker",
            "delete ClusterRoleBinding metallb-system:controller",
            "delete ClusterRole metallb-system:speaker",
            "delete ClusterRole metallb-system:controller",
            "delete ServiceAccount speaker",
            "delete ServiceAccount controller",
        ]
    );
    world.settle();
    assert_eq!(world.index.operands.len(), 0);
    assert_eq!(world.index.metallbs.len(), 0);
}

#[test]
fn nobody_is_sent_to_webhooks_that_do_not_answer() {
    let mut world = World::installed();
    assert_eq!(failure_policy(&world), None, "no pod is ready");

    world.serves = true;
    world.see_operand(&Key::new(Kind::Deployment, "controller"));
    assert_eq!(
        failure_policy(&world),
        Some("Ignore".into()),
        "no CA is known"
    );
    world.settle();
    assert_eq!(world.done(), NOTHING);

    world.trusted = true;
    world.see_operand(&registration());
    assert_eq!(failure_policy(&world), Some("Ignore".into()), "too early");
    let wake_at = world.plan().wake_at.expect("it is looked at again");
    assert!(wake_at <= world.now + Duration::from_secs(5));
    world.now = wake_at;
    assert_eq!(failure_policy(&world), Some("Fail".into()));
    world.settle();
    assert_eq!(world.done(), NOTHING);

    // The next leader has not seen how it came to that.
    world.index.callable_since = None;
    world.see_operand(&registration());
    assert_eq!(failure_policy(&world), Some("Fail".into()));
    world.settle();

    world.trusted = false;
    world.see_operand(&registration());
    assert_eq!(
        failure_policy(&world),
        Some("Ignore".into()),
        "somebody took it out"
    );

    world.trusted = true;
    world.see_operand(&registration());
    world.settle();
    world.serves = false;
    world.see_operand(&Key::new(Kind::Deployment, "controller"));
    world.settle();
    assert!(
        world.index.operands.contains_key(&registration()),
        "it stays"
    );
}

#[test]
fn removal_begins_with_the_webhooks() {
    let mut world = World::installed();
    world.serves = true;
    world.see_operand(&Key::new(Kind::Deployment, "controller"));
    world.settle();
    world.see_leaving();
    assert_eq!(world.done(), [format!("delete {}", registration())]);
    world.see_gone(&registration());
    assert_eq!(
        world.done(),
        ["delete DaemonSet speaker", "delete Deployment controller"]
    );
}

/// The namespace is deleted, and the operator before the `MetalLB` object.
#[test]
fn an_operator_that_must_go_removes_what_nobody_else_will() {
    let mut world = World::installed();
    world.pace = Pace::Hurried;
    let done = world.done();
    assert_eq!(done.len(), 4, "{done:?}");
    assert!(
        done.iter().all(|d| d.starts_with("delete ClusterRole")),
        "{done:?}"
    );
    for kind in [Kind::ClusterRole, Kind::ClusterRoleBinding] {
        for component in ["controller", "speaker"] {
            world.see_gone(&Key::new(kind, format!("metallb-system:{component}")));
        }
    }
    assert_eq!(
        world.done(),
        ["delete lease", "let go metallb-system/metallb", "forget"]
    );
}

#[test]
fn the_finalizer_goes_when_nothing_is_left() {
    let mut world = World::new();
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.see_leaving();
    assert_eq!(
        world.done(),
        ["delete lease", "let go metallb-system/metallb", "forget"]
    );
}

#[test]
fn pods_that_never_report_their_end_do_not_hold_up_removal() {
    let mut world = World::installed();
    world.see_leaving();
    assert_eq!(world.done().len(), 2);
    world.wall = Timestamp::from_second(1_000 + PATIENCE).expect("a time");
    assert_eq!(world.done().len(), 16);
    assert_eq!(world.plan().wake_at, Some(world.now + LOOK_AGAIN));
}

#[test]
fn leftovers_of_an_object_that_was_torn_out_are_removed() {
    let mut world = World::installed();
    let own = own_key(&world.settings);
    world
        .index
        .handle(News::MetalLB(Box::new(Change::Delete(own))));
    assert_eq!(world.done().len(), 16);
}

#[test]
fn an_ignored_object_is_not_held_back() {
    let mut world = World::installed();
    world.see_metallb("operators", "metallb", &json!({}));
    let key = ObjectKey::new("operators", "metallb");
    let mut metallb = world.index.metallbs[&key].clone();
    metallb.metadata.deletion_timestamp = Some(
        k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.wall),
    );
    world.see(metallb);
    assert_eq!(world.done(), ["let go operators/metallb"]);
}
