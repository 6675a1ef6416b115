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
    pub(crate) fn abandon(&mut self) {
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
            tracing::error!(service = %key, %error, "cannot write the status, will be tried again");
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
