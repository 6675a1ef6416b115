//! Very many addresses at once: taken over from a node that dies, and announced by one that starts.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Result;
use metallb_benches::speakers::crowd::Crowd;
use metallb_benches::table::{Bar, Table};
use metallb_tests::{Place, eventually};
use rustix::process::Signal;
use serde_json::json;

use crate::client::{Sighting, Watch};
use metallb_benches::speakers::rig::{Rig, SYSTEM, speaker_pod};
use metallb_benches::speakers::{Kind, Speakers};

/// One node has a thousand addresses and dies: how long from the first that is taken over to the
/// last.
pub(crate) fn taken_over(rig: &Rig, table: &mut Table) -> Result<()> {
    let crowd = Crowd {
        count: 1000,
        endpoints: 3,
        ready: true,
    };
    rig.beside_the_server(async |client| crowd.make(&client).await)?;
    prefer(rig, Some(FIRST))?;
    for kind in rig.kinds() {
        let times = after_death(rig, kind, crowd)?;
        let (first, last) = (
            times.iter().copied().fold(f64::MAX, f64::min),
            times.iter().copied().fold(0.0, f64::max),
        );
        let what = format!(
            "{}: last after first of {} addresses of a dead node",
            kind.name(),
            times.len()
        );
        let bar = if kind == Kind::Ours {
            Bar::AtMost(50.0)
        } else {
            Bar::None
        };
        table.row(&what, "ms", last - first, bar);
        table.raw(&what, json!({ "milliseconds_after_death": times }));
    }
    prefer(rig, None)?;
    rig.beside_the_server(async |client| crowd.clear(&client).await)
}

/// When each that the first node had was first announced by another, in milliseconds after its
/// death. MetalLB's release knows no preferred nodes: there the first has its third.
fn after_death(rig: &Rig, kind: Kind, crowd: Crowd) -> Result<Vec<f64>> {
    let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
    let since = Instant::now();
    let mut speakers = Speakers::start(rig, kind)?;
    let count = usize::try_from(crowd.count)?;
    announced(&watch, since, count, |_| true)?;
    watch.settled()?;
    let mut owners = BTreeMap::new();
    for it in of_crowd(&watch, since) {
        owners.insert(it.ip, it.place);
    }
    owners.retain(|_, owner| *owner == Some(FIRST));
    let since = Instant::now();
    speakers.end_on(FIRST, Signal::KILL)?;
    let taken = announced(&watch, since, owners.len(), |it| {
        owners.contains_key(&it.ip) && it.place != Some(FIRST)
    })?;
    let milliseconds = |at: Instant| (at - since).as_secs_f64() * 1000.0;
    Ok(taken.into_values().map(milliseconds).collect())
}

/// Waits until so many of the crowd have been announced so; when each was first.
fn announced(
    watch: &Watch,
    since: Instant,
    count: usize,
    is_so: impl Fn(&Sighting) -> bool,
) -> Result<BTreeMap<Ipv4Addr, Instant>> {
    eventually("all are announced", Duration::from_mins(2), || {
        let mut first = BTreeMap::new();
        for it in of_crowd(watch, since).into_iter().filter(&is_so) {
            first.entry(it.ip).or_insert(it.at);
        }
        Ok(if first.len() == count {
            Ok(first)
        } else {
            Err(format!("{} of {count}", first.len()))
        })
    })
}

fn of_crowd(watch: &Watch, since: Instant) -> Vec<Sighting> {
    let mut seen = watch.since(since);
    seen.retain(|it| it.ip.octets()[0] == CROWD);
    seen
}

/// Has all addresses announced from one node, as long as it can.
fn prefer(rig: &Rig, node: Option<Place>) -> Result<()> {
    let preferences = node.map(|node| {
        json!([{ "weight": 1, "preference": { "matchLabels": { "kubernetes.io/hostname": node.to_string() } } }])
    });
    let patch = json!({ "spec": { "preferredNodeSelectors": preferences } }).to_string();
    let patch = [
        "-n",
        SYSTEM,
        "patch",
        "l2advertisement",
        "bench",
        "--type=merge",
        "-p",
        &patch,
    ];
    rig.cluster.kubectl_output(&patch).map(drop)
}

/// A speaker that is the only one starts beside very many Services.
pub(crate) fn started(rig: &Rig, services: u32, table: &mut Table) -> Result<()> {
    let crowd = Crowd {
        count: services,
        endpoints: 1,
        ready: true,
    };
    rig.beside_the_server(async |client| crowd.make(&client).await)?;
    let others = rig
        .cluster
        .nodes()
        .into_iter()
        .filter(|node| *node != FIRST);
    for node in others {
        let pod = speaker_pod(node);
        let delete = [
            "-n",
            SYSTEM,
            "delete",
            "pod",
            &pod,
            "--grace-period=0",
            "--force",
        ];
        rig.cluster.kubectl_output(&delete)?;
    }
    for kind in rig.kinds() {
        let watch = Watch::start(&rig.cluster, rig.nic, None)?;
        let mut speakers = Speakers::none(rig, kind);
        let since = speakers.start_on(FIRST)?;
        let first = eventually("something is announced", Duration::from_mins(5), || {
            let first = watch.since(since).first().copied();
            Ok(first.ok_or_else(|| "nothing".to_owned()))
        })?;
        let what = format!(
            "{}: start beside {services} Services to the first announcement",
            kind.name()
        );
        let bar = if kind == Kind::Ours {
            Bar::AtMost(1.0)
        } else {
            Bar::None
        };
        table.row(&what, "s", (first.at - since).as_secs_f64(), bar);
        let resident = f64::from(u32::try_from(speakers.on(FIRST)?.resident() / 1024)?) / 1024.0;
        table.row(
            &format!("{}: resident then", kind.name()),
            "MiB",
            resident,
            Bar::None,
        );
    }
    Ok(())
}

/// Who dies, and who starts.
const FIRST: Place = Place::Node(1);
/// Where the crowd's addresses are: 10.0.0.0/8.
const CROWD: u8 = 10;
