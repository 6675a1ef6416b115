//! Writes one status: by one PUT, as upstream does it. Annotations ride along, and the right to
//! update `services/status` is all that it needs.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service as CoreService;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{GetParams, PostParams};
use kube::core::Request;
use kube::{Client, Error, Resource as _};
use metallb_crds::names::{IP_ALLOCATED_FROM_POOL, LEGACY_IP_ALLOCATED_FROM_POOL};
use metallb_ipam::Assignment;
use metallb_kit::words::in_words;
use serde_json::{Map, Value, json};

use crate::condition;
use crate::decide::{Addresses, Write};
use crate::watched::WatchedService;

/// What came of it.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The Service as it is now.
    Written(Box<WatchedService>),
    /// It is no longer what was decided on; as it is now.
    Stale(Option<Box<WatchedService>>),
    /// There is no such Service.
    Gone,
    /// The API server refused or did not answer. It may have been written or not.
    Failed,
}

/// Writes. What the watch told is enough for it, the first time; where that is not at hand, and
/// after a failure, the Service is read first and put whole.
pub(super) async fn put(client: &Client, write: &Write, failed_before: bool) -> Attempt {
    match tokio::time::timeout(REQUEST, attempt(client, write, failed_before)).await {
        Ok(Ok(attempt)) => attempt,
        Ok(Err(error)) => {
            tracing::error!(service = %write.key, error = in_words(&error), "cannot write the status, will be tried again");
            Attempt::Failed
        }
        Err(_) => {
            tracing::error!(service = %write.key, "cannot write the status: no answer, will be tried again");
            Attempt::Failed
        }
    }
}

async fn attempt(client: &Client, write: &Write, failed_before: bool) -> kube::Result<Attempt> {
    let told = if failed_before { None } else { as_told(write) };
    let mut service = if let Some(service) = told {
        service
    } else {
        let Some(service) = get(client, write).await? else {
            return Ok(Attempt::Gone);
        };
        let metadata = &service["metadata"];
        if metadata["uid"] != *write.uid || metadata["resourceVersion"] != *write.resource_version {
            return Ok(stale(write, Some(service)));
        }
        service
    };
    edit(&mut service, write, &now());
    let body = serde_json::to_vec(&service).map_err(Error::SerdeError)?;
    let request = requests(write)
        .replace_subresource("status", write.key.name(), &PostParams::default(), body)
        .map_err(Error::BuildRequest)?;
    match client.request::<WatchedService>(request).await {
        Ok(service) => Ok(Attempt::Written(Box::new(lean(service)))),
        Err(Error::Api(status)) if status.code == 404 => Ok(Attempt::Gone),
        Err(Error::Api(status)) if status.code == 409 => match get(client, write).await? {
            Some(service) => Ok(stale(write, Some(service))),
            None => Ok(Attempt::Gone),
        },
        Err(error) => Err(error),
    }
}

/// The Service as the watch told of it, as far as a write of the status needs it.
fn as_told(write: &Write) -> Option<Value> {
    let material = write.material.as_ref()?;
    let metadata: Value = serde_json::from_str(&material.metadata).ok()?;
    let status: Value = serde_json::from_str(&material.status).ok()?;
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        // Not stored; it makes the API server add what an address needs (`ipMode`).
        "spec": { "type": "LoadBalancer" },
        "status": status,
    }))
}

async fn get(client: &Client, write: &Write) -> kube::Result<Option<Value>> {
    let request = requests(write)
        .get(write.key.name(), &GetParams::default())
        .map_err(Error::BuildRequest)?;
    match client.request(request).await {
        Ok(service) => Ok(Some(service)),
        Err(Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

fn requests(write: &Write) -> Request {
    let namespace = Some(write.key.namespace());
    Request::new(CoreService::url_path(&(), namespace))
}

fn stale(write: &Write, service: Option<Value>) -> Attempt {
    tracing::debug!(service = %write.key, "changed meanwhile, deciding again");
    let service = service.and_then(|service| {
        serde_json::from_value(service)
            .inspect_err(|error| {
                tracing::warn!(service = %write.key, %error, "the API server's answer is no Service");
            })
            .ok()
    });
    Attempt::Stale(service.map(|service| Box::new(lean(service))))
}

fn lean(mut service: WatchedService) -> WatchedService {
    service.metadata.managed_fields = None;
    service
}

/// Edits the status and the annotation.
pub(crate) fn edit(service: &mut Value, write: &Write, now: &str) {
    let annotations = map(&mut service["metadata"]["annotations"]);
    annotations.remove(LEGACY_IP_ALLOCATED_FROM_POOL);
    match &write.addresses {
        Addresses::Set(Assignment { pool, .. }) => {
            annotations.insert(IP_ALLOCATED_FROM_POOL.to_owned(), json!(&**pool));
        }
        Addresses::Clear => {
            annotations.remove(IP_ALLOCATED_FROM_POOL);
        }
        Addresses::Leave => {}
    }
    let status = map(&mut service["status"]);
    match &write.addresses {
        Addresses::Set(Assignment { ips, .. }) => {
            let ingress: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
            status.insert("loadBalancer".to_owned(), json!({ "ingress": ingress }));
        }
        Addresses::Clear => {
            status.insert("loadBalancer".to_owned(), json!({}));
        }
        Addresses::Leave => {}
    }
    match &write.condition {
        Some(condition) => condition.put_into(status, now),
        None => condition::remove_from(status),
    }
}

/// The map that a value is, or becomes.
fn map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it is one now")
}

/// As Kubernetes writes times.
fn now() -> String {
    match serde_json::to_value(Time(Timestamp::now())) {
        Ok(Value::String(now)) => now,
        _ => String::new(),
    }
}

/// How long one write may take.
const REQUEST: Duration = Duration::from_secs(15);
