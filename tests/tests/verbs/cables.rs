//! Cables, and who answers at their ends.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metallb_tests::faults::Cable;
use metallb_tests::{Cluster, Place, eventually};

use crate::{carrier, ping, pings};

pub(crate) fn cut(cluster: &Cluster) -> Result<()> {
    pings(cluster, N1)?;
    ensure!(carrier(cluster, N1, "eth0")?, "no carrier before the cut");
    cluster.cut(N1)?;
    ensure!(
        !carrier(cluster, N1, "eth0")?,
        "n1 has carrier after the cut"
    );
    for target in [IpAddr::from(N1.address().v4), N1.address().v6.into()] {
        ensure!(!ping(cluster, target), "{target} answers after the cut");
    }
    cluster.heal(N1)?;
    ensure!(
        carrier(cluster, N1, "eth0")?,
        "n1 has no carrier after it was healed"
    );
    pings(cluster, N1)
}

pub(crate) fn isolate(cluster: &Cluster) -> Result<()> {
    pings(cluster, N1)?;
    cluster.isolate(N1)?;
    ensure!(carrier(cluster, N1, "eth0")?, "n1 lost its carrier");
    for target in [IpAddr::from(N1.address().v4), N1.address().v6.into()] {
        ensure!(!ping(cluster, target), "{target} answers");
    }
    cluster.heal(N1)?;
    pings(cluster, N1)
}

pub(crate) fn lossy(cluster: &Cluster) -> Result<()> {
    cluster.lossy(N1, 30)?;
    let before = cluster.lost(N1)?;
    let target = N1.address().v4.to_string();
    let flood = ["ping", "-q", "-c", "200", "-i", "0.005", "-W", "1", &target];
    let said = cluster.output(Place::Client, &flood)?;
    let lost = cluster.lost(N1)? - before;
    // Of 200 requests and their answers: 30 % of 340, within ten standard deviations and with the
    // node's own traffic.
    ensure!(
        (20..500).contains(&lost),
        "{lost} frames were counted: {said}"
    );
    ensure!(
        !said.contains(" 0% packet loss"),
        "no ping was lost: {said}"
    );
    cluster.lossy(N1, 0)?;
    ensure!(cluster.lost(N1).is_err(), "the rule is still there");
    let said = cluster.output(Place::Client, &flood)?;
    ensure!(
        said.contains(" 0% packet loss"),
        "pings are lost for good: {said}"
    );
    ensure!(cluster.lossy(N1, 101).is_err(), "101 % was taken");
    Ok(())
}

pub(crate) fn second_card(cluster: &Cluster) -> Result<()> {
    let lan = IpAddr::from(N1.service_lan_address().v4);
    let cable = Cable { place: N1, nic: 1 };
    ensure!(ping(cluster, lan), "{lan} does not answer");
    cluster.cut(cable)?;
    ensure!(
        carrier(cluster, N1, "eth0")? && !carrier(cluster, N1, "eth1")?,
        "the wrong card"
    );
    ensure!(!ping(cluster, lan), "{lan} answers after the cut");
    pings(cluster, N1)?;
    cluster.heal(cable)?;
    eventually("a ping on the service LAN", Duration::from_secs(10), || {
        Ok(if ping(cluster, lan) {
            Ok(())
        } else {
            Err("no answer")
        })
    })
}

pub(crate) fn refused(cluster: &Cluster) -> Result<()> {
    let router = Cable {
        place: Place::Router(1),
        nic: 1,
    };
    for cable in [Place::Node(9).into(), Place::Fabric.into(), router] {
        let error = cluster.cut(cable).err().map(|error| error.to_string());
        ensure!(
            error.is_some_and(|e| e.contains("cluster verbs")),
            "{cable} was cut"
        );
    }
    Ok(())
}

pub(crate) fn who_answers(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes() {
        let lan = node.service_lan_address();
        let own = node.address();
        for ip in [
            IpAddr::from(own.v4),
            own.v6.into(),
            lan.v4.into(),
            lan.v6.into(),
        ] {
            let answer = cluster.who_answers(ip)?;
            ensure!(answer == Some(node), "{ip}: {answer:?} instead of {node}");
        }
    }
    for nobody in ["192.0.2.199", "2001:db8::199"] {
        let answer = cluster.answer(nobody.parse()?)?;
        ensure!(answer.is_none(), "{nobody}: {answer:?}");
    }
    Ok(())
}

/// An address is put on n2 the moment after n1, which has it too, is cut.
pub(crate) fn watch_owner(cluster: &Cluster) -> Result<()> {
    for (ip, prefix) in [
        ("192.0.2.198", "192.0.2.198/32"),
        ("2001:db8::198", "2001:db8::198/128"),
    ] {
        let address = |node, verb| {
            cluster
                .output(node, &["ip", "addr", verb, prefix, "dev", "eth0"])
                .map(drop)
        };
        address(N1, "add")?;
        let watch = cluster.watch_owner(ip.parse()?)?;
        eventually("an answer of n1", Duration::from_secs(10), || {
            let seen = watch.sightings();
            let n1 = seen
                .last()
                .is_some_and(|last| last.answer.place == Some(N1));
            Ok(if n1 { Ok(()) } else { Err(format!("{seen:?}")) })
        })?;
        let cut = Instant::now();
        cluster.cut(N1)?;
        address(Place::Node(2), "add")?;
        let moved = Instant::now();
        let next = watch.next_owner(N1, cut, Duration::from_secs(10))?;
        drop(watch);
        let lag = next.at.saturating_duration_since(moved);
        println!("  {ip}: seen on the next node {lag:.0?} after it got there");
        cluster.heal(N1)?;
        address(N1, "del")?;
        address(Place::Node(2), "del")?;
        ensure!(next.answer.place == Some(Place::Node(2)), "{next:?}");
        ensure!(
            lag < Duration::from_millis(500),
            "the watch saw it {lag:?} later"
        );
    }
    pings(cluster, N1)
}

const N1: Place = Place::Node(1);
