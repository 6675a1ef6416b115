//! What the pods of controller, speaker and operator have in common.

use std::collections::BTreeMap;

use metallb_crds::names::HEARTBEATS;
use metallb_crds::v1beta1::{Config, LogLevel, ProbeConfig};
use serde_json::{Value, json};

use super::{Component, Inputs};
use crate::object::Object;

/// The labels that a component's selector picks its pods by. Selectors are immutable: these are
/// upstream's, and stay.
pub(super) fn labels(component: Component) -> Value {
    json!({ "app": "metallb", "component": component.name() })
}

/// Has the kubelet keep the end of a failed program's log, which the status then shows.
pub(super) const LAST_WORDS: &str = "FallbackToLogsOnError";

/// A pod template with what the user sets by [`Config`]; the component adds the rest.
pub(super) fn template(
    inputs: &Inputs<'_>,
    component: Component,
    config: Option<&Config>,
) -> Value {
    let mut annotations = config.map(|c| c.annotations.clone()).unwrap_or_default();
    if component == Component::Speaker {
        annotations.insert(HEARTBEATS.to_owned(), "ring".to_owned());
    }
    let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    let priority = config.and_then(|c| non_empty(c.priority_class_name.as_deref()));
    // A node under pressure shall not lose its addresses first. Upstream gives no class.
    let usual = (component == Component::Speaker).then_some("system-node-critical");
    let mut all = json!(config.map(|c| c.labels.clone()).unwrap_or_default());
    merge(&mut all, labels(component));
    let secrets = &inputs.spec.image_pull_secrets;
    json!({
        "metadata": { "labels": all, "annotations": annotations },
        "spec": {
            "imagePullSecrets": Some(secrets).filter(|all| !all.is_empty()),
            // Enough to hand over the addresses, the Lease and what is being written.
            "terminationGracePeriodSeconds": 30,
            "priorityClassName": priority.or(usual),
            "runtimeClassName": config.and_then(|c| non_empty(c.runtime_class_name.as_deref())),
            "affinity": config.and_then(|c| c.affinity.as_ref()),
        },
    })
}

/// A workload with the labels that the user wants on it, too; ours win.
pub(super) fn labelled(mut workload: Object, config: Option<&Config>) -> Object {
    let mut labels = json!(config.map(|c| c.labels.clone()).unwrap_or_default());
    let own = &mut workload.manifest["metadata"]["labels"];
    merge(&mut labels, own.take());
    *own = labels;
    workload
}

/// Adds the fields of `more` to `object`.
pub(super) fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// What the user wants for the main container, else `requests` without limits.
pub(super) fn resources(config: Option<&Config>, requests: &Value) -> Value {
    match config.and_then(|config| config.resources.as_ref()) {
        Some(resources) => json!(resources),
        None => json!({ "requests": requests }),
    }
}

/// The flags that controller and speaker share.
pub(super) fn common_args(inputs: &Inputs<'_>) -> Vec<String> {
    let mut args = vec![
        format!("--port={}", inputs.settings.ports.metrics),
        format!("--health-probe-port={}", inputs.settings.ports.probes),
        format!("--log-level={}", log_level(inputs.spec.log_level)),
    ];
    let class = non_empty(inputs.spec.load_balancer_class.as_deref());
    args.extend(class.map(|class| format!("--lb-class={class}")));
    let tls = &inputs.settings.tls;
    for (flag, value) in [
        ("--tls-min-version", &tls.min_version),
        ("--tls-cipher-suites", &tls.cipher_suites),
        ("--tls-curve-preferences", &tls.curve_preferences),
    ] {
        if !value.is_empty() {
            args.push(format!("{flag}={value}"));
        }
    }
    args
}

pub(super) fn env(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// An environment variable that the kubelet fills in. The version is the API server's default; a
/// reference is compared as a whole, so that without it two ways to apply would be in conflict.
pub(super) fn field_env(name: &str, path: &str) -> Value {
    let field = json!({ "apiVersion": "v1", "fieldPath": path });
    json!({ "name": name, "valueFrom": { "fieldRef": field } })
}

/// A process that does not answer for half a minute is started anew.
pub(super) fn liveness(port: u16, host: Option<&str>, config: Option<&Config>) -> Value {
    let mut probe = get("/healthz", port, host);
    merge(
        &mut probe,
        json!({
            "initialDelaySeconds": 10,
            "periodSeconds": 10,
            "timeoutSeconds": 1,
            "failureThreshold": 3,
        }),
    );
    asked(
        probe,
        config.and_then(|config| config.liveness_probe.as_ref()),
    )
}

/// Asked every second: a rollout waits for this, and nobody should wait for longer than needed.
pub(super) fn readiness(port: u16, host: Option<&str>, config: Option<&Config>) -> Value {
    let mut probe = get("/readyz", port, host);
    merge(
        &mut probe,
        json!({ "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 3 }),
    );
    asked(
        probe,
        config.and_then(|config| config.readiness_probe.as_ref()),
    )
}

/// `probe` with what the user wants of it otherwise; the API has the same names for that.
fn asked(mut probe: Value, config: Option<&ProbeConfig>) -> Value {
    merge(&mut probe, json!(config));
    probe
}

/// The security context of a pod that needs no rights on its node.
pub(super) fn as_nobody() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": 65534,
        "runAsGroup": 65534,
        "fsGroup": 65534,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// The security context of a container that writes nothing and has no capability but `add`.
pub(super) fn confined(add: &[&str]) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {
            "drop": ["ALL"],
            "add": Some(add).filter(|add| !add.is_empty()),
        },
    })
}

/// [`confined`], under the given user.
pub(super) fn confined_as(user: u32, add: &[&str]) -> Value {
    let mut context = confined(add);
    context["runAsUser"] = user.into();
    context
}

/// `selector`, and only Linux: the image is for nothing else.
pub(super) fn on_linux(selector: &BTreeMap<String, String>) -> Value {
    let mut selector = json!(selector);
    selector["kubernetes.io/os"] = "linux".into();
    selector
}

fn get(path: &str, port: u16, host: Option<&str>) -> Value {
    json!({ "httpGet": { "path": path, "port": port, "host": host } })
}

fn log_level(level: Option<LogLevel>) -> &'static str {
    match level {
        Some(LogLevel::All) => "all",
        Some(LogLevel::Debug) => "debug",
        None | Some(LogLevel::Info) => "info",
        Some(LogLevel::Warn) => "warn",
        Some(LogLevel::Error) => "error",
        Some(LogLevel::None) => "none",
    }
}

/// Upstream's types take an empty text for "not set".
fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
