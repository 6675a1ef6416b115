//! BFD with real routers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use metallb_tests::faults::Cable;
use metallb_tests::{Place, eventually, interop, product};
use serde_json::{Value, json};

use crate::world::{FRR, SOON, TOLD_WITHOUT_N3, World, families, peer_name, told};

/// A cable is cut: by BFD, routers know within a fraction of a second, and so do we.
pub(crate) fn cut(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::BFD);
    watched(world, &routers)?;
    world.all_know(&routers, &told(""))?;
    while_n3_is_cut(world, || world.all_know(&routers, TOLD_WITHOUT_N3))?;
    world.all_know(&routers, &told(""))?;
    routers.iter().try_for_each(|it| are_up(world, *it))?;
    world.as_ever(&routers)
}

/// Has nodes watch these routers by BFD, and waits until they do.
pub(crate) fn watched(world: &World, routers: &[Place]) -> Result<()> {
    let fast = json!({ "transmitInterval": 50, "receiveInterval": 50, "detectMultiplier": 3 });
    world.apply("BFDProfile", "fast", fast)?;
    for router in routers {
        for (family, address) in families(*router) {
            let name = peer_name(*router, family);
            world.peer(&name, &address, json!({ "bfdProfile": "fast" }))?;
        }
    }
    routers.iter().try_for_each(|it| are_up(world, *it))
}

/// Waits until a router's BFD sessions with all nodes are up, on both families.
pub(crate) fn are_up(world: &World, router: Place) -> Result<()> {
    let (question, up) = match router {
        FRR => ("show bfd peers json", "\"status\":\"up\""),
        _ => ("show bfd sessions", " Up "),
    };
    eventually(
        &format!("six BFD sessions of {router} are up"),
        SOON,
        || {
            let text = world.cluster.ask_router(router, question)?;
            let is_so = text.matches(up).count() == 6;
            Ok(is_so.then_some(()).ok_or(text))
        },
    )
}

/// A BFDProfile changes under sessions that are up; what the router sees of each field.
pub(crate) fn fields(world: &World) -> Result<()> {
    let [(_, address), _] = families(FRR);
    world.peer("r1-v4", &address, json!({ "bfdProfile": "fast" }))?;
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

/// Echo packets go through the router and back, and the router's through the nodes. When the router
/// forwards those of one node no more, that session ends, though control packets arrive.
pub(crate) fn echo(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    profile_of_frr(
        world,
        &[
            "transmit-interval 300",
            "receive-interval 300",
            "echo transmit-interval 60",
            "echo receive-interval 60",
            "echo-mode",
        ],
    )?;
    let profile = |echoes: bool| {
        json!({
            "transmitInterval": 300, "receiveInterval": 300, "detectMultiplier": 3,
            "echoInterval": 40, "echoMode": echoes,
        })
    };
    // Without echo mode, a node returns Echo packets and sends none.
    let [(_, address), _] = families(FRR);
    world.apply("BFDProfile", "fast", profile(false))?;
    world.peer("r1-v4", &address, json!({ "bfdProfile": "fast" }))?;
    all_are(world, "status", &json!("up"))?;
    all_are(world, "remote-echo-receive-interval", &json!(40))?;
    returned_by_nodes(world)?;
    all_are(world, "remote-receive-interval", &json!(300))?;
    ensure!(!table(world)?.contains(" echo "), "nobody asked for that");

    world.apply("BFDProfile", "fast", profile(true))?;
    // RFC 5880 section 6.8.3: while Echo packets come back, others are few.
    all_are(world, "remote-receive-interval", &json!(1000))?;
    all_are(world, "status", &json!("up"))?;
    eventually("the speakers say so, too", SOON, || {
        let table = table(world)?;
        let is_so = table.contains("Up echo ");
        Ok(if is_so { Ok(()) } else { Err(table) })
    })?;
    stay_up(world)?;
    let before = downs(world)?;

    let started = Instant::now();
    let ended = world
        .cluster
        .stop_forwarding(FRR, Some(Place::Node(3)), ECHO_PORT)
        .and_then(|()| {
            let from = started.elapsed();
            is_gone(world, 3)?;
            Ok((from, started.elapsed()))
        });
    world.cluster.stop_forwarding(FRR, None, ECHO_PORT)?;
    let (from, took) = ended?;
    println!(
        "  the session with n3 is down {from:.1?} to {took:.1?} later, with what asking takes"
    );
    ensure!(took < Duration::from_secs(2), "it took {took:.1?}");
    world.event("r1-v4", "sessionDown", "BFD says")?;
    let speakers = ["logs", "-l", "component=speaker", "--tail=-1"];
    let logs = [&["-n", product::NAMESPACE], &speakers[..]].concat();
    let logs = world.kubectl.output(&logs)?;
    ensure!(logs.contains("echo function failed"), "for another reason");
    let after = downs(world)?;
    for node in [1, 2] {
        let peer = json!(Place::Node(node).address().v4.to_string());
        let of = |all: &[(Value, Value)]| all.iter().find(|it| it.0 == peer).cloned();
        ensure!(of(&before) == of(&after), "{before:?} {after:?}");
    }
    all_are(world, "status", &json!("up"))?;

    world.apply("BFDProfile", "fast", profile(false))?;
    all_are(world, "remote-receive-interval", &json!(300))?;
    // MetalLB's rule: a pool with IPv6 addresses is not told to peers with echo.
    world.known_by(FRR, ip, &[1, 2, 3])?;
    profile_of_frr(world, &["no echo-mode"])
}

/// FRR's own Echo packets come back from all three nodes.
fn returned_by_nodes(world: &World) -> Result<()> {
    eventually("Echo packets come back from three nodes", SOON, || {
        let text = world
            .cluster
            .ask_router(FRR, "show bfd peers counters json")?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let count = |it: &Value| it["echo-packet-input"].as_u64().unwrap_or_default();
        let so = all.iter().filter(|it| count(it) > 20).count();
        Ok(if so == 3 { Ok(()) } else { Err(text) })
    })
}

/// For as long as Echo packets are missed many times over, no session ends.
fn stay_up(world: &World) -> Result<()> {
    let before = downs(world)?;
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        all_are(world, "status", &json!("up"))?;
    }
    let after = downs(world)?;
    ensure!(before == after, "from {before:?} to {after:?}");
    Ok(())
}

fn downs(world: &World) -> Result<Vec<(Value, Value)>> {
    let text = world
        .cluster
        .ask_router(FRR, "show bfd peers counters json")?;
    let all: Vec<Value> = serde_json::from_str(&text)?;
    let of = |it: &Value| (it["peer"].clone(), it["session-down"].clone());
    Ok(all.iter().map(of).collect())
}

fn table(world: &World) -> Result<String> {
    let speaker = ["exec", "daemonset/speaker", "--", "/speaker", "bgp"];
    let arguments = [&["-n", product::NAMESPACE], &speaker[..]].concat();
    world.kubectl.output(&arguments)
}

/// Waits until FRR has no session with a node that is up.
fn is_gone(world: &World, node: u8) -> Result<()> {
    let peer = json!(Place::Node(node).address().v4.to_string());
    eventually(&format!("the session with n{node} is down"), SOON, || {
        let text = world.cluster.ask_router(FRR, "show bfd peers json")?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let is_up = |it: &Value| it["peer"] == peer && it["status"] == "up";
        Ok(if all.iter().any(is_up) {
            Err(text)
        } else {
            Ok(())
        })
    })
}

/// Cuts a cable until it was noticed, which takes less than the hold time.
pub(crate) fn while_n3_is_cut(world: &World, noticed: impl Fn() -> Result<()>) -> Result<()> {
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
    world.known_by(FRR, ip, &[1, 2, 3])
}

/// RFC 5881 section 4.
const ECHO_PORT: u16 = 3785;

/// Waits until FRR says this of its sessions with all three nodes.
fn all_are(world: &World, place: &str, expected: &Value) -> Result<()> {
    let nodes = [1, 2, 3].map(|node| json!(Place::Node(node).address().v4.to_string()));
    eventually(&format!("{place} of three is {expected}"), SOON, || {
        let text = world.cluster.ask_router(FRR, "show bfd peers json")?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let is_so = |it: &&Value| nodes.contains(&it["peer"]) && it[place] == *expected;
        let so = all.iter().filter(is_so).count();
        Ok(if so == 3 { Ok(()) } else { Err(text) })
    })
}
