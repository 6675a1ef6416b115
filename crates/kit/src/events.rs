//! Kubernetes Events (core/v1), as upstream writes them.
//!
//! Publishing never waits: Events go through a bounded queue to one task, which counts repeats of
//! the same Event instead of writing new ones (`correlate`).

mod correlate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;

use correlate::{Correlator, Note, Outcome};

/// How grave an Event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It is for information.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Where a program publishes its Events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// Starts the task that writes. `component` is what `kubectl describe` shows under From;
    /// `host`, when given, follows it there.
    pub fn start(client: Client, component: &str, host: Option<&str>) -> Self {
        let (queue, notes) = mpsc::channel(QUEUE);
        let source = EventSource {
            component: Some(component.to_owned()),
            host: host.map(str::to_owned),
        };
        tokio::spawn(
            Writer {
                client,
                source,
                correlator: Correlator::default(),
            }
            .run(notes),
        );
        Self {
            queue,
            dropped: Arc::default(),
        }
    }

    /// Publishes an Event about `object`. When too many wait already, this one is dropped.
    pub fn publish(
        &self,
        object: ObjectReference,
        event_type: EventType,
        reason: &str,
        message: &str,
    ) {
        let note = Note {
            object,
            event_type,
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        if let Err(error) = self.queue.try_send(note) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(%error, dropped, reason, "event dropped");
        }
    }

    /// How many Events were dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// A reference to `object`, for [`Events::publish`].
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        ..ObjectReference::default()
    }
}

struct Writer {
    client: Client,
    source: EventSource,
    correlator: Correlator,
}

impl Writer {
    async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        while let Some(note) = notes.recv().await {
            let reason = note.reason.clone();
            match tokio::time::timeout(REQUEST, self.write(note)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, reason, "event not written");
                }
                Err(_) => tracing::warn!(reason, "event not written: no answer"),
            }
        }
    }

    async fn write(&mut self, note: Note) -> kube::Result<()> {
        // Events of cluster-scoped objects live in `default`.
        let namespace = note
            .object
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let time = jiff::Timestamp::now();
        let (said, count, message) = match self.correlator.correlate(Instant::now(), &note) {
            Outcome::Suppress => return Ok(()),
            Outcome::New { said, message } => (said, 1, message),
            Outcome::Repeat {
                said,
                event_name,
                count,
                message,
            } => {
                let patch =
                    json!({ "count": count, "lastTimestamp": Time(time), "message": message });
                match api
                    .patch(&event_name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
                {
                    // Events live for an hour; the one we counted on is gone.
                    Err(kube::Error::Api(status)) if status.code == 404 => (said, count, message),
                    result => return result.map(drop),
                }
            }
        };
        let event = self.event(&note, &namespace, count, message, time);
        let event = api.create(&PostParams::default(), &event).await?;
        self.correlator
            .written(&said, event.metadata.name.unwrap_or_default());
        Ok(())
    }

    fn event(
        &self,
        note: &Note,
        namespace: &str,
        count: i32,
        message: String,
        time: jiff::Timestamp,
    ) -> Event {
        // client-go's naming: the object and the time in nanoseconds.
        let object_name = note.object.name.as_deref().unwrap_or("unknown");
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{object_name}.{:x}", time.as_nanosecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: note.object.clone(),
            type_: Some(note.event_type.as_str().to_owned()),
            reason: Some(note.reason.clone()),
            message: Some(message),
            count: Some(count),
            first_timestamp: Some(Time(time)),
            last_timestamp: Some(Time(time)),
            source: Some(self.source.clone()),
            reporting_component: self.source.component.clone(),
            reporting_instance: self.source.host.clone(),
            ..Event::default()
        }
    }
}

/// How many Events may wait.
const QUEUE: usize = 512;

/// How long one Event may take to write.
const REQUEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock;

    fn web() -> ObjectReference {
        ObjectReference {
            kind: Some("Service".to_owned()),
            namespace: Some("shop".to_owned()),
            name: Some("web".to_owned()),
            ..ObjectReference::default()
        }
    }

    #[tokio::test]
    async fn a_repeat_patches_the_count_and_a_lost_event_is_written_anew() {
        let (bodies, mut written) = mpsc::unbounded_channel();
        let (client, lines) = mock::api(move |asked| {
            bodies.send(asked.body.clone()).unwrap();
            match asked.line.split(' ').next() {
                Some("POST") => (201, asked.body.to_string()),
                // The second repeat finds that the Event has expired.
                _ if asked.body["count"] == 3 => mock::status(404),
                _ => (
                    200,
                    json!({ "metadata": {}, "involvedObject": {} }).to_string(),
                ),
            }
        });
        let events = Events::start(client, "metallb-controller", None);
        for _ in 0..3 {
            events.publish(
                web(),
                EventType::Warning,
                "AllocationFailed",
                "no available IPs",
            );
        }
        let created = written.recv().await.unwrap();
        assert_eq!(
            created["source"],
            json!({ "component": "metallb-controller" })
        );
        assert_eq!(created["involvedObject"]["name"], "web");
        assert_eq!(
            (&created["count"], &created["type"]),
            (&json!(1), &json!("Warning"))
        );
        assert_eq!(written.recv().await.unwrap()["count"], 2);
        assert_eq!(written.recv().await.unwrap()["count"], 3);
        assert_eq!(written.recv().await.unwrap()["count"], 3);
        let lines = lines.lock().unwrap().clone();
        let methods: Vec<_> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        assert_eq!(methods, ["POST", "PATCH", "PATCH", "POST"]);
        assert!(
            lines[0].contains("/api/v1/namespaces/shop/events"),
            "{lines:?}"
        );
    }

    #[tokio::test]
    async fn too_many_are_dropped_and_counted_and_nobody_waits() {
        let (client, _) = mock::api(|_| mock::status(500));
        let events = Events::start(client, "metallb-speaker", Some("node"));
        // The writer has had no chance to run yet.
        for i in 0..QUEUE + 5 {
            events.publish(web(), EventType::Normal, "Tested", &i.to_string());
        }
        assert_eq!(events.dropped(), 5);
    }
}
