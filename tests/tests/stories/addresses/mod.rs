//! Which Service has which address, whatever happens: the stories of the controller.
//!
//! `cargo xtask test addresses` tells them after the tests of the crates that decide.

mod admission_matrix;
mod burst;
mod changes;
mod controllers;
mod crowd;
mod explained;
mod faults;
mod large;
mod ledger;
mod legacy;
mod metrics;
mod statuses;

use metallb_tests::stories::Story;

use crate::{bad_input, day_one, failover, world::Installed};

/// In the order in which they are told.
pub(crate) const STORIES: &[Story<Installed>] = &[
    (
        "addresses::a_service_without_any_pool_says_so_and_is_served_later",
        day_one::no_pool,
    ),
    (
        "addresses::an_invalid_pool_stops_only_itself",
        bad_input::invalid_pools,
    ),
    (
        "addresses::a_host_in_a_pool_means_its_network",
        bad_input::host_bits,
    ),
    (
        "addresses::an_exhausted_pool_says_so_and_serves_who_waits",
        bad_input::exhausted_pool,
    ),
    (
        "addresses::a_dead_controller_moves_no_address",
        failover::controller_killed,
    ),
    ("addresses::each_refusal_is_explained", explained::refusals),
    (
        "addresses::services_share_an_address_or_are_told_why_not",
        explained::sharing,
    ),
    (
        "addresses::objects_written_for_metallb_work_unchanged",
        legacy::unchanged,
    ),
    (
        "addresses::a_status_written_by_hand_is_set_right",
        statuses::by_hand,
    ),
    (
        "addresses::of_two_with_one_address_the_older_keeps_it",
        statuses::twice,
    ),
    (
        "addresses::pool_edits_under_fifty_services_move_none",
        changes::edits,
    ),
    (
        "addresses::a_pool_is_split_renamed_deleted_and_made_anew",
        changes::renamed,
    ),
    (
        "addresses::either_controller_dies_and_none_moves",
        controllers::either_dies,
    ),
    (
        "addresses::the_leader_is_killed_in_a_burst_and_none_is_lost",
        burst::leader_killed,
    ),
    (
        "addresses::wrong_answers_of_the_api_server_lose_nothing",
        faults::answers,
    ),
    (
        "addresses::a_watch_that_falls_silent_is_noticed",
        faults::silence,
    ),
    (
        "addresses::a_pool_as_large_as_etcd_takes_is_served",
        large::one_pool,
    ),
    ("addresses::a_thousand_pools_are_served", large::many_pools),
    (
        "addresses::promtool_finds_only_upstreams_own_names",
        metrics::promtool,
    ),
    (
        "addresses::nonsense_of_every_row_is_refused",
        admission_matrix::every_row,
    ),
];
