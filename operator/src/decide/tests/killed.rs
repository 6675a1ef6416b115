//! The operator is killed between any two of its writes, and the next one starts with nothing but
//! what the API server has.

use super::*;

/// Everything that is there, and whether the `MetalLB` object is.
type State = (Vec<String>, bool);

/// What only the process knew is gone; what the API server has is told anew.
pub(super) fn killed(world: &mut World) {
    let mut next = World::new();
    next.index.frr_k8s.written = None;
    next.frr_configurations = std::mem::take(&mut world.frr_configurations);
    next.index.predecessors = None;
    next.leftovers = std::mem::take(&mut world.leftovers);
    next.frr = world.frr.take();
    next.settings = world.settings.clone();
    (next.serves, next.trusted, next.required) = (world.serves, world.trusted, world.required);
    (next.now, next.wall, next.version) = (world.now, world.wall, world.version);
    (next.in_use, next.templates) = (world.in_use, std::mem::take(&mut world.templates));
    for operand in std::mem::take(&mut world.index.operands) {
        next.index.operands.insert(operand.0, operand.1);
    }
    for metallb in std::mem::take(&mut world.index.metallbs).into_values() {
        next.see(metallb);
    }
    *world = next;
}

/// Does what is decided until nothing is, with a kill before write `at`. Returns how many writes
/// that took.
fn run(world: &mut World, at: usize, always: fn(&World)) -> usize {
    let mut writes = 0;
    for _ in 0..ROUNDS {
        let mut actions = world.plan().actions;
        actions.retain(|action| !matches!(action, Action::Forget));
        if actions.is_empty() {
            return writes;
        }
        for action in actions {
            let is_read = action.is_read();
            if !is_read {
                writes += 1;
                if writes == at {
                    killed(world);
                    break;
                }
            }
            world.perform(action);
            always(world);
            if is_read {
                break;
            }
        }
    }
    panic!("it never comes to rest: {:?}", world.done());
}

/// More than anything takes.
const ROUNDS: usize = 50;

fn state(world: &World) -> State {
    let operands = world.index.operands.keys().map(Key::to_string).collect();
    (operands, world.index.metallbs.is_empty())
}

/// From `begin` to rest, killed at each write: it ends as without.
fn at_every_write(begin: fn() -> World, always: fn(&World)) -> State {
    let mut undisturbed = begin();
    let writes = run(&mut undisturbed, usize::MAX, always);
    assert!(writes > 1, "nothing to be killed between: {writes}");
    let end = state(&undisturbed);
    for at in 1..=writes {
        let mut world = begin();
        run(&mut world, at, always);
        assert_eq!(state(&world), end, "killed at write {at} of {writes}");
    }
    end
}

#[test]
fn an_installation_is_finished_by_the_next_operator() {
    let begin = || {
        let mut world = World::new();
        world.see_metallb("metallb-system", "metallb", &json!({}));
        let mut metallb = world.own();
        metallb.metadata.finalizers = None;
        world.see(metallb);
        world
    };
    let (operands, _) = at_every_write(begin, |world| {
        let workload = |key: &Key| key.kind.is_workload();
        if world.index.operands.keys().any(workload) {
            assert!(
                is_held(&world.own()),
                "nothing is made that would be left behind"
            );
            assert!(world.index.operands.contains_key(&secret()));
        }
    });
    assert_eq!(operands.len(), 18, "{operands:?}");
}

#[test]
fn an_upgrade_is_finished_by_the_next_operator_and_in_order() {
    let begin = || {
        let mut world = World::serving();
        "metallb:new".clone_into(&mut world.settings.images.controller);
        "metallb:new".clone_into(&mut world.settings.images.speaker);
        world
    };
    at_every_write(begin, |_| {});
}

#[test]
fn a_removal_is_finished_by_the_next_operator() {
    let begin = || {
        let mut world = World::serving();
        world.see_leaving();
        world
    };
    let (operands, gone) = at_every_write(begin, |world| {
        let has = |kind| world.index.operands.keys().any(|key| key.kind == kind);
        let asked = has(Kind::ValidatingWebhookConfiguration);
        assert!(
            !asked || has(Kind::Deployment),
            "somebody answers while anybody is asked"
        );
        assert!(
            !has(Kind::DaemonSet) || has(Kind::ClusterRole),
            "rights go last"
        );
    });
    assert_eq!((operands, gone), (Vec::new(), true));
}
