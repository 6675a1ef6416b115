//! An API server that answers wrongly, or not at all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metallb_tests::api_faults::{ApiFaults, Requests, Rule};
use metallb_tests::eventually;

use super::ledger::Ledger;
use crate::world::{Installed, SOON, engage};

/// Conflicts, expired watches, refusals, overload, errors and resets, while Services are created:
/// each has its address once that is over, none twice, and the controllers are the same as before.
pub(crate) fn answers(world: &Installed) -> Result<()> {
    world.apply_pool("faults", &["10.20.0.1-10.20.0.200"])?;
    let before = restarts(world)?;
    let faults = engage(world)?;
    let ledger = Ledger::start(world)?;
    let mut count = 0;
    for (what, rule) in faulty() {
        faults.set(rule)?;
        count += EACH;
        let started = Instant::now();
        world.crowd("faults", count)?;
        answered(&faults, what)?;
        faults.clear()?;
        ledger.all_assigned("faults", count)?;
        println!(
            "  {what}: all {count} have an address after {:.1?}",
            started.elapsed()
        );
    }
    for _ in 0..3 {
        count += EACH;
        let started = Instant::now();
        world.crowd("faults", count)?;
        faults.cut()?;
        ledger.all_assigned("faults", count)?;
        println!(
            "  connections reset: all have an address after {:.1?}",
            started.elapsed()
        );
    }
    ledger.nothing_moved("faults-")?;
    faults.disengage()?;
    ensure!(restarts(world)? == before, "a controller was restarted");
    world.crowd_leaves("faults")?;
    world.two_controllers().map(drop)
}

/// The controllers' watches of Services say nothing any more, and nobody tells them so. They
/// notice by themselves, and serve who came meanwhile.
pub(crate) fn silence(world: &Installed) -> Result<()> {
    world.apply_pool("silence", &["10.21.0.1-10.21.0.20"])?;
    let faults = engage(world)?;
    world.crowd("silence", 1)?;
    let ledger = Ledger::start(world)?;
    ledger.all_assigned("silence", 1)?;
    faults.mute(Requests {
        path: Some("/api/v1/services?".to_owned()),
        user_agent: Some("metallb-controller".to_owned()),
        ..Requests::default()
    })?;
    let started = Instant::now();
    world.crowd("silence", 10)?;
    let heard = ledger.assigned("silence-");
    ensure!(heard < 10, "the watches were not silent");
    ledger.all_assigned("silence", 10)?;
    let taken = started.elapsed();
    println!("  all have an address {taken:.1?} after the watches fell silent");
    // 30 s for a watch, 5 s more to give it up, and a little for the new one.
    ensure!(taken < Duration::from_secs(45), "{taken:.1?}");
    ledger.nothing_moved("silence-")?;
    faults.clear()?;
    faults.disengage()?;
    world.crowd_leaves("silence")?;
    world.two_controllers().map(drop)
}

/// Faults of single answers to the controllers.
fn faulty() -> Vec<(&'static str, Rule)> {
    let controllers = |rule: Rule| rule.user_agent("metallb-controller");
    let write = |status| {
        controllers(Rule::status(status))
            .method("PUT")
            .path("/services/")
            .count(6)
    };
    let watch = |status| {
        controllers(Rule::status(status))
            .path("/api/v1/services?")
            .count(4)
    };
    vec![
        ("409 to status writes", write(409)),
        ("410 to status writes", write(410)),
        ("422 to status writes", write(422)),
        ("429 to status writes", write(429)),
        ("500 to status writes", write(500)),
        (
            "500 to every third write",
            controllers(Rule::status(500)).method("PUT").percent(33),
        ),
        (
            "503 to Events",
            controllers(Rule::status(503)).path("/events").count(10),
        ),
        ("410 to watches", watch(410)),
        ("500 to watches", watch(500)),
    ]
}

/// Waits until a rule has answered somebody; those to watches need one that is begun anew.
fn answered(faults: &ApiFaults<'_>, what: &str) -> Result<()> {
    if what.contains("watches") {
        faults.cut()?;
    }
    eventually(&format!("{what}: a fault"), SOON, || {
        let state = faults.status()?;
        let answered: u64 = state.rules.iter().map(|tally| tally.answered).sum();
        Ok(if answered > 0 { Ok(()) } else { Err(state) })
    })
}

/// How often each controller was restarted, by its pod.
fn restarts(world: &Installed) -> Result<String> {
    let counts = "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].restartCount};{end}";
    let select = [
        "-n",
        metallb_tests::product::NAMESPACE,
        "get",
        "pods",
        "-l",
        "component=controller",
        "-o",
        counts,
    ];
    world.kubectl.output(&select)
}

/// Services created under each fault.
const EACH: usize = 10;
