//! Golden files of what is rendered, and what must hold for all of it.

use serde_json::{Value, json};
use std::collections::BTreeSet;

mod openshift;
mod options;

use super::*;
use crate::platform::Platform;
use crate::settings::Ports;
use crate::yaml;

/// What differs between the cases; all else is as in production.
fn render_spec(spec: Value) -> Vec<Object> {
    render_with(&settings(), spec)
}

fn settings() -> Settings {
    let mut settings = Settings::new("metallb-system", "metallb:dev");
    settings.frr_k8s_namespace = Some("frr-k8s-system".to_owned());
    settings
}

/// The same in another environment.
fn render_with(settings: &Settings, spec: Value) -> Vec<Object> {
    let spec: MetalLBSpec = serde_json::from_value(spec).expect("the spec parses");
    let settings = settings.under(&spec);
    let api_server = ["10.96.0.1:443", "192.0.2.1:6443", "[2001:db8::1]:6443"];
    render(&Inputs {
        spec: &spec,
        settings: &settings,
        uid: Some("00000000-0000-0000-0000-000000000001"),
        api_server: &api_server.map(|it| it.parse().expect("an address")).into(),
        writes_for_frr_k8s: settings.is_external(&spec),
        existing_memberlist_key: None,
        fresh_memberlist_key: *b"0123456789abcdef",
        password_secrets: &BTreeSet::new(),
        webhooks: Webhooks::Required,
        version: "1.2.3",
    })
}

fn everything_set() -> Value {
    let config = |name: &str| {
        json!({
            "priorityClassName": format!("{name}-priority"),
            "runtimeClassName": format!("{name}-runtime"),
            "annotations": { "example.com/for": name },
            "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                    { "matchExpressions": [
                        { "key": "example.com/metallb", "operator": "In", "values": [name] },
                    ] },
                ] },
            } },
            "resources": {
                "requests": { "cpu": "100m", "memory": "64Mi" },
                "limits": { "cpu": "1", "memory": "128Mi" },
            },
            "labels": { "example.com/team": name },
            "livenessProbe": { "initialDelaySeconds": 60 },
            "readinessProbe": { "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 5 },
        })
    };
    let with = |mut config: Value, more: Value| {
        pod::merge(&mut config, more);
        config
    };
    json!({
        "image": "of no effect",
        "nodeSelector": { "example.com/edge": "true" },
        "speakerTolerations": [
            { "key": "example.com/edge", "operator": "Exists", "effect": "NoExecute",
              "tolerationSeconds": 60 },
        ],
        "logLevel": "debug",
        "loadBalancerClass": "example.com/metallb",
        "controllerNodeSelector": { "example.com/infra": "true" },
        "controllerTolerations": [{ "key": "example.com/infra", "operator": "Exists" }],
        "controllerConfig": with(config("controller"), json!({
            "replicas": 3,
            "image": "example.com/controller:v1",
        })),
        "speakerConfig": with(config("speaker"), json!({
            "updateStrategy": { "rollingUpdate": { "maxUnavailable": "10%" } },
            "excludeInterfaces": ["^docker.*", "^eth[1-9]$"],
            "ignoreExcludeLB": true,
            "memberlist": { "bindPort": 9122, "wanConfig": true },
        })),
        "imageRegistry": "mirror.example.com/metallb",
        "imagePullSecrets": [{ "name": "pull" }],
        "monitoring": {
            "type": "PodMonitor",
            "labels": { "release": "prometheus" },
            "interval": "1m",
            "prometheus": { "namespace": "prometheus", "serviceAccountName": "prometheus" },
        },
        "networkPolicies": { "enabled": true, "apiServer": "Addresses" },
        "bgpBackend": "frr-k8s-external",
        "frrk8sConfig": {
            "alwaysBlock": ["10.0.0.0/8"],
            "namespace": "frr-of-another",
            "secretPassthrough": true,
        },
    })
}

fn documents(objects: &[Object]) -> String {
    yaml::documents(objects.iter().map(|object| &object.manifest))
}

fn manifest(objects: &[Object], kind: Kind, name: &str) -> Value {
    let found = objects
        .iter()
        .find(|o| o.key.kind == kind && o.key.name == name);
    found
        .unwrap_or_else(|| panic!("no {kind:?} {name}"))
        .manifest
        .clone()
}

fn workload(objects: &[Object], kind: Kind, name: &str) -> String {
    yaml::documents([&manifest(objects, kind, name)])
}

#[test]
fn default() {
    insta::assert_snapshot!(documents(&render_spec(json!({}))));
}

#[test]
fn everything() {
    let objects = render_spec(everything_set());
    insta::assert_snapshot!(
        "everything_controller",
        workload(&objects, Kind::Deployment, "controller")
    );
    insta::assert_snapshot!(
        "everything_speaker",
        workload(&objects, Kind::DaemonSet, "speaker")
    );
}

/// What each backend changes is a few lines; the rest is as in the default.
#[test]
fn backends() {
    let default = documents(&render_spec(json!({})));
    let mut changes = Vec::new();
    for backend in ["", "native", "frr", "frr-k8s", "frr-k8s-external"] {
        let spec = json!({
            "bgpBackend": backend,
            "frrk8sConfig": { "secretPassthrough": true },
        });
        changes.push(format!("bgpBackend: {backend:?}"));
        let rendered = documents(&render_spec(spec));
        let mut add_only_in = |one: &str, other: &str, sign: char| {
            for line in one
                .lines()
                .filter(|line| !other.lines().any(|l| l == *line))
            {
                changes.push(format!("{sign} {}", line.trim()));
            }
        };
        add_only_in(&default, &rendered, '-');
        add_only_in(&rendered, &default, '+');
    }
    let changes = changes.join("\n");
    insta::assert_snapshot!(changes);
}

#[test]
fn operator() {
    let install = Install {
        namespace: "metallb-system",
        image: "metallb:dev",
        version: "1.2.3",
    };
    let documents = super::install(&install);
    let own: Vec<&Value> = documents
        .iter()
        .filter(|d| d["kind"] != "CustomResourceDefinition")
        .collect();
    insta::assert_snapshot!(yaml::documents(own));
    assert_eq!(documents.len(), 9 + metallb_crds::all().len());
}

#[test]
fn operator_workloads_select_their_own_pods() {
    let install = Install {
        namespace: "metallb-system",
        image: "metallb:dev",
        version: "1.2.3",
    };
    for document in super::install(&install) {
        if document["kind"] == "Deployment" {
            assert_selects_its_pods(&document);
        }
    }
}

fn assert_selects_its_pods(workload: &Value) {
    let spec = &workload["spec"];
    let labels = spec["template"]["metadata"]["labels"]
        .as_object()
        .expect("labels");
    let selector = spec["selector"]["matchLabels"]
        .as_object()
        .expect("a selector");
    assert!(!selector.is_empty());
    for (key, value) in selector {
        assert_eq!(labels.get(key), Some(value));
    }
}

/// The extremes: nothing set, everything, and everything on OpenShift.
fn extremes() -> [Vec<Object>; 3] {
    let mut openshift = settings();
    openshift.platform = Platform::OpenShift;
    [
        render_spec(json!({})),
        render_spec(everything_set()),
        render_with(&openshift, everything_set()),
    ]
}

#[test]
fn namespaced_objects_belong_to_the_metallb_object() {
    for object in extremes().concat() {
        let metadata = &object.manifest["metadata"];
        if object.key.kind.is_namespaced() {
            assert_eq!(metadata["namespace"], "metallb-system", "{}", object.key);
            let owner = &metadata["ownerReferences"][0];
            assert_eq!(
                owner["uid"], "00000000-0000-0000-0000-000000000001",
                "{}",
                object.key
            );
        } else {
            assert_eq!(metadata.get("namespace"), None, "{}", object.key);
            assert_eq!(metadata.get("ownerReferences"), None, "{}", object.key);
        }
        assert_eq!(
            metadata["labels"][INVENTORY_LABEL], "metallb-system",
            "{}",
            object.key
        );
    }
}

#[test]
fn objects_are_distinct_and_come_before_what_needs_them() {
    for objects in extremes() {
        let keys: Vec<_> = objects.iter().map(|object| &object.key).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    }
}

#[test]
fn selectors_match_what_they_are_for() {
    for objects in extremes() {
        let controller = manifest(&objects, Kind::Deployment, "controller");
        let speaker = manifest(&objects, Kind::DaemonSet, "speaker");
        assert_selects_its_pods(&controller);
        assert_selects_its_pods(&speaker);
        // Upstream's selectors: a workload with others could not be taken over.
        let labels = |component: &str| json!({ "app": "metallb", "component": component });
        assert_eq!(
            controller["spec"]["selector"]["matchLabels"],
            labels("controller")
        );
        assert_eq!(
            speaker["spec"]["selector"]["matchLabels"],
            labels("speaker")
        );
        let service = manifest(&objects, Kind::Service, "metallb-webhook-service");
        assert_eq!(service["spec"]["selector"], labels("controller"));
    }
}

#[test]
fn what_pods_refer_to_is_rendered() {
    for objects in extremes() {
        let has = |kind, name: &Value| {
            let name = name.as_str().expect("a name");
            assert!(
                objects
                    .iter()
                    .any(|o| o.key.kind == kind && o.key.name == name),
                "{name}"
            );
        };
        for object in objects
            .iter()
            .filter(|object| object.key.kind.is_workload())
        {
            let pod = &object.manifest["spec"]["template"]["spec"];
            has(Kind::ServiceAccount, &pod["serviceAccountName"]);
            for volume in pod["volumes"].as_array().into_iter().flatten() {
                // On OpenShift the cluster makes those with certificates.
                let secret = volume.get("secret").map(|it| &it["secretName"]);
                if let Some(secret) = secret.filter(|it| !is_certificate(it)) {
                    has(Kind::Secret, secret);
                }
                let config_map = volume.get("configMap");
                if let Some(config_map) = config_map.filter(|it| it["optional"] != true) {
                    has(Kind::ConfigMap, &config_map["name"]);
                }
            }
        }
        for object in &objects {
            let role = &object.manifest["roleRef"];
            match object.key.kind {
                Kind::RoleBinding => has(Kind::Role, &role["name"]),
                Kind::ClusterRoleBinding => has(Kind::ClusterRole, &role["name"]),
                _ => {}
            }
        }
    }
}

/// One that OpenShift makes for a Service.
fn is_certificate(secret: &Value) -> bool {
    secret
        .as_str()
        .is_some_and(|it| it.ends_with("-certs-secret"))
}

#[test]
fn pods_hold_no_more_than_they_need() {
    for objects in extremes() {
        let container = |kind, name| {
            let manifest = manifest(&objects, kind, name);
            let context = &manifest["spec"]["template"]["spec"]["containers"][0]["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            context["capabilities"]["add"].clone()
        };
        assert_eq!(container(Kind::Deployment, "controller"), Value::Null);
        assert_eq!(container(Kind::DaemonSet, "speaker"), json!(["NET_RAW"]));
    }
}

/// What is rendered on these ports, with the key of this Secret.
fn rendered(ports: Ports, existing_memberlist_key: Option<&[u8]>) -> Vec<Object> {
    rendered_like("frr", ports, existing_memberlist_key)
}

/// The same with this backend.
fn rendered_like(
    backend: &str,
    ports: Ports,
    existing_memberlist_key: Option<&[u8]>,
) -> Vec<Object> {
    let mut settings = settings();
    settings.ports = ports;
    let spec = MetalLBSpec {
        bgp_backend: Some(backend.to_owned()),
        ..MetalLBSpec::default()
    };
    render(&Inputs {
        spec: &spec,
        settings: &settings,
        uid: Some("1"),
        api_server: &BTreeSet::new(),
        writes_for_frr_k8s: false,
        existing_memberlist_key,
        fresh_memberlist_key: [0xff; 16],
        password_secrets: &BTreeSet::new(),
        webhooks: Webhooks::Required,
        version: "1.2.3",
    })
}

#[test]
fn speakers_listen_where_that_is_wanted_and_may_where_that_takes_a_right() {
    for (bgp, listens, rights) in [
        (None, false, json!(["NET_RAW"])),
        (Some(1790), true, json!(["NET_RAW"])),
        (Some(179), true, json!(["NET_BIND_SERVICE", "NET_RAW"])),
    ] {
        let ports = Ports {
            bgp,
            ..Ports::default()
        };
        let objects = rendered(ports, None);
        let speaker = manifest(&objects, Kind::DaemonSet, "speaker");
        let container = &speaker["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["securityContext"]["capabilities"]["add"], rights);
        let args = container["args"].to_string();
        assert_eq!(args.contains("--bgp-listen-port="), listens, "{args}");
    }
}

#[test]
fn the_port_of_frr_k8ss_own_program_is_told_where_it_is_another() {
    for (backend, own, said) in [
        ("frr-k8s", 9140, None),
        ("frr-k8s", 0, Some("--frrk8s-metrics-port=0")),
        ("frr", 0, None),
        ("frr-k8s-external", 0, None),
    ] {
        let ports = Ports {
            frr_k8s_own_metrics: own,
            ..Ports::default()
        };
        let objects = rendered_like(backend, ports, None);
        let speaker = manifest(&objects, Kind::DaemonSet, "speaker");
        let args = &speaker["spec"]["template"]["spec"]["containers"][0]["args"];
        let args = args.as_array().unwrap().iter().filter_map(Value::as_str);
        let told = args
            .into_iter()
            .find(|it| it.starts_with("--frrk8s-metrics"));
        assert_eq!(told, said, "{backend} {own}");
    }
}

#[test]
fn a_key_that_exists_wins_over_a_fresh_one() {
    let key = |existing: Option<&[u8]>| {
        let objects = rendered(Ports::default(), existing);
        manifest(&objects, Kind::Secret, MEMBERLIST_SECRET)["data"][MEMBERLIST_KEY].clone()
    };
    // base64 of "mine", and of the 22 characters that 16 bytes of 0xff are.
    assert_eq!(key(Some(b"mine")), "bWluZQ==");
    let fresh = "Ly8vLy8vLy8vLy8vLy8vLy8vLy8vdw==";
    assert_eq!(key(None), fresh);
    assert_eq!(key(Some(b"")), fresh);
}
