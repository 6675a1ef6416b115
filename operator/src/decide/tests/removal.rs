//! A `MetalLB` object is deleted: what goes in which order, and what is not waited for.

use metallb_crds::names::PROTECT_ADDRESSES;

use super::*;
use crate::decide::removal::PATIENCE;

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
        world.reports()[0].status.conditions[2]
            .message
            .contains("1 deployments")
    );
    world.see_gone(&Key::new(Kind::Deployment, "controller"));
    assert_eq!(
        world.done(),
        [
            "delete NetworkPolicy operator",
            "delete NetworkPolicy controller",
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
fn addresses_in_use_are_told_of_before_anything_goes() {
    let mut world = World::installed();
    world.in_use = 7;
    world.see_leaving();
    let report = world.reports().remove(0);
    let [turn] = &report.turns[..] else {
        panic!("{:?}", report.turns);
    };
    assert_eq!((turn.is_warning, &*turn.reason), (true, "AddressesInUse"));
    let message = &report.status.conditions[2].message;
    assert!(
        message.ends_with("which nobody answers for: 7"),
        "{message}"
    );
    world.write_reports();
    assert!(world.reports().is_empty(), "told once");
    assert_eq!(world.done().len(), 2, "it goes all the same");
}

#[test]
fn addresses_that_are_protected_keep_it_in_effect() {
    let mut world = World::installed();
    world.in_use = 7;
    let mut metallb = world.own();
    let protect = (PROTECT_ADDRESSES.to_owned(), "true".to_owned());
    metallb.metadata.annotations = Some([protect].into());
    world.see(metallb);
    world.see_leaving();
    assert_eq!(world.done(), NOTHING);
    let message = world.reports()[0].status.conditions[2].message.clone();
    assert!(
        message.contains("MetalLB goes on until none is"),
        "{message}"
    );
    world.see_gone(&speaker());
    assert_eq!(world.done(), ["repair DaemonSet speaker"]);
    world.settle();

    // The last Service goes.
    world.in_use = 0;
    world.now = world.plan().wake_at.expect("it is counted again");
    assert_eq!(world.done(), ["count addresses"]);
    world.settle_once();
    assert_eq!(world.done().len(), 2);
    // Nor does it keep the namespace.
    world.index.in_use = Some((7, world.now));
    assert_eq!(world.done(), NOTHING);
    world.pace = Pace::Hurried;
    assert_eq!(world.done().len(), 4);
}

#[test]
fn what_others_have_it_wait_for_is_named() {
    let mut world = World::installed();
    world.write_reports();
    world.see_leaving();
    let mut held = world.index.operands[&speaker()].clone();
    (held.deleting, held.finalizers) = (true, vec!["example.com/keep".to_owned()]);
    let news = News::Operand(Kind::DaemonSet, Change::Apply(held));
    world.index.handle(news);
    let message = |world: &World| world.reports()[0].status.conditions[2].message.clone();
    let words = "DaemonSet speaker waits for finalizers of others: example.com/keep";
    assert!(message(&world).contains(words), "{}", message(&world));

    world.write_reports();
    world.see_gone(&controller());
    let names = |status: &metallb_crds::v1beta1::MetalLBStatus| {
        let names = status.components.iter().filter_map(|it| it.name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&world.reports()[0].status), ["speaker"]);

    world.index.operands.clear();
    let mut metallb = world.own();
    metallb.metadata.finalizers = Some(vec!["example.com/keep".to_owned()]);
    world.see(metallb);
    let words = "still to be removed: nothing; this object waits for finalizers of others: \
                 example.com/keep";
    assert_eq!(message(&world), words);
}

#[test]
fn pods_that_never_report_their_end_do_not_hold_up_removal() {
    let mut world = World::installed();
    world.see_leaving();
    assert_eq!(world.done().len(), 2);
    world.wall = Timestamp::from_second(1_000 + PATIENCE).expect("a time");
    assert_eq!(world.done().len(), 18);
    assert_eq!(world.plan().wake_at, Some(world.now + LOOK_AGAIN));
}

#[test]
fn leftovers_of_an_object_that_was_torn_out_are_removed() {
    let mut world = World::installed();
    let own = own_key(&world.settings);
    world
        .index
        .handle(News::MetalLB(Box::new(Change::Delete(own))));
    assert_eq!(world.done().len(), 18);
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
