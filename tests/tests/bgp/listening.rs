//! Speakers that listen, which they do not unless told to.

use anyhow::{Result, ensure};
use metallb_tests::{Place, eventually, product};
use serde_json::{Value, json};

use crate::world::{FRR, SOON, World, families, peer_name};

const NODES: [u8; 3] = [1, 2, 3];

/// Routers and nodes both connect, and one of two connections stays; then nodes cannot reach the
/// router, which connects to them; with a password, too. Strangers are turned away.
pub(crate) fn routers_connect(world: &World) -> Result<()> {
    let port = |setting: &str| {
        let operator = format!("deployment/{}", product::OPERATOR);
        let arguments = ["-n", product::NAMESPACE, "set", "env", &operator, setting];
        world.kubectl.output(&arguments).map(drop)
    };
    port("BGP_LISTEN_PORT=179")?;
    listen(world, true)?;
    let told = the_router_knows_nodes(world);
    port("BGP_LISTEN_PORT-")?;
    listen(world, false)?;
    told
}

/// Waits until all speakers listen, or none.
fn listen(world: &World, wanted: bool) -> Result<()> {
    let rendered = if wanted {
        "speakers that listen"
    } else {
        "speakers that do not"
    };
    let get = ["-n", product::NAMESPACE, "get", "daemonset/speaker"];
    eventually(rendered, SOON, || {
        let set = world.kubectl.json(&get)?;
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        let listens = container["args"]
            .to_string()
            .contains("--bgp-listen-port=179");
        let added = container["securityContext"]["capabilities"]["add"].to_string();
        let may = added.contains("NET_BIND_SERVICE");
        Ok(if (listens, may) == (wanted, wanted) {
            Ok(())
        } else {
            Err(container.to_string())
        })
    })?;
    product::rolled_out(&world.kubectl, product::NAMESPACE, "daemonset/speaker")
}

fn the_router_knows_nodes(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    let [(family, address), _] = families(FRR);
    let name = peer_name(FRR, family);
    let without = || {
        world.remove("bgppeer", &name)?;
        world.known_by(FRR, ip, &[]).map(drop)
    };
    without()?;
    for node in NODES {
        let node = Place::Node(node).address().v4;
        world.frr(&format!("neighbor {node} peer-group nodes"))?;
    }
    world.peer(&name, &address, json!({}))?;
    world.known_by(FRR, ip, &NODES)?;
    println!("  both connect, and there is one session with each node");

    without()?;
    let rule = "table inet shut { chain in { type filter hook input priority 0; \
                ip saddr 192.0.2.8/29 tcp dport 179 drop; }; }";
    world.cluster.output(FRR, &["nft", rule])?;
    world.peer(&name, &address, json!({}))?;
    let told = by_the_routers_connections(world, ip).and_then(|()| {
        without()?;
        world.frr("neighbor nodes password secret")?;
        world.peer(&name, &address, json!({ "password": "secret" }))?;
        by_the_routers_connections(world, ip)?;
        println!("  so it is with a password");
        strangers_are_turned_away(world)
    });
    world
        .cluster
        .output(FRR, &["nft", "delete table inet shut"])?;
    without()?;
    world.frr("no neighbor nodes password")?;
    for node in NODES {
        let node = Place::Node(node).address().v4;
        world.frr(&format!("no neighbor {node} peer-group nodes"))?;
    }
    world.peer(&name, &address, json!({}))?;
    world.known_by(FRR, ip, &NODES)?;
    told
}

/// All sessions are on connections to the nodes' port.
fn by_the_routers_connections(world: &World, ip: std::net::IpAddr) -> Result<()> {
    world.known_by(FRR, ip, &NODES)?;
    let text = world.cluster.ask_router(FRR, "show bgp neighbors json")?;
    let all: Value = serde_json::from_str(&text)?;
    for node in NODES {
        let node = Place::Node(node).address().v4.to_string();
        let port = &all[&node]["portForeign"];
        ensure!(*port == 179, "{node} is spoken with on its port {port}");
    }
    println!("  the router alone connects, and there is a session with each node");
    Ok(())
}

fn strangers_are_turned_away(world: &World) -> Result<()> {
    let node = Place::Node(1).address().v4;
    // 1: it was closed; more: it was waited for.
    let script = format!("exec 3<>/dev/tcp/{node}/179; read -t 5 -u 3; echo $?");
    let said = world
        .cluster
        .output(Place::Client, &["bash", "-c", &script])?;
    ensure!(
        said.trim() == "1",
        "a stranger's connection stays open: {said}"
    );
    Ok(())
}
