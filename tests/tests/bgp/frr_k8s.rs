//! An FRR-K8s that somebody else runs: what it is told, what becomes of that, and what users are
//! told who wrote for one of MetalLB's own.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::routers::{NODES_ASN, router_asn};
use metallb_tests::{eventually, product};
use serde_json::{Value, json};

use crate::world::{BIRD, FRR, GOBGP, SOON, World, families};

/// Before FRR-K8s is there, the status says so; then its objects say what our configuration does,
/// and go when the speakers speak BGP themselves again.
pub(crate) fn external(world: &World) -> Result<()> {
    let ips = world.addresses()?;
    // It would be told of these, too.
    let profiles = ["-n", product::NAMESPACE, "delete", "bfdprofiles", "--all"];
    world.kubectl.output(&profiles)?;
    backend(world, "frr-k8s-external")?;
    let lacks = degraded(world, "FRRK8sNotInstalled")?;
    println!("  {lacks}");
    world.kubectl.apply(DEFINITION)?;
    world.kubectl.output(&["create", "namespace", FRR_K8S])?;
    let told = [told(&ips), told(&ips), told(&ips)];
    for (node, expected) in ["n1", "n2", "n3"].into_iter().zip(told) {
        says(world, node, &expected)?;
    }
    degraded(world, "Degraded")?;
    world.known_by(FRR, ips[0], &[])?;
    let page = speaker(world, &["bgp"])?;
    ensure!(
        page.contains("FRRConfiguration frr-k8s-system/metallb-"),
        "{page}"
    );

    println!("  what others edit is as it was, and what they delete comes back");
    let edit = r#"{"spec":{"bgp":{"routers":[]},"raw":{"rawConfig":"!"}}}"#;
    let object = ["-n", FRR_K8S, "patch", "frrconfiguration", "metallb-n2"];
    world
        .kubectl
        .output(&[&object[..], &["--type=merge", "-p", edit]].concat())?;
    says(world, "n2", &self::told(&ips))?;
    let raw = configuration(world, "n2")?["spec"]["raw"].clone();
    ensure!(raw.is_null(), "{raw}");
    world
        .kubectl
        .output(&["-n", FRR_K8S, "delete", "frrconfiguration", "metallb-n3"])?;
    says(world, "n3", &self::told(&ips))?;

    println!("  a Service comes and goes");
    world.service("short", json!({ "ipFamilyPolicy": "SingleStack" }))?;
    let short = product::assigned(&world.kubectl, "short", 1)?;
    says(world, "n1", &self::told(&[&ips[..], &short[..]].concat()))?;
    world.kubectl.output(&["delete", "service", "short"])?;
    says(world, "n1", &self::told(&ips))?;

    println!("  the speakers speak BGP themselves");
    backend(world, "frr")?;
    none_is_left(world)?;
    for router in [FRR, BIRD, GOBGP] {
        world.known_by(router, ips[0], &[1, 2, 3])?;
    }
    forget_frr_k8s(world)
}

/// What users wrote for MetalLB's own FRR is named until somebody says that it need not be.
pub(crate) fn users_own(world: &World) -> Result<()> {
    let extras = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "bgpextras", "namespace": product::NAMESPACE },
        "data": { "extras": "ip prefix-list mine permit any" },
    });
    world.kubectl.apply(&extras.to_string())?;
    let says = degraded(world, "UserConfigurationUnused")?;
    println!("  {says}");
    acknowledge(world, &says)?;
    degraded(world, "Degraded")?;

    world.kubectl.apply(DEFINITION)?;
    world.kubectl.output(&["create", "namespace", FRR_K8S])?;
    let own = json!({
        "apiVersion": "frrk8s.metallb.io/v1beta1", "kind": "FRRConfiguration",
        "metadata": { "name": "receive", "namespace": FRR_K8S },
        "spec": { "bgp": { "routers": [{ "asn": NODES_ASN, "neighbors": [{
            "address": "192.0.2.250", "asn": 65000, "toReceive": { "allowed": { "mode": "all" } },
        }] }] } },
    });
    // Until the definition is served.
    eventually("a user writes an FRRConfiguration", SOON, || {
        Ok(world
            .kubectl
            .apply(&own.to_string())
            .map_err(|it| format!("{it:#}")))
    })?;
    let note = "FRRConfiguration frr-k8s-system/receive (neighbors, received routes) has no effect";
    condition(world, "Available", |it| {
        it["message"].as_str().is_some_and(|it| it.contains(note))
    })?;
    backend(world, "frr-k8s")?;
    let says = degraded(world, "UserConfigurationUnused")?;
    println!("  {says}");
    ensure!(says.contains("frr-k8s-system/receive"), "{says}");
    acknowledge(world, &says)?;
    degraded(world, "Degraded")?;

    world
        .kubectl
        .output(&["-n", product::NAMESPACE, "delete", "configmap", "bgpextras"])?;
    forget_frr_k8s(world)?;
    backend(world, "frr")?;
    world
        .known_by(FRR, world.addresses()?[0], &[1, 2, 3])
        .map(drop)
}

/// Does what the status says.
fn acknowledge(world: &World, says: &str) -> Result<()> {
    let (_, command) = says.split_once("kubectl ").context("there is no command")?;
    let words: Vec<_> = command.split(' ').collect();
    world.kubectl.output(&words).map(drop)
}

/// What FRR is told on any of the nodes, with the defaults of the definition.
fn told(ips: &[IpAddr]) -> Value {
    let prefix = |ip: &IpAddr| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 });
    let mut prefixes: Vec<_> = ips.iter().map(prefix).collect();
    prefixes.sort();
    let routers = [FRR, BIRD, GOBGP].into_iter();
    let mut neighbors: Vec<_> = routers
        .flat_map(families)
        .map(|(_, address)| (router_asn(address.router), address.ip.to_string()))
        .collect();
    neighbors.sort_by_key(|(asn, ip)| format!("{asn}@{ip}"));
    let neighbor = |(asn, ip)| {
        json!({
            "asn": asn, "address": ip, "port": 179,
            "holdTime": "9s", "keepaliveTime": "3s", "connectTime": "1s",
            "toAdvertise": { "allowed": { "prefixes": prefixes, "mode": "filtered" } },
            "disableMP": false, "dualStackAddressFamily": false,
        })
    };
    let neighbors: Vec<_> = neighbors.into_iter().map(neighbor).collect();
    json!({ "routers": [{ "asn": NODES_ASN, "neighbors": neighbors, "prefixes": prefixes }] })
}

/// Waits until FRR is told this on a node.
fn says(world: &World, node: &str, expected: &Value) -> Result<()> {
    eventually(
        &format!("FRR of {node} is told all and no more"),
        LONG,
        || {
            let spec = configuration(world, node)?["spec"].clone();
            let selector = json!({ "matchLabels": { "kubernetes.io/hostname": node } });
            Ok(
                if spec["bgp"] == *expected && spec["nodeSelector"] == selector {
                    Ok(())
                } else {
                    Err(format!("{spec}, wanted {expected}"))
                },
            )
        },
    )
}

fn none_is_left(world: &World) -> Result<()> {
    eventually("no FRRConfiguration is left", LONG, || {
        let all = world.kubectl.json(&["get", "frrconfigurations", "-A"])?;
        let left = all["items"].as_array().map_or(1, Vec::len);
        Ok(if left == 0 { Ok(()) } else { Err(left) })
    })
}

fn forget_frr_k8s(world: &World) -> Result<()> {
    world.kubectl.delete(DEFINITION)?;
    world
        .kubectl
        .output(&["delete", "namespace", FRR_K8S])
        .map(drop)
}

fn configuration(world: &World, node: &str) -> Result<Value> {
    let name = format!("metallb-{node}");
    world
        .kubectl
        .json(&["-n", FRR_K8S, "get", "frrconfiguration", &name])
}

/// Runs the speaker's program in a speaker's pod.
fn speaker(world: &World, arguments: &[&str]) -> Result<String> {
    let pod = [
        "-n",
        product::NAMESPACE,
        "exec",
        "daemonset/speaker",
        "--",
        "/speaker",
    ];
    world.kubectl.output(&[&pod[..], arguments].concat())
}

/// Chooses the BGP backend, and waits until all speakers are of it.
fn backend(world: &World, name: &str) -> Result<()> {
    let patch = format!(r#"{{"spec":{{"bgpBackend":"{name}"}}}}"#);
    let metallb = ["-n", product::NAMESPACE, "patch", "metallb", "metallb"];
    world
        .kubectl
        .output(&[&metallb[..], &["--type=merge", "-p", &patch]].concat())?;
    let generation = world.kubectl.json(&[
        "-n",
        product::NAMESPACE,
        "get",
        "metallb",
        "metallb",
    ])?["metadata"]["generation"]
        .clone();
    condition(world, "Progressing", |it| {
        it["status"] == "False" && it["observedGeneration"] == generation
    })
    .map(drop)
}

/// Waits until the object is Degraded for this reason, or for none, and returns the words.
fn degraded(world: &World, reason: &str) -> Result<String> {
    condition(world, "Degraded", |it| it["reason"] == reason)
}

/// Waits until a condition of the object is so, and returns the words.
fn condition(world: &World, name: &str, is_so: impl Fn(&Value) -> bool) -> Result<String> {
    eventually(&format!("{name} is as wanted"), LONG, || {
        let object =
            world
                .kubectl
                .json(&["-n", product::NAMESPACE, "get", "metallb", "metallb"])?;
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions.iter().find(|it| it["type"] == name && is_so(it));
        Ok(match found {
            Some(it) => Ok(it["message"].as_str().unwrap_or_default().to_owned()),
            None => Err(json!(conditions).to_string()),
        })
    })
}

const DEFINITION: &str = include_str!("frrconfigurations.yaml");
const FRR_K8S: &str = "frr-k8s-system";
/// Long enough for three speakers to be replaced one after the other.
const LONG: Duration = Duration::from_mins(2);
