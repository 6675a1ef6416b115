//! What each setting changes, and nothing else: on Kubernetes and on OpenShift.

use super::*;

/// What of `after` is not as in `before`, a line for each field, by object and path.
fn changes(before: &[Object], after: &[Object]) -> Vec<String> {
    let mut lines = Vec::new();
    for object in before {
        if after.iter().all(|it| it.key != object.key) {
            lines.push(format!("- {}", object.key));
        }
    }
    for object in after {
        match before.iter().find(|it| it.key == object.key) {
            None => lines.push(format!("+ {}", object.key)),
            Some(same) => {
                let path = object.key.to_string();
                compare(&path, &same.manifest, &object.manifest, &mut lines);
            }
        }
    }
    lines
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                let path = format!("{path} {name}");
                compare(&path, &before[name], &after[name], lines);
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            // Objects by their places, all else by what it is.
            let places = one.iter().zip(other).filter(|(one, _)| one.is_object());
            for (nth, (one, other)) in places.enumerate() {
                compare(&format!("{path}[{nth}]"), one, other, lines);
            }
            let first_new = if one.iter().any(Value::is_object) {
                one.len()
            } else {
                0
            };
            let is_in = |list: &[Value], it: &Value| list.contains(it);
            lines.extend(
                one.iter()
                    .filter(|it| first_new == 0 && !is_in(other, it))
                    .map(|it| format!("- {path}: {it}")),
            );
            let more = other.iter().skip(first_new);
            lines.extend(
                more.filter(|it| !is_in(one, it))
                    .map(|it| format!("+ {path}: {it}")),
            );
        }
        _ if before == after => {}
        _ => {
            if !before.is_null() {
                lines.push(format!("- {path}: {before}"));
            }
            if !after.is_null() {
                lines.push(format!("+ {path}: {after}"));
            }
        }
    }
}

/// Each by itself, the smallest that can be said of it.
fn options() -> Vec<Value> {
    vec![
        json!({ "bgpBackend": "native" }),
        json!({ "bgpBackend": "frr" }),
        json!({ "bgpBackend": "frr-k8s" }),
        json!({ "bgpBackend": "frr-k8s-external" }),
        json!({ "logLevel": "debug" }),
        json!({ "loadBalancerClass": "example.com/lb" }),
        json!({ "nodeSelector": { "a": "b" } }),
        json!({ "controllerNodeSelector": { "a": "b" } }),
        json!({ "speakerTolerations": [{ "key": "a" }] }),
        json!({ "controllerTolerations": [{ "key": "a" }] }),
        json!({ "imageRegistry": "mirror" }),
        json!({ "imagePullSecrets": [{ "name": "pull" }] }),
        json!({ "controllerConfig": { "priorityClassName": "a" } }),
        json!({ "controllerConfig": { "runtimeClassName": "a" } }),
        json!({ "controllerConfig": { "annotations": { "a": "b" } } }),
        json!({ "controllerConfig": { "resources": { "limits": { "cpu": "1" } } } }),
        json!({ "controllerConfig": { "affinity": { "nodeAffinity": {} } } }),
        json!({ "controllerConfig": { "labels": { "a": "b" } } }),
        json!({ "controllerConfig": { "image": "a" } }),
        json!({ "controllerConfig": { "livenessProbe": { "periodSeconds": 20 } } }),
        json!({ "controllerConfig": { "readinessProbe": { "periodSeconds": 5 } } }),
        json!({ "controllerConfig": { "replicas": 1 } }),
        json!({ "speakerConfig": { "labels": { "a": "b", "app": "of no effect" } } }),
        json!({ "speakerConfig": { "image": "a" } }),
        json!({ "speakerConfig": { "readinessProbe": { "timeoutSeconds": 5 } } }),
        json!({ "speakerConfig": { "updateStrategy": { "type": "OnDelete" } } }),
        json!({ "speakerConfig": { "updateStrategy": { "rollingUpdate": { "maxUnavailable": 5 } } } }),
        json!({ "speakerConfig": { "excludeInterfaces": ["^eth\"1$"] } }),
        json!({ "speakerConfig": { "excludeInterfaces": [] } }),
        json!({ "speakerConfig": { "ignoreExcludeLB": true } }),
        json!({ "speakerConfig": { "memberlist": { "bindPort": 9122 } } }),
        json!({ "speakerConfig": { "memberlist": { "wanConfig": true } } }),
        json!({ "monitoring": { "labels": { "a": "without monitors there is nothing to label" } } }),
        json!({ "monitoring": { "type": "ServiceMonitor" } }),
        json!({ "monitoring": { "type": "PodMonitor" } }),
        json!({ "networkPolicies": { "enabled": false } }),
        json!({ "networkPolicies": { "apiServer": "Addresses" } }),
    ]
}

#[test]
fn each_option_changes_what_it_is_for() {
    let mut told = Vec::new();
    let kubernetes = settings();
    let openshift = Settings {
        platform: Platform::OpenShift,
        ..settings()
    };
    let defaults = [&kubernetes, &openshift].map(|it| render_with(it, json!({})));
    for option in options() {
        told.push(option.to_string());
        let on = [(&kubernetes, &defaults[0]), (&openshift, &defaults[1])]
            .map(|(settings, default)| changes(default, &render_with(settings, option.clone())));
        told.extend(on[0].iter().map(|line| format!("  {line}")));
        if on[0] != on[1] {
            told.push("  on OpenShift:".to_owned());
            told.extend(on[1].iter().map(|line| format!("    {line}")));
        }
    }
    insta::assert_snapshot!(told.join("\n"));
}

/// What the environment asks for; the object's own wins, whatever it says.
#[test]
fn the_object_wins_over_the_environment() {
    let environment = |variables: &[(&str, &str)]| {
        let required = [
            ("OPERATOR_NAMESPACE", "metallb-system"),
            ("CONTROLLER_IMAGE", "metallb:dev"),
            ("SPEAKER_IMAGE", "metallb:dev"),
            ("FRRK8S_EXTERNAL_NAMESPACE", "frr-k8s-system"),
        ];
        let all = [&required, variables].concat();
        let find = |name: &str| all.iter().rfind(|(n, _)| *n == name);
        Settings::parse(|name| find(name).map(|(_, value)| (*value).to_owned())).expect("settings")
    };
    let plain = environment(&[]);
    for (variable, same, back) in [
        (
            ("DEPLOY_SERVICEMONITORS", "true"),
            json!({ "monitoring": { "type": "ServiceMonitor" } }),
            json!({ "monitoring": { "type": "None" } }),
        ),
        (
            ("DEPLOY_PODMONITORS", "true"),
            json!({ "monitoring": { "type": "PodMonitor" } }),
            json!({ "monitoring": { "type": "None" } }),
        ),
        (
            ("DISABLE_NETWORK_POLICIES", "true"),
            json!({ "networkPolicies": { "enabled": false } }),
            json!({ "networkPolicies": { "enabled": true } }),
        ),
        (
            ("MEMBER_LIST_BIND_PORT", "9122"),
            json!({ "speakerConfig": { "memberlist": { "bindPort": 9122 } } }),
            json!({ "speakerConfig": { "memberlist": { "bindPort": 7946 } } }),
        ),
        (
            ("SPEAKER_IMAGE", "another"),
            json!({ "speakerConfig": { "image": "another" } }),
            json!({ "speakerConfig": { "image": "metallb:dev" } }),
        ),
    ] {
        let told = environment(&[variable]);
        let by_environment = render_with(&told, json!({}));
        assert_eq!(by_environment, render_with(&plain, same), "{variable:?}");
        let default = render_with(&plain, json!({}));
        assert_ne!(by_environment, default, "{variable:?} has an effect");
        assert_eq!(render_with(&told, back), default, "{variable:?}");
    }
}

#[test]
fn monitors_of_each_kind() {
    let kinds = |of: &str| {
        let spec = json!({ "bgpBackend": "frr-k8s", "monitoring": {
            "type": of, "labels": { "release": "prometheus", "app": "of no effect" },
        } });
        let default = render_spec(json!({}));
        let mut objects = render_spec(spec);
        objects.retain(|it| default.iter().all(|other| it.key != other.key));
        documents(&objects)
    };
    insta::assert_snapshot!("service_monitors", kinds("ServiceMonitor"));
    insta::assert_snapshot!("pod_monitors", kinds("PodMonitor"));
}

/// A monitor that finds nothing is the commonest mistake of all.
#[test]
fn monitors_select_what_is_there() {
    for backend in ["native", "frr", "frr-k8s", "frr-k8s-external"] {
        for of in ["ServiceMonitor", "PodMonitor"] {
            let spec = json!({ "bgpBackend": backend, "monitoring": { "type": of } });
            let objects = render_spec(spec);
            for (component, kind) in [
                ("controller", Kind::Deployment),
                ("speaker", Kind::DaemonSet),
            ] {
                let template = manifest(&objects, kind, component)["spec"]["template"].clone();
                let of_services = of == "ServiceMonitor";
                let monitor = if of_services {
                    manifest(
                        &objects,
                        Kind::ServiceMonitor,
                        &format!("{component}-monitor"),
                    )
                } else {
                    manifest(&objects, Kind::PodMonitor, component)
                };
                let mut wanted = monitor["spec"]["selector"]["matchLabels"].clone();
                let endpoints = if of_services {
                    let name = format!("{component}-monitor-service");
                    let service = manifest(&objects, Kind::Service, &name);
                    assert_has(&service["metadata"]["labels"], &wanted);
                    wanted = service["spec"]["selector"].clone();
                    let ports = service["spec"]["ports"].to_string();
                    let endpoints = monitor["spec"]["endpoints"].clone();
                    for endpoint in endpoints.as_array().expect("endpoints") {
                        assert!(ports.contains(&endpoint["port"].to_string()), "{ports}");
                    }
                    service["spec"]["ports"].clone()
                } else {
                    monitor["spec"]["podMetricsEndpoints"].clone()
                };
                assert_has(&template["metadata"]["labels"], &wanted);
                let container = &template["spec"]["containers"][0];
                for endpoint in endpoints.as_array().expect("endpoints") {
                    let served = if of_services {
                        let args = container["args"].to_string();
                        args.contains(&format!("port={}\"", endpoint["port"]))
                    } else {
                        let ports = container["ports"].as_array().expect("ports");
                        let moved = endpoint["relabelings"][0]["replacement"].as_str();
                        let moved = moved.map(|it| it.replace("$1:", "port="));
                        ports.iter().any(|it| it["name"] == endpoint["port"])
                            && moved.is_none_or(|port| {
                                container["args"].to_string().contains(&format!("{port}\""))
                            })
                    };
                    assert!(served, "{backend} {of} {component}: {endpoint}");
                }
            }
        }
    }
}

fn assert_has(labels: &Value, wanted: &Value) {
    let wanted = wanted.as_object().expect("labels");
    assert!(!wanted.is_empty());
    for (key, value) in wanted {
        assert_eq!(&labels[key], value);
    }
}
