//! `operator restore`: the objects in files, checked first, made so on the cluster.
//!
//! An object becomes as its file says: what it has beside that goes, other than what Kubernetes and
//! MetalLB keep in its metadata. Objects that are in no file stay.

use std::path::PathBuf;

use anyhow::{Result, bail};
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use metallb_crds::names::DEFAULT_NAMESPACE;
use metallb_kit::client;
use metallb_kit::words::in_words;
use serde_json::{Value, json};

use super::check::files::{Document, read};
use super::check::judge;
use super::export::KINDS;
use super::listing::{LAST_APPLIED, Listing};
use crate::VERSION;
use crate::render::FIELD_MANAGER;

/// Does it, or says what is wrong before anything is written.
pub(crate) fn restore(paths: &[PathBuf]) -> Result<()> {
    let documents = read(paths)?;
    judge(&documents)?;
    let objects = in_order(&documents)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let client = client::connect("metallb-restore", VERSION).await?;
        let mut refused = 0;
        for (listing, object) in &objects {
            if let Err(error) = put(&client, *listing, object, true).await {
                eprintln!("{}: {}", title(object), in_words(&error));
                refused += 1;
            }
        }
        if refused > 0 {
            bail!("objects that the cluster refuses: {refused}; nothing was changed");
        }
        for (listing, object) in &objects {
            let done = put(&client, *listing, object, false).await?;
            println!("{}: {done}", title(object));
        }
        Ok(())
    })
}

fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{} {}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    )
}

/// The objects, those that others name before them.
fn in_order(documents: &[Document]) -> Result<Vec<(Listing, Value)>> {
    let mut objects = Vec::new();
    for document in documents.iter().filter(|it| !it.value.is_null()) {
        let group = document.value["apiVersion"].as_str().unwrap_or_default();
        let place = KINDS.iter().position(|it| {
            let ours = if it.group.is_empty() {
                "v1"
            } else {
                "metallb.io/"
            };
            it.kind == document.kind() && group.starts_with(ours)
        });
        let Some(place) = place else {
            bail!(
                "{}: is no part of a configuration of MetalLB",
                document.place()
            );
        };
        // Peers of the older version are kept under their own.
        let version = group.rsplit('/').next().unwrap_or_default();
        let version = if version == "v1beta1" {
            "v1beta1"
        } else {
            KINDS[place].version
        };
        let listing = Listing {
            version,
            ..KINDS[place]
        };
        objects.push((place, listing, document.value.clone()));
    }
    objects.sort_by_key(|(place, ..)| *place);
    let objects = objects.into_iter();
    Ok(objects
        .map(|(_, listing, object)| (listing, object))
        .collect())
}

/// Makes one object, or makes it so.
async fn put(
    client: &Client,
    listing: Listing,
    object: &Value,
    dry_run: bool,
) -> kube::Result<&'static str> {
    let namespace = object["metadata"]["namespace"].as_str();
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &listing.resource());
    let params = PostParams {
        dry_run,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    };
    let read = |value: Value| serde_json::from_value(value).map_err(kube::Error::SerdeError);
    let Some(live) = api.get_opt(name).await? else {
        api.create(&params, &read(object.clone())?).await?;
        return Ok("made");
    };
    let live = serde_json::to_value(live).map_err(kube::Error::SerdeError)?;
    let wanted = merged(object, &live);
    if wanted == live {
        return Ok("is so already");
    }
    api.replace(name, &params, &read(wanted)?).await?;
    Ok("changed")
}

/// `object`, with what of `live` is nobody's wish.
fn merged(object: &Value, live: &Value) -> Value {
    let mut wanted = object.clone();
    if !live["status"].is_null() {
        wanted["status"] = live["status"].clone();
    }
    wanted["metadata"] = live["metadata"].clone();
    for field in ["labels", "annotations"] {
        let value = object["metadata"][field].clone();
        if let Some(metadata) = wanted["metadata"].as_object_mut() {
            metadata.remove(field);
            if !value.is_null() {
                metadata.insert(field.to_owned(), value);
            }
        }
    }
    // By this kubectl knows what it has applied, whoever has changed it since.
    let applied = &live["metadata"]["annotations"][LAST_APPLIED];
    if applied.is_string() {
        wanted["metadata"]["annotations"][LAST_APPLIED] = applied.clone();
    }
    // A password that was left out of the file is not taken away.
    let password = &live["spec"]["password"];
    let has_none =
        wanted["spec"]["password"].is_null() && wanted["spec"]["passwordSecret"].is_null();
    if has_none && password.is_string() {
        wanted["spec"]["password"] = json!(password);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use tower_test::mock;

    use super::*;
    use crate::commands::check::files::parse;

    #[test]
    fn an_object_becomes_as_its_file_says_and_keeps_its_identity() {
        let live = json!({
            "kind": "BGPPeer",
            "metadata": {
                "name": "tor", "uid": "1", "resourceVersion": "7", "finalizers": ["x/y"],
                "labels": { "old": "" }, "annotations": { LAST_APPLIED: "{}", "old": "" },
            },
            "spec": { "holdTime": "30s", "password": "hidden" },
        });
        let file = json!({
            "kind": "BGPPeer",
            "metadata": { "name": "tor", "labels": { "new": "" } },
            "spec": { "myASN": 64500 },
        });
        assert_eq!(
            merged(&file, &live),
            json!({
                "kind": "BGPPeer",
                "metadata": {
                    "name": "tor", "uid": "1", "resourceVersion": "7", "finalizers": ["x/y"],
                    "labels": { "new": "" }, "annotations": { LAST_APPLIED: "{}" },
                },
                "spec": { "myASN": 64500, "password": "hidden" },
            })
        );
        let secret = json!({ "metadata": {}, "spec": { "passwordSecret": { "name": "tor" } } });
        assert_eq!(
            merged(&secret, &live)["spec"],
            secret["spec"],
            "one way or the other"
        );
    }

    /// What is asked of a server that has, or has not, the object.
    async fn asked(there: bool, dry_run: bool) -> (&'static str, Vec<String>) {
        let (service, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
        let answers = tokio::spawn(async move {
            let mut lines = Vec::new();
            while let Some((request, send)) = handle.next_request().await {
                lines.push(format!("{} {}", request.method(), request.uri()));
                let found = there || request.method() != "GET";
                let (status, body) = if found {
                    (
                        200,
                        json!({ "metadata": { "name": "web", "resourceVersion": "7" } }),
                    )
                } else {
                    (
                        404,
                        json!({ "status": "Failure", "reason": "NotFound", "code": 404 }),
                    )
                };
                let body = Body::from(body.to_string().into_bytes());
                let response = Response::builder().status(status).body(body);
                send.send_response(response.expect("a response"));
            }
            lines
        });
        let object = json!({ "metadata": { "name": "web", "namespace": "n" }, "spec": {} });
        let client = Client::new(service, "default");
        let done = put(&client, KINDS[4], &object, dry_run).await;
        drop(client);
        (
            done.expect("it is done"),
            answers.await.expect("all was answered"),
        )
    }

    #[tokio::test]
    async fn what_is_there_is_replaced_and_what_is_not_is_made() {
        let pools = "/apis/metallb.io/v1beta1/namespaces/n/ipaddresspools";
        let manager = "&fieldManager=metallb-operator";
        let (done, lines) = asked(false, true).await;
        assert_eq!(done, "made");
        assert_eq!(lines[1], format!("POST {pools}?&dryRun=All{manager}"));
        let (done, lines) = asked(true, false).await;
        assert_eq!(done, "changed");
        assert_eq!(lines[1], format!("PUT {pools}/web?{manager}"));
    }

    #[test]
    fn what_others_name_comes_first_and_what_is_not_ours_is_refused() {
        let text = "{apiVersion: metallb.io/v1beta1, kind: MetalLB, metadata: {name: metallb}}\n---\n\
                    {apiVersion: metallb.io/v1beta1, kind: BGPPeer, metadata: {name: tor}}\n---\n\
                    {apiVersion: v1, kind: Secret, metadata: {name: tor}}\n";
        let objects = in_order(&parse("f", text).expect("YAML")).expect("all are ours");
        let kinds: Vec<_> = objects
            .iter()
            .map(|(it, _)| (it.kind, it.version))
            .collect();
        let wanted = [
            ("Secret", "v1"),
            ("BGPPeer", "v1beta1"),
            ("MetalLB", "v1beta1"),
        ];
        assert_eq!(kinds, wanted);
        let other = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}";
        let error = in_order(&parse("f", other).expect("YAML")).expect_err("it is not ours");
        assert!(error.to_string().contains("ConfigMap x"), "{error}");
    }
}
