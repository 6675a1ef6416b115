//! Whoever comes from MetalLB's own operator has an FRR on each node that holds the sessions: it
//! gives way to our speakers node by node, while a client behind the routers goes on.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::Audited;
use metallb_tests::routers::{NODES_ASN, Nodes, router_asn};
use metallb_tests::upstream::{frr, operator};
use metallb_tests::{eventually, product};
use serde_json::{Value, json};

use crate::availability::{forget_service, service};
use crate::traffic::Traffic;
use crate::world::{BIRD, FRR, ROUTERS, World, families};

/// With graceful restart and without.
pub(crate) fn node_by_node(world: &World) -> Result<()> {
    let archive = frr::image(world.cluster.directory())?;
    world.cluster.load(&archive)?;
    let ip = service(world)?;
    let without = takes_over(world, ip, false)?;
    let with = takes_over(world, ip, true)?;
    ensure!(without < Duration::from_secs(3), "{without:?} without");
    ensure!(with < Duration::from_secs(1), "{with:?} with");
    forget_service(world)?;
    world.as_ever(&ROUTERS)
}

/// The longest time that a flow of the client's got no answer.
fn takes_over(world: &World, ip: IpAddr, restart: bool) -> Result<Duration> {
    let what = if restart {
        "FRR-K8s gives way, with graceful restart"
    } else {
        "FRR-K8s gives way, without graceful restart"
    };
    operators(world, 0)?;
    let speakers = ["-n", product::NAMESPACE, "delete", "ds", "speaker"];
    world
        .kubectl
        .output(&[&speakers[..], &["--cascade=foreground"]].concat())?;
    let nodes = Nodes {
        restart,
        ..Nodes::default()
    };
    world.agree(
        &ROUTERS,
        &nodes,
        |_| json!({ "enableGracefulRestart": restart }),
    )?;
    let metallb = ["-n", product::NAMESPACE, "get", "metallb", "metallb"];
    let metallb = world.kubectl.json(&metallb)?;
    let uid = metallb["metadata"]["uid"].as_str().context("no uid")?;
    let addresses = world.addresses()?.into_iter().chain([ip]);
    let bgpd = bgpd(&addresses.collect::<Vec<_>>(), restart);
    let daemon_set = frr::daemon_set(&world.kubectl, uid, &bgpd)?;
    world.kubectl.create_as(operator::MANAGER, &[daemon_set])?;
    for router in ROUTERS {
        world.known_by(router, ip, &[1, 2, 3])?;
    }

    let recorded = world.cluster.audit()?.len();
    let traffic = Traffic::start(&world.cluster, ip)?;
    let started = Instant::now();
    operators(world, 2)?;
    let mut seen = Seen::default();
    eventually(
        "FRR-K8s is gone, and our speakers have all sessions",
        LATEST,
        || {
            seen.look(world, ip, started)?;
            let there = frr_nodes(world)?;
            let (up, all) = sessions(world)?;
            let is_over = there.is_empty() && gone(world)? && up == 18;
            let state = format!("FRR on {there:?}, {up} of {all} sessions");
            Ok(is_over.then_some(()).ok_or(state))
        },
    )?;
    for router in ROUTERS {
        world.known_by(router, ip, &[1, 2, 3])?;
    }
    let came = traffic.end()?;
    println!("  {what}: over after {:.1?}", started.elapsed());
    let gap = came.gap(what);
    came.print_losses(what);
    seen.judge(what)?;
    let changes = &world.cluster.audit()?[recorded..];
    one_by_one(changes)?;
    was_told(changes)?;
    Ok(gap)
}

/// Each node had a change of its own.
fn one_by_one(changes: &[Audited]) -> Result<()> {
    let made = changes.iter().filter(|it| {
        let object = &it.object_ref;
        it.verb == "patch" && object.resource == "daemonsets" && object.name == "frr-k8s"
    });
    let made = made.filter(|it| it.succeeded()).count();
    ensure!(made >= 3, "three nodes in {made} steps");
    Ok(())
}

/// Each node said who holds its sessions, for however short a time.
fn was_told(changes: &[Audited]) -> Result<()> {
    let statuses = changes
        .iter()
        .filter_map(|it| it.request_object.pointer("/0/value"));
    let held: BTreeSet<_> = statuses
        .filter(|it| it["heldBy"].is_string())
        .map(|it| it["node"].to_string())
        .collect();
    ensure!(
        held.len() == 3,
        "who holds the sessions was said by {held:?}"
    );
    Ok(())
}

/// What was seen meanwhile: of each router, when it knew the address by how many nodes.
#[derive(Default)]
struct Seen {
    least: Option<usize>,
}

impl Seen {
    fn look(&mut self, world: &World, ip: IpAddr, started: Instant) -> Result<()> {
        for router in [FRR, BIRD] {
            let known = world.known(router, ip)?.len();
            if known < 3 {
                println!(
                    "  {:.1?}: {router} knows {ip} by {known}",
                    started.elapsed()
                );
            }
            self.least = Some(self.least.map_or(known, |it| it.min(known)));
        }
        Ok(())
    }

    fn judge(&self, what: &str) -> Result<()> {
        let least = self.least.context("nothing was seen")?;
        println!("  {what}: no router knew less than {least} nodes of 3");
        ensure!(
            least >= 2,
            "more than one node was without session: {least} were left"
        );
        Ok(())
    }
}

fn operators(world: &World, replicas: usize) -> Result<()> {
    let deployment = format!("deployment/{}", product::OPERATOR);
    let scale = ["-n", product::NAMESPACE, "scale", &deployment];
    let replicas = format!("--replicas={replicas}");
    world.kubectl.output(&[&scale[..], &[&replicas]].concat())?;
    let label = "control-plane=controller-manager";
    let wait = ["-n", product::NAMESPACE, "wait", "pods", "-l", label];
    if replicas.ends_with("=0") {
        let gone = ["--for=delete", "--timeout=60s"];
        world.kubectl.output(&[&wait[..], &gone].concat())?;
    }
    Ok(())
}

fn frr_nodes(world: &World) -> Result<BTreeSet<String>> {
    let nodes = product::pods_of(&world.kubectl, product::NAMESPACE, "app=frr-k8s")?;
    Ok(nodes.into_iter().collect())
}

fn gone(world: &World) -> Result<bool> {
    let get = ["-n", product::NAMESPACE, "get", "ds", "frr-k8s"];
    let get = [&get[..], &["--ignore-not-found", "-o", "name"]].concat();
    Ok(world.kubectl.output(&get)?.is_empty())
}

fn states(world: &World) -> Result<Vec<Value>> {
    let get = [
        "-n",
        product::NAMESPACE,
        "get",
        "bgpsessionstates.metallb.io",
    ];
    let states = world.kubectl.json(&get)?;
    Ok(states["items"].as_array().cloned().unwrap_or_default())
}

/// How many of our sessions are up, and how many there are.
fn sessions(world: &World) -> Result<(usize, usize)> {
    let states = states(world)?;
    let is_up = |it: &&Value| it["status"]["bgpStatus"] == "Established";
    Ok((states.iter().filter(is_up).count(), states.len()))
}

/// As FRR-K8s configures it for these addresses.
fn bgpd(ips: &[IpAddr], restart: bool) -> String {
    let mut text = format!(
        "router bgp {NODES_ASN}\n no bgp ebgp-requires-policy\n no bgp network import-check\n no \
         bgp default ipv4-unicast\n"
    );
    if restart {
        text += " bgp graceful-restart preserve-fw-state\n";
    }
    let routers = ROUTERS.into_iter();
    let peers = routers.flat_map(families);
    let peers: Vec<_> = peers
        .map(|(family, it)| (family, it.router, it.ip))
        .collect();
    for (_, router, ip) in &peers {
        // It is a String, which takes everything.
        let _ = write!(
            text,
            " neighbor {ip} remote-as {}\n neighbor {ip} timers 3 9\n neighbor {ip} timers \
             connect 1\n",
            router_asn(*router)
        );
        if restart {
            let _ = writeln!(text, " neighbor {ip} graceful-restart");
        }
    }
    for (family, own) in [("v4", "ipv4"), ("v6", "ipv6")] {
        let _ = writeln!(text, " address-family {own} unicast");
        for ip in ips.iter().filter(|it| it.is_ipv4() == (family == "v4")) {
            let length = if ip.is_ipv4() { 32 } else { 128 };
            let _ = writeln!(text, "  network {ip}/{length}");
        }
        for (_, _, ip) in peers.iter().filter(|it| it.0 == family) {
            let _ = write!(
                text,
                "  neighbor {ip} activate\n  neighbor {ip} route-map nothing in\n"
            );
        }
        text += " exit-address-family\n";
    }
    text + "exit\nroute-map nothing deny 1\nexit\n"
}

/// Three nodes, of which the slowest router's sessions take some seconds each, after a roll-out of
/// our speakers.
const LATEST: Duration = Duration::from_mins(5);
