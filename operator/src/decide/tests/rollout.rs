//! A change reaches the controllers first, and the speakers when the new controllers do their work.

use kube::api::ObjectMeta;

use super::*;

/// A new version of both.
fn upgrade(world: &mut World) {
    "metallb:new".clone_into(&mut world.settings.images.controller);
    "metallb:new".clone_into(&mut world.settings.images.speaker);
}

fn see_all_ready(world: &mut World) {
    for key in [controller(), speaker()] {
        let mut seen = world.index.operands[&key].clone();
        seen.workload = Some(served(2));
        let news = News::Operand(key.kind, Change::Apply(seen));
        world.index.handle(news);
    }
}

#[test]
fn speakers_are_not_touched_before_the_new_controllers_do_their_work() {
    let mut world = World::serving();
    upgrade(&mut world);
    assert_eq!(world.done(), ["apply Deployment controller"]);
    world.see_controllers(false);
    world.settle();
    assert_eq!(world.done(), NOTHING, "the new controllers are not ready");
    let reports = world.reports();
    let status = &reports[0].status;
    let why = "waits until the controllers are new and ready";
    let progressing = &status.conditions[2];
    assert_eq!(progressing.status, "True");
    assert!(
        progressing.message.ends_with(&format!("speaker {why}")),
        "{}",
        progressing.message
    );
    assert_eq!(status.components[1].message.as_deref(), Some(why));

    world.see_controllers(true);
    assert_eq!(world.done(), ["apply DaemonSet speaker"]);
    world.settle();
    assert_eq!(world.done(), NOTHING);
}

/// The next operator has seen nothing of what was before, and is not held up by controllers that
/// are down for reasons of their own.
#[test]
fn a_repair_is_no_step_of_a_rollout() {
    let mut world = World::serving();
    world.see_controllers(false);
    world.see_operand(&speaker());
    assert_eq!(world.done(), ["repair DaemonSet speaker"]);
    world.see_gone(&speaker());
    assert_eq!(world.done(), ["repair DaemonSet speaker"]);
    world.settle();
    // Of another operator.
    world.index.forget_metallb();
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.index.predecessors = Some(Leftovers::new());
    world.index.memberlist.known = true;
    world.index.memberlist.read_at = Some(world.index.operands[&secret()].fingerprint.clone());
    let done = world.done();
    assert!(
        done.contains(&"apply DaemonSet speaker".to_owned()),
        "{done:?}"
    );
}

#[test]
fn a_controller_that_is_left_alone_holds_up_nobody() {
    let mut world = World::serving();
    let mut own = world.index.operands[&controller()].clone();
    own.unmanaged = true;
    own.workload = None;
    let news = News::Operand(Kind::Deployment, Change::Apply(own));
    world.index.handle(news);
    upgrade(&mut world);
    assert_eq!(world.done(), ["apply DaemonSet speaker"]);
    let status = &world.reports()[0].status;
    assert_eq!(status.unmanaged, ["Deployment controller"]);
}

#[test]
fn operands_have_a_new_version_once_all_of_it_runs() {
    let mut world = World::serving();
    let operands = |world: &World| {
        let mut reports = world.reports();
        reports.remove(0).status.versions.and_then(|it| it.operands)
    };
    assert_eq!(operands(&world), None, "no speaker runs yet");
    let mut metallb = world.own();
    metallb.status = Some(metallb_crds::v1beta1::MetalLBStatus {
        versions: Some(metallb_crds::v1beta1::Versions {
            operator: Some("0.0.1".to_owned()),
            operands: Some("0.0.1".to_owned()),
        }),
        ..<_>::default()
    });
    world.see(metallb);
    assert_eq!(operands(&world).as_deref(), Some("0.0.1"));

    see_all_ready(&mut world);
    assert_eq!(operands(&world).as_deref(), Some(crate::VERSION));
    let turns = &world.reports()[0].turns;
    assert!(
        turns.iter().any(|turn| turn.reason == "Upgraded"),
        "{turns:?}"
    );
}

/// Whoever waits for a change to be out must not be told so by what the watch said before it.
#[test]
fn what_was_seen_before_a_change_does_not_say_that_it_is_out() {
    let mut world = World::serving();
    see_all_ready(&mut world);
    let generation = |generation| {
        Fingerprint::of(&ObjectMeta {
            uid: Some("speaker".to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        })
    };
    let mut operand = world.index.operands[&speaker()].clone();
    let mut see_form = |world: &mut World, at| {
        operand.fingerprint = generation(at);
        let change = Change::Apply(operand.clone());
        world.index.handle(News::Operand(Kind::DaemonSet, change));
    };
    let progressing = |world: &World| world.reports()[0].status.conditions[2].status.clone();
    see_form(&mut world, 1);
    assert_eq!(progressing(&world), "False");
    world.index.applied(&speaker(), 1, generation(2), world.now);
    assert_eq!(progressing(&world), "True");
    see_form(&mut world, 2);
    assert_eq!(progressing(&world), "False");
}

/// A hundred nodes get the new speaker one after the other: what is written is the change itself,
/// and one status for each thing that has happened.
#[test]
fn an_upgrade_of_a_hundred_nodes_writes_no_more_than_what_changes() {
    const NODES: i32 = 100;
    let mut world = World::serving();
    world.see_speakers();
    world.write_reports();
    upgrade(&mut world);
    let (mut objects, mut statuses, mut news) = (0, 0, 0);
    let mut settle = |world: &mut World| {
        news += 1;
        for _ in 0..3 {
            let actions = world.plan().actions;
            objects += actions.iter().filter(|it| !it.is_read()).count();
            for action in actions {
                world.perform(action);
            }
        }
        statuses += world.reports().len();
        world.write_reports();
        assert!(world.reports().is_empty(), "said once");
    };
    world.see_controllers(true);
    settle(&mut world);
    for updated in 0..=NODES {
        // A pod goes, the next one comes and is ready.
        for ready in [NODES - 1, NODES] {
            let mut operand = world.index.operands[&speaker()].clone();
            operand.workload = Some(Workload {
                desired: NODES,
                updated,
                current: NODES,
                ready,
                ..served(0)
            });
            let change = Change::Apply(operand);
            world.index.handle(News::Operand(Kind::DaemonSet, change));
            settle(&mut world);
        }
    }
    assert_eq!(objects, 2, "the controllers and the speakers");
    assert!(statuses <= news, "{statuses} statuses of {news} news");
    assert_eq!(world.done(), NOTHING);
}
