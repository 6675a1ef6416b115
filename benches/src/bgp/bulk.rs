//! Very many routes at once: to a router that comes back, and away from one.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_benches::speakers::crowd::Crowd;
use metallb_benches::speakers::rig::SYSTEM;
use metallb_benches::speakers::{Kind, Rig, Speakers};
use metallb_benches::table::{Bar, Table, median};
use metallb_bgp::wire::{Codec, Message};
use metallb_netio::NetworkNamespace;
use metallb_tests::{Place, eventually};
use serde_json::json;

use crate::router::{PAUSE, Router};
use crate::{Args, FIRST};

pub(crate) fn measure(args: &Args, rig: &Rig, router: &Router, table: &mut Table) -> Result<()> {
    let crowd = Crowd {
        count: args.routes,
        endpoints: 1,
        ready: true,
    };
    rig.beside_the_server(async |client| crowd.make(&client).await)?;
    let mut speakers = Speakers::none(rig, Kind::Ours);
    let since = speakers.start_on(FIRST)?;
    router.all_told(since, args.routes)?;
    to_a_new_session(args, rig, router, table)?;
    back_from_silence(router, table)?;
    withdrawn(rig, router, table)?;
    drop(speakers);
    rig.beside_the_server(async |client| crowd.clear(&client).await)
}

/// The router comes back, and is told everything: beside the same bytes, sent at once.
fn to_a_new_session(args: &Args, rig: &Rig, router: &Router, table: &mut Table) -> Result<()> {
    let (mut ours, mut floor, mut messages) = (Vec::new(), Vec::new(), 0);
    for _ in 0..30 {
        router.close()?;
        let since = Instant::now();
        router.open();
        let (end, count, bytes) = eventually("all is told", Duration::from_secs(20), || {
            let ends = router.ends(since);
            Ok(ends.into_iter().next().ok_or("not yet"))
        })?;
        let up = router
            .sessions(since)
            .first()
            .copied()
            .context("a session")?;
        ours.push((end - up).as_secs_f64() * 1000.0);
        floor.push(sent_at_once(rig, &bytes)?);
        messages = messages.max(count);
    }
    let (ours, floor) = (median(&ours), median(&floor));
    let many = args.routes;
    table.row(
        &format!("{many} routes to a new session"),
        "ms",
        ours,
        Bar::None,
    );
    table.row(
        "the same bytes, made before and sent over TCP",
        "ms",
        floor,
        Bar::None,
    );
    table.row("ratio of the two", "x", ours / floor, Bar::AtMost(1.5));
    table.row(
        "messages",
        "",
        f64::from(u32::try_from(messages)?),
        Bar::AtMost(15.0),
    );
    Ok(())
}

/// From the node to the client: from the word that the client is ready, as a router's first
/// KEEPALIVE is, without which nothing may be told (RFC 4271 section 8.2.2), to the last byte.
fn sent_at_once(rig: &Rig, bytes: &[u8]) -> Result<f64> {
    let open = |place| {
        let inside = format!("/run/netns/{}", rig.cluster.netns(place));
        NetworkNamespace::open(inside.as_ref())
    };
    let at = SocketAddr::from((Place::Client.address().v4, FLOOR));
    let listener = open(Place::Client)?.run(|| TcpListener::bind(at))??;
    let mut sender = open(FIRST)?.run(|| TcpStream::connect(at))??;
    let (mut receiver, _) = listener.accept()?;
    let ready = Message::Keepalive.encode(Codec::default());
    let mut left = vec![0; bytes.len()];
    thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<()> {
            sender.write_all(&ready)?;
            sender.read_exact(&mut vec![0; ready.len()])?;
            Ok(sender.write_all(bytes)?)
        });
        // The sender is at work, as a speaker is that has sent its OPEN; and waits as long for the
        // word as that does for the router's, which looks at what has come when no more comes.
        receiver.read_exact(&mut vec![0; ready.len()])?;
        receiver.set_read_timeout(Some(PAUSE))?;
        let more = receiver.read(&mut [0]);
        ensure!(more.is_err(), "the sender did not wait");
        receiver.set_read_timeout(None)?;
        let since = Instant::now();
        receiver.write_all(&ready)?;
        receiver.read_exact(&mut left)?;
        let took = since.elapsed();
        let sent = sending.join();
        sent.map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        Ok(took.as_secs_f64() * 1000.0)
    })
}

/// The router does not take connections for a while, and then does.
fn back_from_silence(router: &Router, table: &mut Table) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        router.close()?;
        // So long is the silence that is measured: more than a few attempts.
        thread::sleep(SILENCE);
        let since = Instant::now();
        router.open();
        let up = eventually("a session", Duration::from_mins(1), || {
            Ok(router.sessions(since).first().copied().ok_or("none"))
        })?;
        times.push((up - since).as_secs_f64());
        eventually("all is told", Duration::from_secs(20), || {
            Ok(router.ends(since).first().map(drop).ok_or("not yet"))
        })?;
    }
    let worst = metallb_benches::table::worst(&times);
    table.row(
        &format!("a router that is back after {SILENCE:?} has a session"),
        "s",
        worst,
        Bar::AtMost(5.0),
    );
    Ok(())
}

/// Five hundred addresses are not announced any more.
fn withdrawn(rig: &Rig, router: &Router, table: &mut Table) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..5 {
        let since = Instant::now();
        pools(rig, "10.0.0.0/23")?;
        let gone = |since| -> Vec<Instant> {
            let heard = router.since(since);
            heard
                .iter()
                .filter(|it| !it.reached)
                .map(|it| it.at)
                .collect()
        };
        let all = eventually("routes are withdrawn", Duration::from_secs(20), || {
            let gone = gone(since);
            Ok(if gone.len() >= 500 {
                Ok(gone)
            } else {
                Err(gone.len().to_string())
            })
        })?;
        let first = all.first().copied().context("some")?;
        let last = all.get(499).copied().context("five hundred")?;
        times.push((last - first).as_secs_f64() * 1000.0);
        let since = Instant::now();
        pools(rig, "10.0.0.0/16")?;
        eventually("routes are back", Duration::from_secs(20), || {
            let back = router.since(since).iter().filter(|it| it.reached).count();
            Ok(if back >= 500 {
                Ok(())
            } else {
                Err(back.to_string())
            })
        })?;
    }
    let what = "500 routes withdrawn, from the first to the last";
    table.row(what, "ms", median(&times), Bar::AtMost(10.0));
    table.raw(what, json!({ "milliseconds": times }));
    Ok(())
}

/// The pool has these addresses of the crowd.
fn pools(rig: &Rig, addresses: &str) -> Result<()> {
    let patch = json!({ "spec": { "addresses": [addresses] } }).to_string();
    let patch = [
        "-n",
        SYSTEM,
        "patch",
        "ipaddresspool",
        "bench",
        "--type=merge",
        "-p",
        &patch,
    ];
    rig.cluster.kubectl_output(&patch).map(drop)
}

/// How long a router refuses connections.
const SILENCE: Duration = Duration::from_secs(12);
/// Where bytes are sent without a router.
const FLOOR: u16 = 1178;
