//! OLM on a cluster, and the name server that its parts find each other by.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{ARCHIVE, IMAGE, MANIFESTS, Olm};
use crate::{Cluster, Kubectl, eventually, plan};

/// The namespace of OLM itself, whose catalogues are for all namespaces.
pub const NAMESPACE: &str = "olm";

impl Olm {
    /// Installs OLM as its chart has it, and waits until it works.
    pub fn install(&self, cluster: &Cluster) -> Result<()> {
        cluster.load(&self.folder.join(ARCHIVE))?;
        let kubectl = cluster.admin();
        for object in name_server() {
            kubectl.apply(&object.to_string())?;
        }
        let manifests = fs::read_to_string(self.folder.join(MANIFESTS))
            .context("the build left no manifests of OLM")?;
        // The definitions come first, and take a moment to be served.
        eventually("the manifests of OLM are taken", PATIENCE, || {
            Ok(kubectl
                .apply(&manifests)
                .map_err(|error| format!("{error:#}")))
        })?;
        available(&kubectl, "kube-system", "dns")?;
        for deployment in ["olm-operator", "catalog-operator", "packageserver"] {
            available(&kubectl, NAMESPACE, deployment)?;
        }
        Ok(())
    }
}

fn available(kubectl: &Kubectl, namespace: &str, deployment: &str) -> Result<()> {
    let object = format!("deployment/{deployment}");
    let wait = [
        "-n",
        namespace,
        "wait",
        &object,
        "--for=condition=Available",
        "--timeout=60s",
    ];
    // OLM makes one of them itself.
    eventually(&format!("{object} is available"), PATIENCE, || {
        Ok(kubectl
            .output(&wait)
            .map(drop)
            .map_err(|error| format!("{error:#}")))
    })
}

/// `CoreDNS` with the names of Services.
fn name_server() -> Vec<Value> {
    let rbac = "rbac.authorization.k8s.io";
    let labels = json!({ "app": DNS });
    let metadata = json!({ "name": DNS, "namespace": "kube-system" });
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
            "metadata": { "name": "dns.tests" },
            "rules": [
                { "apiGroups": [""], "resources": ["services", "namespaces", "pods"],
                  "verbs": ["list", "watch"] },
                { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"],
                  "verbs": ["list", "watch"] },
            ],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding",
            "metadata": { "name": "dns.tests" },
            "roleRef": { "apiGroup": rbac, "kind": "ClusterRole", "name": "dns.tests" },
            "subjects": [
                { "kind": "ServiceAccount", "name": DNS, "namespace": "kube-system" },
            ],
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
            "data": { "Corefile": ".:5353 {\n errors\n kubernetes cluster.local\n}\n" },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "serviceAccountName": DNS,
                        "dnsPolicy": "Default",
                        "containers": [{
                            "name": DNS, "image": IMAGE,
                            "command": ["/bin/dns", "-conf", "/etc/dns/Corefile"],
                            "volumeMounts": [{ "name": "config", "mountPath": "/etc/dns" }],
                        }],
                        "volumes": [{ "name": "config", "configMap": { "name": DNS } }],
                    },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {
                "clusterIP": plan::DNS_SERVICE[0],
                "clusterIPs": plan::DNS_SERVICE,
                "ipFamilyPolicy": "RequireDualStack",
                "selector": labels,
                "ports": [
                    { "name": "udp", "port": 53, "targetPort": 5353, "protocol": "UDP" },
                    { "name": "tcp", "port": 53, "targetPort": 5353, "protocol": "TCP" },
                ],
            },
        }),
    ]
}

const DNS: &str = "dns";
/// Three programs start, and one of them starts a fourth.
const PATIENCE: Duration = Duration::from_mins(2);
