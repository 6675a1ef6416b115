//! Datagrams that are nearly packets, and the seeds of the fuzz target.

mod targets;

use std::collections::BTreeMap;

use metallb_bfd::{Control, State};
use metallb_seeds::{Dice, assert_is_kept, for_each_seed, mutate};
use targets::{packet, packets, up};

/// Each state, asked, answered, and neither, as it may come in.
fn seeds() -> BTreeMap<String, Vec<u8>> {
    let (_, _, ours) = up();
    let mut seeds = BTreeMap::new();
    for state in [State::AdminDown, State::Down, State::Init, State::Up] {
        for (name, poll, is_final) in [
            ("", false, false),
            ("-poll", true, false),
            ("-final", false, true),
        ] {
            let control = Control {
                poll,
                is_final,
                ..packet(state, ours)
            };
            let encoded = control.encode();
            // From the peer, from farther away, from another, to the other port.
            let datagrams = [0, 4, 1, 8].map(|how| [&[how], &encoded[..]].concat());
            seeds.insert(
                format!("{state:?}{name}").to_lowercase(),
                datagrams.concat(),
            );
        }
    }
    seeds
}

#[test]
fn fuzzing_begins_with_each_state() {
    assert_is_kept("bfd_packets", &seeds());
    for seed in seeds().values() {
        packets(seed);
    }
}

#[test]
fn what_is_nearly_a_packet_counts_from_its_peer_alone() {
    let seeds: Vec<_> = seeds().into_values().collect();
    for_each_seed(
        "cargo test -p metallb-bfd --test fuzz nearly_a_packet",
        20_000,
        |seed| {
            packets(&mutate(&mut Dice::new(seed), &seeds));
        },
    );
}
