//! The product through OLM, as a user has it: what is applied, and what is waited for.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{NAMESPACE, catalog_image};
use crate::{Kubectl, eventually, product};

/// Applies what has OLM install the package from our catalogue: the namespace, the catalogue,
/// which is looked at every few seconds, an `OperatorGroup` for it, and a Subscription.
pub fn subscribe(kubectl: &Kubectl) -> Result<()> {
    for object in objects() {
        kubectl.apply(&object.to_string())?;
    }
    Ok(())
}

/// Waits until OLM has installed a version, and its operator runs.
pub fn succeeded(kubectl: &Kubectl, version: &str) -> Result<()> {
    let name = format!("metallb-operator.v{version}");
    let get = ["-n", product::NAMESPACE, "get", "csv", &name];
    // A CSV is as large as a bundle: it is watched rather than read again and again.
    let csv = format!("csv/{name}");
    let phase = "--for=jsonpath={.status.phase}=Succeeded";
    let wait = [
        "-n",
        product::NAMESPACE,
        "wait",
        &csv,
        phase,
        "--timeout=10s",
    ];
    eventually(&format!("{name} has succeeded"), PATIENCE, || {
        if kubectl.output(&wait).is_ok() {
            return Ok(Ok(()));
        }
        let status = &kubectl.json(&get)?["status"];
        Ok(Err(format!("{}: {}", status["phase"], status["message"])))
    })
}

/// Waits until all controllers and speakers run from that image, and the object says so.
pub fn runs(kubectl: &Kubectl, image: &str) -> Result<()> {
    let pods = ["-n", product::NAMESPACE, "get", "pods", "-l", "app=metallb"];
    eventually(&format!("everything runs from {image}"), PATIENCE, || {
        let list = kubectl.json(&pods)?;
        let all = list["items"].as_array().cloned().unwrap_or_default();
        let is_right = |pod: &Value| {
            pod["spec"]["containers"][0]["image"] == image
                && pod["status"]["containerStatuses"][0]["ready"] == true
        };
        let right = all.iter().filter(|pod| is_right(pod)).count();
        Ok(if !all.is_empty() && right == all.len() {
            Ok(())
        } else {
            Err(format!("{right} of {} pods", all.len()))
        })
    })?;
    let progressing = ["--for=condition=Progressing=False", "--timeout=60s"];
    let wait = ["-n", product::NAMESPACE, "wait", "metallb/metallb"];
    kubectl.output(&[&wait[..], &progressing].concat())?;
    product::available(kubectl)
}

fn objects() -> [Value; 4] {
    let ours = product::NAMESPACE;
    [
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": ours,
                "labels": { "pod-security.kubernetes.io/enforce": "privileged" },
            },
        }),
        json!({
            "apiVersion": "operators.coreos.com/v1alpha1", "kind": "CatalogSource",
            "metadata": { "name": "metallb", "namespace": NAMESPACE },
            "spec": {
                "sourceType": "grpc",
                "image": catalog_image(),
                "grpcPodConfig": { "securityContextConfig": "restricted" },
                "updateStrategy": { "registryPoll": { "interval": "10s" } },
            },
        }),
        json!({
            "apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup",
            "metadata": { "name": "metallb", "namespace": ours },
            "spec": { "targetNamespaces": [ours] },
        }),
        json!({
            "apiVersion": "operators.coreos.com/v1alpha1", "kind": "Subscription",
            "metadata": { "name": "metallb-operator", "namespace": ours },
            "spec": {
                "source": "metallb", "sourceNamespace": NAMESPACE,
                "name": "metallb-operator", "channel": "stable",
            },
        }),
    ]
}

/// For images that are pulled, a catalogue that is looked at, and nodes that follow each other. From a
/// new catalogue to a version that has succeeded it takes 50 s on two idle processors, and several
/// times as long on busy ones: OLM starts a pod each time that it looks.
const PATIENCE: Duration = Duration::from_mins(6);
