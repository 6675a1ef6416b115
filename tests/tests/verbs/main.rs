//! Each verb of the test cluster does what it says, seen on a real one.
//!
//! All stories share one cluster, `verbs`, and are told in order; each leaves it as it found it.

mod api;
mod cables;
mod machines;
mod routers;

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::stories::{Stage, Story, tell};
use metallb_tests::{Cluster, Options, Place, Process, Router, Terminal, eventually};

const STORIES: &[Story<Cluster>] = &[
    ("exec_runs_in_the_place_it_names", machines::exec),
    ("load_puts_an_image_on_every_node", machines::load),
    ("logs_have_something_to_say", machines::logs),
    ("env_is_for_a_shell_to_eval", machines::env),
    ("cut_takes_carrier_and_heal_gives_it_back", cables::cut),
    (
        "isolate_loses_every_frame_and_keeps_carrier",
        cables::isolate,
    ),
    ("lossy_loses_some_frames_and_counts_them", cables::lossy),
    ("the_second_card_is_cut_alone", cables::second_card),
    ("a_cable_that_is_not_there_is_refused", cables::refused),
    (
        "the_answering_node_is_known_by_its_mac",
        cables::who_answers,
    ),
    (
        "a_watch_sees_the_next_owner_within_milliseconds",
        cables::watch_owner,
    ),
    (
        "a_frozen_program_is_stopped_until_it_is_thawed",
        machines::freeze_program,
    ),
    (
        "a_frozen_node_does_nothing_until_it_is_thawed",
        machines::freeze_node,
    ),
    (
        "a_killed_node_has_no_process_and_comes_back",
        machines::kill_and_revive,
    ),
    (
        "each_router_answers_its_control_tool_and_listens",
        routers::answer,
    ),
    ("kubectl_sees_each_made_up_status", api::statuses),
    ("a_watch_is_cut_and_comes_again", api::watch_is_cut),
    (
        "a_stalled_api_server_answers_once_it_is_cleared",
        api::stall,
    ),
    ("a_pod_keeps_its_identity_behind_the_proxy", api::identity),
    ("kubectl_exec_works_through_the_proxy", api::exec),
    (
        "nothing_remains_of_a_proxy_that_is_taken_away",
        api::disengage,
    ),
];

fn main() -> ExitCode {
    let stage = Stage {
        up,
        print_what_happened: |_| {},
        down,
    };
    tell(&stage, STORIES)
}

fn up() -> Result<Cluster> {
    let options = Options {
        name: "verbs".parse()?,
        nodes: 2,
        nics: 2,
        routers: vec![Router::Frr, Router::Bird, Router::Gobgp],
        ..Options::default()
    };
    Cluster::down(&options.name)?;
    Cluster::up(&options, &mut Terminal::start())
}

/// Ends the cluster and makes sure that everything which was started for it has ended with it.
fn down(cluster: &Cluster) -> Result<()> {
    let mut processes = Vec::new();
    for place in cluster.places() {
        processes.extend(cluster.processes(place)?);
    }
    Cluster::down(cluster.name())?;
    let left: Vec<&Process> = processes.iter().filter(|process| process.alive()).collect();
    ensure!(left.is_empty(), "still running: {left:?}");
    println!("{} processes ended with the cluster", processes.len());
    Ok(())
}

/// Whether one ping from the client comes back within a second.
fn ping(cluster: &Cluster, target: IpAddr) -> bool {
    let target = target.to_string();
    cluster
        .output(Place::Client, &["ping", "-c", "1", "-W", "1", &target])
        .is_ok()
}

/// Waits until a ping comes back, over both families.
fn pings(cluster: &Cluster, node: Place) -> Result<()> {
    for target in [IpAddr::from(node.address().v4), node.address().v6.into()] {
        eventually(
            &format!("a ping of {target}"),
            Duration::from_secs(10),
            || {
                Ok(if ping(cluster, target) {
                    Ok(())
                } else {
                    Err("no answer")
                })
            },
        )?;
    }
    Ok(())
}

/// Whether a card of a place has carrier, as the place itself sees it.
fn carrier(cluster: &Cluster, place: Place, device: &str) -> Result<bool> {
    let said = cluster.output(place, &["ethtool", device])?;
    let link = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Link detected: "));
    link.map(|link| link == "yes")
        .with_context(|| format!("ethtool said {said}"))
}
