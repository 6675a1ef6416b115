//! What stands around MetalLB on request: what tells the Prometheus operator to scrape, and network
//! policies.

use metallb_admission::PORT;
use metallb_crds::v1beta1::MetalLBSpec;
use serde_json::{Value, json};

use super::{Component, pod};
use crate::platform::{Platform, backend};
use crate::settings::Ports;

/// For each component a headless Service and a `ServiceMonitor` of it, and the right of the usual
/// Prometheus to find its pods.
pub(super) fn monitors(spec: &MetalLBSpec, namespace: &str, ports: &Ports) -> Vec<Value> {
    let metrics = Scraped {
        port: "metricshttps",
        number: ports.metrics,
        relabelings: Value::Null,
    };
    let mut of_speakers = vec![metrics.clone()];
    of_speakers.extend(of_bgp(spec, ports));
    let mut documents = Vec::from(prometheus(namespace));
    for (component, scraped) in [
        (Component::Controller, &[metrics][..]),
        (Component::Speaker, &of_speakers),
    ] {
        documents.push(service(component, namespace, scraped));
        documents.push(monitor(component, namespace, scraped));
    }
    documents
}

/// A port with metrics.
#[derive(Clone, Debug)]
struct Scraped {
    port: &'static str,
    number: u16,
    /// Other names for what is scraped.
    relabelings: Value,
}

/// The port that metrics of BGP sessions have of their own. Those of frr-k8s are stored by the names
/// of MetalLB's, as upstream's manifests have it.
fn of_bgp(spec: &MetalLBSpec, ports: &Ports) -> Option<Scraped> {
    let (number, relabelings) = match backend(spec, Platform::default()) {
        "native" | "frr-k8s-external" => return None,
        "frr-k8s" => {
            let renamed = ["bgp", "bfd"].map(|protocol| {
                json!({
                    "sourceLabels": ["__name__"],
                    "regex": format!("frrk8s_{protocol}_(.*)"),
                    "targetLabel": "__name__",
                    "replacement": format!("metallb_{protocol}_$1"),
                })
            });
            (ports.frr_k8s_metrics, json!(renamed))
        }
        _ => (ports.frr_metrics, Value::Null),
    };
    Some(Scraped {
        port: "frrmetricshttps",
        number,
        relabelings,
    })
}

fn service(component: Component, namespace: &str, scraped: &[Scraped]) -> Value {
    let name = service_name(component);
    let ports = scraped
        .iter()
        .map(|it| json!({ "name": it.port, "port": it.number, "targetPort": it.number }));
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": { "app": "metallb", "name": name },
        },
        "spec": {
            "selector": pod::labels(component),
            "clusterIP": "None",
            "ports": ports.collect::<Vec<_>>(),
        },
    })
}

fn monitor(component: Component, namespace: &str, scraped: &[Scraped]) -> Value {
    let component = component.name().unwrap_or_default();
    let endpoints = scraped.iter().map(|it| {
        let mut endpoint = json!({
            "port": it.port,
            "interval": "30s",
            "honorLabels": true,
            "bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "scheme": "https",
            "tlsConfig": { "insecureSkipVerify": true },
        });
        if !it.relabelings.is_null() {
            endpoint["metricRelabelings"] = it.relabelings.clone();
        }
        endpoint
    });
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {
            "name": format!("{component}-monitor"),
            "namespace": namespace,
            "labels": { "app": "metallb", "component": component },
        },
        "spec": {
            "endpoints": endpoints.collect::<Vec<_>>(),
            "jobLabel": "component",
            "namespaceSelector": { "matchNames": [namespace] },
            "selector": { "matchLabels": { "name": format!("{component}-monitor-service") } },
        },
    })
}

fn service_name(component: Component) -> String {
    let component = component.name().unwrap_or_default();
    format!("{component}-monitor-service")
}

/// The Prometheus that kube-prometheus installs.
const PROMETHEUS: &str = "prometheus-k8s";

fn prometheus(namespace: &str) -> [Value; 2] {
    let rbac = "rbac.authorization.k8s.io";
    let metadata = json!({
        "name": PROMETHEUS,
        "namespace": namespace,
        "labels": { "app": "metallb" },
    });
    [
        json!({
            "apiVersion": format!("{rbac}/v1"),
            "kind": "Role",
            "metadata": metadata,
            "rules": [{
                "apiGroups": [""],
                "resources": ["services", "endpoints", "pods"],
                "verbs": ["get", "list", "watch"],
            }],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": { "apiGroup": rbac, "kind": "Role", "name": PROMETHEUS },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": PROMETHEUS,
                "namespace": "monitoring",
            }],
        }),
    ]
}

/// Nothing into the namespace and nothing out, but what the controller needs. Speakers are on their
/// nodes' networks, which no policy is about.
pub(super) fn network_policies(namespace: &str) -> Vec<Value> {
    let policy = |name: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": { "app": "metallb" },
            },
            "spec": spec,
        })
    };
    let tcp = |port: Value| json!({ "protocol": "TCP", "port": port });
    vec![
        policy(
            "default-deny",
            json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
        ),
        policy(
            "controller",
            json!({
                "podSelector": { "matchLabels": pod::labels(Component::Controller) },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "ports": [tcp("metricshttps".into()), tcp(PORT.into())] }],
                "egress": [{ "ports": [tcp(API_SERVER.into())] }],
            }),
        ),
    ]
}

/// Where API servers usually listen.
const API_SERVER: u16 = 6443;
