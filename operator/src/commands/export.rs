//! `operator export`: the configuration as one file, from which it can be made again.
//!
//! It has what people wrote and nothing that the API server or MetalLB added. What objects name
//! comes before them, and the `MetalLB` object last: what it runs finds all the rest.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use kube::Client;
use metallb_kit::client;
use serde_json::{Map, Value};

use super::listing::{LAST_APPLIED, Listing, of_kubernetes, ours};
use crate::{VERSION, yaml};

/// What a configuration consists of, in the order in which it is made.
pub(crate) const KINDS: [Listing; 8] = [
    of_kubernetes("", "Secret", "secrets"),
    ours("Community", "communities"),
    ours("BFDProfile", "bfdprofiles"),
    Listing {
        version: "v1beta2",
        ..ours("BGPPeer", "bgppeers")
    },
    ours("IPAddressPool", "ipaddresspools"),
    ours("L2Advertisement", "l2advertisements"),
    ours("BGPAdvertisement", "bgpadvertisements"),
    ours("MetalLB", "metallbs"),
];

/// Prints it. `namespace` is where MetalLB is.
pub(crate) fn export(namespace: &str, with_secrets: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = client::connect("metallb-export", VERSION).await?;
        let mut objects = Vec::new();
        for listing in KINDS.iter().filter(|it| it.kind != "Secret") {
            match listing.list(&client, namespace).await {
                Ok(listed) => objects.extend(listed),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot list {}", listing.plural));
                }
            }
        }
        let mut secrets = Vec::new();
        if with_secrets {
            for name in password_secrets(&objects) {
                secrets.push(secret(&client, namespace, &name).await?);
            }
        }
        print!("{}", text(objects, secrets, with_secrets));
        Ok(())
    })
}

async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Value> {
    let [listing, ..] = KINDS;
    let api: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(client.clone(), namespace, &listing.resource());
    let read = api.get(name).await;
    let secret = read.with_context(|| format!("cannot read Secret {name}"))?;
    Ok(serde_json::to_value(secret)?)
}

/// The Secrets that peers name, each once.
fn password_secrets(objects: &[Value]) -> Vec<String> {
    let names = objects
        .iter()
        .filter_map(|it| it["spec"]["passwordSecret"]["name"].as_str());
    let once: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    once.into_iter().map(str::to_owned).collect()
}

/// The file, with a line in front for each secret that is not in it.
fn text(mut objects: Vec<Value>, secrets: Vec<Value>, with_secrets: bool) -> String {
    let mut text = format!("# The configuration of MetalLB, by operator export {VERSION}.\n");
    if !with_secrets {
        for name in password_secrets(&objects) {
            let _ = writeln!(text, "# Left out: Secret {name}. --with-secrets has it.");
        }
        for object in &mut objects {
            let name = object["metadata"]["name"].clone();
            let spec = object.get_mut("spec").and_then(Value::as_object_mut);
            let password = spec.and_then(|spec| spec.remove("password"));
            if password.is_some_and(|it| it != "") {
                let name = name.as_str().unwrap_or_default();
                let _ = writeln!(
                    text,
                    "# Left out: the password of BGPPeer {name}. --with-secrets has it."
                );
            }
        }
    }
    let all: Vec<Value> = secrets.into_iter().chain(objects).map(clean).collect();
    text + &yaml::documents(&all)
}

/// What somebody wrote of an object.
fn clean(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        if let Some(annotations) = metadata.get_mut("annotations") {
            annotations
                .as_object_mut()
                .map(|it| it.remove(LAST_APPLIED));
        }
        metadata.retain(|field, value| {
            let is_empty = value.as_object().is_some_and(Map::is_empty);
            ["name", "namespace", "labels", "annotations"].contains(&field.as_str()) && !is_empty
        });
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::check::files::parse;

    fn objects() -> Vec<Value> {
        let metadata = |name: &str| {
            json!({
                "name": name, "namespace": "metallb-system", "uid": "1", "resourceVersion": "7",
                "generation": 2, "creationTimestamp": "2026-11-28T19:16:54Z", "annotations": {},
                "labels": { "team": "web" }, "finalizers": ["metallb.io/operator"],
            })
        };
        vec![
            json!({
                "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": metadata("tor"),
                "spec": { "myASN": 64500, "password": "hidden" },
            }),
            json!({
                "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer", "metadata": metadata("top"),
                "spec": { "myASN": 64500, "passwordSecret": { "name": "top" } },
            }),
            json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
                "metadata": metadata("metallb"), "status": { "platform": "x" },
            }),
        ]
    }

    #[test]
    fn it_has_what_people_wrote_and_no_secrets() {
        let text = text(objects(), Vec::new(), false);
        assert!(text.contains("# Left out: Secret top."), "{text}");
        assert!(
            text.contains("# Left out: the password of BGPPeer tor."),
            "{text}"
        );
        let documents = parse("f", &text).expect("it is YAML");
        assert_eq!(documents.len(), 3);
        assert_eq!(documents[0].value["spec"], json!({ "myASN": 64500 }));
        assert_eq!(
            documents[2].value,
            json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
                "metadata": {
                    "name": "metallb", "namespace": "metallb-system", "labels": { "team": "web" },
                },
            })
        );
    }

    #[test]
    fn with_secrets_it_has_them_first() {
        let annotations = json!({ LAST_APPLIED: "once more" });
        let metadata = json!({ "name": "top", "annotations": annotations });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
        let text = text(objects(), vec![secret], true);
        assert!(
            !text.contains("Left out") && !text.contains("once more"),
            "{text}"
        );
        let documents = parse("f", &text).expect("it is YAML");
        assert_eq!(documents[0].value["kind"], "Secret");
        assert_eq!(documents[1].value["spec"]["password"], "hidden");
    }

    #[test]
    fn every_kind_of_the_configuration_is_in_it() {
        let is_written_by_programs =
            |kind: &str| kind.ends_with("State") || kind.contains("Status");
        for crd in metallb_crds::all() {
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
            let has = KINDS.iter().any(|it| it.kind == kind);
            assert!(has || is_written_by_programs(kind), "{kind}");
        }
    }
}
