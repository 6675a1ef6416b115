//! The allocator beside a naive one: equal answers to every call, in any order of calls, and the
//! rules that both must keep.
//!
//! `METALLB_SEEDS=1000000 cargo test -p metallb-ipam --test model` tries a million courses.

mod both;
mod calls;
mod chance;
mod naive;
mod steps;
mod world;

use metallb_seeds::{Dice, for_each_seed, panic_message};

#[test]
fn any_calls_in_any_order() {
    for_each_seed(
        "cargo test -p metallb-ipam --test model any_calls",
        10_000,
        |seed| calls::run(&mut Dice::new(seed)),
    );
}

#[test]
fn programs_of_services_and_pools() {
    for_each_seed(
        "cargo test -p metallb-ipam --test model programs",
        10_000,
        |seed| {
            let program = steps::program(&mut Dice::new(seed));
            if let Some(why) = panic_message(|| world::run(&program)) {
                let (program, why) = shorten(program, why);
                panic!("{why}\nthe shortest program that does so: {program:#?}");
            }
        },
    );
}

/// Leaves out every step that it fails without.
fn shorten(mut program: Vec<steps::Step>, mut why: String) -> (Vec<steps::Step>, String) {
    let mut at = program.len();
    while at > 0 {
        at -= 1;
        let mut shorter = program.clone();
        shorter.remove(at);
        if let Some(still) = panic_message(|| world::run(&shorter)) {
            (program, why) = (shorter, still);
            at = at.min(program.len());
        }
    }
    (program, why)
}
