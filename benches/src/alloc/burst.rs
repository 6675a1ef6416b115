//! Many Services created at once, until all have their address: a null controller, ours and
//! MetalLB's in alternating order.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use metallb_benches::service;
use serde_json::{Value, json};

use crate::program::{Kind, Program};
use crate::rig::{MANY, Rig};
use crate::server::Writes;
use metallb_benches::load;
use metallb_benches::table::{Bar, Table, median};

/// One burst.
#[derive(Debug)]
struct Burst {
    /// From the first creation until all had their address; nothing when it was given up.
    all: Option<Duration>,
    /// From the first creation until all were created.
    created: Duration,
    assigned: u64,
    /// For the first Service since the controller leads.
    first: Writes,
    writes: Writes,
    /// Events that somebody else wrote meanwhile, such as the API server's own repairs.
    others_events: u64,
    /// Of the controller.
    cpu: Duration,
    resident: u64,
}

/// Measures `count` at once with each controller.
pub(crate) async fn compare(rig: &Rig, count: u32, table: &mut Table) -> Result<()> {
    let mut kinds = vec![Kind::Null, Kind::Ours(1)];
    let mut samples: Vec<(Kind, Vec<Burst>)> =
        kinds.iter().map(|kind| (*kind, Vec::new())).collect();
    for round in 0..rig.rounds {
        for kind in &kinds {
            let burst = burst(rig, *kind, count).await?;
            print_one(*kind, count, round, &burst);
            let all = samples.iter_mut().find(|(of, _)| of == kind);
            all.expect("every kind has a place").1.push(burst);
        }
        // What drifts in the course of a run shall favour nobody.
        kinds.reverse();
    }
    if rig.metallb.is_some() {
        // Once is enough to tell it apart, and at ten thousand it takes long.
        let burst = burst(rig, Kind::Metallb, count).await?;
        print_one(Kind::Metallb, count, 0, &burst);
        samples.push((Kind::Metallb, vec![burst]));
    }
    report(count, &samples, table);
    Ok(())
}

async fn burst(rig: &Rig, kind: Kind, count: u32) -> Result<Burst> {
    let program = Program::start(rig, kind).await?;
    let first = first(rig).await?;
    let services = (0..count)
        .map(|number| load::service(&service::name(number), &[]))
        .collect();
    let others_before = others_events(rig).await?;
    let before = Writes::read(&rig.client).await?;
    let cpu_before = program.cpu();
    let wanted = usize::try_from(count)?;

    let started = Instant::now();
    load::create(&rig.services, services).await?;
    let created = started.elapsed();
    let all = rig
        .board
        .until("all have an address", rig.patience, |seen| {
            (seen.assigned == wanted).then_some(seen.last)
        })
        .await;
    let cpu = program.cpu().saturating_sub(cpu_before);
    let all = match (all, kind) {
        (Ok(last), _) => last.map(|last| last - started),
        (Err(error), Kind::Metallb) => {
            println!("  MetalLB was given up: {error:#}");
            None
        }
        (Err(error), _) => return Err(error),
    };
    let resident = program.resident();
    if all.is_some() {
        settled(rig).await?;
    }
    let writes = Writes::read(&rig.client).await?.since(&before);
    let others_events = others_events(rig).await? - others_before;
    let assigned = u64::try_from(rig.board.now().assigned)?;
    program.stop().await?;
    rig.clear().await?;
    Ok(Burst {
        all,
        created,
        assigned,
        first,
        writes,
        others_events,
        cpu,
        resident,
    })
}

/// One Service comes and goes again, so that the controller leads and is at work; what was written
/// on its account. A new leader of ours writes one time more for it, to know that it has missed
/// nothing.
async fn first(rig: &Rig) -> Result<Writes> {
    let before = Writes::read(&rig.client).await?;
    let name = service::name(0);
    load::create(&rig.services, vec![load::service(&name, &[])]).await?;
    rig.board.assigned(&name, MANY).await?;
    settled(rig).await?;
    let writes = Writes::read(&rig.client).await?.since(&before);
    rig.clear().await?;
    Ok(writes)
}

/// How many Events were written by nobody under measurement.
async fn others_events(rig: &Rig) -> Result<u64> {
    let others = ListParams::default().fields("source!=metallb-controller");
    let events = Api::<Event>::all(rig.client.clone()).list(&others).await;
    let events = events.context("the Events")?;
    let times = events.iter().map(|event| event.count.unwrap_or(1));
    Ok(u64::try_from(times.sum::<i32>())?)
}

/// Waits until no more Events come, since they follow behind the statuses.
pub(crate) async fn settled(rig: &Rig) -> Result<()> {
    let mut before = Writes::default();
    loop {
        let now = Writes::read(&rig.client).await?;
        let more = now.since(&before);
        if more.count(EVENTS, "events") == 0 {
            return Ok(());
        }
        before = now;
        // The pace of looking: Events that are still to come do so within this time.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn report(count: u32, samples: &[(Kind, Vec<Burst>)], table: &mut Table) {
    let seconds = |kind: Kind| -> Vec<f64> {
        let all = samples.iter().filter(|(of, _)| *of == kind);
        all.flat_map(|(_, bursts)| bursts)
            .filter_map(|burst| Some(burst.all?.as_secs_f64()))
            .collect()
    };
    let (null, ours) = (seconds(Kind::Null), seconds(Kind::Ours(1)));
    let what = format!("{count} Services at once");
    table.row(
        &format!("{what}: null controller"),
        "s",
        median(&null),
        Bar::None,
    );
    table.row(&format!("{what}: ours"), "s", median(&ours), Bar::None);
    for (kind, bursts) in samples {
        let (Kind::Metallb, [burst]) = (kind, &bursts[..]) else {
            continue;
        };
        match burst.all {
            Some(all) => {
                table.row(
                    &format!("{what}: MetalLB v0.15.2"),
                    "s",
                    all.as_secs_f64(),
                    Bar::None,
                );
                let ratio = all.as_secs_f64() / median(&ours);
                table.row(&format!("{what}: MetalLB / ours"), "×", ratio, Bar::None);
            }
            None => table.row(
                &format!("{what}: MetalLB v0.15.2, given up when so many had theirs"),
                "",
                number(burst.assigned),
                Bar::None,
            ),
        }
    }
    let ratio = median(&ours) / median(&null);
    table.row(
        &format!("{what}: ours / null controller"),
        "×",
        ratio,
        Bar::AtMost(1.2),
    );

    let bursts: Vec<_> = samples
        .iter()
        .filter(|(kind, _)| *kind == Kind::Ours(1))
        .flat_map(|(_, bursts)| bursts)
        .collect();
    let own = bursts.iter().map(|burst| {
        let events = burst.writes.count(EVENTS, "events");
        let statuses = burst.writes.count(&["PUT", "PATCH"], "services/status");
        statuses + events.saturating_sub(burst.others_events)
    });
    let worst = own.max().unwrap_or(0);
    table.row(
        &format!("{what}: our writes for each (status, Event)"),
        "each",
        number(worst) / f64::from(count),
        Bar::AtMost(2.0),
    );
    let first = bursts.iter().map(|burst| {
        burst.first.count(&["PUT", "PATCH"], "services/status")
            + burst.first.count(EVENTS, "events")
    });
    table.row(
        &format!("{what}: our writes for the one before them, the first of a leader"),
        "",
        number(first.max().unwrap_or(0)),
        Bar::None,
    );
    let others = bursts.iter().map(|burst| {
        burst
            .writes
            .count(&["PUT", "PATCH"], "ipaddresspools/status")
            + burst
                .writes
                .count(&["POST", "PUT", "PATCH"], "configurationstates")
            + burst
                .writes
                .count(&["PUT", "PATCH"], "configurationstates/status")
    });
    table.row(
        &format!("{what}: our writes beside those, pool status and the like"),
        "",
        number(others.max().unwrap_or(0)),
        Bar::None,
    );
    let raw: Vec<_> = samples
        .iter()
        .map(|(kind, bursts)| {
            let bursts: Vec<Value> = bursts.iter().map(raw).collect();
            json!({ "controller": crate::program::name(*kind), "rounds": bursts })
        })
        .collect();
    table.raw(&what, raw);
}

fn raw(burst: &Burst) -> Value {
    json!({
        "all_s": burst.all.map(|all| all.as_secs_f64()),
        "created_s": burst.created.as_secs_f64(),
        "assigned": burst.assigned,
        "controller_cpu_s": burst.cpu.as_secs_f64(),
        "controller_resident_bytes": burst.resident,
        "first_writes": burst.first.all(),
        "writes": burst.writes.all(),
        "others_events": burst.others_events,
    })
}

fn print_one(kind: Kind, count: u32, round: usize, burst: &Burst) {
    let name = crate::program::name(kind);
    let all = match burst.all {
        Some(all) => format!("all after {all:.2?}"),
        None => format!("{} when it was given up", burst.assigned),
    };
    println!(
        "  {count} at once, round {round}, {name}: {all}, created after {:.2?}, its CPU {:.2?}, {} MiB",
        burst.created,
        burst.cpu,
        burst.resident >> 20
    );
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn number(count: u64) -> f64 {
    count as f64
}

/// How Events are written.
const EVENTS: &[&str] = &["POST", "PUT", "PATCH"];
