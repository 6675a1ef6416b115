//! The product's stories, told in order on one real cluster.
//!
//! The stories share the cluster and what is installed on it, as one day of a user would; each
//! leaves it as it found it. `cargo xtask test cluster NAME` runs those whose name has NAME in it.

mod admission;
mod bad_input;
mod day_one;
mod failover;
mod frames;
mod operator;
mod world;

use metallb_tests::stories::{Stage, Story, tell};

use crate::world::Installed;

/// In the order in which they are told.
const STORIES: &[Story<Installed>] = &[
    (
        "a_service_without_any_pool_says_so_and_is_served_later",
        day_one::no_pool,
    ),
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
        "an_invalid_pool_is_refused_and_stops_nothing",
        bad_input::invalid_pools,
    ),
    ("a_host_in_a_pool_means_its_network", bad_input::host_bits),
    (
        "an_exhausted_pool_says_so_and_serves_who_waits",
        bad_input::exhausted_pool,
    ),
    (
        "malformed_frames_of_every_length_change_nothing",
        frames::malformed,
    ),
    (
        "a_second_metallb_object_is_told_why_it_is_ignored",
        bad_input::second_metallb,
    ),
    (
        "a_secret_removed_by_hand_comes_back",
        operator::secret_removed,
    ),
    (
        "each_operand_deleted_comes_back",
        operator::operands_deleted,
    ),
    (
        "a_field_edited_by_hand_is_set_right",
        operator::edited_by_hand,
    ),
    (
        "a_dead_controller_moves_no_address",
        failover::controller_killed,
    ),
    (
        "another_node_answers_after_the_cable_is_cut",
        failover::cable_cut,
    ),
    (
        "deleting_metallb_leaves_only_what_is_the_users",
        operator::metallb_deleted,
    ),
];

fn main() -> std::process::ExitCode {
    let stage = Stage {
        up: Installed::up,
        print_what_happened: Installed::print_what_happened,
        down: Installed::down,
    };
    tell(&stage, STORIES)
}
