//! The product on a cluster: installed as a user installs it, and looked at as a user looks.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};

use crate::{Cluster, Kubectl, Place, Process, eventually};

/// The namespace of everything.
pub const NAMESPACE: &str = "metallb-system";

/// The workload of each program with the label that its pods carry.
pub const OPERANDS: [(&str, &str); 2] = [("deployment", "controller"), ("daemonset", "speaker")];

/// The operator's Deployment.
pub const OPERATOR: &str = "metallb-operator-controller-manager";

/// The image reference in `config/operator.yaml`, which an installation may replace by its own.
pub const IMAGE: &str = "metallb.io/metallb:dev";

/// The install manifest with every image replaced by `image`.
pub fn operator_manifest(image: &str) -> Result<String> {
    Ok(read("config/operator.yaml")?.replace(IMAGE, image))
}

/// One of the demo's objects, `config/samples/demo/NAME.yaml`.
pub fn demo_object(name: &str) -> Result<String> {
    read(&format!("config/samples/demo/{name}.yaml"))
}

/// A pool's YAML with other addresses, given as in `a-b,c/24`.
pub fn with_addresses(pool: &str, addresses: &str) -> Result<String> {
    let (before, _) = pool
        .split_once("addresses:")
        .context("the pool has no addresses")?;
    let lines = addresses
        .split(',')
        .map(|range| format!("\n    - {}", range.trim()));
    Ok(format!("{before}addresses:{}\n", lines.collect::<String>()))
}

/// The web Deployment's YAML with another image, which has to be agnhost too.
pub fn with_web_image(web: &str, image: &str) -> String {
    web.replace(crate::WEB, image)
}

/// Applies the install manifest and waits until the operator runs.
pub fn install_operator(kubectl: &Kubectl, image: &str) -> Result<()> {
    kubectl.apply(&operator_manifest(image)?)?;
    rolled_out(kubectl, NAMESPACE, &format!("deployment/{OPERATOR}"))
}

/// Waits until a workload runs as its newest revision says.
pub fn rolled_out(kubectl: &Kubectl, namespace: &str, workload: &str) -> Result<()> {
    kubectl
        .output(&[
            "-n",
            namespace,
            "rollout",
            "status",
            workload,
            "--timeout=60s",
        ])
        .map(drop)
        .map_err(|error| error.context(why_not_running(kubectl, namespace)))
}

/// Waits until the `MetalLB` object says that all of it runs.
pub fn available(kubectl: &Kubectl) -> Result<()> {
    let waited = kubectl.output(&[
        "-n",
        NAMESPACE,
        "wait",
        "metallb/metallb",
        "--for=condition=Available",
        "--timeout=60s",
    ]);
    waited
        .map(drop)
        .map_err(|error| error.context(why_not_running(kubectl, NAMESPACE)))
}

/// The newest version of the API that has a kind of the configuration.
pub fn newest_version(kind: &str) -> &'static str {
    match kind {
        "BGPPeer" => "v1beta2",
        _ => "v1beta1",
    }
}

/// The addresses that a Service has, in the order of its status.
pub fn addresses(kubectl: &Kubectl, service: &str) -> Result<Vec<IpAddr>> {
    let service = kubectl.json(&["get", "service", service])?;
    let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
    ingress
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["ip"].as_str())
        .map(|ip| {
            ip.parse()
                .with_context(|| format!("the Service's status holds {ip:?}"))
        })
        .collect()
}

/// Waits until a Service has `count` addresses.
pub fn assigned(kubectl: &Kubectl, service: &str, count: usize) -> Result<Vec<IpAddr>> {
    eventually(
        &format!("Service {service} has {count} address(es)"),
        Duration::from_secs(15),
        || {
            let addresses = addresses(kubectl, service)?;
            Ok(if addresses.len() == count {
                Ok(addresses)
            } else {
                Err(format!("it has {addresses:?}"))
            })
        },
    )
}

/// What the client on the nodes' segment gets from `http://ADDRESS:PORT PATH`.
pub fn fetch(cluster: &Cluster, address: IpAddr, path: &str) -> Result<String> {
    let url = match address {
        IpAddr::V4(v4) => format!("http://{v4}{path}"),
        IpAddr::V6(v6) => format!("http://[{v6}]{path}"),
    };
    cluster.output(
        Place::Client,
        &[
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--max-time",
            "2",
            &url,
        ],
    )
}

/// Waits until the page comes.
pub fn page(cluster: &Cluster, address: IpAddr) -> Result<String> {
    eventually(
        &format!("a page from {address}"),
        Duration::from_secs(15),
        || fetch(cluster, address, PAGE).map(Ok::<_, String>),
    )
}

/// Resident memory of every controller, operator and speaker on the cluster's nodes, in bytes.
pub fn memory(cluster: &Cluster) -> Result<Vec<(Place, &'static str, u64)>> {
    let mut found = Vec::new();
    for node in cluster.nodes() {
        for process in cluster.pod_processes(node)? {
            if let Some(program) = program(process) {
                found.push((node, program, process.resident()));
            }
        }
    }
    found.sort_by_key(|(node, program, _)| (*program, *node));
    Ok(found)
}

/// Every object in the cluster that the operator made, as `kind/namespace/name`; the
/// `MetalLB` object's operands, not the operator's own.
pub fn operands(kubectl: &Kubectl) -> Result<Vec<String>> {
    let list = kubectl.json(&[
        "get",
        KINDS,
        "--all-namespaces",
        "--selector=metallb.io/inventory",
    ])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = list["items"]
        .as_array()
        .ok_or_else(|| anyhow!("kubectl printed no list"))?;
    Ok(items
        .iter()
        .map(|item| {
            let metadata = &item["metadata"];
            [&item["kind"], &metadata["namespace"], &metadata["name"]]
                .map(text)
                .join("/")
        })
        .collect())
}

/// The UIDs of the operands' pods by name; a pod that was made anew has another.
pub fn pods(kubectl: &Kubectl, component: &str) -> Result<BTreeMap<String, String>> {
    let selector = format!("app=metallb,component={component}");
    let list = kubectl.json(&["-n", NAMESPACE, "get", "pods", "-l", &selector])?;
    let items = list["items"]
        .as_array()
        .ok_or_else(|| anyhow!("kubectl printed no list"))?;
    Ok(items
        .iter()
        .filter_map(|pod| {
            let metadata = &pod["metadata"];
            Some((
                metadata["name"].as_str()?.to_owned(),
                metadata["uid"].as_str()?.to_owned(),
            ))
        })
        .collect())
}

/// The metrics of each pod of a component, as somebody reads them who may.
pub fn metrics(cluster: &Cluster, kubectl: &Kubectl, component: &str) -> Result<Vec<String>> {
    metrics_at(cluster, kubectl, component, METRICS_PORT)
}

/// The same, on another port.
pub fn metrics_at(
    cluster: &Cluster,
    kubectl: &Kubectl,
    component: &str,
    port: u16,
) -> Result<Vec<String>> {
    for object in metrics_reader() {
        kubectl.apply(&object.to_string())?;
    }
    let token = kubectl.output(&["-n", NAMESPACE, "create", "token", METRICS_READER])?;
    metrics_by(cluster, kubectl, component, port, token.trim())
}

/// The same, as somebody reads them who has this token.
pub fn metrics_by(
    cluster: &Cluster,
    kubectl: &Kubectl,
    component: &str,
    port: u16,
    token: &str,
) -> Result<Vec<String>> {
    let header = format!("Authorization: Bearer {token}");
    let label = format!("component={component}");
    let pods = kubectl.json(&["-n", NAMESPACE, "get", "pods", "-l", &label])?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let read = |pod: &Value| {
        let address = pod["status"]["podIP"]
            .as_str()
            .context("a pod without address")?;
        let url = format!("https://{address}:{port}/metrics");
        let curl = [
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--insecure",
            "-H",
            &header,
            &url,
        ];
        cluster.output(Place::Node(1), &curl)
    };
    pods.iter().map(read).collect()
}

/// Removes the one who may read metrics.
pub fn forget_metrics_reader(kubectl: &Kubectl) -> Result<()> {
    for kind in ["clusterrolebinding", "clusterrole", "serviceaccount"] {
        let arguments = [
            "-n",
            NAMESPACE,
            "delete",
            "--ignore-not-found",
            kind,
            METRICS_READER,
        ];
        kubectl.output(&arguments)?;
    }
    Ok(())
}

/// Somebody who may read metrics, and nothing else.
fn metrics_reader() -> [Value; 3] {
    let rbac = "rbac.authorization.k8s.io";
    let name = METRICS_READER;
    [
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": NAMESPACE },
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": { "name": name },
            "rules": [{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding",
            "metadata": { "name": name },
            "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": NAMESPACE }],
        }),
    ]
}

const METRICS_READER: &str = "metrics-reader-of-tests";
const METRICS_PORT: u16 = 9120;

/// The names of the nodes on which pods with these labels run.
pub fn pods_of(kubectl: &Kubectl, namespace: &str, labels: &str) -> Result<Vec<String>> {
    let list = kubectl.json(&["-n", namespace, "get", "pods", "-l", labels])?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let node = |pod: &Value| Some(pod["spec"]["nodeName"].as_str()?.to_owned());
    Ok(items.iter().filter_map(node).collect())
}

fn program(process: Process) -> Option<&'static str> {
    let command = fs::read(format!("/proc/{}/cmdline", process.pid())).ok()?;
    let first = command.split(|byte| *byte == 0).next()?;
    ["/controller", "/operator", "/speaker"]
        .into_iter()
        .find(|name| first == name.as_bytes())
}

/// The pods' own words, for whoever reads that something did not come up.
fn why_not_running(kubectl: &Kubectl, namespace: &str) -> String {
    let pods = kubectl.output(&["-n", namespace, "get", "pods", "-o", "wide"]);
    let events = kubectl.output(&["-n", namespace, "get", "events", "--sort-by=.lastTimestamp"]);
    let tail = |text: Result<String>| {
        let text = text.unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    };
    format!("pods:\n{}\nlast events:\n{}", tail(pods), tail(events))
}

/// A file or folder of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is a folder of the workspace")
        .join(relative)
}

fn read(relative: &str) -> Result<String> {
    let path = path(relative);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The page that tells which pod answers.
const PAGE: &str = "/hostname";

/// Every kind that the operator makes operands of.
const KINDS: &str = "daemonsets,deployments,services,secrets,configmaps,serviceaccounts,\
    roles,rolebindings,clusterroles,clusterrolebindings,poddisruptionbudgets,\
    validatingwebhookconfigurations,networkpolicies";
