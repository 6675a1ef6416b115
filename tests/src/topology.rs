//! Namespaces, bridges and cables.
//!
//! One bridge `br0` in the fabric joins everything; with two cards per node, `br1` is the service
//! LAN. All addresses are from the documentation ranges and nothing leads out of the machine.

use std::{
    fmt::Write as _,
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cluster::Cluster,
    options::Family,
    place::{Address, Place},
    plan,
};

/// Makes the namespaces and everything that joins them.
pub(crate) fn build(cluster: &Cluster) -> Result<()> {
    let mut add = String::new();
    for place in cluster.places() {
        writeln!(add, "netns add {}", cluster.netns(place))?;
    }
    batch(None, &add)?;
    for place in cluster.places() {
        sysctls(cluster, place)?;
    }
    batch(Some(&cluster.netns(Place::Fabric)), &fabric(cluster))?;
    for place in cluster
        .places()
        .into_iter()
        .filter(|place| *place != Place::Fabric)
    {
        batch(Some(&cluster.netns(place)), &ends(cluster, place))?;
    }
    for node in cluster.nodes() {
        masquerade(cluster, node)?;
    }
    cluster
        .routers()
        .into_iter()
        .try_for_each(|(router, _)| put_behind(cluster, router))
}

/// The fabric's side: bridges and one port per card.
fn fabric(cluster: &Cluster) -> String {
    let family = cluster.options().family;
    let mut lines = vec!["link set lo up".to_owned()];
    for nic in 0..cluster.options().nics {
        let bridge = format!("br{nic}");
        lines.push(format!(
            "link add {bridge} type bridge forward_delay 0 mcast_snooping 0"
        ));
        lines.push(format!("link set {bridge} up"));
        lines.extend(addresses(address(Place::Fabric, nic), family, &bridge));
        for place in on_network(cluster, nic) {
            let (port, netns) = (place.port(nic), cluster.netns(place));
            lines.push(format!(
                "link add {port} type veth peer name eth{nic} netns {netns}"
            ));
            lines.push(format!("link set {port} master {bridge} up"));
        }
    }
    lines.join("\n")
}

/// A place's own side: its cards, addresses and routes.
fn ends(cluster: &Cluster, place: Place) -> String {
    let family = cluster.options().family;
    let mut lines = vec!["link set lo up".to_owned()];
    for nic in 0..cluster.options().nics {
        if on_network(cluster, nic).contains(&place) {
            let card = format!("eth{nic}");
            lines.push(format!("link set {card} up"));
            lines.extend(addresses(address(place, nic), family, &card));
        }
    }
    if matches!(place, Place::Node(_) | Place::ControlPlane) {
        // The API server calls webhooks at pod addresses.
        for node in cluster.nodes().into_iter().filter(|node| *node != place) {
            let (v4, v6) = plan::pods_of(node);
            let via = node.address();
            lines.extend(
                family
                    .ipv4()
                    .then(|| format!("route add {v4} via {}", via.v4)),
            );
            lines.extend(
                family
                    .ipv6()
                    .then(|| format!("route add {v6} via {}", via.v6)),
            );
        }
    }
    if matches!(place, Place::Node(_)) {
        // A connection to a Service's address is routed before it is translated, so there has to
        // be a route for everything.
        let via = Place::Fabric.address();
        lines.extend(
            family
                .ipv4()
                .then(|| format!("route add default via {}", via.v4)),
        );
        lines.extend(
            family
                .ipv6()
                .then(|| format!("route add default via {}", via.v6)),
        );
    }
    lines.join("\n")
}

fn on_network(cluster: &Cluster, nic: u8) -> Vec<Place> {
    let wanted = |place: &Place| match place {
        Place::Fabric => false,
        Place::Node(_) | Place::Client => true,
        Place::ControlPlane | Place::Router(_) => nic == 0,
    };
    cluster.places().into_iter().filter(wanted).collect()
}

fn address(place: Place, nic: u8) -> Address {
    if nic == 0 {
        place.address()
    } else {
        place.service_lan_address()
    }
}

fn addresses(address: Address, family: Family, card: &str) -> Vec<String> {
    let v4 = family
        .ipv4()
        .then(|| format!("addr add {}/24 dev {card}", address.v4));
    let v6 = family
        .ipv6()
        .then(|| format!("addr add {}/64 dev {card} nodad", address.v6));
    v4.into_iter().chain(v6).collect()
}

/// Per namespace: no duplicate address detection, which would hold every address back for a
/// second; forwarding where packets of others pass, over all ways that there are.
fn sysctls(cluster: &Cluster, place: Place) -> Result<()> {
    let mut settings = vec![
        ("net/ipv6/conf/all/accept_dad", "0"),
        ("net/ipv6/conf/default/accept_dad", "0"),
    ];
    if matches!(place, Place::Node(_) | Place::Router(_)) {
        settings.push(("net/ipv4/ip_forward", "1"));
        settings.push(("net/ipv6/conf/all/forwarding", "1"));
    }
    if matches!(place, Place::Router(_)) {
        // Routers, nodes and client are on one segment, and packets are to pass the routers.
        settings.push(("net/ipv4/conf/all/send_redirects", "0"));
        settings.push(("net/ipv4/conf/default/send_redirects", "0"));
    }
    if matches!(place, Place::Router(_) | Place::Client) {
        // Of several ways, each connection has its own.
        settings.push(("net/ipv4/fib_multipath_hash_policy", "1"));
        settings.push(("net/ipv6/fib_multipath_hash_policy", "1"));
    }
    // A reply between two pods of one node must pass the translation that the request passed;
    // in the fabric the bridge is a plain switch.
    let translate = if matches!(place, Place::Node(_)) {
        "1"
    } else {
        "0"
    };
    settings.push(("net/bridge/bridge-nf-call-iptables", translate));
    settings.push(("net/bridge/bridge-nf-call-ip6tables", translate));

    let mut script = String::new();
    for (key, value) in settings {
        // br_netfilter may be no part of this kernel.
        writeln!(
            script,
            "[ ! -e /proc/sys/{key} ] || echo {value} >/proc/sys/{key} || exit 1"
        )?;
    }
    cluster.output(place, &["sh", "-c", &script]).map(drop)
}

/// What a pod sends to a host outside the cluster comes from its node, as with most networks for
/// pods: the hosts know no route back to pods.
fn masquerade(cluster: &Cluster, node: Place) -> Result<()> {
    let mut rules = String::new();
    let family = cluster.options().family;
    if family.ipv4() {
        let pods = plan::pods(Family::Ipv4);
        writeln!(rules, "ip saddr {pods} ip daddr != {pods} masquerade")?;
    }
    if family.ipv6() {
        let pods = plan::pods(Family::Ipv6);
        writeln!(rules, "ip6 saddr {pods} ip6 daddr != {pods} masquerade")?;
    }
    let table = format!(
        "table inet pods {{\nchain out {{\ntype nat hook postrouting priority srcnat + 10;\n{rules}}}\n}}"
    );
    cluster.output(node, &["nft", &table]).map(drop)
}

/// Gives a router its address behind the next router: nodes send to it by way of that one, and it
/// answers the same way.
fn put_behind(cluster: &Cluster, router: Place) -> Result<()> {
    let routers: Vec<_> = cluster.routers().into_iter().map(|it| it.0).collect();
    let after = routers.iter().skip_while(|it| **it != router).nth(1);
    let next = *after.unwrap_or(&routers[0]);
    if next == router {
        return Ok(());
    }
    let (address, own, via) = (router.address_behind(), router.address(), next.address());
    let family = cluster.options().family;
    for (wanted, ip, address, nodes, own, via) in [
        (
            family.ipv4(),
            "ip -4",
            address.v4.to_string(),
            "192.0.2.0/24",
            own.v4.to_string(),
            via.v4.to_string(),
        ),
        (
            family.ipv6(),
            "ip -6",
            address.v6.to_string(),
            "2001:db8::/64",
            own.v6.to_string(),
            via.v6.to_string(),
        ),
    ] {
        if !wanted {
            continue;
        }
        let there = format!(
            "{ip} addr add {address} dev lo && {ip} rule add from {address} lookup {BEHIND} && \
             {ip} route add {nodes} via {via} table {BEHIND}"
        );
        cluster.output(router, &["sh", "-c", &there])?;
        let on_the_way = format!("{ip} route add {address} via {own}");
        cluster.output(next, &["sh", "-c", &on_the_way])?;
        let to_it = format!("{ip} route add {address} via {via}");
        for node in cluster.nodes() {
            cluster.output(node, &["sh", "-c", &to_it])?;
        }
    }
    Ok(())
}

/// The number of the table that a router looks into for what it sends from behind.
const BEHIND: u8 = 100;

/// Runs many `ip` commands in one process.
fn batch(netns: Option<&str>, lines: &str) -> Result<()> {
    let mut ip = Command::new("ip");
    if let Some(netns) = netns {
        ip.args(["-n", netns]);
    }
    let mut child = ip
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run ip")?;
    child
        .stdin
        .take()
        .context("ip has no input")?
        .write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ip -batch: {}\n{lines}",
        said.trim()
    );
    Ok(())
}
