//! Watches as a plain stream of changes.
//!
//! kube's watcher says `Init…InitDone` when it had to list anew and leaves it to the reader to find
//! out what vanished meanwhile. Here only the *keys* of known objects are kept for that, so a
//! program can hold its own compact types, and never needs a second copy of everything.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

/// What happened to the objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K> {
    /// The object is new, changed, or seen again.
    Apply(K),
    /// The object is gone.
    Delete(ObjectKey),
    /// Everything is told anew from here on: until [`Synced`](Self::Synced), what is known may be
    /// half old and half new. Comes first, and whenever changes may have been missed.
    Listing,
    /// Everything that exists has been told.
    Synced,
}

/// An object's namespace (empty if it has none) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: Box<str>,
    /// The name.
    pub name: Box<str>,
}

impl ObjectKey {
    /// A key from its parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of `object`.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self::new(
            meta.namespace.as_deref().unwrap_or(""),
            meta.name.as_deref().unwrap_or(""),
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Watches all objects behind `api`, for ever. Errors are logged and retried with growing pauses.
///
/// The first list is streamed where the server can (Kubernetes 1.34, earlier with a feature gate),
/// else read in pages of 50: both keep few whole objects in memory at once. `managedFields` are
/// dropped.
pub fn watch<K>(api: Api<K>) -> BoxStream<'static, Change<K>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    watch_with(api, watcher::Config::default())
}

/// The same with selectors or timeouts of the caller's in `config`. A connection on which nothing
/// comes, no bookmark either, is given up 5 s after `config.timeout`, which is 290 s unless set.
pub fn watch_with<K>(api: Api<K>, config: watcher::Config) -> BoxStream<'static, Change<K>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    watch_anew_on(Arc::default(), api, config)
}

/// The same, and starts anew, with a list, whenever `anew` is notified: for a reader who knows
/// that there is more to tell than is told.
pub fn watch_anew_on<K>(
    anew: Arc<Notify>,
    api: Api<K>,
    config: watcher::Config,
) -> BoxStream<'static, Change<K>>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let watch = Watch {
        events: events(api.clone(), config.clone().streaming_lists()),
        anew,
        api,
        config,
        streaming: true,
        tracker: Tracker::default(),
        ready: VecDeque::new(),
    };
    stream::unfold(watch, |mut watch| async move {
        let change = watch.next().await;
        Some((change, watch))
    })
    .boxed()
}

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

struct Watch<K> {
    anew: Arc<Notify>,
    api: Api<K>,
    config: watcher::Config,
    events: Events<K>,
    streaming: bool,
    tracker: Tracker,
    ready: VecDeque<Change<K>>,
}

impl<K> Watch<K>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    async fn next(&mut self) -> Change<K> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return change;
            }
            // A server older than 1.27 ignores the request to mark the end of the list.
            let patience = self.streaming && self.tracker.is_listing();
            let event = tokio::select! {
                event = self.events.next() => event,
                () = tokio::time::sleep(SILENCE), if patience => {
                    self.list_in_pages("the server does not say where the list ends");
                    continue;
                }
                () = self.anew.notified() => {
                    self.restart();
                    continue;
                }
            };
            match event {
                Some(Ok(event)) => self.tracker.handle(event, &mut self.ready),
                Some(Err(error)) if self.streaming && refuses_streaming(&error) => {
                    self.list_in_pages("the server refuses");
                }
                Some(Err(error)) => {
                    let kind = kind_of::<K>();
                    tracing::warn!(%kind, error = &error as &dyn std::error::Error, "watch failed, will be tried again");
                }
                None => unreachable!("a watcher never ends"),
            }
        }
    }

    fn list_in_pages(&mut self, reason: &str) {
        let kind = kind_of::<K>();
        tracing::info!(%kind, reason, "no streamed list, reading it in pages");
        self.streaming = false;
        self.restart();
    }

    fn restart(&mut self) {
        let config = self.config.clone();
        let config = if self.streaming {
            config.streaming_lists()
        } else {
            config.page_size(PAGE)
        };
        self.events = events(self.api.clone(), config);
    }
}

/// Turns the watcher's events into changes, knowing only keys.
#[derive(Default)]
struct Tracker {
    known: HashSet<ObjectKey>,
    /// What the list under way has shown so far.
    listed: Option<HashSet<ObjectKey>>,
}

impl Tracker {
    fn is_listing(&self) -> bool {
        self.listed.is_some()
    }

    fn handle<K: Resource>(&mut self, event: Event<K>, out: &mut VecDeque<Change<K>>) {
        match event {
            Event::Init => {
                self.listed = Some(HashSet::new());
                out.push_back(Change::Listing);
            }
            Event::InitApply(object) => {
                let key = ObjectKey::of(&object);
                if let Some(listed) = &mut self.listed {
                    listed.insert(key.clone());
                }
                // Known from now on: if this list breaks off, the next must account for it.
                self.known.insert(key);
                out.push_back(Change::Apply(stripped(object)));
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let gone = self.known.difference(&listed).cloned().map(Change::Delete);
                out.extend(gone);
                self.known = listed;
                out.push_back(Change::Synced);
            }
            Event::Apply(object) => {
                self.known.insert(ObjectKey::of(&object));
                out.push_back(Change::Apply(stripped(object)));
            }
            Event::Delete(object) => {
                let key = ObjectKey::of(&object);
                self.known.remove(&key);
                out.push_back(Change::Delete(key));
            }
        }
    }
}

fn events<K>(api: Api<K>, config: watcher::Config) -> Events<K>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let pauses = Pauses::default();
    watcher::watcher(api, config).backoff(pauses).boxed()
}

/// The pauses of client-go's reflector, but none longer than [`LONGEST_PAUSE`].
#[derive(Default)]
struct Pauses(watcher::DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

fn stripped<K: Resource>(mut object: K) -> K {
    object.meta_mut().managed_fields = None;
    object
}

/// The server knows the request but not the feature: it answers 422 or 400.
fn refuses_streaming(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else {
        return false;
    };
    matches!(status.code, 400 | 422)
}

/// The last part of the type's name, for logs.
fn kind_of<K>() -> &'static str {
    let name = std::any::type_name::<K>();
    name.rsplit("::").next().unwrap_or(name)
}

/// Objects a page, where a list cannot be streamed.
const PAGE: u32 = 50;

/// How long a streamed list may pause before it counts as not supported.
const SILENCE: Duration = Duration::from_secs(15);

/// The reflector goes up to 30 s and forgets after two minutes. A network that comes and goes a few
/// times would so leave a program blind for half a minute after it is back for good.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::api::core::v1::Service as CoreService;
    use kube::api::ObjectMeta;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;
    use crate::mock;

    /// A Service of which only the type is read: what a program's own compact type looks like.
    #[derive(Clone, Debug, Default, Deserialize, Serialize, Resource)]
    #[resource(inherit = CoreService)]
    struct Compact {
        metadata: ObjectMeta,
        #[serde(default)]
        spec: CompactSpec,
    }

    #[derive(Clone, Debug, Default, Deserialize, Serialize)]
    struct CompactSpec {
        #[serde(rename = "type")]
        type_: String,
    }

    fn compact(name: &str) -> Compact {
        let mut object = Compact::default();
        object.metadata.namespace = Some("ns".to_owned());
        object.metadata.name = Some(name.to_owned());
        object.metadata.managed_fields = Some(Vec::new());
        object
    }

    fn json_service(name: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "namespace": "ns", "name": name, "resourceVersion": "7",
                "managedFields": [{ "manager": "kubectl" }],
            },
            "spec": { "type": "LoadBalancer", "selector": { "app": "web" }, "future": [1] },
        })
    }

    /// What the changes say, in short.
    fn said(changes: impl IntoIterator<Item = Change<Compact>>) -> Vec<String> {
        let mut said: Vec<String> = changes
            .into_iter()
            .map(|change| match change {
                Change::Apply(object) => {
                    assert_eq!(object.metadata.managed_fields, None);
                    format!("+{}", ObjectKey::of(&object))
                }
                Change::Delete(key) => format!("-{key}"),
                Change::Listing => "listing".to_owned(),
                Change::Synced => "synced".to_owned(),
            })
            .collect();
        // Deletions found by a relist come in no order.
        said.sort();
        said
    }

    #[test]
    fn a_relist_tells_what_vanished_meanwhile() {
        let mut tracker = Tracker::default();
        let mut out = VecDeque::new();
        let list = |names: &[&str]| {
            let mut events = vec![Event::Init];
            events.extend(names.iter().map(|name| Event::InitApply(compact(name))));
            events
        };
        for event in list(&["a", "b", "c"]).into_iter().chain([Event::InitDone]) {
            tracker.handle(event, &mut out);
        }
        assert_eq!(
            said(out.drain(..)),
            ["+ns/a", "+ns/b", "+ns/c", "listing", "synced"]
        );

        tracker.handle(Event::Apply(compact("d")), &mut out);
        tracker.handle(Event::Delete(compact("a")), &mut out);
        assert_eq!(said(out.drain(..)), ["+ns/d", "-ns/a"]);

        // A list that breaks off, then a whole one: what the first one showed is not forgotten.
        for event in list(&["b", "e"])
            .into_iter()
            .chain(list(&["c"]))
            .chain([Event::InitDone])
        {
            tracker.handle(event, &mut out);
        }
        assert_eq!(
            said(out.drain(..)),
            [
                "+ns/b", "+ns/c", "+ns/e", "-ns/b", "-ns/d", "-ns/e", "listing", "listing",
                "synced"
            ]
        );
    }

    #[tokio::test]
    async fn a_server_that_streams_no_lists_is_read_in_pages() {
        let pages = Arc::new(AtomicUsize::new(0));
        let count = pages.clone();
        let (client, lines) = mock::api(move |asked| {
            if asked.line.contains("sendInitialEvents") {
                return mock::status(422);
            }
            if asked.line.contains("watch=true") {
                return (200, String::new());
            }
            let page = count.fetch_add(1, Ordering::Relaxed);
            let (name, next) = if page == 0 { ("a", "more") } else { ("b", "") };
            let list = json!({
                "kind": "ServiceList", "apiVersion": "v1",
                "metadata": { "resourceVersion": "9", "continue": next },
                "items": [json_service(name)],
            });
            (200, list.to_string())
        });
        let changes = watch::<Compact>(Api::all(client))
            .take(4)
            .collect::<Vec<_>>()
            .await;
        assert!(
            matches!(&changes[1], Change::Apply(object) if object.spec.type_ == "LoadBalancer"),
            "unknown fields are passed over"
        );
        assert_eq!(said(changes), ["+ns/a", "+ns/b", "listing", "synced"]);
        let lines = lines.lock().unwrap();
        assert!(lines[1].contains("limit=50"), "{lines:?}");
    }

    /// One line of a watch.
    fn line(type_: &str, object: &Value) -> String {
        format!("{}\n", json!({ "type": type_, "object": object }))
    }

    /// A streamed list of these, at version 9, and then silence.
    fn streamed(names: &[&str]) -> String {
        let objects = names.iter().map(|name| line("ADDED", &json_service(name)));
        objects
            .chain([mock::end_of_list("v1", "Service")])
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_falls_silent_goes_on_where_it_stopped() {
        let (client, lines) = mock::silent_watches(|asked| {
            if asked.line.contains("sendInitialEvents") {
                return (200, streamed(&["a"]));
            }
            (200, line("ADDED", &json_service("b")))
        });
        let config = watcher::Config::default().timeout(30);
        let started = tokio::time::Instant::now();
        let changes = watch_with::<Compact>(Api::all(client), config)
            .take(4)
            .collect::<Vec<_>>()
            .await;
        assert_eq!(said(changes), ["+ns/a", "+ns/b", "listing", "synced"]);
        assert!(started.elapsed() < Duration::from_secs(40));
        let lines = lines.lock().unwrap();
        assert!(lines[1].contains("resourceVersion=9"), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_back_is_heard_again_soon() {
        let back = Duration::from_secs(100);
        let started = tokio::time::Instant::now();
        let (client, _) = mock::silent_watches(move |_| {
            if started.elapsed() < back {
                return mock::status(500);
            }
            (200, streamed(&["a"]))
        });
        let changes = watch::<Compact>(Api::all(client));
        let mut told =
            changes.skip_while(|change| std::future::ready(!matches!(change, Change::Synced)));
        let synced = told.next();
        tokio::time::timeout(back + LONGEST_PAUSE, synced)
            .await
            .expect("nothing was heard");
    }

    #[tokio::test(start_paused = true)]
    async fn who_knows_of_more_has_everything_told_anew() {
        let lists = AtomicUsize::new(0);
        let (client, _) = mock::silent_watches(move |_| {
            let names: &[&str] = match lists.fetch_add(1, Ordering::Relaxed) {
                0 => &["a", "b"],
                _ => &["b", "c"],
            };
            (200, streamed(names))
        });
        let anew = Arc::<Notify>::default();
        let config = watcher::Config::default();
        let mut changes = watch_anew_on::<Compact>(anew.clone(), Api::all(client), config);
        let first = changes.by_ref().take(4).collect::<Vec<_>>().await;
        assert_eq!(said(first), ["+ns/a", "+ns/b", "listing", "synced"]);
        anew.notify_one();
        let second = changes.take(5).collect::<Vec<_>>().await;
        assert_eq!(
            said(second),
            ["+ns/b", "+ns/c", "-ns/a", "listing", "synced"]
        );
    }
}
