//! MetalLB's own operator was here before.

use super::killed::killed;
use super::*;
use crate::predecessor::frr::Turn;
use crate::predecessor::frr::tests::three;
use crate::predecessor::{FRR_K8S, LEFTOVERS};

/// Everything that it can leave is there, and nothing of ours yet.
fn inherited() -> World {
    let mut world = World::new();
    world.index.predecessors = None;
    for leftover in &LEFTOVERS {
        world.leftovers.insert(leftover.key(), "u".to_owned());
    }
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world.wall = Timestamp::from_second(100).expect("a time");
    world.frr = Some(three());
    world
}

/// A second has passed, in which the `DaemonSet` has been obeyed.
fn second_passes(world: &mut World, ended: &str) {
    world.now += Duration::from_secs(1);
    let frr = world.frr.as_mut().expect("it is there");
    frr.nodes.remove(ended);
    let sessions = frr.sessions.iter_mut();
    let its = sessions.filter(|(name, _)| name.starts_with(ended));
    its.for_each(|(_, it)| it.established = it.held);
}

/// All controllers are new, ready and trusted, and what follows from that is done.
fn controllers_work(world: &mut World) {
    (world.serves, world.trusted) = (true, true);
    let mut operand = world.index.operands[&controller()].clone();
    operand.workload = Some(served(2));
    let news = News::Operand(Kind::Deployment, Change::Apply(operand));
    world.index.handle(news);
    world.see_operand(&registration());
    world.settle();
    world.now += ROUTED;
    world.settle();
}

#[test]
fn what_it_left_goes_when_those_are_at_work_who_replace_it() {
    let mut world = inherited();
    world.settle();
    assert_eq!(world.done(), NOTHING, "nobody of ours works yet");
    assert_eq!(world.leftovers.len(), LEFTOVERS.len());
    controllers_work(&mut world);
    assert_eq!(world.leftovers.len(), LEFTOVERS.len() - 2, "the webhooks");
    let frr = Key::new(Kind::DaemonSet, FRR_K8S);
    assert!(world.leftovers.contains_key(&frr), "it holds the sessions");
    for node in ["n1", "n2", "n3"] {
        assert_eq!(world.done(), NOTHING, "it still ends on {node}");
        let wakes = world.plan().wake_at;
        assert_eq!(wakes, Some(world.now + Duration::from_secs(1)));
        let reports = world.reports();
        let progressing = &reports[0].status.conditions[2].message;
        let why = format!("frr-k8s ends on node {node}");
        assert!(progressing.contains(&why), "{progressing}");
        second_passes(&mut world, node);
        world.settle();
    }
    assert_eq!(
        world.leftovers.len(),
        LEFTOVERS.len() - 2,
        "some node has no speaker yet"
    );
    world.see_speakers();
    assert_eq!(
        world.done()[0],
        "delete leftover Deployment frr-k8s-webhook-server"
    );
    world.settle();
    assert!(world.leftovers.is_empty());
    assert_eq!(world.done(), NOTHING);
}

/// As when the same name comes to be one of ours.
#[test]
fn what_is_ours_by_now_stays() {
    let mut world = inherited();
    world.settle();
    let service = Key::new(Kind::Service, "speaker-monitor-service");
    world.see_operand(&service);
    let mut plan = Plan::default();
    leftovers::remove_predecessors(&world.index, &mut plan);
    assert_eq!(plan.actions.len(), LEFTOVERS.len() - 1);
}

#[test]
fn what_it_left_goes_with_the_metallb_object() {
    let mut world = inherited();
    world.settle();
    world.see_leaving();
    for _ in 0..4 {
        world.settle_once();
    }
    assert!(world.leftovers.is_empty());
    assert!(world.index.metallbs.is_empty());
}

/// The next operator goes on where the last one was: no node has its turn beside another.
#[test]
fn an_operator_that_is_killed_meanwhile_leaves_one_node_at_a_time() {
    let mut world = inherited();
    for node in ["n1", "n2", "n3"] {
        for _ in 0..2 {
            killed(&mut world);
            world.settle();
            controllers_work(&mut world);
            let frr = world.frr.as_ref().expect("it is there");
            let ends = Turn::Waits(format!("ends on node {node}"));
            assert_eq!(frr.turn(world.wall), ends);
        }
        second_passes(&mut world, node);
    }
}
