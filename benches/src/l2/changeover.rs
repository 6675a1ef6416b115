//! A cluster changes over from MetalLB's speakers to ours, one node after the other, as a DaemonSet's
//! rollout does it: what a client loses that sends a datagram each millisecond.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use metallb_benches::table::{Bar, Table, worst};
use metallb_tests::Place;
use rustix::process::Signal;
use serde_json::json;

use crate::Args;
use crate::client::{Sighting, Stream, Watch};
use metallb_benches::speakers::Rig;
use metallb_benches::speakers::{Kind, Speakers};

/// Some times, with a fresh set of MetalLB's speakers each.
pub(crate) fn measure(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    if rig.metallb.is_none() {
        return Ok(());
    }
    let (mut lost, mut together) = (Vec::new(), Vec::new());
    for _ in 0..args.peer_trials {
        let (datagrams, time) = change_over(rig)?;
        println!("  change-over: {datagrams} lost, two answered for {time:.1?}");
        lost.push(f64::from(datagrams));
        together.push(time.as_secs_f64() * 1000.0);
        for node in rig.cluster.nodes() {
            rig.replace_pod(node, Kind::Metallb)?;
        }
    }
    let what = "changing over from MetalLB's speakers to ours, node by node";
    let trials = args.peer_trials;
    table.row(
        &format!("{what}: datagrams lost, worst of {trials}"),
        "",
        worst(&lost),
        Bar::AtMost(0.0),
    );
    // The last of theirs says goodbye for so long, and ours answer already.
    table.row(
        &format!("{what}: two nodes answered, longest"),
        "ms",
        worst(&together),
        Bar::AtMost(2000.0),
    );
    table.raw(
        what,
        json!({ "lost": lost, "milliseconds_with_two": together }),
    );
    Ok(())
}

fn change_over(rig: &Rig) -> Result<(u32, Duration)> {
    let mut theirs = Speakers::start(rig, Kind::Metallb)?;
    let mut ours = Speakers::none(rig, Kind::Ours);
    let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
    watch.settled()?;
    let stream = Stream::start(&rig.cluster, rig.echo())?;
    stream.flows()?;
    let since = Instant::now();
    for node in rig.cluster.nodes() {
        change_node(rig, node, &mut theirs, &mut ours)?;
        watch.settled()?;
    }
    stream.flows()?;
    let fate = stream.stop();
    Ok((fate.lost, with_two(&watch.since(since))))
}

/// As the kubelet does it: the pod is marked as ending, and its process told.
fn change_node(
    rig: &Rig,
    node: Place,
    theirs: &mut Speakers<'_>,
    ours: &mut Speakers<'_>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let replaced = scope.spawn(|| rig.replace_pod(node, Kind::Ours));
        let ended = theirs.end_on(node, Signal::TERM);
        replaced.join().expect("it does not panic")?;
        ended
    })?;
    ours.start_on(node).map(drop)
}

/// For how long more than one node answered, in tenths of a second.
fn with_two(seen: &[Sighting]) -> Duration {
    let Some(first) = seen.first() else {
        return Duration::ZERO;
    };
    let mut answering = BTreeMap::<_, BTreeSet<_>>::new();
    for it in seen.iter().filter(|it| it.answer) {
        let tenth = (it.at - first.at).as_millis() / 100;
        answering.entry(tenth).or_default().insert(it.place);
    }
    let two = answering.values().filter(|places| places.len() > 1).count();
    Duration::from_millis(100) * u32::try_from(two).unwrap_or(u32::MAX)
}
