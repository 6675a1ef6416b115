//! What a client behind two routers notices.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::routers::{NODES_ASN, Nodes};
use metallb_tests::{Place, eventually, product};
use serde_json::{Value, json};

use crate::bfd::watched;
use crate::traffic::{Paths, Seen, Traffic};
use crate::world::{BIRD, FRR, ROUTERS, SOON, V4_NODES, World, told};

/// Services come and go, a thousand changes: every router is right after each step, on the same
/// sessions, and who uses another Service loses nothing.
pub(crate) fn a_thousand_changes(world: &World) -> Result<()> {
    let pool = json!({ "addresses": ["198.51.100.128/25"], "autoAssign": false });
    world.apply("IPAddressPool", "crowd", pool)?;
    world.advertise(json!({ "ipAddressPools": ["routed", "crowd"] }))?;
    let ip = service(world)?;
    let before = world.sessions()?;
    let traffic = Traffic::start(&world.cluster, ip)?;
    let started = Instant::now();
    let steps = CHANGES / 2 / CROWD;
    for step in 0..=steps {
        if step > 0 {
            world
                .kubectl
                .output(&DELETE.map(|it| it.replace("STEP", &(step - 1).to_string())))?;
        }
        let members = if step < steps {
            members(step)
        } else {
            Vec::new()
        };
        if !members.is_empty() {
            world.kubectl.create(
                &json!({
                    "apiVersion": "v1", "kind": "List",
                    "items": members.iter().map(|it| it.object(step)).collect::<Vec<_>>(),
                })
                .to_string(),
            )?;
        }
        let there = members.iter().map(|it| it.ip).chain([ip]);
        world.all_know(&ROUTERS, &with_hosts(there))?;
    }
    println!("  {CHANGES} changes in {:.1?}", started.elapsed());
    traffic
        .end()?
        .nothing_lost("while Services came and went", Paths::Stay)?;
    world.same_sessions(&before)?;
    world.advertise(json!({ "ipAddressPools": ["routed"] }))?;
    world.remove("ipaddresspool", "crowd")?;
    forget_service(world)
}

/// Speakers are replaced, one after the other, and a node is drained.
pub(crate) fn planned(world: &World) -> Result<()> {
    let ip = service(world)?;
    let routers = [FRR, BIRD];
    world.agree_on_restart(&routers)?;
    let what = "while speakers were replaced, with graceful restart";
    replaced(world, ip)?.nothing_lost(what, Paths::Stay)?;
    world.agree(&routers, &Nodes::default(), |_| json!({}))?;
    // Both routers let each of three speakers go and take it back.
    let what = "while speakers were replaced, without";
    replaced(world, ip)?.nothing_lost(what, Paths::Change(12))?;

    let traffic = Traffic::start(&world.cluster, ip)?;
    let taint = |taint: &str| {
        let arguments = ["taint", "node", "n2", taint];
        world.kubectl.output(&arguments).map(drop)
    };
    taint("metallb.io/drain=:NoSchedule")?;
    world.known_by(FRR, ip, &[1, 3])?;
    world.known_by(BIRD, ip, &[1, 3])?;
    taint("metallb.io/drain-")?;
    world.known_by(FRR, ip, &[1, 2, 3])?;
    world.known_by(BIRD, ip, &[1, 2, 3])?;
    // Both routers prefer others, let it go and take it back.
    let what = "while a node was drained";
    traffic.end()?.nothing_lost(what, Paths::Change(6))?;
    forget_service(world)
}

fn replaced(world: &World, ip: IpAddr) -> Result<Seen> {
    for router in [FRR, BIRD] {
        world.known_by(router, ip, &[1, 2, 3])?;
    }
    let traffic = Traffic::start(&world.cluster, ip)?;
    world.replace_speakers(|| Ok(()))?;
    for router in [FRR, BIRD] {
        world.known_by(router, ip, &[1, 2, 3])?;
    }
    traffic.end()
}

/// A router ends and starts again; a node without pods of the Service loses its cable.
pub(crate) fn unplanned(world: &World) -> Result<()> {
    let ip = service(world)?;
    let traffic = Traffic::start(&world.cluster, ip)?;
    world.cluster.stop_router(FRR)?;
    let started = Instant::now();
    world.cluster.start_router(FRR, &Nodes::default())?;
    world.known_by(FRR, ip, &[1, 2, 3])?;
    println!(
        "  the router has all routes {:.2?} after its start",
        started.elapsed()
    );
    let seen = traffic.end()?;
    let gap = seen.gap("the router by which half of all goes is started anew");
    ensure!(gap < TOLERABLE, "{gap:.2?} is longer than {TOLERABLE:?}");

    watched(world, &[FRR, BIRD])?;
    let pods = product::pods_of(&world.kubectl, "default", "app=web")?;
    let mut nodes = world.cluster.nodes().into_iter();
    let node = nodes.find(|it| !pods.contains(&it.to_string()));
    let node = node.context("each node has a pod")?;
    let traffic = Traffic::start(&world.cluster, ip)?;
    world.cluster.cut(node)?;
    let left = [1, 2, 3].into_iter().filter(|it| Place::Node(*it) != node);
    let noticed = world.known_by(FRR, ip, &left.collect::<Vec<_>>());
    let seen = traffic.end();
    world.cluster.heal(node)?;
    noticed?;
    let gap = seen?.gap("the cable of a node is cut");
    ensure!(gap < TOLERABLE, "{gap:.2?} is longer than {TOLERABLE:?}");
    world.known_by(FRR, ip, &[1, 2, 3])?;
    forget_service(world)?;
    world.as_ever(&ROUTERS)
}

/// One of the Services that come and go.
struct Member {
    number: u32,
    ip: IpAddr,
}

impl Member {
    fn object(&self, step: u32) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": format!("crowd-{}", self.number), "namespace": "default",
                "labels": { "crowd": step.to_string() },
                "annotations": { "metallb.io/loadBalancerIPs": self.ip.to_string() },
            },
            "spec": {
                "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
                "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }],
            },
        })
    }
}

/// Those of a step have other addresses than those of the step before.
fn members(step: u32) -> Vec<Member> {
    let numbers = step * CROWD..(step + 1) * CROWD;
    let member = |number: u32| {
        let host = 128 + u8::try_from(number % 100).unwrap_or_default();
        Member {
            number,
            ip: [198, 51, 100, host].into(),
        }
    };
    numbers.map(member).collect()
}

/// The table of a router that has these addresses beside those of the web Service.
fn with_hosts(hosts: impl Iterator<Item = IpAddr>) -> String {
    let line = |ip: IpAddr| format!("{ip}/32 via {V4_NODES}, from {NODES_ASN}\n");
    let lines: BTreeSet<_> = hosts.map(line).collect();
    let web = told("");
    let (four, six) = web.split_once('\n').unwrap_or_default();
    let all: BTreeSet<_> = lines.into_iter().chain([format!("{four}\n")]).collect();
    all.into_iter().collect::<String>() + six
}

/// A Service that answers by UDP and TCP; its address.
pub(crate) fn service(world: &World) -> Result<IpAddr> {
    let ports = json!([
        { "name": "echo", "port": 8081, "protocol": "UDP" },
        { "name": "http", "port": 80, "targetPort": "http", "protocol": "TCP" },
    ]);
    world.service(
        "used",
        json!({ "ipFamilyPolicy": "SingleStack", "ports": ports }),
    )?;
    let ip = product::assigned(&world.kubectl, "used", 1)?[0];
    world.known_by(FRR, ip, &[1, 2, 3])?;
    world.known_by(BIRD, ip, &[1, 2, 3])?;
    // kube-proxy may be later than that.
    for node in world.cluster.nodes() {
        eventually(&format!("{node} passes on what is for {ip}"), SOON, || {
            let url = format!("http://{ip}/hostname");
            let curl = ["curl", "--silent", "--fail", "--max-time", "1", &url];
            world.cluster.output(node, &curl).map(Ok::<_, String>)
        })?;
    }
    Ok(ip)
}

pub(crate) fn forget_service(world: &World) -> Result<()> {
    let delete = ["delete", "service", "used"];
    world.kubectl.output(&delete).map(drop)
}

/// Those that are made or deleted in all.
const CHANGES: u32 = 1000;
/// Those that come in a step, and go in the next.
const CROWD: u32 = 50;
const DELETE: [&str; 5] = ["delete", "services", "-l", "crowd=STEP", "--wait=false"];
/// The hold time is 9 s.
const TOLERABLE: Duration = Duration::from_secs(8);
