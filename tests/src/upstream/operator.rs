//! What MetalLB's own operator leaves on a cluster, made from its Go module: the manifest that
//! installs it, and the operands that its charts make, under its field manager. It does not build
//! from the module, so its part is played by `kubectl` and `helm`.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::module;
use crate::{Kubectl, helm, product::NAMESPACE};

/// Its newest release, which writes as [`MANAGER`].
pub const VERSION: &str = "v0.14.2";
/// Who owns the fields of its operands: it was called by the name of its program.
pub const MANAGER: &str = "manager";

/// The manifest that installs it.
pub fn manifest(kubectl: &Kubectl) -> Result<Vec<Value>> {
    let manifest = file("bin/metallb-operator.yaml")?;
    let manifest = std::fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    kubectl.parse(&manifest)
}

/// What it makes for the `MetalLB` object of this uid: with the backend and, since that is where it
/// leaves most, with kube-rbac-proxies.
pub fn operands(kubectl: &Kubectl, uid: &str, backend: &str) -> Result<Vec<Value>> {
    let mut charts = vec![("metallb", metallb_values(backend))];
    if backend == "frr-k8s" {
        charts.insert(0, ("frr-k8s", frr_k8s_values()));
    }
    let mut all = Vec::new();
    for (chart, values) in charts {
        let folder = file(&format!("bindata/deployment/helm/{chart}"))?;
        let folder = folder.to_str().context("a path in UTF-8")?;
        let template = ["template", chart, folder, "-n", NAMESPACE, "-f", "-"];
        let made = helm()?.output(&template, &values.to_string())?;
        all.extend(kubectl.parse(&made)?);
    }
    let owner = json!([{
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "name": "metallb", "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    // It skips roles, and does not mind that an owner of the cluster's objects means nothing.
    all.retain(|it| it["kind"] != "Role" && it["kind"] != "RoleBinding");
    for object in &mut all {
        object["metadata"]["ownerReferences"] = owner.clone();
    }
    Ok(all)
}

fn metallb_values(backend: &str) -> Value {
    let account = |name: &str| json!({ "create": false, "name": name });
    json!({
        "prometheus": prometheus(9120),
        "controller": {
            "serviceAccount": account("controller"),
            "webhookMode": "disabled",
            "image": { "tag": super::VERSION },
        },
        "speaker": {
            "serviceAccount": account("speaker"),
            "command": "/speaker",
            "frr": { "enabled": backend == "frr" },
            "image": { "tag": super::VERSION },
        },
        "frrk8s": { "enabled": backend == "frr-k8s" },
    })
}

fn frr_k8s_values() -> Value {
    json!({
        "prometheus": prometheus(9140),
        "frrk8s": { "serviceAccount": { "create": false, "name": "frr-k8s-daemon" } },
    })
}

fn prometheus(secure_port: u16) -> Value {
    // The two names are required and unused.
    json!({ "secureMetricsPort": secure_port, "serviceAccount": "foo", "namespace": "bar" })
}

fn file(name: &str) -> Result<std::path::PathBuf> {
    let folder = module(&format!("github.com/metallb/metallb-operator@{VERSION}"))?;
    Ok(folder.join(name))
}
