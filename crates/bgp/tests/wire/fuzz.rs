//! The seeds of the fuzz targets, and what is nearly like them.

use std::collections::BTreeMap;

use metallb_seeds::{Dice, assert_is_kept, for_each_seed, mutate};

use super::golden::GOLDEN;
use super::targets::{self, PAUSE};
use super::{bytes, message};

/// All golden messages, by name, and those that have no content worth a golden test.
fn messages() -> BTreeMap<&'static str, Vec<u8>> {
    let golden = GOLDEN
        .iter()
        .map(|(name, kind, body)| (*name, message(*kind, &bytes(body))));
    let others = [
        ("keepalive", message(4, &[])),
        ("notification", message(3, &[6, 2])),
        ("refresh", message(5, &[0, 1, 0, 1])),
    ];
    golden.chain(others).collect()
}

/// As each pair of peers may have agreed.
fn of_messages() -> BTreeMap<String, Vec<u8>> {
    let agreed = [0, 1, 7];
    let seed = |name, message: &Vec<u8>, agreed: u8| {
        (format!("{name}-{agreed}"), [&[agreed], &**message].concat())
    };
    let all = messages().into_iter();
    all.flat_map(|(name, message)| agreed.map(|it| seed(name, &message, it)))
        .collect()
}

/// A session comes up, each message is heard in each state.
fn of_sessions() -> BTreeMap<String, Vec<u8>> {
    let all = messages();
    let dialog = |parts: &[&str]| {
        let parts = parts.iter().map(|it| &*all[it]);
        parts.collect::<Vec<_>>().join(&PAUSE)
    };
    let mut seeds = BTreeMap::new();
    for name in all.keys() {
        let states: [&[&str]; 3] = [&[], &["open"], &["open", "keepalive"]];
        for (state, before) in states.into_iter().enumerate() {
            let parts = [before, &[*name]].concat();
            seeds.insert(format!("{name}-{state}"), dialog(&parts));
        }
    }
    seeds
}

#[test]
fn fuzzing_begins_with_golden_messages() {
    assert_is_kept("bgp_messages", &of_messages());
    assert_is_kept("bgp_session", &of_sessions());
    for seed in of_messages().values() {
        targets::message(seed);
    }
    for seed in of_sessions().values() {
        targets::session(seed);
    }
}

#[test]
fn what_is_nearly_a_message_is_no_panic() {
    let seeds: Vec<_> = of_messages().into_values().collect();
    let command = "cargo test -p metallb-bgp --test wire nearly_a_message";
    for_each_seed(command, 20_000, |seed| {
        targets::message(&mutate(&mut Dice::new(seed), &seeds));
    });
}

#[test]
fn what_is_nearly_a_dialog_ends_a_session_at_most() {
    let seeds: Vec<_> = of_sessions().into_values().collect();
    let command = "cargo test -p metallb-bgp --test wire nearly_a_dialog";
    for_each_seed(command, 20_000, |seed| {
        targets::session(&mutate(&mut Dice::new(seed), &seeds));
    });
}
