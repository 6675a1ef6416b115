//! What is there on request: monitors and network policies.
//!
//! The Prometheus operator is not run: its definitions are enough to see what is made for it, and
//! what Prometheus would do with that is done by hand. The CNI of this cluster enforces no policy:
//! that what is allowed covers what is used is held by `policies::tests` of the operator.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};
use serde_json::{Value, json};

use crate::world::{Installed, SOON};

/// They come with the wish for them, or when the cluster can have them, and go with it.
pub(crate) fn monitors_and_policies(world: &Installed) -> Result<()> {
    let both = ["controller", "operator"];
    there(world, "networkpolicies", &both)?;
    policies_let_out_to_the_api_server(world)?;

    world.want(r#"{"monitoring":{"type":"ServiceMonitor"}}"#)?;
    world.says("NotInstalled", "install the Prometheus operator", SOON)?;
    let reason = "PrometheusOperatorNotInstalled";
    world.event("MetalLB/metallb", reason, "")?;
    world.condition(NAMESPACE, "metallb", "Degraded", "False")?;
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;
    world.page_answers()?;

    for kind in ["ServiceMonitor", "PodMonitor"] {
        world.kubectl.apply(&definition(kind).to_string())?;
    }
    let of_services = ["controller-monitor", "speaker-monitor"];
    there(world, "servicemonitors", &of_services)?;
    eventually("the Service of speakers finds three", SOON, || {
        let endpoints = [
            "-n",
            NAMESPACE,
            "get",
            "endpoints",
            "speaker-monitor-service",
        ];
        let endpoints = world.kubectl.json(&endpoints)?;
        let found = endpoints["subsets"][0]["addresses"].as_array();
        Ok(match found.map(Vec::len) {
            Some(3) => Ok(()),
            _ => Err(endpoints["subsets"].to_string()),
        })
    })?;

    world.want(r#"{"monitoring":{"type":"PodMonitor"}}"#)?;
    there(world, "podmonitors", &["controller", "speaker"])?;
    there(world, "servicemonitors", &[])?;
    scraped(world)?;

    world.want(r#"{"monitoring":null,"networkPolicies":{"enabled":false}}"#)?;
    for gone in ["podmonitors", "networkpolicies"] {
        there(world, gone, &[])?;
    }
    let left = product::operands(&world.kubectl)?;
    let left: Vec<_> = left
        .iter()
        .filter(|it| it.contains("monitor") || it.contains("metrics") || it.contains("prometheus"))
        .collect();
    ensure!(left.is_empty(), "left behind: {left:?}");

    world.want(r#"{"networkPolicies":null}"#)?;
    there(world, "networkpolicies", &both)?;
    for kind in ["ServiceMonitor", "PodMonitor"] {
        world.kubectl.delete(&definition(kind).to_string())?;
    }
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;
    world.page_answers()
}

/// On the ports that this cluster has it on.
fn policies_let_out_to_the_api_server(world: &Installed) -> Result<()> {
    let endpoints = world.kubectl.json(&["get", "endpoints", "kubernetes"])?;
    let service = world.kubectl.json(&["get", "service", "kubernetes"])?;
    let used = [
        &endpoints["subsets"][0]["ports"][0]["port"],
        &service["spec"]["ports"][0]["port"],
    ];
    for name in ["controller", "operator"] {
        let policy = ["-n", NAMESPACE, "get", "networkpolicy", name];
        let policy = world.kubectl.json(&policy)?;
        let allowed = policy["spec"]["egress"][0]["ports"].as_array();
        let allowed = allowed.context("no port is allowed")?;
        for port in used {
            let lets_out = allowed.iter().any(|it| it["port"] == *port);
            ensure!(port.is_number() && lets_out, "{name} {port}: {allowed:?}");
        }
    }
    Ok(())
}

/// As Prometheus would by the `PodMonitors`: with the token that they name, which opens nothing else.
fn scraped(world: &Installed) -> Result<()> {
    let token = eventually("the token is made", SOON, || {
        let data = "go-template={{if .data.token}}{{.data.token | base64decode}}{{end}}";
        let secret = [
            "-n",
            NAMESPACE,
            "get",
            "secret",
            "metrics-token",
            "-o",
            data,
        ];
        let token = world.kubectl.output(&secret)?;
        Ok(if token.is_empty() {
            Err("empty")
        } else {
            Ok(token)
        })
    })?;
    for (component, pods) in [("controller", 2), ("speaker", 3)] {
        let wanted = format!("the metrics of each {component}");
        eventually(&wanted, SOON, || {
            let read =
                product::metrics_by(&world.cluster, &world.kubectl, component, METRICS, &token);
            Ok(match read {
                Ok(all) if all.len() == pods && all.iter().all(|it| !it.is_empty()) => Ok(()),
                Ok(all) => Err(format!("{} pods", all.len())),
                Err(error) => Err(format!("{error:#}")),
            })
        })?;
    }
    let account = format!("--as=system:serviceaccount:{NAMESPACE}:metrics-reader");
    let list = [
        "-n", NAMESPACE, "auth", "can-i", "list", "secrets", &account,
    ];
    let may = world.kubectl.command(&list).output()?;
    ensure!(!may.status.success(), "it may read Secrets");
    Ok(())
}

/// Waits until there are these of ours of a kind, and no other.
fn there(world: &Installed, kind: &str, names: &[&str]) -> Result<()> {
    let label = format!("metallb.io/inventory={NAMESPACE}");
    let wanted: BTreeSet<&str> = names.iter().copied().collect();
    eventually(&format!("{kind}: {names:?}"), SOON, || {
        let list = ["-n", NAMESPACE, "get", kind, "-l", &label];
        let list = world.kubectl.json(&list)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let found: BTreeSet<&str> = items
            .iter()
            .filter_map(|it| it["metadata"]["name"].as_str())
            .collect();
        Ok(if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        })
    })
}

/// One of the Prometheus operator's, with no more in it than it takes.
fn definition(kind: &str) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
        "spec": {
            "group": "monitoring.coreos.com",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                } },
            }],
        },
    })
}

const METRICS: u16 = 9120;
