use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn standalone(backend: &str, part: Part) -> Vec<Value> {
    let spec = serde_json::from_value(json!({ "bgpBackend": backend })).expect("the spec parses");
    let standalone = Standalone {
        spec: &spec,
        namespace: "metallb-system",
        image: "metallb:dev",
        version: "1.2.3",
    };
    standalone.part(part)
}

fn names(documents: &[Value]) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    documents
        .iter()
        .map(|it| format!("{} {}", text(&it["kind"]), text(&it["metadata"]["name"])))
        .collect()
}

const BACKENDS: [&str; 4] = ["native", "frr", "frr-k8s", "frr-k8s-external"];

/// Whoever applies ours over upstream's is left with no object of theirs beside ours, but for what
/// belongs to FRR.
#[test]
fn objects_have_the_names_of_upstreams_manifests() {
    let upstreams = [
        "Namespace metallb-system",
        "ServiceAccount controller",
        "ServiceAccount speaker",
        "Role controller",
        "Role pod-lister",
        "ClusterRole metallb-system:controller",
        "ClusterRole metallb-system:speaker",
        "RoleBinding controller",
        "RoleBinding pod-lister",
        "ClusterRoleBinding metallb-system:controller",
        "ClusterRoleBinding metallb-system:speaker",
        "ConfigMap metallb-excludel2",
        "Secret metallb-webhook-cert",
        "Service metallb-webhook-service",
        "Deployment controller",
        "DaemonSet speaker",
        "ValidatingWebhookConfiguration metallb-webhook-configuration",
    ];
    let upstreams: BTreeSet<String> = upstreams.map(str::to_owned).into();
    for backend in BACKENDS {
        assert_eq!(names(&standalone(backend, Part::Programs)), upstreams);
    }
    let monitors = [
        "Role prometheus-k8s",
        "RoleBinding prometheus-k8s",
        "Service controller-monitor-service",
        "Service speaker-monitor-service",
        "ServiceMonitor controller-monitor",
        "ServiceMonitor speaker-monitor",
    ];
    let monitors: BTreeSet<String> = monitors.map(str::to_owned).into();
    for backend in BACKENDS {
        assert_eq!(names(&standalone(backend, Part::Monitors)), monitors);
    }
    let policies = ["NetworkPolicy controller", "NetworkPolicy default-deny"];
    assert_eq!(
        names(&standalone("frr", Part::NetworkPolicies)),
        policies.map(str::to_owned).into()
    );
}

#[test]
fn nothing_belongs_to_an_operator() {
    for backend in BACKENDS {
        for object in standalone(backend, Part::Programs) {
            let metadata = &object["metadata"];
            assert_eq!(metadata.get("ownerReferences"), None, "{metadata}");
            let labels = metadata["labels"].to_string();
            assert!(!labels.contains("inventory"), "{metadata}");
            assert!(!labels.contains("managed-by"), "{metadata}");
        }
    }
}

/// A second `kubectl apply` must not take back what a controller wrote.
#[test]
fn definitions_say_who_converts_and_serve_both_versions() {
    let definitions = standalone("native", Part::Crds);
    assert!(!names(&definitions).contains("CustomResourceDefinition metallbs.metallb.io"));
    for crd in &definitions {
        let versions = crd["spec"]["versions"].as_array().expect("versions");
        assert!(versions.iter().all(|version| version["served"] == true));
        let webhook = &crd["spec"]["conversion"]["webhook"];
        if crd["metadata"]["name"] == CONVERTED {
            assert_eq!(webhook["clientConfig"]["service"]["name"], SERVICE);
            assert_eq!(webhook["clientConfig"].get("caBundle"), None);
        } else {
            assert!(webhook.is_null());
        }
    }
}

/// The port that BGP has of its own is served where it is scraped.
#[test]
fn what_is_scraped_is_served() {
    for backend in BACKENDS {
        let programs = standalone(backend, Part::Programs);
        let speaker = programs.iter().find(|it| it["kind"] == "DaemonSet");
        let container = &speaker.expect("a speaker")["spec"]["template"]["spec"]["containers"][0];
        let args = container["args"].to_string();
        let monitors = standalone(backend, Part::Monitors);
        let service = monitors
            .iter()
            .find(|it| it["metadata"]["name"] == "speaker-monitor-service")
            .expect("a Service");
        let ports = service["spec"]["ports"].as_array().expect("ports");
        for port in ports {
            assert!(args.contains(&format!("port={}\"", port["port"])), "{args}");
        }
        let of_their_own = args.contains("--frr-metrics-port");
        assert_eq!(ports.len(), 1 + usize::from(of_their_own), "{backend}");
    }
}
