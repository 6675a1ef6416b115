//! Peers that are known by an interface: each node has a cable of its own to the router, and
//! neither end has an address but the link-local one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{Place, eventually, product};
use serde_json::{Value, json};

use crate::world::{FRR, SOON, World, families};

/// The node's end of its cable.
const UP: &str = "up0";
const NODES: [u8; 3] = [1, 2, 3];

/// The router has the routes of both families by way of all nodes, over the cables, and packets go
/// there.
pub(crate) fn frr(world: &World) -> Result<()> {
    with_cables(world, || {
        routes(world)?;
        names(world)
    })
}

/// Whatever happens to the interface and the router on it is said, and mends itself.
pub(crate) fn what_happens(world: &World) -> Result<()> {
    with_cables(world, || {
        happens_to_the_interface(world)?;
        happens_to_the_router(world)
    })
}

/// BFD between link-local addresses.
pub(crate) fn bfd(world: &World) -> Result<()> {
    with_cables(world, || watched(world))
}

fn routes(world: &World) -> Result<()> {
    let ips = world.addresses()?;
    for ip in &ips {
        let hops = by_cables(world, *ip, &NODES)?;
        println!("  {FRR} knows {ip} by {hops:?}");
        // What the router's kernel was given.
        let family = if ip.is_ipv4() { "-4" } else { "-6" };
        let ip = ip.to_string();
        let route = eventually("a route over three cables", SOON, || {
            let route = world
                .cluster
                .output(FRR, &["ip", family, "route", "show", &ip])?;
            Ok(if NODES.iter().all(|it| route.contains(&down(*it))) {
                Ok(route)
            } else {
                Err(route)
            })
        })?;
        println!(
            "  {}",
            route.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }
    crate::routes::page_through_the_router(world)?;
    // A host on the link would not take a node for its way out.
    let rdisc = ["rdisc6", "-1", "-r", "2", "-w", "5000", &down(1)];
    let heard = world.cluster.output(FRR, &rdisc)?;
    let lifetime = heard.lines().find(|it| it.contains("Router lifetime"));
    let lifetime = lifetime.with_context(|| format!("nobody was heard: {heard}"))?;
    println!("  what a host hears of n1: {}", lifetime.trim());
    ensure!(lifetime.contains(" 0 "), "{heard}");
    Ok(())
}

/// What the neighbour is called, wherever it is named.
fn names(world: &World) -> Result<()> {
    let table = eventually("a session on the interface in the table", SOON, || {
        let speakers = ["exec", "daemonset/speaker", "--", "/speaker", "bgp"];
        let table = world
            .kubectl
            .output(&[&["-n", product::NAMESPACE], &speakers[..]].concat())?;
        let on_it = |it: &&str| it.contains(&format!("%{UP}")) && it.contains("Established");
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
        let up = format!("metallb_bgp_session_up{{peer=\"{UP}:179\",vrf=\"default\"}} 1");
        Ok(if text.contains(&up) {
            Ok(up)
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
    n3("link set up0 down")?;
    let started = Instant::now();
    by_cables(world, ip, &[1, 2])?;
    gone_at_once(started)?;
    world.event("r1-up", "sessionDown", "interface up0 is switched off")?;
    n3("link set up0 up")?;
    by_cables(world, ip, &NODES)?;

    // The other end is.
    router("link set down3 down")?;
    world.event("r1-up", "sessionDown", "interface up0 has no carrier")?;
    by_cables(world, ip, &[1, 2])?;
    router("link set down3 up")?;
    if by_cables(world, ip, &NODES).is_err() {
        // Seen of FRR 8.4, once in ten times: it has forgotten who is at the other end, whatever
        // advertisements come, and refuses us until its interface is switched off once more.
        let refused = "it does not know this node as a neighbour";
        world.event("r1-up", "sessionFailed", refused)?;
        router("link set down3 down")?;
        by_cables(world, ip, &[1, 2])?;
        router("link set down3 up")?;
        by_cables(world, ip, &NODES)?;
    }

    // It goes, and one of its name comes. FRR 8.4 would not live through the same at its end.
    n3("link set up0 down name gone0")?;
    world.event(
        "r1-up",
        "sessionFailed",
        "there is no interface up0 on this node",
    )?;
    by_cables(world, ip, &[1, 2])?;
    n3("link set gone0 name up0")?;
    n3("link set up0 up")?;
    by_cables(world, ip, &NODES)?;

    // It loses its address.
    let own = link_local(world, Place::Node(3), UP)?;
    n3(&format!("addr del {own}/64 dev up0"))?;
    world.event("r1-up", "sessionFailed", "has no IPv6 link-local address")?;
    n3("addr add fe80::1234/64 dev up0")?;
    by_cables(world, ip, &NODES).map(drop)
}

fn happens_to_the_router(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let router = |arguments: &str| on(world, FRR, arguments);
    let before = link_local(world, FRR, &down(3))?;
    router(&format!("addr add fe80::5678/64 dev {}", down(3)))?;
    router(&format!("addr del {before}/64 dev {}", down(3)))?;
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
        let is_new = |it: &str| it.contains("fe80::5678%up0") && it.contains("Established");
        Ok(if table.lines().any(is_new) {
            Ok(())
        } else {
            Err(table)
        })
    })?;
    by_cables(world, ip, &NODES)?;
    println!("  found at its new address after {:.1?}", started.elapsed());
    Ok(())
}

/// What the router does not hear any more is gone.
fn watched(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let fast = json!({ "transmitInterval": 50, "receiveInterval": 50, "detectMultiplier": 3 });
    world.apply("BFDProfile", "fast", fast)?;
    let lines = [
        "transmit-interval 50",
        "receive-interval 50",
        "detect-multiplier 3",
    ];
    let profile = [&["bfd", "profile fast"], &lines[..]].concat();
    world.cluster.configure_router(FRR, &profile)?;
    for node in NODES {
        world.frr(&format!("neighbor {} bfd", down(node)))?;
        world.frr(&format!("neighbor {} bfd profile fast", down(node)))?;
    }
    peer(world, &json!({ "bfdProfile": "fast" }))?;
    let up = || {
        eventually("three BFD sessions over the cables are up", SOON, || {
            let text = world.cluster.ask_router(FRR, "show bfd peers json")?;
            let all: Vec<Value> = serde_json::from_str(&text)?;
            let is_up = |it: &&Value| {
                it["status"] == "up"
                    && it["interface"]
                        .as_str()
                        .is_some_and(|it| it.starts_with("down"))
            };
            Ok(if all.iter().filter(is_up).count() == 3 {
                Ok(())
            } else {
                Err(text)
            })
        })
    };
    up()?;
    by_cables(world, ip, &NODES)?;
    // The cable stays whole, so nobody but BFD can tell.
    let rule = "table inet deaf { chain in { type filter hook input priority 0; \
                iifname \"down3\" udp dport 3784 drop; }; }";
    world.cluster.output(FRR, &["nft", rule])?;
    let started = Instant::now();
    let gone = by_cables(world, ip, &[1, 2]);
    let took = started.elapsed();
    world.event("r1-up", "sessionDown", "BFD says that")?;
    world
        .cluster
        .output(FRR, &["nft", "delete table inet deaf"])?;
    gone?;
    println!("  routes by n3 are gone after {took:.1?}, with what asking takes");
    ensure!(
        took < Duration::from_secs(3),
        "it took {took:.1?}; the hold time is 9 s"
    );
    up()?;
    by_cables(world, ip, &NODES)?;
    for node in NODES {
        world.frr(&format!("no neighbor {} bfd", down(node)))?;
    }
    peer(world, &json!({}))?;
    by_cables(world, ip, &NODES).map(drop)
}

/// On the network that all share, each node hears the router and the others: the session is with
/// the router nevertheless, and users are told to do otherwise.
pub(crate) fn several_routers(world: &World) -> Result<()> {
    world.frr("neighbor eth0 interface remote-as external")?;
    activate(world, "eth0")?;
    let spec = json!({ "interface": "eth0" });
    peer_named(world, "r1-eth0", &spec)?;
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

/// Tells a story with the cables, which stay: FRR 8.4 does not always live through the loss of a
/// neighbour on an interface. The peers are those of the other stories again after it.
fn with_cables(world: &World, story: impl FnOnce() -> Result<()>) -> Result<()> {
    begin(world)?;
    let told = story();
    world.remove("bgppeer", "r1-up")?;
    for (family, address) in families(FRR) {
        world.peer(&format!("{FRR}-{family}"), &address, json!({}))?;
    }
    told?;
    for ip in world.addresses()? {
        world.known_by(FRR, ip, &NODES)?;
    }
    Ok(())
}

fn begin(world: &World) -> Result<()> {
    for node in NODES {
        let down = down(node);
        if on(world, FRR, &format!("link show {down}")).is_ok() {
            continue;
        }
        lay(world, node)?;
        world.frr(&format!("neighbor {down} interface remote-as external"))?;
        world.frr(&format!("neighbor {down} timers connect 1"))?;
        activate(world, &down)?;
    }
    for (family, _) in families(FRR) {
        world.remove("bgppeer", &format!("{FRR}-{family}"))?;
    }
    peer(world, &json!({}))?;
    let ips = world.addresses()?;
    ips.iter()
        .try_for_each(|ip| by_cables(world, *ip, &NODES).map(drop))
}

fn activate(world: &World, neighbor: &str) -> Result<()> {
    for family in ["ipv4", "ipv6"] {
        let bgp = format!("router bgp {}", metallb_tests::routers::router_asn(1));
        let family = format!("address-family {family} unicast");
        let line = format!("neighbor {neighbor} activate");
        world
            .cluster
            .configure_router(FRR, &[&bgp, &family, &line])?;
    }
    Ok(())
}

/// A cable from a node to the router.
fn lay(world: &World, node: u8) -> Result<()> {
    let (down, netns) = (down(node), world.cluster.netns(Place::Node(node)));
    on(
        world,
        FRR,
        &format!("link add {down} type veth peer name {UP} netns {netns}"),
    )?;
    on(world, FRR, &format!("link set {down} up"))?;
    on(world, Place::Node(node), &format!("link set {UP} up"))
}

/// The router's end of a node's cable.
fn down(node: u8) -> String {
    format!("down{node}")
}

fn on(world: &World, place: Place, arguments: &str) -> Result<()> {
    let command: Vec<_> = std::iter::once("ip").chain(arguments.split(' ')).collect();
    world.cluster.output(place, &command).map(drop)
}

fn peer(world: &World, more: &Value) -> Result<()> {
    let mut spec = json!({ "interface": UP });
    let fields = more.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().context("an object")?.extend(fields);
    peer_named(world, "r1-up", &spec)
}

fn peer_named(world: &World, name: &str, more: &Value) -> Result<()> {
    let mut spec = json!({
        "myASN": metallb_tests::routers::NODES_ASN, "dynamicASN": "external",
        "holdTime": "9s", "keepaliveTime": "3s", "connectTime": "1s",
    });
    let fields = more.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().context("an object")?.extend(fields);
    world.apply("BGPPeer", name, spec)
}

/// Waits until the router has a route by way of exactly these nodes' ends of cables.
fn by_cables(world: &World, ip: IpAddr, nodes: &[u8]) -> Result<BTreeSet<Ipv6Addr>> {
    let wanted = nodes
        .iter()
        .map(|node| link_local(world, Place::Node(*node), UP))
        .collect::<Result<BTreeSet<_>>>()?;
    eventually(
        &format!("{FRR} knows {ip} by {UP} of {nodes:?}"),
        SOON,
        || {
            let hops = hops(world, ip)?;
            Ok(if hops == wanted {
                Ok(hops)
            } else {
                Err(format!("by {hops:?}"))
            })
        },
    )
}

/// Where the router has routes to, link-local addresses included.
fn hops(world: &World, ip: IpAddr) -> Result<BTreeSet<Ipv6Addr>> {
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    let question = format!("show bgp {family} unicast {ip} json");
    let answer: Value = serde_json::from_str(&world.cluster.ask_router(FRR, &question)?)?;
    let paths = answer["paths"].as_array().cloned().unwrap_or_default();
    let hops = paths
        .iter()
        .filter_map(|it| it["nexthops"].as_array().cloned());
    let hops = hops
        .flatten()
        .filter_map(|it| it["ip"].as_str()?.parse().ok());
    Ok(hops.collect())
}

fn link_local(world: &World, place: Place, interface: &str) -> Result<Ipv6Addr> {
    let command = [
        "ip", "-6", "-json", "addr", "show", "dev", interface, "scope", "link",
    ];
    let text = world.cluster.output(place, &command)?;
    let all: Value = serde_json::from_str(&text)?;
    let addresses = all[0]["addr_info"].as_array().cloned().unwrap_or_default();
    let mut addresses = addresses.iter().filter_map(|it| it["local"].as_str());
    let address = addresses.next();
    let address = address.with_context(|| format!("{place} has none on {interface}: {text}"))?;
    Ok(address.parse()?)
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
