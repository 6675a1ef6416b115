//! `cargo xtask demo --bgp`: the page by way of a real router, and what the router sees when a node
//! is drained or its cable is cut.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metallb_tests::{Cluster, Place, eventually, product};
use serde_json::Value;

/// Tells a router of a Service, and shows what becomes of it.
pub(super) fn show(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.admin();
    println!("\nkubectl apply -f config/samples/demo/bgp.yaml");
    let applied = Instant::now();
    kubectl.apply(&product::demo_object("bgp")?)?;
    let ip = product::assigned(&kubectl, "web-routed", 1)?[0];
    let nodes = known_by(cluster, ip, |nodes| nodes.len() == 3)?;
    println!(
        "{ROUTER}, which runs FRR, knows {ip} by {} after {:.1} s:\n",
        list(&nodes),
        applied.elapsed().as_secs_f64()
    );
    indented(&cluster.ask_router(ROUTER, &format!("show bgp ipv4 unicast {ip}/32"))?);
    println!("and forwards by:\n");
    indented(&cluster.output(ROUTER, &["ip", "route", "show", &ip.to_string()])?);

    let url = format!("http://{ip}/hostname");
    let page = eventually("a page through the router", PATIENCE, || {
        let curl = ["curl", "--silent", "--fail", "--max-time", "2", &url];
        Ok(cluster
            .output(ROUTER, &curl)
            .map_err(|it| format!("{it:#}")))
    })?;
    println!("curl {url} at the router: {}", page.trim());

    println!("\nkubectl taint node n3 metallb.io/drain=:NoSchedule");
    kubectl.output(&["taint", "node", "n3", "metallb.io/drain=:NoSchedule"])?;
    let started = Instant::now();
    eventually("the routes of n3 are marked", PATIENCE, || {
        let text = known(cluster, ip)?;
        Ok(text.contains("graceful-shutdown").then_some(()).ok_or(text))
    })?;
    println!(
        "    {:6.0} ms: n3's route is marked with graceful-shutdown",
        ms(started)
    );
    let nodes = known_by(cluster, ip, |nodes| nodes.len() == 2)?;
    println!(
        "    {:6.0} ms: the router forwards to {}",
        ms(started),
        list(&nodes)
    );
    kubectl.output(&["taint", "node", "n3", "metallb.io/drain-"])?;
    known_by(cluster, ip, |nodes| nodes.len() == 3)?;

    eventually("all BFD sessions are up", PATIENCE, || {
        let text = cluster.ask_router(ROUTER, "show bfd peers json")?;
        let all: Vec<Value> = serde_json::from_str(&text)?;
        let up = all.iter().filter(|it| it["status"] == "up").count();
        Ok((up == 3).then_some(()).ok_or(text))
    })?;
    println!("\nthe cable of n2 is cut");
    let started = Instant::now();
    cluster.cut(Place::Node(2))?;
    let nodes = known_by(cluster, ip, |nodes| nodes.len() == 2)?;
    println!(
        "    {:6.0} ms: the router forwards to {}",
        ms(started),
        list(&nodes)
    );
    cluster.heal(Place::Node(2))?;
    known_by(cluster, ip, |nodes| nodes.len() == 3)?;
    println!("    {:6.0} ms: plugged in, and back", ms(started));
    println!("\nkubectl -n metallb-system describe bgppeer router\n");
    let events = ["-n", product::NAMESPACE, "describe", "bgppeer", "router"];
    let described = kubectl.output(&events)?;
    let events = described
        .lines()
        .skip_while(|line| !line.starts_with("Events:"));
    indented(&events.collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// What the router says of an address.
fn known(cluster: &Cluster, ip: IpAddr) -> Result<String> {
    cluster.ask_router(ROUTER, &format!("show bgp ipv4 unicast {ip}/32 json"))
}

/// Waits until the nodes by which the router knows an address are as they should be.
fn known_by(
    cluster: &Cluster,
    ip: IpAddr,
    is_right: impl Fn(&BTreeSet<String>) -> bool,
) -> Result<BTreeSet<String>> {
    eventually("the router knows it", PATIENCE, || {
        let text = known(cluster, ip)?;
        let all: Value = serde_json::from_str(&text).context("FRR prints JSON")?;
        let paths = all["paths"].as_array().cloned().unwrap_or_default();
        let host = |path: &Value| Some(path["peer"]["hostname"].as_str()?.to_owned());
        let nodes: BTreeSet<_> = paths.iter().filter_map(host).collect();
        Ok(if is_right(&nodes) {
            Ok(nodes)
        } else {
            Err(text)
        })
    })
}

fn list(nodes: &BTreeSet<String>) -> String {
    nodes
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
    println!();
}

const ROUTER: Place = Place::Router(1);
const PATIENCE: Duration = Duration::from_secs(30);
