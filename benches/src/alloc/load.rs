//! Making and removing many objects, as many clients at once would.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use metallb_benches::service::Service;
use serde_json::{Value, json};

/// A Service of type `LoadBalancer` without node ports, of which there are too few.
pub(crate) fn service(name: &str, annotations: &[(&str, &str)]) -> Service {
    let annotations: BTreeMap<String, String> = annotations
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    Service {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([("app".to_owned(), name.to_owned())].into()),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        },
        spec: json!({
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": false,
            "externalTrafficPolicy": "Cluster",
            "selector": { "app": name },
            "ports": [
                { "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 },
                { "name": "https", "port": 443, "protocol": "TCP", "targetPort": 8443 },
            ],
        }),
        status: Value::Null,
    }
}

/// Creates all, [`CLIENTS`] at a time.
pub(crate) async fn create(api: &Api<Service>, services: Vec<Service>) -> Result<()> {
    stream::iter(services)
        .map(|service| async move {
            api.create(&PostParams::default(), &service)
                .await
                .context("cannot create a Service")
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(async |_| Ok(()))
        .await
}

/// Deletes all, [`CLIENTS`] at a time; what is gone already is no error.
pub(crate) async fn delete(
    api: &Api<Service>,
    names: impl IntoIterator<Item = String>,
) -> Result<()> {
    stream::iter(names)
        .map(|name| async move {
            match api.delete(&name, &DeleteParams::default()).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error).with_context(|| format!("cannot delete Service {name}")),
            }
        })
        .buffer_unordered(CLIENTS)
        .try_collect()
        .await
}

/// Sends one object to `path`.
pub(crate) async fn post(client: &Client, path: &str, object: &Value) -> Result<()> {
    request(client, "POST", path, object).await
}

/// Replaces the object at `path`.
pub(crate) async fn put(client: &Client, path: &str, object: &Value) -> Result<()> {
    request(client, "PUT", path, object).await
}

async fn request(client: &Client, method: &str, path: &str, object: &Value) -> Result<()> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(object)?)?;
    client
        .request::<Value>(request)
        .await
        .with_context(|| format!("{method} {path}"))
        .map(drop)
}

/// How many requests are under way at once.
pub(crate) const CLIENTS: usize = 32;
