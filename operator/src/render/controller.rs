//! The controller: who it is, what it may do, and its Deployment.

use metallb_admission::PORT;
use serde_json::{Value, json};

use super::{Component, Inputs, openshift, pod, rules};
use crate::object::{Kind, Object};

pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    let (mut cluster, mut namespaced) =
        (rules::controller_cluster(), rules::controller_namespaced());
    if inputs.uid.is_none() {
        cluster.push(rules::conversion());
        namespaced.extend(rules::memberlist(inputs.memberlist_secret(), DEPLOYMENT));
    }
    let mut objects =
        Vec::from(inputs.account(Component::Controller, "controller", &cluster, &namespaced));
    let config = inputs.spec.controller_config.as_ref();
    objects.push(pod::labelled(
        inputs.object(
            Kind::Deployment,
            Component::Controller,
            DEPLOYMENT,
            deployment(inputs),
        ),
        config.map(|config| &config.pods),
    ));
    objects
}

const DEPLOYMENT: &str = "controller";

/// Two replicas: one leads, the other takes over without waiting for an image or a node.
const REPLICAS: i32 = 2;

fn deployment(inputs: &Inputs<'_>) -> Value {
    let spec = inputs.spec;
    let own = spec.controller_config.as_ref();
    let config = own.map(|own| &own.pods);
    let mut template = pod::template(inputs, Component::Controller, config);
    pod::merge(
        &mut template["spec"],
        json!({
            "serviceAccountName": "controller",
            "nodeSelector": pod::on_linux(&spec.controller_node_selector),
            // An empty list is one that the API server drops, and a second apply would add again.
            "tolerations": Some(&spec.controller_tolerations).filter(|all| !all.is_empty()),
            // One lost node should not take both replicas with it, if there is a choice.
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": pod::labels(Component::Controller) },
            }],
            "securityContext": if openshift::is_it(inputs) {
                openshift::as_nobody()
            } else {
                pod::as_nobody()
            },
            "containers": [{
                "name": "controller",
                "image": inputs.settings.images.controller,
                "terminationMessagePolicy": pod::LAST_WORDS,
                "command": ["/controller"],
                "args": args(inputs),
                "env": env(inputs),
                "ports": [
                    { "name": "metricshttps", "containerPort": inputs.settings.ports.metrics },
                    { "name": "webhook-server", "containerPort": PORT },
                ],
                "livenessProbe": pod::liveness(inputs.settings.ports.probes, None, config),
                "readinessProbe": pod::readiness(inputs.settings.ports.probes, None, config),
                "resources": pod::resources(config, &json!({ "cpu": "10m", "memory": "20Mi" })),
                "securityContext": pod::confined(&[]),
            }],
        }),
    );
    openshift::serve(inputs, Component::Controller, &mut template);
    json!({
        "spec": {
            "replicas": own.and_then(|own| own.replicas).unwrap_or(REPLICAS),
            "revisionHistoryLimit": 3,
            // Then what does not come up is told of, and not before.
            "progressDeadlineSeconds": 120,
            "selector": { "matchLabels": pod::labels(Component::Controller) },
            "template": template,
        },
    })
}

fn args(inputs: &Inputs<'_>) -> Vec<String> {
    let mut args = pod::common_args(inputs);
    if inputs.uid.is_some() {
        // The operator converts, also when no controller runs.
        args.push("--register-conversion=false".to_owned());
    }
    args
}

fn env(inputs: &Inputs<'_>) -> Vec<Value> {
    let mut env = vec![pod::field_env("METALLB_POD_NAME", "metadata.name")];
    if inputs.uid.is_none() {
        // Nobody else makes that Secret; it goes with the Deployment.
        env.push(pod::env(
            "METALLB_ML_SECRET_NAME",
            inputs.memberlist_secret(),
        ));
        env.push(pod::env("METALLB_DEPLOYMENT", DEPLOYMENT));
    }
    env
}
