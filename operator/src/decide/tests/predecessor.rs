//! MetalLB's own operator was here before.

use super::*;
use crate::predecessor::LEFTOVERS;

/// Everything that it can leave is there, and nothing of ours yet.
fn inherited() -> World {
    let mut world = World::new();
    world.index.predecessors = None;
    for leftover in &LEFTOVERS {
        world.leftovers.insert(leftover.key(), "u".to_owned());
    }
    world.see_metallb("metallb-system", "metallb", &json!({}));
    world
}

#[test]
fn what_it_left_goes_when_those_are_at_work_who_replace_it() {
    let mut world = inherited();
    world.settle();
    assert_eq!(world.done(), NOTHING, "nobody of ours works yet");
    assert_eq!(world.leftovers.len(), LEFTOVERS.len());
    world.serves = true;
    let mut operand = world.index.operands[&controller()].clone();
    operand.workload = Some(served(2));
    let news = News::Operand(Kind::Deployment, Change::Apply(operand));
    world.index.handle(news);
    world.trusted = true;
    world.see_operand(&registration());
    world.settle();
    world.now += ROUTED;
    world.settle();
    assert_eq!(world.leftovers.len(), LEFTOVERS.len() - 2, "the webhooks");
    let frr = Key::new(Kind::DaemonSet, "frr-k8s");
    assert!(world.leftovers.contains_key(&frr), "it holds the sessions");
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
