//! What is applied, repaired and pruned, and when.

use super::*;

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
            "apply NetworkPolicy controller",
            "apply NetworkPolicy operator",
        ]
    );
    // Pods are told by uid which account is theirs, so the accounts are there first.
    world.settle_once();
    assert_eq!(
        world.done(),
        ["apply Deployment controller", "apply DaemonSet speaker"]
    );
}

#[test]
fn pods_are_replaced_when_their_account_is_another() {
    let mut world = World::serving();
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
    let mut world = World::serving();
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
    let degraded = &reports[0].status.conditions[3];
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
fn what_was_refused_is_no_trouble_once_it_is_taken_back() {
    let mut world = World::serving();
    let refused = json!({ "speakerConfig": { "annotations": { "no key": "x" } } });
    world.see_metallb("metallb-system", "metallb", &refused);
    let wanted = world.plan().outlook.wanted[&speaker()];
    let (message, now) = ("no key".to_owned(), world.now);
    world.index.failed(speaker(), wanted, message, true, now);
    let degraded = |world: &World| world.reports()[0].status.conditions[3].status.clone();
    assert_eq!(degraded(&world), "True");
    world.see_metallb("metallb-system", "metallb", &json!({}));
    assert_eq!(world.done(), NOTHING);
    assert_eq!(degraded(&world), "False");
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
    let degraded = &world.reports()[0].status.conditions[3];
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
