//! The chart, rendered by Helm and held against the operator's renderer, which all other
//! installations come from.

mod effect;
mod plain;
mod rendered;
mod values;

use std::collections::BTreeMap;

use metallb_tests::{helm, product::path};
use serde_json::{Value, json};

use crate::plain::plain;
use crate::rendered::{NAMESPACE, Objects, chart, renderer, try_chart};

/// One way to install, in the chart's values and in the operator's words.
struct Case {
    name: &'static str,
    values: Value,
    spec: Value,
}

#[test]
fn each_object_is_what_the_renderer_makes() {
    for case in matrix() {
        let parts = "crds,programs";
        compare(&case, &chart(&case.values), &renderer(&case.spec, parts));
    }
}

/// What each backend changes, alone and with everything else that both can say.
fn matrix() -> Vec<Case> {
    let backends = [
        (
            "native",
            json!({ "frrk8s": { "enabled": false } }),
            json!({ "bgpBackend": "native" }),
        ),
        (
            "frr",
            json!({ "frrk8s": { "enabled": false }, "speaker": { "frr": { "enabled": true } } }),
            json!({ "bgpBackend": "frr" }),
        ),
        ("frr-k8s", json!({}), json!({ "bgpBackend": "frr-k8s" })),
        (
            "frr-k8s-external",
            json!({ "frrk8s": {
                "enabled": false, "external": true, "namespace": "elsewhere",
                "secretPassthrough": true,
            } }),
            json!({
                "bgpBackend": "frr-k8s-external",
                "frrk8sConfig": { "namespace": "elsewhere", "secretPassthrough": true },
            }),
        ),
    ];
    let mut cases = Vec::new();
    for (name, values, spec) in backends {
        let (mut all_values, mut all_spec) = everything();
        cases.push(Case {
            name,
            values: values.clone(),
            spec: spec.clone(),
        });
        merge(&mut all_values, values);
        merge(&mut all_spec, spec);
        cases.push(Case {
            name,
            values: all_values,
            spec: all_spec,
        });
    }
    cases
}

/// All that the `MetalLB` object can say, but for the backend.
fn everything() -> (Value, Value) {
    let affinity = json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
            { "matchExpressions": [{ "key": "example.com/a", "operator": "Exists" }] },
        ] },
    } });
    let resources = json!({ "limits": { "cpu": "1", "memory": "128Mi" } });
    let tolerations = json!([{ "key": "example.com/t", "operator": "Exists" }]);
    let selector = json!({ "example.com/edge": "true" });
    let annotations = json!({ "example.com/for": "tests" });
    let component = json!({
        "logLevel": "debug",
        "nodeSelector": selector,
        "tolerations": tolerations,
        "priorityClassName": "important",
        "runtimeClassName": "special",
        "affinity": affinity,
        "podAnnotations": annotations,
        "resources": resources,
    });
    let config = json!({
        "priorityClassName": "important",
        "runtimeClassName": "special",
        "affinity": affinity,
        "annotations": annotations,
        "resources": resources,
    });
    (
        json!({
            "loadBalancerClass": "example.com/metallb",
            "controller": component,
            "speaker": component,
        }),
        json!({
            "loadBalancerClass": "example.com/metallb",
            "logLevel": "debug",
            "nodeSelector": selector,
            "speakerTolerations": tolerations,
            "speakerConfig": config,
            "controllerNodeSelector": selector,
            "controllerTolerations": tolerations,
            "controllerConfig": config,
        }),
    )
}

#[test]
fn monitors_and_policies_are_the_renderers_too() {
    // The chart has a time and a label of its own for them, which can be set to the manifests'.
    let monitors = json!({
        "prometheus": {
            "serviceAccount": "prometheus-k8s", "namespace": "monitoring",
            "serviceMonitor": { "enabled": true, "interval": "30s", "jobLabel": "component" },
        },
        "networkpolicies": { "enabled": true, "defaultDeny": true },
    });
    for mut case in matrix() {
        // With frr-k8s the chart has a third monitor, since its users switch it by itself.
        if case.spec["bgpBackend"] == "frr-k8s" {
            continue;
        }
        merge(&mut case.values, monitors.clone());
        let parts = "crds,programs,monitors,network-policies";
        compare(&case, &chart(&case.values), &renderer(&case.spec, parts));
    }
}

fn compare(case: &Case, chart: &Objects, renderer: &Objects) {
    let ours: BTreeMap<_, _> = chart.iter().map(plain).collect();
    // `helm install --create-namespace` makes the namespace.
    let wanted = renderer.iter().filter(|it| it["kind"] != "Namespace");
    let wanted: BTreeMap<_, _> = wanted.map(plain).collect();
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&wanted), "{}", case.name);
    for (name, wanted) in &wanted {
        let (ours, wanted) = (lines(&ours[name]), lines(wanted));
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            these
                .iter()
                .filter(|it| !those.contains(it))
                .cloned()
                .collect()
        };
        assert!(
            ours == wanted,
            "{}, {name}: only in the chart {:#?}, only in the renderer {:#?}",
            case.name,
            only(&ours, &wanted),
            only(&wanted, &ours)
        );
    }
}

/// Each value with its path, so that one sees what differs.
fn lines(value: &Value) -> Vec<String> {
    fn walk(path: &str, value: &Value, lines: &mut Vec<String>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (key, value) in fields {
                    walk(&format!("{path}.{key}"), value, lines);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (nth, value) in items.iter().enumerate() {
                    walk(&format!("{path}[{nth}]"), value, lines);
                }
            }
            leaf => lines.push(format!("{path}: {leaf}")),
        }
    }
    let mut lines = Vec::new();
    walk("", value, &mut lines);
    lines.sort();
    lines
}

/// Upstream's labels, by which its users select, and names that a second release does not clash
/// with.
#[test]
fn labels_and_names_are_those_of_upstreams_chart() {
    for object in chart(&json!({})) {
        let metadata = &object["metadata"];
        let labels = &metadata["labels"];
        if object["kind"] == "CustomResourceDefinition" {
            assert_eq!(
                metadata["annotations"]["helm.sh/resource-policy"], "keep",
                "nobody's pools go with a release"
            );
            continue;
        }
        assert_eq!(labels["app.kubernetes.io/name"], "metallb", "{metadata}");
        assert_eq!(labels["app.kubernetes.io/instance"], "test", "{metadata}");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{metadata}");
        assert_eq!(labels["helm.sh/chart"], format!("metallb-{VERSION}"));
        assert_eq!(labels["app.kubernetes.io/version"], VERSION);
        let name = metadata["name"].as_str().unwrap_or_default();
        let fixed = ["metallb-excludel2", "metallb-webhook-"];
        assert!(
            name.starts_with("test-metallb") || fixed.iter().any(|it| name.starts_with(it)),
            "{name}"
        );
        if let Some(namespace) = metadata.get("namespace") {
            assert_eq!(namespace, NAMESPACE);
        }
    }
    let named = |values: Value| {
        let objects = chart(&values);
        let speaker = objects.iter().find(|it| it["kind"] == "DaemonSet");
        speaker.expect("a speaker")["metadata"]["name"].clone()
    };
    assert_eq!(
        named(json!({ "fullnameOverride": "other" })),
        "other-speaker"
    );
    assert_eq!(named(json!({ "nameOverride": "lb" })), "test-lb-speaker");
}

#[test]
fn what_values_cannot_say_together_is_refused() {
    let external = json!({ "frrk8s": { "enabled": false, "external": true } });
    for (values, words) in [
        (json!({ "configInline": { "peers": [] } }), "configInline"),
        (
            json!({ "speaker": { "frr": { "enabled": true } } }),
            "mutually exclusive",
        ),
        (
            json!({ "frrk8s": { "external": true } }),
            "mutually exclusive",
        ),
        (external, "namespace is required"),
        (
            json!({ "speaker": {
                "memberlist": { "enabled": false }, "nodeSelector": { "a": "b" },
            } }),
            "nodeSelector must be empty",
        ),
        (
            json!({ "prometheus": {
                "podMonitor": { "enabled": true }, "serviceMonitor": { "enabled": true },
                "rbacPrometheus": false,
            } }),
            "cannot both be set",
        ),
        (
            json!({ "prometheus": { "podMonitor": { "enabled": true } } }),
            "prometheus.serviceAccount must say",
        ),
        (
            json!({ "speaker": { "livenessProbe": { "port": 1 } } }),
            "must be the same",
        ),
        (
            json!({ "speaker": { "image": { "repository": "quay.io/metallb/speaker" } } }),
            "an image of MetalLB's own",
        ),
        (json!({ "controller": { "logLevel": "loud" } }), "logLevel"),
        (
            json!({ "crds": { "validationFailurePolicy": "Maybe" } }),
            "validationFailurePolicy",
        ),
    ] {
        let said = try_chart(&values).expect_err("it should be refused");
        assert!(said.to_string().contains(words), "{values}: {said}");
    }
}

#[test]
fn helm_lint_finds_nothing() {
    let chart = path("charts/metallb");
    let chart = chart.to_str().expect("a path in UTF-8");
    let helm = helm().expect("helm");
    let said = helm.output(&["lint", "--strict", chart], "").expect("lint");
    let findings: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with('[') && !line.contains("icon is recommended"))
        .collect();
    assert!(findings.is_empty(), "{said}");
}

/// The version of the workspace is the chart's, and the tag of the image that it runs.
#[test]
fn versions_agree() {
    for object in chart(&json!({})) {
        let containers = &object["spec"]["template"]["spec"]["containers"];
        for container in containers.as_array().into_iter().flatten() {
            assert_eq!(container["image"], format!("metallb.io/metallb:{VERSION}"));
        }
    }
}

fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(value), Value::Object(more)) => {
            for (key, more) in more {
                merge(value.entry(key).or_insert(Value::Null), more);
            }
        }
        (value, more) => *value = more,
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
