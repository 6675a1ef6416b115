//! Kubernetes Events (core/v1), as upstream writes them.
//!
//! Publishing never waits: Events go through a bounded queue to one task, which counts repeats of
//! the same Event instead of writing new ones (`correlate`). Where other writes go first, they
//! [hold](Events::hold) the Events back. What cannot be published is counted.

mod about;
mod correlate;
mod uid;

use std::borrow::Cow;
use std::time::Duration;

use arcstr::ArcStr;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use prometheus::IntCounter;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::words::in_words;

pub use about::About;
use correlate::{Correlator, Note, Outcome};
pub use uid::Uid;

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
    queue: mpsc::Sender<(Instant, Note)>,
    hold: watch::Sender<Hold>,
    lost: IntCounter,
}

impl Events {
    /// Starts the task that writes. `component` is what `kubectl describe` shows under From;
    /// `host`, when given, follows it there.
    pub fn start(client: Client, component: &str, host: Option<&str>) -> Self {
        let (queue, notes) = mpsc::channel(QUEUE);
        let (hold, holding) = watch::channel(Hold::Never);
        let lost = IntCounter::new(LOST, "Number of Events that could not be published.")
            .expect("a metric name");
        let source = EventSource {
            component: Some(component.to_owned()),
            host: host.map(str::to_owned),
        };
        tokio::spawn(
            Writer {
                client,
                source,
                correlator: Correlator::default(),
                lost: lost.clone(),
            }
            .run(notes, holding),
        );
        Self { queue, hold, lost }
    }

    /// Holds Events back, or lets them go again. One goes when nobody has held it back for
    /// [`CALM`]; or [`HELD`] after it was published, but no two within [`PACE`].
    pub fn hold(&self, held: bool) {
        self.hold.send_if_modified(|hold| {
            let changed = held != (*hold == Hold::Held);
            if changed {
                *hold = if held {
                    Hold::Held
                } else {
                    Hold::LetGo(Instant::now())
                };
            }
            changed
        });
    }

    /// Publishes an Event. When too many wait already, this one is lost.
    pub fn publish(
        &self,
        about: About,
        event_type: EventType,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<ArcStr>,
    ) {
        let note = Note {
            about,
            event_type,
            reason: reason.into(),
            message: message.into(),
        };
        if let Err(error) = self.queue.try_send((Instant::now(), note)) {
            self.lost.inc();
            tracing::warn!(%error, "event lost");
        }
    }

    /// Counts the Events that were lost: too many waited, or the API server took them at no try.
    /// To be added to the program's metrics.
    pub fn lost(&self) -> IntCounter {
        self.lost.clone()
    }
}

/// Whether Events are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nor were they ever.
    Never,
    Held,
    /// Not any more, since then.
    LetGo(Instant),
}

impl Hold {
    /// Waits until nobody holds Events back, nor has for a while: in a wave of changes there is a
    /// gap after each write, and those who cause the wave need the API server, too.
    async fn calm(holding: &mut watch::Receiver<Self>) {
        loop {
            let hold = *holding.borrow_and_update();
            let end = match hold {
                Self::Never => return,
                Self::Held => None,
                Self::LetGo(since) => Some(since + CALM),
            };
            let calm = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = calm => return,
                changed = holding.changed() => {
                    // Those who hold us may be gone; then nobody does.
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

struct Writer {
    client: Client,
    source: EventSource,
    correlator: Correlator,
    lost: IntCounter,
}

impl Writer {
    async fn run(
        mut self,
        mut notes: mpsc::Receiver<(Instant, Note)>,
        mut holding: watch::Receiver<Hold>,
    ) {
        let mut paced = Instant::now();
        while let Some((published, note)) = notes.recv().await {
            // Held for long enough, it goes nevertheless.
            let end = paced.max(published + HELD);
            let calm = tokio::time::timeout_at(end, Hold::calm(&mut holding)).await;
            if calm.is_err() {
                paced = Instant::now() + PACE;
            }
            for pause in PAUSES {
                if self.attempt(&note).await {
                    break;
                }
                let Some(pause) = pause else {
                    self.lost.inc();
                    tracing::warn!(reason = &*note.reason, "event lost");
                    break;
                };
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Whether it is written, or will never be.
    async fn attempt(&mut self, note: &Note) -> bool {
        let reason = &*note.reason;
        match tokio::time::timeout(REQUEST, self.write(note)).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                // A namespace that is being deleted takes no new objects.
                let never = matches!(&error, kube::Error::Api(status)
                    if matches!(status.code, 403 | 404 | 422));
                tracing::warn!(error = in_words(&error), reason, "event not written");
                if never {
                    self.lost.inc();
                }
                never
            }
            Err(_) => {
                tracing::warn!(reason, "event not written: no answer");
                false
            }
        }
    }

    async fn write(&mut self, note: &Note) -> kube::Result<()> {
        // Events of cluster-scoped objects live in `default`.
        let namespace = note.about.namespace().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let time = jiff::Timestamp::now();
        let (said, count, message) = match self
            .correlator
            .correlate(Instant::now().into_std(), note)
        {
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
        let event = self.event(note, namespace, count, message, time);
        let event = api.create(&PostParams::default(), &event).await?;
        self.correlator
            .written(said, event.metadata.name.unwrap_or_default());
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
        let object_name = note.about.key.name();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{object_name}.{:x}", time.as_nanosecond())),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: note.about.reference(),
            type_: Some(note.event_type.as_str().to_owned()),
            reason: Some(note.reason.to_string()),
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

/// How many Events may wait: a wave of ten thousand objects with one each, and some more.
const QUEUE: usize = 16_384;

/// How long nobody may have held Events back before they go.
const CALM: Duration = Duration::from_millis(100);

/// How long an Event is held back at most, when there are few: nobody looks for one sooner.
const HELD: Duration = Duration::from_secs(5);

/// The time between two Events that are held back no longer: a wave of changes without an end
/// delays none for ever, and shares the API server with few.
const PACE: Duration = Duration::from_millis(100);

/// The pauses after tries that failed; after the last try there is none.
const PAUSES: [Option<Duration>; 3] = [
    Some(Duration::from_millis(500)),
    Some(Duration::from_secs(5)),
    None,
];

const LOST: &str = "metallb_events_lost_total";

/// How long one Event may take to write.
const REQUEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use metallb_config::ObjectKey;

    use super::*;
    use crate::mock;

    fn web() -> About {
        About::service(&ObjectKey::new("shop", "web"), None)
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

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_tried_again_then_counted() {
        let (client, lines) = mock::api(|asked| {
            let forbidden = asked.body["message"] == "forbidden";
            mock::status(if forbidden { 403 } else { 500 })
        });
        let events = Events::start(client, "metallb-controller", None);
        let lost = events.lost();
        for (message, tries) in [("refused", 3), ("forbidden", 1)] {
            lines.lock().unwrap().clear();
            events.publish(web(), EventType::Normal, "Tested", message);
            let before = lost.get();
            while lost.get() == before {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(lines.lock().unwrap().len(), tries, "{message}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn events_wait_until_a_wave_is_over_or_go_slowly_after_a_while() {
        let (client, lines) = mock::api(|asked| (201, asked.body.to_string()));
        let events = Events::start(client, "metallb-controller", None);
        let written = || lines.lock().unwrap().len();
        let publish = || {
            for i in 0..10 {
                events.publish(web(), EventType::Normal, "Tested", i.to_string());
            }
        };
        events.hold(true);
        publish();
        // Within a wave there are gaps.
        for _ in 0..5 {
            events.hold(false);
            tokio::time::sleep(CALM / 2).await;
            events.hold(true);
            tokio::time::sleep(CALM).await;
        }
        assert_eq!(written(), 0);
        events.hold(false);
        tokio::time::sleep(CALM * 2).await;
        assert_eq!(written(), 10);

        events.hold(true);
        publish();
        let published = Instant::now();
        tokio::time::sleep(HELD / 2).await;
        assert_eq!(written(), 10);
        tokio::time::sleep_until(published + HELD + PACE / 2 * 9).await;
        assert_eq!(written(), 15, "ten a second");
        events.hold(false);
        tokio::time::sleep(CALM * 2).await;
        assert_eq!(written(), 20);
    }

    #[tokio::test]
    async fn too_many_are_lost_and_counted_and_nobody_waits() {
        let (client, _) = mock::api(|_| mock::status(500));
        let events = Events::start(client, "metallb-speaker", Some("node"));
        // The writer has had no chance to run yet.
        for i in 0..QUEUE + 5 {
            events.publish(web(), EventType::Normal, "Tested", i.to_string());
        }
        assert_eq!(events.lost().get(), 5);
    }
}
