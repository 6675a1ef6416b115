//! Everything at once: five hundred Services, pool edits, rolling restarts, and the death of the
//! leader.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Audited, eventually,
    product::{self, NAMESPACE},
};
use rustix::process::Signal;
use serde_json::json;

use super::crowd::{addresses, join};
use super::ledger::Ledger;
use crate::world::{Installed, SOON, is_long};

/// Afterwards each has one address, the one that it was given first, and the API server's own
/// record has one write for each, all of them by controllers.
pub(crate) fn leader_killed(world: &Installed) -> Result<()> {
    world.apply_pool(POOL, &["10.11.0.0/22"])?;
    world.two_controllers()?;
    let recorded = world.cluster.audit()?.len();
    let ledger = Ledger::start(world)?;

    let made = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let started = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let editor = scope.spawn(|| edit(world, &over));
        let creators = scope.spawn(|| {
            world.crowd_at_once(POOL, COUNT, &|count| {
                made.fetch_add(count, Ordering::SeqCst);
            })
        });
        let killed = kill_in_the_middle(world, &made);
        let created = join(creators);
        println!("  {COUNT} created after {:.1?}", started.elapsed());
        let assigned = ledger.all_assigned(POOL, COUNT);
        println!("  all have an address after {:.1?}", started.elapsed());
        over.store(true, Ordering::SeqCst);
        let edits = join(editor);
        killed?;
        created?;
        println!("  the pool was edited {} times meanwhile", edits?);
        assigned
    })?;
    for workload in rolled() {
        product::rolled_out(&world.kubectl, NAMESPACE, workload)?;
        println!("  {workload} is rolled after {:.1?}", started.elapsed());
    }
    world.two_controllers()?;

    ledger.nothing_moved(&format!("{POOL}-"))?;
    let end = ledger.now(&format!("{POOL}-"));
    let different: BTreeSet<_> = end.values().flatten().collect();
    ensure!(
        end.len() == COUNT && different.len() == COUNT,
        "{} Services have {} addresses",
        end.len(),
        different.len()
    );
    let audit = world.cluster.audit()?;
    who_wrote(&audit[recorded..], &end)?;
    world.page_answers()?;
    println!("  all is checked after {:.1?}", started.elapsed());
    world.crowd_leaves(POOL)
}

/// When two hundred are there, the leader is killed, and all are rolled.
fn kill_in_the_middle(world: &Installed, made: &AtomicUsize) -> Result<()> {
    eventually("two fifths are created", SOON * 8, || {
        let made = made.load(Ordering::SeqCst);
        Ok(if made >= COUNT * 2 / 5 {
            Ok(())
        } else {
            Err(made)
        })
    })?;
    let leader = world.controllers()?.remove(0);
    leader.process.signal(Signal::KILL);
    println!("  {} is killed", leader.pod);
    eventually("another controller leads", SOON, || {
        let now = world.leading_pod()?;
        Ok(if now == leader.pod { Err(now) } else { Ok(()) })
    })?;
    for workload in rolled() {
        world
            .kubectl
            .output(&["-n", NAMESPACE, "rollout", "restart", workload])?;
    }
    Ok(())
}

/// What is rolled: the controllers, and at length the speakers, too, one node after the other.
fn rolled() -> &'static [&'static str] {
    let all = &["deployment/controller", "daemonset/speaker"];
    if is_long() { all } else { &all[..1] }
}

/// Widens and narrows the pool, never below what is used, until it is over; says how often.
fn edit(world: &Installed, over: &AtomicBool) -> Result<usize> {
    let mut edits = 0;
    while !over.load(Ordering::SeqCst) {
        let addresses = if edits % 2 == 0 {
            json!(["10.11.0.0/22", "10.11.8.0/24"])
        } else {
            json!(["10.11.0.0/22"])
        };
        match world.edit_pool(POOL, &json!({ "addresses": addresses })) {
            Ok(()) => edits += 1,
            // The API server asked the one that was killed a moment ago; a user tries again.
            Err(error) if error.to_string().contains("failed calling webhook") => {}
            Err(error) => return Err(error),
        }
        // The pace of a hasty user, not a wait for something.
        thread::sleep(Duration::from_millis(200));
    }
    Ok(edits)
}

/// Of the API server's record: each Service was given the address it has by one write, by a
/// controller.
fn who_wrote(audit: &[Audited], end: &BTreeMap<String, BTreeSet<IpAddr>>) -> Result<()> {
    let statuses = audit.iter().filter(|it| {
        let object = &it.object_ref;
        object.resource == "services" && object.subresource == "status"
    });
    let mut writers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut given: BTreeMap<&str, Vec<BTreeSet<IpAddr>>> = BTreeMap::new();
    let mut unheard: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut refused = 0;
    for write in statuses.filter(|it| it.object_ref.name.starts_with(POOL)) {
        ensure!(
            write.user.username == "system:serviceaccount:metallb-system:controller",
            "{write:?}"
        );
        let name: &str = &write.object_ref.name;
        let addresses = addresses(&write.request_object);
        if write.response_status.code == 504 {
            // The dead leader's last words: nobody heard the answer, and some were taken in.
            unheard.insert(name, addresses);
        } else if !write.succeeded() {
            refused += 1;
        } else {
            let pod = write.pod().context("the token names no pod")?;
            *writers.entry(pod).or_default() += 1;
            // A new leader writes once without an address, to see that its watch is alive.
            if !addresses.is_empty() {
                given.entry(name).or_default().push(addresses);
            }
        }
    }
    println!(
        "  written by {writers:?}; {refused} were refused, {} ended unheard",
        unheard.len()
    );
    ensure!(writers.len() >= 2, "one controller wrote all: {writers:?}");
    for (name, has) in end {
        let all = given.remove(name.as_str()).unwrap_or_default();
        let once = match &all[..] {
            [given] => given == has,
            [] => unheard.get(name.as_str()) == Some(has),
            _ => false,
        };
        ensure!(once, "{name} has {has:?} and was given {all:?}");
    }
    Ok(())
}

const POOL: &str = "burst";
const COUNT: usize = 500;
