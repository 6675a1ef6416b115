//! BFD with real routers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metallb_tests::faults::Cable;
use metallb_tests::{Place, eventually};
use serde_json::{Value, json};

use crate::world::{BIRD, FRR, SOON, World, families, peer_name};

/// A cable is cut: by BFD, the router knows within a fraction of a second, and so do we.
pub(crate) fn cut(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let [(_, address), _] = families(FRR);
    profile_of_frr(
        world,
        &[
            "transmit-interval 50",
            "receive-interval 50",
            "detect-multiplier 3",
        ],
    )?;
    world.frr("neighbor nodes bfd")?;
    world.frr("neighbor nodes bfd profile fast")?;
    let fast = json!({ "transmitInterval": 50, "receiveInterval": 50, "detectMultiplier": 3 });
    world.apply("BFDProfile", "fast", fast)?;
    world.peer("r1-v4", &address, json!({ "bfdProfile": "fast" }))?;
    all_are(world, "status", &json!("up"))?;
    world.known_by(FRR, ip, &[1, 2, 3])?;
    while_n3_is_cut(world, || world.known_by(FRR, ip, &[1, 2]).map(drop))?;
    world.known_by(FRR, ip, &[1, 2, 3])?;
    all_are(world, "status", &json!("up"))
}

/// A BFDProfile changes under sessions that are up; what the router sees of each field.
pub(crate) fn fields(world: &World) -> Result<()> {
    for (fields, place, expected) in [
        (
            json!({ "transmitInterval": 70 }),
            "remote-transmit-interval",
            70,
        ),
        (
            json!({ "receiveInterval": 80 }),
            "remote-receive-interval",
            80,
        ),
        (
            json!({ "detectMultiplier": 5 }),
            "remote-detect-multiplier",
            5,
        ),
    ] {
        world.apply("BFDProfile", "fast", fields.clone())?;
        all_are(world, place, &json!(expected))?;
        all_are(world, "status", &json!("up"))?;
        println!("  {fields}: {place} is {expected}");
    }
    // RFC 5880 section 6.8.3: a passive system waits for packets, two of them for ever.
    profile_of_frr(world, &["passive-mode"])?;
    world.apply("BFDProfile", "fast", json!({ "passiveMode": true }))?;
    start_over(world)?;
    all_are(world, "status", &json!("down"))?;
    profile_of_frr(world, &["no passive-mode"])?;
    all_are(world, "status", &json!("up"))
}

/// BIRD, on IPv4 and IPv6.
pub(crate) fn bird(world: &World) -> Result<()> {
    let ips = world.addresses()?;
    let fast = json!({ "transmitInterval": 50, "receiveInterval": 50, "detectMultiplier": 3 });
    world.apply("BFDProfile", "fast", fast)?;
    let peers = |fields: &Value| {
        let mut all = families(BIRD).into_iter();
        all.try_for_each(|(family, address)| {
            world.peer(&peer_name(BIRD, family), &address, fields.clone())
        })
    };
    peers(&json!({ "bfdProfile": "fast" }))?;
    let up = || {
        eventually("six BFD sessions with BIRD are up", SOON, || {
            let text = world.cluster.ask_router(BIRD, "show bfd sessions")?;
            let up = text.lines().filter(|line| line.contains(" Up ")).count();
            Ok(if up == 6 { Ok(()) } else { Err(text) })
        })
    };
    up()?;
    for ip in &ips {
        world.known_by(BIRD, *ip, &[1, 2, 3])?;
    }
    while_n3_is_cut(world, || {
        ips.iter()
            .try_for_each(|ip| world.known_by(BIRD, *ip, &[1, 2]).map(drop))
    })?;
    up()?;
    peers(&json!({}))?;
    ips.iter()
        .try_for_each(|ip| world.known_by(BIRD, *ip, &[1, 2, 3]).map(drop))
}

/// Cuts a cable until it was noticed, which takes less than the hold time.
fn while_n3_is_cut(world: &World, noticed: impl Fn() -> Result<()>) -> Result<()> {
    let cable = Cable {
        place: Place::Node(3),
        nic: 0,
    };
    let started = Instant::now();
    world.cluster.cut(cable)?;
    let noticed = noticed();
    let took = started.elapsed();
    world.cluster.heal(cable)?;
    noticed?;
    println!("  routes by n3 are gone after {took:.1?}, with what asking takes");
    ensure!(
        took < Duration::from_secs(3),
        "it took {took:.1?}; the hold time is 9 s"
    );
    Ok(())
}

/// FRR's side of the sessions.
fn profile_of_frr(world: &World, lines: &[&str]) -> Result<()> {
    let lines = [&["bfd", "profile fast"], lines].concat();
    world.cluster.configure_router(FRR, &lines)
}

/// Ends the sessions and has new ones made.
fn start_over(world: &World) -> Result<()> {
    let [(_, address), _] = families(FRR);
    let ip = world.addresses()?[0];
    world.remove("bgppeer", "r1-v4")?;
    world.known_by(FRR, ip, &[])?;
    world.peer("r1-v4", &address, json!({ "bfdProfile": "fast" }))?;
    world.known_by(FRR, ip, &[1, 2, 3]).map(drop)
}

/// Waits until FRR says this of its sessions with all three nodes.
fn all_are(world: &World, place: &str, expected: &Value) -> Result<()> {
    eventually(&format!("{place} of three is {expected}"), SOON, || {
        let text = world.cluster.ask_router(FRR, "show bfd peers json")?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let so = all.iter().filter(|it| it[place] == *expected).count();
        Ok(if so == 3 { Ok(()) } else { Err(text) })
    })
}
