//! BGP with real routers: FRR, BIRD and `GoBGP` take our routes, on one real cluster.

mod availability;
mod bfd;
mod cables;
mod frr_k8s;
mod handover;
mod listening;
mod objects;
mod routes;
mod sessions;
mod traffic;
mod unnumbered;
mod world;

use std::process::ExitCode;

use metallb_tests::Cluster;
use metallb_tests::stories::{Stage, Story, tell};

use world::World;

const STORIES: &[Story<World>] = &[
    (
        "bgp::every_router_has_the_routes_and_what_is_said_of_them",
        routes::are_told,
    ),
    (
        "bgp::a_client_behind_a_router_gets_the_page",
        routes::page_through_the_router,
    ),
    (
        "bgp::services_come_and_go_and_no_session_ends",
        routes::come_and_go,
    ),
    (
        "bgp::a_thousand_changes_reset_no_session_and_lose_nothing",
        availability::a_thousand_changes,
    ),
    (
        "bgp::nothing_is_lost_while_speakers_are_replaced_or_a_node_is_drained",
        availability::planned,
    ),
    (
        "bgp::how_long_nobody_answers_when_a_router_restarts_or_a_cable_is_cut",
        availability::unplanned,
    ),
    (
        "bgp::communities_and_preferences_change_and_no_session_ends",
        routes::attributes_change,
    ),
    (
        "bgp::an_advertisement_names_the_peers_that_are_told",
        routes::some_peers,
    ),
    ("bgp::an_advertisement_chooses_by_labels", routes::by_labels),
    (
        "bgp::each_node_says_to_whom_it_tells_which_service",
        routes::statuses,
    ),
    (
        "bgp::local_traffic_goes_to_nodes_with_endpoints",
        routes::local,
    ),
    (
        "bgp::a_node_is_drained_and_routers_prefer_others_first",
        sessions::drained,
    ),
    (
        "bgp::what_is_wrong_with_a_peer_is_said",
        sessions::what_is_wrong,
    ),
    (
        "bgp::the_router_sees_each_field_of_a_peer",
        sessions::fields,
    ),
    (
        "bgp::every_router_sees_who_the_nodes_are",
        sessions::identity,
    ),
    (
        "bgp::within_an_as_routes_have_a_preference",
        sessions::within_an_as,
    ),
    ("bgp::both_families_on_one_session", sessions::dual_stack),
    (
        "bgp::routes_stay_while_speakers_are_replaced",
        sessions::graceful_restart,
    ),
    (
        "bgp::routers_behind_others_have_the_routes",
        sessions::behind,
    ),
    ("bgp::bfd_notices_a_cut_cable_at_once", bfd::cut),
    ("bgp::the_router_sees_each_field_of_a_profile", bfd::fields),
    (
        "bgp::a_router_that_stops_forwarding_is_noticed_by_echo",
        bfd::echo,
    ),
    ("bgp::a_router_is_found_on_an_interface", unnumbered::found),
    (
        "bgp::what_becomes_of_an_interface_is_said",
        unnumbered::what_happens,
    ),
    ("bgp::bfd_works_on_an_interface", unnumbered::bfd),
    (
        "bgp::several_routers_on_an_interface_are_told_of",
        unnumbered::several_routers,
    ),
    (
        "bgp::sessions_are_seen_on_the_command_line",
        sessions::on_the_command_line,
    ),
    (
        "bgp::an_object_says_how_each_session_is",
        objects::session_states,
    ),
    (
        "bgp::sessions_are_counted_by_upstreams_names",
        sessions::metrics,
    ),
    (
        "bgp::an_frr_k8s_of_somebody_else_is_told",
        frr_k8s::external,
    ),
    ("bgp::what_users_wrote_for_frr_is_named", frr_k8s::users_own),
    (
        "bgp::frr_of_metallbs_own_operator_gives_way_node_by_node",
        handover::node_by_node,
    ),
    (
        "bgp::routers_connect_to_speakers_that_listen",
        listening::routers_connect,
    ),
    // After a password was taken back, FRR 8.4 answers no IPv6 neighbour of a listen range any more:
    // so these come last.
    ("bgp::a_password_is_wanted_and_given", sessions::password),
    (
        "bgp::a_password_is_taken_from_a_secret",
        sessions::password_secret,
    ),
];

fn main() -> ExitCode {
    let stage = Stage {
        up: World::up,
        print_what_happened: World::print_what_happened,
        down: |world| Cluster::down(world.cluster.name()),
    };
    tell(&stage, STORIES)
}
