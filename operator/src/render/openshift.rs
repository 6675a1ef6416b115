//! What is so on OpenShift alone: who may run a speaker, and who certifies metrics.

use serde_json::{Value, json};

use super::{Component, Inputs};
use crate::object::{Kind, Object};
use crate::platform::Platform;

/// What pods of speakers may be like; without it none would be let in.
pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    if !is_it(inputs) {
        return Vec::new();
    }
    let any = json!({ "type": "RunAsAny" });
    let body = json!({
        "allowHostDirVolumePlugin": false,
        "allowHostIPC": false,
        "allowHostNetwork": true,
        "allowHostPID": false,
        "allowHostPorts": true,
        "allowPrivilegeEscalation": false,
        "allowPrivilegedContainer": false,
        "allowedCapabilities": super::speaker::capabilities(inputs),
        "defaultAddCapabilities": [],
        // The API wants it said; this is the least one.
        "priority": 0,
        "requiredDropCapabilities": ["ALL"],
        "readOnlyRootFilesystem": true,
        "fsGroup": any,
        "runAsUser": any,
        "seLinuxContext": any,
        "supplementalGroups": any,
        "seccompProfiles": ["runtime/default"],
        "volumes": ["configMap", "downwardAPI", "emptyDir", "projected", "secret"],
    });
    let kind = Kind::SecurityContextConstraints;
    vec![inputs.object(kind, Component::Speaker, SCC, body)]
}

/// The `SecurityContextConstraints` of speakers.
pub(super) const SCC: &str = "metallb-speaker";
/// On pods: which `SecurityContextConstraints` they want.
pub(super) const REQUIRED_SCC: &str = "openshift.io/required-scc";

pub(super) fn is_it(inputs: &Inputs<'_>) -> bool {
    inputs.settings.platform == Platform::OpenShift
}

/// Whether the cluster makes certificates for Services.
pub(super) fn certifies(inputs: &Inputs<'_>) -> bool {
    is_it(inputs)
}

/// Asks for a certificate of the Service in front of metrics.
pub(super) fn certify(inputs: &Inputs<'_>, component: Component, service: &mut Object) {
    if certifies(inputs) {
        service.manifest["metadata"]["annotations"] = json!({
            "service.beta.openshift.io/serving-cert-secret-name": secret(component),
        });
    }
}

/// Has a pod serve metrics with that certificate.
pub(super) fn serve(inputs: &Inputs<'_>, component: Component, template: &mut Value) {
    if !certifies(inputs) {
        return;
    }
    let spec = &mut template["spec"];
    let container = &mut spec["containers"][0];
    push(
        &mut container["args"],
        format!("--metrics-cert-dir={CERTIFICATE}").into(),
    );
    push(
        &mut container["volumeMounts"],
        json!({ "name": "metrics-certs", "mountPath": CERTIFICATE, "readOnly": true }),
    );
    push(
        &mut spec["volumes"],
        json!({ "name": "metrics-certs", "secret": { "secretName": secret(component) } }),
    );
}

/// Whom Prometheus is to trust: the cluster's authority, whose certificate is in every namespace. By
/// a ConfigMap, since a Prometheus for users refuses paths of files.
pub(super) fn trusted(inputs: &Inputs<'_>, service: &str) -> Option<Value> {
    certifies(inputs).then(|| {
        json!({
            "ca": { "configMap": { "name": "openshift-service-ca.crt", "key": "service-ca.crt" } },
            "serverName": format!("{service}.{}.svc", inputs.settings.namespace),
        })
    })
}

/// The security context of a pod that needs no rights on its node: the cluster chooses its user.
pub(super) fn as_nobody() -> Value {
    json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } })
}

fn secret(component: Component) -> String {
    format!("{}-certs-secret", component.name().unwrap_or_default())
}

fn push(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        _ => *list = json!([item]),
    }
}

const CERTIFICATE: &str = "/etc/metrics";
