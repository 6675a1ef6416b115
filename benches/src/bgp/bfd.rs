//! BFD while every core has other things to do: how often a router that is there is taken for
//! gone, and how soon one that is not is noticed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use metallb_benches::busy;
use metallb_benches::speakers::rig::SYSTEM;
use metallb_benches::speakers::{Kind, Rig, Speakers};
use metallb_benches::table::{Bar, Table, median, worst};
use metallb_tests::eventually;
use serde_json::json;

use crate::router::Router;
use crate::watcher::{INTERVAL, MULTIPLIER, Watcher};
use crate::{Args, FIRST, all_is_said, peer};

pub(crate) fn measure(args: &Args, rig: &Rig, router: &Router, table: &mut Table) -> Result<()> {
    let mut router_peer = peer(0);
    router_peer["spec"]["bfdProfile"] = json!("bench");
    rig.apply(&[profile(), router_peer])?;
    let mut speakers = Speakers::none(rig, Kind::Ours);
    let since = speakers.start_on(FIRST)?;
    let watcher = Watcher::start(&rig.cluster, FIRST)?;
    session(router, since)?;
    watcher.up()?;
    // What others left is put away.
    all_is_said(rig, 0, 1)?;
    let time = Duration::from_secs(60 * args.minutes);
    let load = busy::every_core_twice(2 * time)?;
    let (since, downs) = (Instant::now(), watcher.downs());
    // The time for which it must hold, not a wait for something.
    thread::sleep(time);
    let ends = router.lost(since);
    let downs = downs.abs_diff(watcher.downs());
    let downs = downs.max(u32::try_from(ends.len())?);
    let what = format!(
        "BFD {} ms x {MULTIPLIER}, every core busy twice over: false downs in {} min",
        INTERVAL.as_millis(),
        args.minutes
    );
    table.row(&what, "", f64::from(downs), Bar::AtMost(0.0));

    if let Some(end) = ends.last() {
        session(router, *end)?;
    }
    watcher.up()?;
    let mut times = Vec::new();
    for _ in 0..args.trials {
        let spoke = watcher.fall_silent()?;
        let end = eventually("the session ends", Duration::from_secs(20), || {
            Ok(router.lost(spoke).first().copied().ok_or("not yet"))
        })?;
        times.push(end.saturating_duration_since(spoke).as_secs_f64() * 1000.0);
        watcher.speak();
        watcher.up()?;
        session(router, end)?;
    }
    drop(load);
    let what = "the same: from the last packet of a router to the end of its session";
    table.row(&format!("{what}, median"), "ms", median(&times), Bar::None);
    table.row(
        &format!("{what}, longest of {}", args.trials),
        "ms",
        worst(&times),
        Bar::AtMost(165.0),
    );
    table.raw(what, json!({ "milliseconds": times }));
    drop(speakers);
    rig.apply(&[peer(0)])
}

/// Waits for a BGP session that came up since.
fn session(router: &Router, since: Instant) -> Result<()> {
    eventually("a BGP session", Duration::from_mins(1), || {
        Ok(router.sessions(since).first().map(drop).ok_or("none"))
    })
}

fn profile() -> serde_json::Value {
    let interval = u32::try_from(INTERVAL.as_millis()).unwrap_or(u32::MAX);
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile",
        "metadata": { "name": "bench", "namespace": SYSTEM },
        "spec": {
            "transmitInterval": interval, "receiveInterval": interval,
            "detectMultiplier": MULTIPLIER,
        },
    })
}
