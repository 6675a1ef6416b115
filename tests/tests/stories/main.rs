//! The product's stories, told in order on one real cluster.
//!
//! The stories share the cluster and what is installed on it, as one day of a user would; each
//! leaves it as it found it. `cargo xtask test cluster NAME` runs those whose name has NAME in it.

mod addresses;
mod admission;
mod bad_input;
mod day_one;
mod failover;
mod frames;
mod layer2;
mod operator;
mod world;

use metallb_tests::stories::{Stage, Story, tell};

use crate::world::Installed;

/// In the order in which they are told.
const DAY: &[Story<Installed>] = &[
    (
        "the_client_fetches_the_page_over_both_families",
        day_one::page_over_both_families,
    ),
    ("kubectl_reads_well", day_one::kubectl_reads_well),
    (
        "the_api_server_takes_every_sample",
        day_one::samples_are_taken,
    ),
    ("each_program_stays_within_its_memory", day_one::memory),
    ("nonsense_is_refused_with_the_reason", admission::refused),
    (
        "a_bgp_peer_is_read_in_either_version",
        admission::both_versions,
    ),
    (
        "the_webhooks_certificates_are_repaired",
        admission::certificates_repaired,
    ),
    (
        "admission_goes_on_with_one_controller_of_two",
        admission::one_controller_of_two,
    ),
    (
        "malformed_frames_of_every_length_change_nothing",
        frames::malformed,
    ),
    (
        "layer2::the_speaker_has_no_right_but_those_it_needs",
        layer2::confined,
    ),
    ("layer2::who_announces_is_shown", layer2::owner_is_shown),
    (
        "layer2::a_node_is_drained_and_somebody_always_answers",
        layer2::drained,
    ),
    (
        "layer2::speakers_restart_and_somebody_always_answers",
        layer2::speakers_restart,
    ),
    (
        "layer2::another_node_answers_after_the_cable_is_cut",
        failover::cable_cut,
    ),
];

fn main() -> std::process::ExitCode {
    let stage = Stage {
        up: Installed::up,
        print_what_happened: Installed::print_what_happened,
        down: Installed::down,
    };
    tell(
        &stage,
        &[DAY, operator::STORIES, addresses::STORIES, operator::END].concat(),
    )
}
