//! `operator collect`: all that a report of a bug needs, as one text, without secrets.
//!
//! Secrets are never read, and what is called a password elsewhere is masked. What may not be read
//! is said in its place: a report with gaps is better than none.

use std::io::Write;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt as _};
use metallb_kit::client;
use metallb_kit::words::in_words;
use serde_json::Value;

use super::listing::{Listing, of_kubernetes, ours};
use crate::{VERSION, yaml};

/// Prints it. `namespace` is where MetalLB is.
pub(crate) fn collect(namespace: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = client::connect("metallb-collect", VERSION).await?;
        let mut out = std::io::stdout().lock();
        let server = match client.apiserver_version().await {
            Ok(version) => version.git_version,
            Err(error) => format!("unknown: {}", in_words(&error)),
        };
        writeln!(
            out,
            "# MetalLB {VERSION}, Kubernetes {server}, namespace {namespace}"
        )?;
        for wanted in WANTED {
            let text = match list(&client, wanted, namespace).await {
                Ok(objects) => yaml::documents(&objects),
                Err(kube::Error::Api(status)) if status.code == 404 => "# no such kind\n".into(),
                Err(error) => format!("# cannot be read: {}\n", in_words(&error)),
            };
            write!(out, "# {}\n{text}", wanted.plural)?;
        }
        let pods = Api::namespaced(client, namespace);
        for labels in [OPERANDS, OPERATOR] {
            logs(&pods, labels, &mut out).await?;
        }
        Ok(())
    })
}

/// The logs of pods with these labels.
async fn logs(pods: &Api<Pod>, labels: &str, out: &mut impl Write) -> Result<()> {
    let all = pods.list(&ListParams::default().labels(labels)).await;
    for pod in all.context("cannot list the pods of MetalLB")? {
        let name = pod.name_any();
        writeln!(out, "# log of {name}\n{}", log(pods, &name, false).await)?;
        let containers = pod
            .status
            .into_iter()
            .filter_map(|it| it.container_statuses);
        if containers.flatten().any(|it| it.restart_count > 0) {
            let log = log(pods, &name, true).await;
            writeln!(out, "# log of the same before its last restart\n{log}")?;
        }
    }
    Ok(())
}

async fn log(pods: &Api<Pod>, pod: &str, previous: bool) -> String {
    let params = LogParams {
        previous,
        tail_lines: Some(LINES),
        ..LogParams::default()
    };
    match pods.logs(pod, &params).await {
        Ok(log) => log,
        Err(error) => format!("# cannot be read: {}", in_words(&error)),
    }
}

/// Objects of one kind, without secrets.
async fn list(client: &Client, listing: Listing, namespace: &str) -> kube::Result<Vec<Value>> {
    let mut objects = listing.list(client, namespace).await?;
    let is_wanted = |it: &Value| listing.kind != "Service" || it["spec"]["type"] == "LoadBalancer";
    objects.retain(is_wanted);
    objects.iter_mut().for_each(mask);
    Ok(objects)
}

/// Hides what is called a password.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "password" && value.is_string() {
                    *value = "(masked)".into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// What says how MetalLB is doing.
const WANTED: [Listing; 18] = [
    ours("MetalLB", "metallbs"),
    ours("IPAddressPool", "ipaddresspools"),
    ours("L2Advertisement", "l2advertisements"),
    ours("BGPAdvertisement", "bgpadvertisements"),
    Listing {
        version: "v1beta2",
        ..ours("BGPPeer", "bgppeers")
    },
    ours("BFDProfile", "bfdprofiles"),
    ours("Community", "communities"),
    ours("ConfigurationState", "configurationstates"),
    ours("ServiceL2Status", "servicel2statuses"),
    ours("ServiceBGPStatus", "servicebgpstatuses"),
    ours("BGPSessionState", "bgpsessionstates"),
    Listing {
        group: "frrk8s.metallb.io",
        everywhere: true,
        ..ours("FRRConfiguration", "frrconfigurations")
    },
    of_kubernetes("apps", "Deployment", "deployments"),
    of_kubernetes("apps", "DaemonSet", "daemonsets"),
    of_kubernetes("", "Pod", "pods"),
    of_kubernetes("", "Event", "events"),
    Listing {
        everywhere: true,
        ..of_kubernetes("", "Service", "services")
    },
    Listing {
        everywhere: true,
        ..of_kubernetes("", "Node", "nodes")
    },
];

const OPERANDS: &str = "app=metallb";
const OPERATOR: &str = "control-plane=controller-manager";
/// Of each pod's log.
const LINES: i64 = 2000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        let mut peers = json!({
            "spec": {
                "password": "secret", "passwordSecret": { "name": "tor" },
                "routers": [{ "neighbors": [{ "password": "secret", "asn": 1 }] }],
            },
        });
        mask(&mut peers);
        assert!(!peers.to_string().contains("\"secret\""), "{peers}");
        assert_eq!(peers["spec"]["passwordSecret"]["name"], "tor");
        assert_eq!(peers["spec"]["routers"][0]["neighbors"][0]["asn"], 1);
    }
}
