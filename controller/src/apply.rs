//! Does what was decided: the only place with a client.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::{Client, ResourceExt as _};
use metallb_ipam::{Assignment, ServiceKey};
use metallb_kit::events::{EventType, Events};
use serde_json::json;

use crate::decide::{Effect, Note, Write};
use crate::service::{ALLOCATED_FROM_POOL, DEPRECATED_ALLOCATED_FROM_POOL, WatchedService};

/// Writes statuses, a few at a time, and publishes Events.
pub(crate) struct Apply {
    client: Client,
    events: Events,
    queue: VecDeque<Write>,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// How often in a row each Service's status could not be written.
    failures: HashMap<ServiceKey, u32>,
}

/// The end of a write.
pub(crate) struct Done {
    pub(crate) key: ServiceKey,
    /// The Service as the API server has it now, if it said so.
    pub(crate) service: Option<Box<WatchedService>>,
    /// Whether the API server refused or did not answer.
    pub(crate) failed: bool,
    notes: Vec<Note>,
}

impl Apply {
    pub(crate) fn new(client: Client, events: Events) -> Self {
        Self {
            client,
            events,
            queue: VecDeque::new(),
            running: FuturesUnordered::new(),
            failures: HashMap::new(),
        }
    }

    /// Starts on these.
    pub(crate) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Event(note) => self.publish(&note),
                Effect::Write(write) => self.queue.push_back(write),
                Effect::Abandon => self.abandon(),
            }
        }
        self.start_more();
    }

    /// The next write that ends. Waits for ever when none is under way.
    pub(crate) async fn next(&mut self) -> Done {
        let Some(done) = self.running.next().await else {
            return std::future::pending().await;
        };
        if done.failed {
            let count = self.failures.entry(done.key.clone()).or_default();
            *count = count.saturating_add(1);
        } else {
            self.failures.remove(&done.key);
        }
        for note in &done.notes {
            self.publish(note);
        }
        self.start_more();
        done
    }

    /// Forgets what is queued and stops waiting for what is under way: we no longer lead.
    fn abandon(&mut self) {
        self.queue.clear();
        self.running.clear();
        self.failures.clear();
    }

    fn start_more(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some(write) = self.queue.pop_front() else {
                return;
            };
            let failures = self.failures.get(&write.key).copied().unwrap_or(0);
            self.running
                .push(Box::pin(run(self.client.clone(), write, failures)));
        }
    }

    fn publish(&self, note: &Note) {
        let name = note.about.name.as_deref().unwrap_or("");
        let object = match note.about.namespace.as_deref() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        let kind = note.about.kind.as_deref().unwrap_or("");
        match note.event_type {
            EventType::Normal => {
                tracing::info!(kind, object, event = note.reason, "{}", note.message);
            }
            EventType::Warning => {
                tracing::warn!(kind, object, event = note.reason, "{}", note.message);
            }
        }
        self.events.publish(
            note.about.clone(),
            note.event_type,
            note.reason,
            &note.message,
        );
    }
}

/// What came of an attempt.
enum Attempt {
    Written(DynamicObject),
    /// It is no longer what was decided on.
    Stale(Option<DynamicObject>),
}

async fn run(client: Client, write: Write, failures: u32) -> Done {
    if failures > 0 {
        // 0.2 s, 0.4 s, … 25.6 s.
        tokio::time::sleep(Duration::from_millis(100 << failures.min(8))).await;
    }
    let attempt = tokio::time::timeout(REQUEST, attempt(client, &write)).await;
    let key = write.key;
    match attempt {
        Ok(Ok(Attempt::Written(object))) => Done {
            key,
            service: read(object),
            failed: false,
            notes: write.notes,
        },
        Ok(Ok(Attempt::Stale(object))) => {
            tracing::debug!(service = %key, "changed meanwhile, deciding again");
            Done {
                key,
                service: object.and_then(read),
                failed: false,
                notes: Vec::new(),
            }
        }
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(service = %key, error, "cannot write the status, will be tried again");
            Done {
                key,
                service: None,
                failed: true,
                notes: Vec::new(),
            }
        }
        Err(_) => {
            tracing::error!(service = %key, "cannot write the status: no answer, will be tried again");
            Done {
                key,
                service: None,
                failed: true,
                notes: Vec::new(),
            }
        }
    }
}

/// One PUT of the whole Service to its status, as upstream does it: annotations ride along, and
/// the right to update `services/status` is all that it needs. What is put is what the API server
/// has, with every field it may know and we do not.
async fn attempt(client: Client, write: &Write) -> kube::Result<Attempt> {
    let kind = ApiResource::erase::<CoreService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client, write.key.namespace(), &kind);
    let Some(mut object) = api.get_opt(write.key.name()).await? else {
        return Ok(Attempt::Stale(None));
    };
    let is_decided_on = object.metadata.uid.as_deref() == Some(&*write.uid)
        && object.metadata.resource_version.as_deref() == Some(&*write.resource_version);
    if !is_decided_on {
        return Ok(Attempt::Stale(Some(object)));
    }
    put_assignment(&mut object, write.assignment.as_ref());
    match api
        .replace_status(write.key.name(), &PostParams::default(), &object)
        .await
    {
        Ok(object) => Ok(Attempt::Written(object)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
            Ok(Attempt::Stale(None))
        }
        Err(error) => Err(error),
    }
}

/// Edits the status and the annotation.
fn put_assignment(service: &mut DynamicObject, assignment: Option<&Assignment>) {
    let annotations = service
        .metadata
        .annotations
        .get_or_insert_with(BTreeMap::new);
    annotations.remove(DEPRECATED_ALLOCATED_FROM_POOL);
    let load_balancer = if let Some(Assignment { pool, ips }) = assignment {
        annotations.insert(ALLOCATED_FROM_POOL.to_owned(), pool.to_string());
        let ingress: Vec<_> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
        json!({ "ingress": ingress })
    } else {
        annotations.remove(ALLOCATED_FROM_POOL);
        json!({})
    };
    if !service.data["status"].is_object() {
        service.data["status"] = json!({});
    }
    service.data["status"]["loadBalancer"] = load_balancer;
}

fn read(object: DynamicObject) -> Option<Box<WatchedService>> {
    let name = object.name_any();
    object
        .try_parse()
        .inspect_err(|error| tracing::warn!(name, %error, "the API server's answer is no Service"))
        .ok()
        .map(Box::new)
}

/// How many statuses are written at once.
const AT_ONCE: usize = 8;

/// How long one write may take.
const REQUEST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use metallb_config::{Objects, parse};
    use metallb_ipam::{Allocator, Families, Request as Wanted};
    use serde_json::Value;

    use super::*;

    /// An API server with one Service; says what was put, and answers a put with `code`.
    fn server(service: Value, code: u16) -> (Client, Arc<Mutex<Vec<Value>>>) {
        let puts = Arc::new(Mutex::new(Vec::new()));
        let seen = puts.clone();
        let api = tower::service_fn(move |request: Request<Body>| {
            let (service, seen) = (service.clone(), seen.clone());
            async move {
                let mut answer = (200, service);
                if request.method() == Method::PUT {
                    assert!(
                        request
                            .uri()
                            .path()
                            .ends_with("/namespaces/ns/services/web/status")
                    );
                    let body = request.into_body().collect_bytes().await.unwrap();
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    seen.lock().unwrap().push(body.clone());
                    let status = json!({ "kind": "Status", "code": code, "status": "Failure",
                        "message": "", "reason": "" });
                    answer = (code, if code == 200 { body } else { status });
                }
                let body = Body::from(answer.1.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(
                    Response::builder().status(answer.0).body(body).unwrap(),
                )
            }
        });
        (Client::new(api, "default"), puts)
    }

    fn service(version: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "namespace": "ns", "name": "web", "uid": "u", "resourceVersion": version,
                "annotations": { "metallb.universe.tf/ip-allocated-from-pool": "old", "mine": "stays" },
            },
            "spec": { "type": "LoadBalancer", "fieldOfTheFuture": { "a": [1] } },
            "status": { "loadBalancer": {}, "conditions": [{ "type": "Someone else's" }] },
        })
    }

    fn write() -> Write {
        let pool = crate::fixtures::pool("pool", &["192.0.2.0/24", "2001:db8::/64"]);
        let config = parse(&Objects {
            pools: &[pool],
            ..Objects::default()
        })
        .config;
        let mut allocator = Allocator::default();
        allocator.set_pools(&config);
        let key = ServiceKey::new("ns", "web");
        let assignment = allocator
            .allocate(&Wanted::new(&key, 0, Families::Both))
            .ok();
        Write {
            key,
            uid: "u".into(),
            resource_version: "5".into(),
            assignment,
            notes: Vec::new(),
        }
    }

    #[tokio::test]
    async fn one_put_holds_status_and_annotation_and_all_that_was_there() {
        let (client, puts) = server(service("5"), 200);
        let done = run(client, write(), 0).await;
        let put = puts.lock().unwrap().remove(0);
        assert_eq!(
            put["status"]["loadBalancer"],
            json!({ "ingress": [{ "ip": "192.0.2.0" }, { "ip": "2001:db8::" }] })
        );
        assert_eq!(put["metadata"]["resourceVersion"], "5");
        assert_eq!(
            put["metadata"]["annotations"],
            json!({ "metallb.io/ip-allocated-from-pool": "pool", "mine": "stays" })
        );
        assert_eq!(put["spec"], service("5")["spec"]);
        assert_eq!(
            put["status"]["conditions"],
            service("5")["status"]["conditions"]
        );
        let answer = done.service.unwrap();
        assert_eq!(answer.status.load_balancer.ingress[0].ip, "192.0.2.0");
    }

    #[tokio::test]
    async fn what_changed_meanwhile_is_not_written() {
        let (client, puts) = server(service("6"), 200);
        let done = run(client, write(), 0).await;
        assert!(puts.lock().unwrap().is_empty());
        assert!(!done.failed);
        assert_eq!(
            done.service.unwrap().metadata.resource_version.as_deref(),
            Some("6")
        );
    }

    #[tokio::test]
    async fn a_conflict_is_no_failure_and_a_refusal_is() {
        for (code, failed) in [(409, false), (404, false), (403, true), (500, true)] {
            let (client, puts) = server(service("5"), code);
            let done = run(client, write(), 0).await;
            assert_eq!(
                (done.failed, done.service.is_none()),
                (failed, true),
                "{code}"
            );
            assert_eq!(puts.lock().unwrap().len(), 1);
        }
    }
}
