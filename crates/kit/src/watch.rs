//! Watches as a plain stream of changes.
//!
//! kube's watcher says `Init…InitDone` when it had to list anew and leaves it to the reader to find
//! out what vanished meanwhile. Here only the *keys* of known objects are kept for that, so a
//! program can hold its own compact types, and never needs a second copy of everything.

mod keys;
mod tracker;

use std::collections::VecDeque;
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

use self::tracker::Tracker;
use crate::words::in_words;

pub use metallb_config::ObjectKey;

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
                    tracing::warn!(%kind, error = in_words(&error), "watch failed, will be tried again");
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
mod tests;
