//! What tells the Prometheus operator to scrape MetalLB, on request.

use metallb_crds::v1beta1::MonitorType;
use serde_json::{Value, json};

use super::rules::{METRICS_TOKEN, cluster_name, finds_pods, reads_metrics};
use super::{Component, Inputs, openshift, pod};
use crate::object::{Kind, Object};
use crate::platform::Platform;

/// Monitors of both components, what they need, and the right of one Prometheus to find the pods.
pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    let of_pods = inputs.settings.monitors == MonitorType::PodMonitor;
    let mut objects = Vec::new();
    if inputs.settings.monitors != MonitorType::None {
        objects.extend(prometheus(inputs));
        if of_pods {
            objects.extend(reader(inputs));
        }
    }
    for component in [Component::Controller, Component::Speaker] {
        let scraped = scraped(inputs, component);
        let by_service = inputs.settings.monitors == MonitorType::ServiceMonitor;
        // On OpenShift certificates are made for Services.
        if by_service || openshift::certifies(inputs) {
            objects.push(service(inputs, component, &scraped));
        }
        match inputs.settings.monitors {
            MonitorType::None => {}
            MonitorType::ServiceMonitor => {
                objects.push(service_monitor(inputs, component, &scraped));
            }
            MonitorType::PodMonitor => objects.push(pod_monitor(inputs, component, &scraped)),
        }
    }
    objects
}

/// A port with metrics.
struct Scraped {
    port: &'static str,
    number: u16,
    /// Pods say that they have it.
    is_said: bool,
    /// Other names for what is scraped.
    relabelings: Value,
}

/// The ports of one component.
fn scraped(inputs: &Inputs<'_>, component: Component) -> Vec<Scraped> {
    let ports = inputs.settings.ports;
    let mut all = vec![Scraped {
        port: "metricshttps",
        number: ports.metrics,
        is_said: true,
        relabelings: Value::Null,
    }];
    if component == Component::Speaker {
        all.extend(of_bgp(inputs));
    }
    all
}

/// The port that metrics of BGP sessions have of their own. Those of frr-k8s are stored by the names
/// of MetalLB's, as upstream's manifests have it.
fn of_bgp(inputs: &Inputs<'_>) -> Option<Scraped> {
    let ports = inputs.settings.ports;
    let (number, relabelings) = match inputs.settings.backend(inputs.spec) {
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
    // Without a port of its own it is on the other one.
    (number != 0).then_some(Scraped {
        port: "frrmetricshttps",
        number,
        is_said: relabelings.is_null(),
        relabelings,
    })
}

fn service(inputs: &Inputs<'_>, component: Component, scraped: &[Scraped]) -> Object {
    let name = service_name(component);
    let ports = scraped
        .iter()
        .map(|it| json!({ "name": it.port, "port": it.number, "targetPort": it.number }));
    let body = json!({
        "spec": {
            "selector": pod::labels(component),
            "clusterIP": "None",
            "ports": ports.collect::<Vec<_>>(),
        },
    });
    let mut service = inputs.object(Kind::Service, component, &name, body);
    service.manifest["metadata"]["labels"]["name"] = name.as_str().into();
    openshift::certify(inputs, component, &mut service);
    service
}

fn service_monitor(inputs: &Inputs<'_>, component: Component, scraped: &[Scraped]) -> Object {
    let endpoints = scraped.iter().map(|it| {
        let mut endpoint = endpoint(inputs, component, it);
        let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        endpoint["bearerTokenFile"] = token.into();
        endpoint["honorLabels"] = true.into();
        endpoint
    });
    let body = json!({
        "spec": {
            "endpoints": endpoints.collect::<Vec<_>>(),
            "jobLabel": "component",
            "namespaceSelector": { "matchNames": [inputs.settings.namespace] },
            "selector": { "matchLabels": { "name": service_name(component) } },
        },
    });
    let name = format!("{}-monitor", component.name().unwrap_or_default());
    labelled(
        inputs,
        inputs.object(Kind::ServiceMonitor, component, &name, body),
    )
}

/// Prometheus shows a token of ours: of its own file it can be forbidden to make use here.
fn pod_monitor(inputs: &Inputs<'_>, component: Component, scraped: &[Scraped]) -> Object {
    let endpoints = scraped.iter().map(|it| {
        let mut endpoint = endpoint(inputs, component, it);
        endpoint["path"] = "/metrics".into();
        if !it.is_said {
            // By the port that is, since Prometheus finds no other.
            endpoint["port"] = "metricshttps".into();
            endpoint["relabelings"] = json!([{
                "sourceLabels": ["__address__"],
                "regex": "(.*):[0-9]+",
                "targetLabel": "__address__",
                "replacement": format!("$1:{}", it.number),
            }]);
        }
        endpoint["authorization"] = json!({
            "credentials": { "name": METRICS_TOKEN, "key": "token" },
        });
        endpoint
    });
    let body = json!({
        "spec": {
            "jobLabel": "component",
            "namespaceSelector": { "matchNames": [inputs.settings.namespace] },
            "podMetricsEndpoints": endpoints.collect::<Vec<_>>(),
            "selector": { "matchLabels": pod::labels(component) },
        },
    });
    let name = component.name().unwrap_or_default();
    labelled(
        inputs,
        inputs.object(Kind::PodMonitor, component, name, body),
    )
}

fn endpoint(inputs: &Inputs<'_>, component: Component, scraped: &Scraped) -> Value {
    let asked = inputs.spec.monitoring.as_ref();
    let interval = asked.and_then(|it| it.interval.as_deref());
    json!({
        "port": scraped.port,
        "interval": interval.filter(|it| !it.is_empty()).unwrap_or("30s"),
        "scheme": "https",
        "tlsConfig": openshift::trusted(inputs, &service_name(component))
            .unwrap_or_else(|| json!({ "insecureSkipVerify": true })),
        "metricRelabelings": scraped.relabelings,
    })
}

/// With the labels that a Prometheus chooses monitors by.
fn labelled(inputs: &Inputs<'_>, mut monitor: Object) -> Object {
    let labels = inputs.spec.monitoring.iter().flat_map(|it| &it.labels);
    for (key, value) in labels {
        let all = &mut monitor.manifest["metadata"]["labels"];
        if all[key].is_null() {
            all[key] = value.as_str().into();
        }
    }
    monitor
}

pub(super) fn service_name(component: Component) -> String {
    let component = component.name().unwrap_or_default();
    format!("{component}-monitor-service")
}

/// The Prometheus that kube-prometheus and OpenShift install, unless another one is named.
const PROMETHEUS: &str = "prometheus-k8s";

fn prometheus(inputs: &Inputs<'_>) -> [Object; 2] {
    let account = inputs
        .spec
        .monitoring
        .as_ref()
        .and_then(|it| it.prometheus.as_ref());
    let name = account.and_then(|it| it.service_account_name.as_deref());
    let namespace = account.and_then(|it| it.namespace.as_deref());
    let usual = match inputs.settings.platform {
        Platform::Kubernetes => "monitoring",
        Platform::OpenShift => "openshift-monitoring",
    };
    let (group, role, _) = Kind::Role.names();
    let object = |kind, body| inputs.object(kind, Component::Shared, PROMETHEUS, body);
    [
        object(Kind::Role, json!({ "rules": [finds_pods()] })),
        object(
            Kind::RoleBinding,
            json!({
                "roleRef": { "apiGroup": group, "kind": role, "name": PROMETHEUS },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": name.unwrap_or(PROMETHEUS),
                    "namespace": namespace.unwrap_or(usual),
                }],
            }),
        ),
    ]
}

/// An account that may read metrics and nothing else, with a token that does not end.
fn reader(inputs: &Inputs<'_>) -> [Object; 4] {
    let cluster_role = cluster_name(READER);
    let (group, role, _) = Kind::ClusterRole.names();
    let object = |kind, name: &str, body| inputs.object(kind, Component::Shared, name, body);
    let mut token = object(
        Kind::Secret,
        METRICS_TOKEN,
        json!({ "type": "kubernetes.io/service-account-token" }),
    );
    token.manifest["metadata"]["annotations"] =
        json!({ "kubernetes.io/service-account.name": READER });
    [
        object(Kind::ServiceAccount, READER, json!({})),
        object(
            Kind::ClusterRole,
            &cluster_role,
            json!({ "rules": [reads_metrics()] }),
        ),
        object(
            Kind::ClusterRoleBinding,
            &cluster_role,
            json!({
                "roleRef": { "apiGroup": group, "kind": role, "name": cluster_role },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": READER,
                    "namespace": inputs.settings.namespace,
                }],
            }),
        ),
        token,
    ]
}

const READER: &str = "metrics-reader";
