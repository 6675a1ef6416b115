//! `operator collect`: all that a report of a bug needs, as one text, without secrets.
//!
//! Secrets are never read, and what is called a password elsewhere is masked. What may not be read
//! is said in its place: a report with gaps is better than none.

use std::io::Write;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams};
use kube::{Client, ResourceExt as _};
use metallb_kit::client;
use serde_json::Value;

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
            Err(error) => format!("unknown: {error}"),
        };
        writeln!(
            out,
            "# MetalLB {VERSION}, Kubernetes {server}, namespace {namespace}"
        )?;
        for wanted in WANTED {
            let text = match list(&client, wanted, namespace).await {
                Ok(objects) => yaml::documents(&objects),
                Err(kube::Error::Api(status)) if status.code == 404 => "# no such kind\n".into(),
                Err(error) => format!("# cannot be read: {error}\n"),
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
        Err(error) => format!("# cannot be read: {error}"),
    }
}

/// Objects of one kind that say how MetalLB is doing.
#[derive(Clone, Copy)]
struct Wanted {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    /// All of them, or those in MetalLB's namespace.
    everywhere: bool,
}

async fn list(client: &Client, wanted: Wanted, namespace: &str) -> kube::Result<Vec<Value>> {
    let Wanted { group, version, .. } = wanted;
    let api_version = match group {
        "" => version.to_owned(),
        _ => format!("{group}/{version}"),
    };
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: wanted.kind.to_owned(),
        plural: wanted.plural.to_owned(),
    };
    let api: Api<DynamicObject> = if wanted.everywhere {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, &resource)
    };
    let objects = api.list(&ListParams::default()).await?;
    let is_wanted = |it: &Value| wanted.kind != "Service" || it["spec"]["type"] == "LoadBalancer";
    let values = objects.into_iter().map(|mut object| {
        object.managed_fields_mut().clear();
        // It says all once more, passwords too.
        object.annotations_mut().remove(LAST_APPLIED);
        let mut value = serde_json::to_value(object).expect("an object is JSON");
        mask(&mut value);
        value
    });
    Ok(values.filter(is_wanted).collect())
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

const fn ours(kind: &'static str, plural: &'static str) -> Wanted {
    Wanted {
        group: "metallb.io",
        version: "v1beta1",
        kind,
        plural,
        everywhere: false,
    }
}

const WANTED: [Wanted; 18] = [
    ours("MetalLB", "metallbs"),
    ours("IPAddressPool", "ipaddresspools"),
    ours("L2Advertisement", "l2advertisements"),
    ours("BGPAdvertisement", "bgpadvertisements"),
    Wanted {
        version: "v1beta2",
        ..ours("BGPPeer", "bgppeers")
    },
    ours("BFDProfile", "bfdprofiles"),
    ours("Community", "communities"),
    ours("ConfigurationState", "configurationstates"),
    ours("ServiceL2Status", "servicel2statuses"),
    ours("ServiceBGPStatus", "servicebgpstatuses"),
    ours("BGPSessionState", "bgpsessionstates"),
    Wanted {
        group: "frrk8s.metallb.io",
        everywhere: true,
        ..ours("FRRConfiguration", "frrconfigurations")
    },
    of_kubernetes("apps", "Deployment", "deployments"),
    of_kubernetes("apps", "DaemonSet", "daemonsets"),
    of_kubernetes("", "Pod", "pods"),
    of_kubernetes("", "Event", "events"),
    Wanted {
        everywhere: true,
        ..of_kubernetes("", "Service", "services")
    },
    Wanted {
        everywhere: true,
        ..of_kubernetes("", "Node", "nodes")
    },
];

const fn of_kubernetes(group: &'static str, kind: &'static str, plural: &'static str) -> Wanted {
    Wanted {
        group,
        version: "v1",
        ..ours(kind, plural)
    }
}

const OPERANDS: &str = "app=metallb";
const OPERATOR: &str = "control-plane=controller-manager";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
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
