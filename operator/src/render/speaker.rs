//! The speaker: who it is, what it may do, and its `DaemonSet`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use metallb_crds::v1beta1::{UpdateStrategy, UpdateStrategyType};
use serde_json::{Value, json};

use super::{Component, Inputs, openshift, pod, rules, shared};
use crate::frr_k8s;
use crate::object::{Kind, Object};
use crate::settings::Ports;

pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    let mut namespaced = rules::speaker_namespaced(inputs.password_secrets);
    if inputs.uid.is_none() {
        namespaced.push(rules::any_password());
    }
    if openshift::is_it(inputs) {
        namespaced.push(rules::uses(openshift::SCC));
    }
    let mut objects = Vec::from(inputs.account(
        Component::Speaker,
        "speaker",
        &rules::speaker_cluster(inputs.writes_for_frr_k8s),
        &namespaced,
    ));
    let config = inputs.spec.speaker_config.as_ref();
    objects.push(pod::labelled(
        inputs.object(
            Kind::DaemonSet,
            Component::Speaker,
            "speaker",
            daemon_set(inputs),
        ),
        config.map(|config| &config.pods),
    ));
    objects
}

fn daemon_set(inputs: &Inputs<'_>) -> Value {
    let spec = inputs.spec;
    let own = spec.speaker_config.as_ref();
    let config = own.map(|own| &own.pods);
    let mut template = pod::template(inputs, Component::Speaker, config);
    pod::merge(
        &mut template["spec"],
        json!({
            "serviceAccountName": "speaker",
            "hostNetwork": true,
            "nodeSelector": pod::on_linux(&spec.node_selector),
            "tolerations": tolerations(inputs),
            // Root, since Kubernetes gives a capability to nobody else.
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "speaker",
                "image": inputs.settings.images.speaker,
                "terminationMessagePolicy": pod::LAST_WORDS,
                "command": ["/speaker"],
                "args": args(inputs),
                "env": env(inputs),
                "ports": ports(inputs),
                "livenessProbe": pod::liveness(inputs.settings.ports.probes, Some("127.0.0.1"), config),
                "readinessProbe": pod::readiness(inputs.settings.ports.probes, Some("127.0.0.1"), config),
                "resources": pod::resources(config, &json!({ "cpu": "20m", "memory": "20Mi" })),
                "securityContext": pod::confined_as(0, capabilities(inputs)),
                "volumeMounts": [
                    { "name": "memberlist", "mountPath": MEMBERLIST_PATH, "readOnly": true },
                    { "name": "excludel2", "mountPath": "/etc/metallb", "readOnly": true },
                    {
                        "name": "memberlist-config",
                        "mountPath": "/etc/metallb/memberlist",
                        "readOnly": true,
                    },
                ],
            }],
            "volumes": [
                { "name": "memberlist", "secret": { "secretName": inputs.memberlist_secret() } },
                { "name": "excludel2", "configMap": { "name": shared::EXCLUDE_L2 } },
                // The user's own, with the pace of the heartbeats.
                {
                    "name": "memberlist-config",
                    "configMap": { "name": "metallb-memberlist-config", "optional": true },
                },
            ],
        }),
    );
    annotate(inputs, &mut template["metadata"]["annotations"]);
    openshift::serve(inputs, Component::Speaker, &mut template);
    json!({
        "spec": {
            "revisionHistoryLimit": 3,
            // A speaker that is back waits for two seconds before it takes its addresses, and its
            // sessions take a moment: until then its neighbours must not go.
            "minReadySeconds": 5,
            "selector": { "matchLabels": pod::labels(Component::Speaker) },
            "updateStrategy": update_strategy(own.and_then(|own| own.update_strategy.as_ref())),
            "template": template,
        },
    })
}

/// One node at a time unless it is asked otherwise, so that the others can take its addresses
/// meanwhile.
fn update_strategy(asked: Option<&UpdateStrategy>) -> Value {
    if asked.and_then(|it| it.type_) == Some(UpdateStrategyType::OnDelete) {
        return json!({ "type": "OnDelete" });
    }
    let most = asked
        .and_then(|it| it.rolling_update.as_ref())
        .and_then(|it| it.max_unavailable.clone());
    json!({
        "type": "RollingUpdate",
        "rollingUpdate": { "maxUnavailable": most.unwrap_or(IntOrString::Int(1)) },
    })
}

/// What pods are to be replaced for, though nothing else of them changes: speakers read it when they
/// start. And what OpenShift wants to be told.
fn annotate(inputs: &Inputs<'_>, annotations: &mut Value) {
    let own = inputs.spec.speaker_config.as_ref();
    if let Some(excluded) = own.and_then(|own| own.exclude_interfaces.as_ref()) {
        annotations["metallb.io/exclude-interfaces"] = excluded.join(" ").into();
    }
    if openshift::is_it(inputs) {
        annotations[openshift::REQUIRED_SCC] = openshift::SCC.into();
    }
}

/// Speakers also run on control-plane nodes, as upstream's do.
fn tolerations(inputs: &Inputs<'_>) -> Vec<Value> {
    let own = [
        "node-role.kubernetes.io/master",
        "node-role.kubernetes.io/control-plane",
    ]
    .map(|key| json!({ "key": key, "operator": "Exists", "effect": "NoSchedule" }));
    own.into_iter()
        .chain(inputs.spec.speaker_tolerations.iter().map(|t| json!(t)))
        .collect()
}

fn ports(inputs: &Inputs<'_>) -> Vec<Value> {
    let mut ports = vec![
        json!({ "name": "metricshttps", "containerPort": inputs.settings.ports.metrics }),
        json!({
            "name": "memberlist-udp",
            "containerPort": inputs.settings.ports.memberlist,
            "protocol": "UDP",
        }),
    ];
    // That of frr-k8s is not said: upstream's own pods of it, as long as there are some, have it on
    // the node's network, and no speaker would be started beside them.
    let port = inputs.settings.ports.frr_metrics;
    if bgp_type(inputs) == Some("frr") && port != 0 {
        ports.push(json!({ "name": "frrmetricshttps", "containerPort": port }));
    }
    ports
}

/// `NET_RAW` is all it has, unless it is to listen on a port that is not for everybody.
pub(super) fn capabilities(inputs: &Inputs<'_>) -> &'static [&'static str] {
    match inputs.settings.ports.bgp {
        Some(..1024) => &["NET_BIND_SERVICE", "NET_RAW"],
        _ => &["NET_RAW"],
    }
}

fn args(inputs: &Inputs<'_>) -> Vec<String> {
    let mut args = pod::common_args(inputs);
    let settings = inputs.settings;
    match settings.backend(inputs.spec) {
        "native" | "frr-k8s-external" => {}
        "frr-k8s" => {
            args.push(frr_metrics_port(settings.ports.frr_k8s_metrics));
            let own = settings.ports.frr_k8s_own_metrics;
            let is_said = own != Ports::default().frr_k8s_own_metrics;
            args.extend(is_said.then(|| format!("--frrk8s-metrics-port={own}")));
        }
        _ => args.push(frr_metrics_port(settings.ports.frr_metrics)),
    }
    let own = inputs.spec.speaker_config.as_ref();
    if own.and_then(|own| own.ignore_exclude_lb) == Some(true) {
        args.push("--ignore-exclude-lb".to_owned());
    }
    let memberlist = own.and_then(|own| own.memberlist.as_ref());
    if memberlist.and_then(|it| it.wan_config) == Some(true) {
        args.push("--ml-wan-config".to_owned());
    }
    let listen = settings.ports.bgp;
    args.extend(listen.map(|port| format!("--bgp-listen-port={port}")));
    // Both flags mean something to an FRR-K8s of somebody else's alone.
    if settings.is_external(inputs.spec) {
        let config = inputs.spec.frrk8s_config.as_ref();
        let namespace = frr_k8s::namespace(inputs.spec, settings.frr_k8s_namespace.as_deref());
        args.extend(namespace.map(|namespace| format!("--frrk8s-namespace={namespace}")));
        if config.and_then(|config| config.secret_passthrough) == Some(true) {
            args.push("--frrk8s-secret-passthrough".to_owned());
        }
    }
    args
}

fn env(inputs: &Inputs<'_>) -> Vec<Value> {
    let mut env = vec![
        pod::field_env("METALLB_NODE_NAME", "spec.nodeName"),
        pod::field_env("METALLB_HOST", "status.hostIP"),
        pod::field_env("METALLB_ML_BIND_ADDR", "status.podIP"),
        pod::env("METALLB_ML_LABELS", "app=metallb,component=speaker"),
        pod::env(
            "METALLB_ML_BIND_PORT",
            &inputs.settings.ports.memberlist.to_string(),
        ),
        pod::env("METALLB_ML_SECRET_KEY_PATH", MEMBERLIST_PATH),
        pod::field_env("METALLB_POD_NAME", "metadata.name"),
    ];
    env.extend(bgp_type(inputs).map(|name| pod::env("METALLB_BGP_TYPE", name)));
    env
}

fn frr_metrics_port(port: u16) -> String {
    format!("--frr-metrics-port={port}")
}

/// Which of upstream's backends to be like; native is said by saying nothing.
fn bgp_type(inputs: &Inputs<'_>) -> Option<&'static str> {
    match inputs.settings.backend(inputs.spec) {
        "native" => None,
        "frr-k8s" | "frr-k8s-external" => Some("frr-k8s"),
        _ => Some("frr"),
    }
}

const MEMBERLIST_PATH: &str = "/etc/ml_secret_key";
