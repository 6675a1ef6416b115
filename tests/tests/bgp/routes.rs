//! What routers know of our Services.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use metallb_tests::{Place, eventually, interop, product};
use serde_json::json;

use crate::world::{BIRD, FRR, SOON, World, told};

const ALL: [u8; 3] = [1, 2, 3];

/// The routers have both addresses, by way of all nodes, with all communities, and nothing else.
pub(crate) fn are_told(world: &World) -> Result<()> {
    let blue = json!({ "communities": [{ "name": "blue", "value": "64500:7" }] });
    world.apply("Community", "names", blue)?;
    world.advertise(json!({
        "ipAddressPools": ["routed"], "communities": ["blue", "64500:100", "large:64500:1:2"],
    }))?;
    let table = told(", 64500:100, 64500:1:2, 64500:7");
    world.all_know(&world.routers_of(&interop::ROUTES), &table)?;
    println!("{table}");
    world.advertise(json!({ "ipAddressPools": ["routed"] }))
}

/// The router forwards to the nodes, which forward to pods.
pub(crate) fn page_through_the_router(world: &World) -> Result<()> {
    page_through(world, FRR)
}

/// The same for any router.
pub(crate) fn page_through(world: &World, router: Place) -> Result<()> {
    for ip in world.addresses()? {
        let url = match ip {
            IpAddr::V4(_) => format!("http://{ip}/hostname"),
            IpAddr::V6(_) => format!("http://[{ip}]/hostname"),
        };
        let page = eventually(&format!("a page from {ip}"), SOON, || {
            let curl = ["curl", "--silent", "--fail", "--max-time", "2", &url];
            Ok(world
                .cluster
                .output(router, &curl)
                .map_err(|it| format!("{it:#}")))
        })?;
        ensure!(page.contains("web-"), "no pod's name in {page:?}");
        println!("  {router} got the page of {} from {ip}", page.trim());
    }
    Ok(())
}

/// Services are made and deleted; routers follow within moments, on the same sessions.
pub(crate) fn come_and_go(world: &World) -> Result<()> {
    let routers = world.routers_of(&interop::CHANGES);
    let before = world.sessions()?;
    let names: Vec<_> = (0..6).map(|n| format!("routed-{n}")).collect();
    for name in &names {
        world.service(name, json!({ "ipFamilyPolicy": "SingleStack" }))?;
    }
    let started = Instant::now();
    let mut ips = Vec::new();
    for name in &names {
        let ip = product::assigned(&world.kubectl, name, 1)?[0];
        for router in &routers {
            world.known_by(*router, ip, &ALL)?;
        }
        ips.push(ip);
    }
    println!(
        "  six more Services known to all after {:.1?}",
        started.elapsed()
    );
    let delete: Vec<_> = ["delete", "service"]
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    world.kubectl.output(&delete)?;
    for (ip, router) in ips
        .iter()
        .flat_map(|ip| routers.iter().map(move |it| (ip, it)))
    {
        world.known_by(*router, *ip, &[])?;
    }
    world.same_sessions(&before)
}

/// Other communities, and aggregates in the place of addresses.
pub(crate) fn attributes_change(world: &World) -> Result<()> {
    let before = world.sessions()?;
    let routers = world.routers_of(&interop::AGGREGATES);
    for n in 1..=5 {
        let community = format!("64500:{n}000");
        world.advertise(json!({ "ipAddressPools": ["routed"], "communities": [community] }))?;
        world.all_know(&routers, &told(&format!(", {community}")))?;
    }
    world.advertise(json!({
        "ipAddressPools": ["routed"], "aggregationLength": 28, "aggregationLengthV6": 124,
    }))?;
    let aggregates = told("").replace("0/32", "0/28").replace("/128", "/124");
    world.all_know(&routers, &aggregates)?;
    world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
    world.all_know(&routers, &told(""))?;
    world.same_sessions(&before)
}

pub(crate) fn some_peers(world: &World) -> Result<()> {
    let ip = world.addresses()?[0];
    world.advertise(json!({ "ipAddressPools": ["routed"], "peers": ["r2-v4"] }))?;
    world.known_by(FRR, ip, &[])?;
    world.known_by(BIRD, ip, &ALL)?;
    let on_n2 = json!([{ "matchLabels": { "kubernetes.io/hostname": "n2" } }]);
    world.advertise(json!({ "ipAddressPools": ["routed"], "nodeSelectors": on_n2 }))?;
    world.known_by(FRR, ip, &[2])?;
    world.known_by(BIRD, ip, &[2])?;
    world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
    world.known_by(FRR, ip, &ALL).map(drop)
}

/// Pools and Services are chosen by their labels; IPv6 has an aggregation length of its own.
pub(crate) fn by_labels(world: &World) -> Result<()> {
    let ips = world.addresses()?;
    let of = |labels: serde_json::Value| json!([{ "matchLabels": labels }]);
    let label = |what: &[&str], label: &str| {
        let arguments = [&["label", "--overwrite"], what, &[label]].concat();
        world.kubectl.output(&arguments).map(drop)
    };
    let pool = ["-n", product::NAMESPACE, "ipaddresspool/routed"];
    let service = ["service/web"];
    for (what, selectors) in [
        (&pool[..], "ipAddressPoolSelectors"),
        (&service[..], "serviceSelectors"),
    ] {
        let mut spec = json!({});
        spec[selectors] = of(json!({ "tier": "gold" }));
        world.advertise(spec)?;
        world.known_by(FRR, ips[0], &[])?;
        label(what, "tier=gold")?;
        world.known_by(FRR, ips[0], &ALL)?;
        label(what, "tier-")?;
        world.known_by(FRR, ips[0], &[])?;
        println!("  {selectors}: told while {what:?} has the label");
    }
    world.advertise(json!({ "ipAddressPools": ["routed"], "aggregationLengthV6": 124 }))?;
    world.known_by(FRR, ips[0], &ALL)?;
    world.known_by(FRR, ips[1], &[])?;
    world.all_know(&[FRR], &told("").replace("/128", "/124"))?;
    world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
    world.known_by(FRR, ips[1], &ALL).map(drop)
}

/// Each node says to whom it tells which Service.
pub(crate) fn statuses(world: &World) -> Result<()> {
    let peers = |spec: serde_json::Value, expected: &[&str]| {
        world.advertise(spec)?;
        all_tell(world, expected)
    };
    let all = ["r1-v4", "r1-v6", "r2-v4", "r2-v6", "r3-v4", "r3-v6"];
    peers(json!({ "ipAddressPools": ["routed"] }), &all)?;
    let some = json!({ "ipAddressPools": ["routed"], "peers": ["r2-v4", "nobody"] });
    peers(some, &["r2-v4"])?;
    peers(json!({ "ipAddressPools": ["routed"] }), &all)
}

/// Waits until all nodes say that they tell these peers of the web Service.
pub(crate) fn all_tell(world: &World, peers: &[&str]) -> Result<()> {
    eventually(&format!("three nodes tell {peers:?}"), SOON, || {
        let labels = "metallb.io/service-name=web,metallb.io/service-namespace=default";
        let arguments = [
            "-n",
            product::NAMESPACE,
            "get",
            "servicebgpstatuses",
            "-l",
            labels,
        ];
        let list = world.kubectl.json(&arguments)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let says = |it: &&serde_json::Value| it["status"]["peers"] == json!(peers);
        let nodes = items.iter().filter(says).count();
        Ok(if (nodes, items.len()) == (3, 3) {
            Ok(())
        } else {
            Err(list.to_string())
        })
    })
}

/// externalTrafficPolicy Local: only nodes with a pod are told of.
pub(crate) fn local(world: &World) -> Result<()> {
    world.service(
        "here",
        json!({ "externalTrafficPolicy": "Local", "ipFamilyPolicy": "SingleStack" }),
    )?;
    let ip = product::assigned(&world.kubectl, "here", 1)?[0];
    let pods = product::pods_of(&world.kubectl, "default", "app=web")?;
    let nodes: Vec<u8> = (1..=3)
        .filter(|node| pods.contains(&Place::Node(*node).to_string()))
        .collect();
    ensure!(!nodes.is_empty() && nodes.len() < 4, "{pods:?}");
    world.known_by(FRR, ip, &nodes)?;
    println!("  pods on {nodes:?}, and routes there");
    world
        .kubectl
        .output(&["delete", "service", "here"])
        .map(drop)
}
