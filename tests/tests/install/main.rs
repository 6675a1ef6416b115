//! MetalLB without an operator: by `kubectl`, and by Helm, as a user has it.

mod chart;
mod manifests;
mod migration;
mod world;

use std::process::ExitCode;

use metallb_tests::Cluster;
use metallb_tests::stories::{Stage, Story, tell};

use crate::world::World;

/// Each leaves the cluster without MetalLB.
const STORIES: &[Story<World>] = &[
    (
        "install::a_second_kubectl_apply_is_no_change",
        manifests::applied_twice,
    ),
    (
        "install::helm_upgrades_and_rolls_back_under_traffic",
        chart::upgraded_and_rolled_back,
    ),
    (
        "migration::manifests_are_applied_over_metallbs",
        migration::from_manifests,
    ),
    (
        "migration::a_release_of_metallbs_chart_is_upgraded",
        migration::from_a_release,
    ),
    (
        "migration::what_manifests_installed_becomes_the_operators",
        migration::to_the_operator,
    ),
    (
        "migration::metallbs_own_operator_is_replaced",
        migration::from_the_operator,
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
