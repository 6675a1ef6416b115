//! A `MetalLB` object is deleted: what goes in which order, and what is not waited for.

use super::*;

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
