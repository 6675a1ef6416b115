//! Peers that are known by an interface: each node has a cable of its own to the router, and
//! neither end has an address but the link-local one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::routers::{cable, router_asn};
use metallb_tests::{Place, eventually, interop, product};
use serde_json::{Value, json};

use crate::cables::{NODES, by_cable, by_cables, link_local, on, peer, peer_on, up, with_cables};
use crate::world::{FRR, GOBGP, SOON, World};

/// Each router has the routes of both families by way of all nodes, over the cables, and packets go
/// there.
pub(crate) fn found(world: &World) -> Result<()> {
    for router in world.routers_of(&interop::UNNUMBERED) {
        with_cables(world, router, || {
            routes(world, router)?;
            if router == FRR {
                nobodys_way_out(world)?;
                names(world)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Whatever happens to the interface and the router on it is said, and mends itself.
pub(crate) fn what_happens(world: &World) -> Result<()> {
    with_cables(world, FRR, || {
        happens_to_the_interface(world)?;
        happens_to_the_router(world)
    })
}

/// BFD between link-local addresses.
pub(crate) fn bfd(world: &World) -> Result<()> {
    for router in world.routers_of(&interop::UNNUMBERED_BFD) {
        with_cables(world, router, || watched(world, router))?;
    }
    Ok(())
}

fn routes(world: &World, router: Place) -> Result<()> {
    for ip in world.addresses()? {
        let hops = by_cables(world, router, ip, &NODES)?;
        println!("  {router} knows {ip} by {hops:?}");
        if router == GOBGP {
            continue;
        }
        // What the router's kernel was given.
        let family = if ip.is_ipv4() { "-4" } else { "-6" };
        let ip = ip.to_string();
        let route = eventually("a route over three cables", SOON, || {
            let show = ["ip", family, "route", "show", &ip];
            let route = world.cluster.output(router, &show)?;
            Ok(if NODES.iter().all(|it| route.contains(&cable(*it))) {
                Ok(route)
            } else {
                Err(route)
            })
        })?;
        let words: Vec<_> = route.split_whitespace().collect();
        println!("  {}", words.join(" "));
    }
    if router == GOBGP {
        return Ok(());
    }
    crate::routes::page_through(world, router)
}

/// A host on the link would not take a node for its way out.
fn nobodys_way_out(world: &World) -> Result<()> {
    let rdisc = ["rdisc6", "-1", "-r", "2", "-w", "5000", &cable(1)];
    let heard = world.cluster.output(FRR, &rdisc)?;
    let lifetime = heard.lines().find(|it| it.contains("Router lifetime"));
    let lifetime = lifetime.with_context(|| format!("nobody was heard: {heard}"))?;
    println!("  what a host hears of n1: {}", lifetime.trim());
    ensure!(lifetime.contains(" 0 "), "{heard}");
    Ok(())
}

/// What the neighbour is called, wherever it is named.
fn names(world: &World) -> Result<()> {
    let up = up(FRR);
    let table = eventually("a session on the interface in the table", SOON, || {
        let speakers = ["exec", "daemonset/speaker", "--", "/speaker", "bgp"];
        let table = world
            .kubectl
            .output(&[&["-n", product::NAMESPACE], &speakers[..]].concat())?;
        let on_it = |it: &&str| it.contains(&format!("%{up}")) && it.contains("Established");
        Ok(match table.lines().find(on_it) {
            Some(line) => Ok(line.to_owned()),
            None => Err(table),
        })
    })?;
    println!("  {table}");
    let metrics = eventually("metrics of sessions on the interface", SOON, || {
        // FRR's exporter has this port.
        let all = product::metrics_at(&world.cluster, &world.kubectl, "speaker", 9121)?;
        let text = all.first().cloned().unwrap_or_default();
        let is_up = format!("metallb_bgp_session_up{{peer=\"{up}:179\",vrf=\"default\"}} 1");
        Ok(if text.contains(&is_up) {
            Ok(is_up)
        } else {
            Err(text)
        })
    })?;
    product::forget_metrics_reader(&world.kubectl)?;
    println!("  {metrics}");
    crate::routes::all_tell(world, &["r1-up", "r2-v4", "r2-v6", "r3-v4", "r3-v6"])
}

fn happens_to_the_interface(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let n3 = |arguments: &str| on(world, Place::Node(3), arguments);
    let router = |arguments: &str| on(world, FRR, arguments);

    // It is switched off, and on again.
    n3("link set up-r1 down")?;
    let started = Instant::now();
    by_cables(world, FRR, ip, &[1, 2])?;
    gone_at_once(started)?;
    world.event("r1-up", "sessionDown", "interface up-r1 is switched off")?;
    n3("link set up-r1 up")?;
    by_cables(world, FRR, ip, &NODES)?;

    // The other end is.
    router("link set down3 down")?;
    world.event("r1-up", "sessionDown", "interface up-r1 has no carrier")?;
    by_cables(world, FRR, ip, &[1, 2])?;
    router("link set down3 up")?;
    by_cables(world, FRR, ip, &NODES)?;

    // It goes, and one of its name comes. FRR 8.4 would not live through the same at its end.
    n3("link set up-r1 down name gone0")?;
    world.event(
        "r1-up",
        "sessionFailed",
        "there is no interface up-r1 on this node",
    )?;
    by_cables(world, FRR, ip, &[1, 2])?;
    n3("link set gone0 name up-r1")?;
    n3("link set up-r1 up")?;
    by_cables(world, FRR, ip, &NODES)?;

    // It loses its address.
    let own = link_local(world, Place::Node(3), &up(FRR))?;
    n3(&format!("addr del {own}/64 dev up-r1"))?;
    world.event("r1-up", "sessionFailed", "has no IPv6 link-local address")?;
    n3("addr add fe80::1234/64 dev up-r1")?;
    by_cables(world, FRR, ip, &NODES).map(drop)
}

fn happens_to_the_router(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let router = |arguments: &str| on(world, FRR, arguments);
    let before = link_local(world, FRR, &cable(3))?;
    router(&format!("addr add fe80::5678/64 dev {}", cable(3)))?;
    router(&format!("addr del {before}/64 dev {}", cable(3)))?;
    let started = Instant::now();
    let patience = Duration::from_mins(1);
    eventually("a session with the router's new address", patience, || {
        let on_n3 = [
            "-n",
            product::NAMESPACE,
            "get",
            "pods",
            "-l",
            "component=speaker",
        ];
        let field = ["--field-selector=spec.nodeName=n3", "-o", "name"];
        let pod = world.kubectl.output(&[&on_n3[..], &field[..]].concat())?;
        let command = ["exec", pod.trim(), "--", "/speaker", "bgp"];
        let table = world
            .kubectl
            .output(&[&["-n", product::NAMESPACE], &command[..]].concat())?;
        let is_new = |it: &str| it.contains("fe80::5678%up-r1") && it.contains("Established");
        Ok(if table.lines().any(is_new) {
            Ok(())
        } else {
            Err(table)
        })
    })?;
    by_cables(world, FRR, ip, &NODES)?;
    println!("  found at its new address after {:.1?}", started.elapsed());
    Ok(())
}

/// A node that does not hear the router any more ends the session, and the router's routes by it go.
fn watched(world: &World, router: Place) -> Result<()> {
    let ip = world.addresses()?[0];
    let fast = json!({ "transmitInterval": 50, "receiveInterval": 50, "detectMultiplier": 3 });
    world.apply("BFDProfile", "fast", fast)?;
    peer(world, router, &json!({ "bfdProfile": "fast" }))?;
    let (question, sign) = match router {
        FRR => ("show bfd peers json", "\"status\":\"up\""),
        _ => ("show bfd sessions", " Up "),
    };
    let what = format!("three BFD sessions of {router} over the cables are up");
    let are_up = || {
        eventually(&what, SOON, || {
            let text = world.cluster.ask_router(router, question)?;
            let is_so = text.matches(sign).count() == 3;
            Ok(is_so.then_some(()).ok_or(text))
        })
    };
    are_up()?;
    by_cables(world, router, ip, &NODES)?;
    // The cable stays whole, so nobody but BFD can tell. It is n3 that hears nothing: of a router that
    // does not, the word that the session has ended may be here before BFD's.
    let n3 = Place::Node(3);
    let rule = format!(
        "table inet deaf {{ chain in {{ type filter hook input priority 0; iifname \"{}\" udp dport \
         3784 drop; }}; }}",
        up(router),
    );
    world.cluster.output(n3, &["nft", &rule])?;
    let started = Instant::now();
    let gone = by_cables(world, router, ip, &[1, 2]);
    let took = started.elapsed();
    let peer_name = by_cable(router);
    world.event(&peer_name, "sessionDown", "BFD says that")?;
    let undo = ["nft", "delete table inet deaf"];
    world.cluster.output(n3, &undo)?;
    gone?;
    println!("  {router} has no routes by n3 after {took:.1?}, with what asking takes");
    ensure!(
        took < Duration::from_secs(3),
        "it took {took:.1?}; the hold time is 9 s"
    );
    are_up()?;
    by_cables(world, router, ip, &NODES)?;
    peer(world, router, &json!({}))?;
    by_cables(world, router, ip, &NODES).map(drop)
}

/// On the network that all share, each node hears the router and the others: the session is with
/// the router nevertheless, and users are told to do otherwise.
pub(crate) fn several_routers(world: &World) -> Result<()> {
    world.frr("neighbor eth0 interface remote-as external")?;
    for family in ["ipv4", "ipv6"] {
        let bgp = format!("router bgp {}", router_asn(1));
        let family = format!("address-family {family} unicast");
        let lines = [&*bgp, &*family, "neighbor eth0 activate"];
        world.cluster.configure_router(FRR, &lines)?;
    }
    peer_on(world, "r1-eth0", "eth0", &json!({}))?;
    world.event("r1-eth0", "severalRouters", "both advertise themselves")?;
    eventually("a session on the shared network", SOON, || {
        let text = world.cluster.ask_router(FRR, "show bgp neighbors json")?;
        let all: Value = serde_json::from_str(&text)?;
        let state = &all["eth0"]["bgpState"];
        Ok(if *state == "Established" {
            Ok(())
        } else {
            Err(state.to_string())
        })
    })?;
    world.remove("bgppeer", "r1-eth0")?;
    world.frr("no neighbor eth0 interface remote-as external")
}

fn gone_at_once(started: Instant) -> Result<()> {
    let took = started.elapsed();
    println!("  routes by n3 are gone after {took:.1?}, with what asking takes");
    ensure!(
        took < Duration::from_secs(3),
        "it took {took:.1?}; the hold time is 9 s"
    );
    Ok(())
}
