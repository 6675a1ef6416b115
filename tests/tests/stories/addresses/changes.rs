//! Pools change under the Services that have their addresses from them.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};
use serde_json::json;

use super::ledger::Ledger;
use crate::world::{Installed, SOON};

/// A pool is widened, narrowed around what is used, written in another order and in other words,
/// closed to those who do not ask; whoever has an address of it keeps it.
pub(crate) fn edits(world: &Installed) -> Result<()> {
    world.apply_pool("fifty", &["10.12.0.1-10.12.0.60"])?;
    world.crowd("fifty", 50)?;
    let ledger = Ledger::start(world)?;
    ledger.all_assigned("fifty", 50)?;
    let before = ledger.now("fifty-");
    for spec in [
        json!({ "addresses": ["10.12.0.0/24"] }),
        json!({ "addresses": ["10.12.4.0/24", "10.12.0.1-10.12.0.50"] }),
        json!({ "addresses": ["10.12.0.1-10.12.0.20", "10.12.0.21-10.12.0.50"] }),
        json!({ "addresses": ["10.12.0.0/26"], "avoidBuggyIPs": true }),
        json!({ "addresses": ["10.12.0.1-10.12.0.50"], "avoidBuggyIPs": false }),
    ] {
        world.edit_pool("fifty", &spec)?;
        // It has been taken in when somebody new is served or refused by it.
        probe(world, "fifty")?;
    }
    ensure!(ledger.now("fifty-") == before, "an address moved");
    ledger.nothing_moved("fifty-")?;

    // An edit that makes it no pool at all leaves its last good form in effect.
    let _refused_at_once_or_by_the_controller =
        world.edit_pool("fifty", &json!({ "addresses": ["10.12.0.50-10.12.0.1"] }));
    probe(world, "fifty")?;
    ensure!(ledger.now("fifty-") == before, "an address moved");
    world.edit_pool("fifty", &json!({ "addresses": ["10.12.0.1-10.12.0.50"] }))?;
    ledger.nothing_moved("fifty-")?;
    world.crowd_leaves("fifty")
}

/// One pool becomes two, gets another name, is deleted and made anew. What can stay stays; what
/// cannot is told so, and comes back as it was.
pub(crate) fn renamed(world: &Installed) -> Result<()> {
    world.apply_pool("whole", &["10.15.0.1-10.15.0.100"])?;
    world.crowd("whole", 50)?;
    let ledger = Ledger::start(world)?;
    ledger.all_assigned("whole", 50)?;
    let before = ledger.now("whole-");

    // Split: those who have an address of the half that stays notice nothing.
    world.edit_pool("whole", &json!({ "addresses": ["10.15.0.1-10.15.0.50"] }))?;
    world.apply_pool("half", &["10.15.0.51-10.15.0.100"])?;
    world.apply_service("split", &[("metallb.io/address-pool", "half")])?;
    let other = product::assigned(&world.kubectl, "split", 1)?;
    ensure!(other[0].to_string() == "10.15.0.51", "{other:?}");
    ledger.nothing_moved("whole-")?;
    world.delete("default", "service", "split")?;
    world.delete(NAMESPACE, "ipaddresspool", "half")?;

    // Deleted: nobody keeps what no pool has, and everybody is told.
    world.delete(NAMESPACE, "ipaddresspool", "whole")?;
    ledger.all_assigned("whole", 0)?;
    world.event(
        "Service/whole-000",
        "ClearAssignment",
        "not allowed in config",
    )?;
    world.refused("whole-000", "unknown pool \"whole\"")?;
    world.all_refused("whole", 50, "unknown pool \"whole\"")?;

    // Made anew, everybody has what it had, in the order of age.
    world.apply_pool("whole", &["10.15.0.1-10.15.0.100"])?;
    ledger.all_assigned("whole", 50)?;
    ensure!(ledger.now("whole-") == before, "an address moved");
    ledger.nothing_double(&[])?;

    // Another name, for Services that ask for none: again everybody has what it had.
    let all = [
        "annotate",
        "services",
        "-l",
        "crowd=whole",
        "metallb.io/address-pool-",
    ];
    world.kubectl.output(&all)?;
    world.edit_pool("demo", &json!({ "autoAssign": false }))?;
    world.delete(NAMESPACE, "ipaddresspool", "whole")?;
    ledger.all_assigned("whole", 0)?;
    world.refused("whole-000", "no available IPs")?;
    world.all_refused("whole", 50, "no available IPs")?;
    world.apply_pool("other-name", &["10.15.0.1-10.15.0.100"])?;
    world.edit_pool("other-name", &json!({ "autoAssign": true }))?;
    ledger.all_assigned("whole", 50)?;
    ensure!(ledger.now("whole-") == before, "an address moved");
    from_pool(world, "whole-000", "other-name")?;
    ledger.nothing_double(&[])?;

    world.edit_pool("demo", &json!({ "autoAssign": true }))?;
    world.crowd_leaves("whole")?;
    world.delete(NAMESPACE, "ipaddresspool", "other-name")
}

/// Waits until the Service's annotation names the pool.
fn from_pool(world: &Installed, service: &str, pool: &str) -> Result<()> {
    eventually(
        &format!("{service} has its address from {pool}"),
        SOON,
        || {
            let object = world.kubectl.json(&["get", "service", service])?;
            let from = &object["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"];
            Ok(if from == pool {
                Ok(())
            } else {
                Err(from.to_string())
            })
        },
    )
}

/// A Service of no crowd asks the pool, and has an answer.
fn probe(world: &Installed, pool: &str) -> Result<()> {
    world.apply_service("probe", &[("metallb.io/address-pool", pool)])?;
    eventually("the probe has an answer", SOON, || {
        world.address_condition("probe").map(Ok::<_, String>)
    })
    .context("nobody looked at the Service")?;
    world.delete("default", "service", "probe")
}
