//! A cable from each node to a router, with no address but the link-local ones, and BGPPeers that
//! are known by them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result};
use metallb_tests::routers::{NODES_ASN, cable};
use metallb_tests::{Place, eventually};
use serde_json::{Value, json};

use crate::world::{GOBGP, SOON, World, families, peer_name};

/// The nodes that have one.
pub(crate) const NODES: [u8; 3] = [1, 2, 3];

/// The node's end of its cable to a router.
pub(crate) fn up(router: Place) -> String {
    format!("up-{router}")
}

/// The BGPPeer of it.
pub(crate) fn by_cable(router: Place) -> String {
    format!("{router}-up")
}

/// Tells a story with the cables to a router, which stay: FRR 8.4 does not always live through the
/// loss of a neighbour on an interface. Router and BGPPeers are as ever after it.
pub(crate) fn with_cables(
    world: &World,
    router: Place,
    story: impl FnOnce() -> Result<()>,
) -> Result<()> {
    for node in NODES {
        if on(world, router, &format!("link show {}", cable(node))).is_err() {
            lay(world, router, node)?;
        }
    }
    for (family, _) in families(router) {
        world.remove("bgppeer", &peer_name(router, family))?;
    }
    peer(world, router, &json!({}))?;
    if router == GOBGP {
        look_for_nodes(world)?;
    }
    let told = all_by_cables(world, router).and_then(|()| story());
    world.remove("bgppeer", &by_cable(router))?;
    world.as_ever(&[router])?;
    told
}

/// The router has the Service's addresses by way of all cables.
fn all_by_cables(world: &World, router: Place) -> Result<()> {
    let mut ips = world.addresses()?.into_iter();
    ips.try_for_each(|ip| by_cables(world, router, ip, &NODES).map(drop))
}

fn lay(world: &World, router: Place, node: u8) -> Result<()> {
    let (down, up) = (cable(node), up(router));
    let node = Place::Node(node);
    let netns = world.cluster.netns(node);
    let pair = format!("link add {down} type veth peer name {up} netns {netns}");
    on(world, router, &pair)?;
    on(world, router, &format!("link set {down} up"))?;
    on(world, node, &format!("link set {up} up"))
}

/// `GoBGP` does not wait for neighbours: one that is not there when it is asked for is none.
fn look_for_nodes(world: &World) -> Result<()> {
    for cable in NODES.map(cable) {
        let line = format!("neighbor add interface {cable} as {NODES_ASN} family {FAMILIES}");
        eventually(&format!("a neighbour on {cable}"), SOON, || {
            world.cluster.ask_router(GOBGP, &line).map(Ok::<_, String>)
        })?;
    }
    Ok(())
}

const FAMILIES: &str = "ipv4-unicast,ipv6-unicast";

/// Runs `ip`.
pub(crate) fn on(world: &World, place: Place, arguments: &str) -> Result<()> {
    let command: Vec<_> = std::iter::once("ip").chain(arguments.split(' ')).collect();
    world.cluster.output(place, &command).map(drop)
}

/// The BGPPeer that is known by the cable.
pub(crate) fn peer(world: &World, router: Place, more: &Value) -> Result<()> {
    peer_on(world, &by_cable(router), &up(router), more)
}

/// One that is known by this interface.
pub(crate) fn peer_on(world: &World, name: &str, interface: &str, more: &Value) -> Result<()> {
    let mut spec = json!({
        "myASN": NODES_ASN, "dynamicASN": "external", "interface": interface,
        "holdTime": "9s", "keepaliveTime": "3s", "connectTime": "1s",
    });
    let fields = more.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().context("an object")?.extend(fields);
    world.apply("BGPPeer", name, spec)
}

/// Waits until the router has a route by way of exactly these nodes' ends of cables.
pub(crate) fn by_cables(
    world: &World,
    router: Place,
    ip: IpAddr,
    nodes: &[u8],
) -> Result<BTreeSet<IpAddr>> {
    let up = up(router);
    let wanted = nodes
        .iter()
        .map(|node| link_local(world, Place::Node(*node), &up).map(IpAddr::V6))
        .collect::<Result<BTreeSet<_>>>()?;
    let what = format!("{router} knows {ip} by {up} of {nodes:?}");
    eventually(&what, SOON, || {
        let hops = world.known(router, ip)?;
        Ok(if hops == wanted {
            Ok(hops)
        } else {
            Err(format!("by {hops:?}"))
        })
    })
}

/// The link-local address of an interface.
pub(crate) fn link_local(world: &World, place: Place, interface: &str) -> Result<Ipv6Addr> {
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
