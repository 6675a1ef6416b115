//! What Prometheus makes of the controller's metrics.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Place,
    product::{self, NAMESPACE},
};
use serde_json::json;

use crate::world::Installed;

/// `promtool check metrics` objects to nothing but names that are upstream's.
pub(crate) fn promtool(world: &Installed) -> Result<()> {
    let promtool = metallb_tests::promtool()?;
    world.apply_all(&reader())?;
    let token = world
        .kubectl
        .output(&["-n", NAMESPACE, "create", "token", READER])?;
    let pods =
        world
            .kubectl
            .json(&["-n", NAMESPACE, "get", "pods", "-l", "component=controller"])?;
    let upstream: BTreeSet<&str> = UPSTREAM
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for pod in pods["items"].as_array().context("no list")? {
        let address = pod["status"]["podIP"]
            .as_str()
            .context("a pod without address")?;
        let url = format!("https://{address}:9120/metrics");
        let get = |header: &str| {
            let curl = [
                "curl",
                "--silent",
                "--show-error",
                "--fail",
                "--insecure",
                "-H",
                header,
                &url,
            ];
            world.cluster.output(Place::Node(1), &curl)
        };
        ensure!(get("Accept: */*").is_err(), "anybody may read the metrics");
        let metrics = get(&format!("Authorization: Bearer {}", token.trim()))?;
        let lines = metrics.lines().count();
        let found = promtool.check_metrics(&metrics)?;
        let found: BTreeSet<&str> = found
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        println!("  {lines} lines of metrics; promtool says:");
        for finding in &found {
            println!("    {finding}");
        }
        let ours: Vec<_> = found.difference(&upstream).collect();
        ensure!(ours.is_empty(), "not upstream's: {ours:?}");
    }
    for kind in ["clusterrolebinding", "clusterrole"] {
        world.kubectl.output(&["delete", kind, READER])?;
    }
    world.delete(NAMESPACE, "serviceaccount", READER)?;
    product::available(&world.kubectl)
}

/// Somebody who may read metrics, and nothing else.
fn reader() -> [serde_json::Value; 3] {
    let rbac = "rbac.authorization.k8s.io";
    [
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": READER, "namespace": NAMESPACE },
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": { "name": READER },
            "rules": [{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding",
            "metadata": { "name": READER },
            "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": READER },
            "subjects": [{ "kind": "ServiceAccount", "name": READER, "namespace": NAMESPACE }],
        }),
    ]
}

const READER: &str = "metrics-reader-of-tests";
const UPSTREAM: &str = include_str!("promtool-findings.txt");
