//! Making and removing many objects, as many clients at once would.

use std::collections::BTreeMap;

use crate::service::Service;
use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use metallb_tests::Cluster;
use serde_json::{Value, json};

/// A Service of type `LoadBalancer` without node ports, of which there are too few.
pub fn service(name: &str, annotations: &[(&str, &str)]) -> Service {
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
///
/// # Errors
/// The API server refuses.
pub async fn create(api: &Api<Service>, services: Vec<Service>) -> Result<()> {
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
///
/// # Errors
/// The API server refuses.
pub async fn delete(api: &Api<Service>, names: impl IntoIterator<Item = String>) -> Result<()> {
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

/// A client as the programs' own, to be used inside the control plane's namespace.
///
/// # Errors
/// The cluster has no kubeconfig that can be read.
pub async fn connect(cluster: &Cluster) -> Result<Client> {
    // rustls takes one provider for the whole process.
    metallb_kit::tls::install_provider();
    let kubeconfig = Kubeconfig::read_from(cluster.local_kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Sends one object to `path`.
///
/// # Errors
/// The API server refuses.
pub async fn post(client: &Client, path: &str, object: &Value) -> Result<()> {
    request(client, "POST", path, object).await
}

/// Replaces the object at `path`.
///
/// # Errors
/// The API server refuses.
pub async fn put(client: &Client, path: &str, object: &Value) -> Result<()> {
    request(client, "PUT", path, object).await
}

/// Merges a part into the object at `path`.
///
/// # Errors
/// The API server refuses.
pub async fn merge(client: &Client, path: &str, part: &Value) -> Result<()> {
    send(client, "PATCH", path, "application/merge-patch+json", part).await
}

/// Deletes the object at `path`.
///
/// # Errors
/// The API server refuses.
pub async fn remove(client: &Client, path: &str) -> Result<()> {
    request(client, "DELETE", path, &Value::Null).await
}

async fn request(client: &Client, method: &str, path: &str, object: &Value) -> Result<()> {
    send(client, method, path, "application/json", object).await
}

async fn send(client: &Client, method: &str, path: &str, kind: &str, object: &Value) -> Result<()> {
    let body = if object.is_null() {
        Vec::new()
    } else {
        serde_json::to_vec(object)?
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body)?;
    client
        .request::<Value>(request)
        .await
        .with_context(|| format!("{method} {path}"))
        .map(drop)
}

/// How many requests are under way at once.
pub const CLIENTS: usize = 32;
