//! Does what was decided: writes statuses, several at a time, publishes Events behind them, logs.

mod pool_status;
pub(crate) mod put;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::Client;
use metallb_config::ObjectKey;
use metallb_kit::events::Events;

pub(crate) use pool_status::PoolStatuses;

use crate::control::Outcome;
use crate::decide::{Effect, Line, Note, Write};
use crate::metrics::Latencies;
use put::{Attempt, put};

/// Writes statuses and publishes Events.
///
/// A write that takes long, or that waits to be tried again, takes nobody's turn.
pub(crate) struct Apply {
    client: Client,
    events: Events,
    latencies: Latencies,
    queue: VecDeque<Job>,
    /// Under way; no more than [`AT_ONCE`].
    running: FuturesUnordered<BoxFuture<'static, Progress>>,
    /// Under way for longer than [`SLOW`].
    slow: FuturesUnordered<BoxFuture<'static, Finished>>,
    /// Failed, and waiting to be tried again.
    resting: FuturesUnordered<BoxFuture<'static, ObjectKey>>,
    /// How often in a row each Service's status could not be written.
    failures: HashMap<ObjectKey, u32>,
}

/// A status to write.
struct Job {
    write: Write,
    /// When that of which it is the consequence was told.
    since: Instant,
}

/// What becomes of a request in its first moments.
enum Progress {
    Finished(Box<Finished>),
    Slow(ObjectKey, BoxFuture<'static, Finished>),
}

struct Finished {
    job: Job,
    attempt: Attempt,
    took: Duration,
}

impl Apply {
    pub(crate) fn new(client: Client, events: Events, latencies: Latencies) -> Self {
        Self {
            client,
            events,
            latencies,
            queue: VecDeque::new(),
            running: FuturesUnordered::new(),
            slow: FuturesUnordered::new(),
            resting: FuturesUnordered::new(),
            failures: HashMap::new(),
        }
    }

    /// How much more is worth deciding now: what is decided waits in memory until it is done.
    pub(crate) fn room(&self) -> usize {
        QUEUE.saturating_sub(self.queue.len())
    }

    /// Starts on these. `since` says when that of which a write is the consequence was told.
    pub(crate) fn perform(&mut self, effects: Vec<Effect>, since: impl Fn(&ObjectKey) -> Instant) {
        for effect in effects {
            match effect {
                Effect::Log(line) => log(&line),
                Effect::Abandon => self.abandon(),
                Effect::Event(about, note) => {
                    let Note {
                        event_type,
                        reason,
                        message,
                    } = note;
                    if about.kind != "Service" {
                        let (kind, name) = (&*about.kind, about.key.name());
                        tracing::warn!(kind, name, event = reason, "{message}");
                    }
                    self.events.publish(*about, event_type, reason, message);
                }
                Effect::Write(write) => {
                    let since = since(&write.key);
                    self.queue.push_back(Job { write, since });
                }
            }
        }
        self.start_more();
    }

    /// What happens next to the writing of some Service's status. Waits for ever when none is
    /// under way.
    pub(crate) async fn next(&mut self) -> (ObjectKey, Outcome) {
        let next = tokio::select! {
            Some(progress) = self.running.next() => progress,
            Some(finished) = self.slow.next() => Progress::Finished(Box::new(finished)),
            Some(key) = self.resting.next() => return (key, Outcome::Retry),
            else => return std::future::pending().await,
        };
        let told = match next {
            Progress::Finished(finished) => self.finished(*finished),
            Progress::Slow(key, future) => {
                self.slow.push(future);
                (key, Outcome::Delayed)
            }
        };
        self.start_more();
        told
    }

    /// Forgets what is queued and stops waiting for what is under way.
    fn abandon(&mut self) {
        self.queue.clear();
        self.running.clear();
        self.slow.clear();
        self.resting.clear();
        self.failures.clear();
        self.events.hold(false);
    }

    fn finished(&mut self, finished: Finished) -> (ObjectKey, Outcome) {
        let Finished { job, attempt, took } = finished;
        let Job { write, since } = job;
        let latencies = &self.latencies;
        latencies.write.observe(took.as_secs_f64());
        if !matches!(attempt, Attempt::Failed) {
            self.failures.remove(&write.key);
        }
        let outcome = match attempt {
            Attempt::Written(service) => {
                latencies.reconcile.observe(since.elapsed().as_secs_f64());
                for note in &write.notes {
                    let (kind, reason) = (note.event_type, note.reason);
                    self.events
                        .publish(write.reference(), kind, reason, &*note.message);
                }
                Outcome::Written(service)
            }
            Attempt::Stale(service) => Outcome::Stale(service),
            Attempt::Gone => Outcome::Gone(write.uid),
            Attempt::Failed => {
                latencies.errors.inc();
                self.rest(write.key.clone());
                Outcome::Delayed
            }
        };
        (write.key, outcome)
    }

    /// Has this one tried again after a while: 0.2 s, 0.4 s, … 12.8 s, and up to half as much again
    /// so that not all come back together.
    fn rest(&mut self, key: ObjectKey) {
        let count = self.failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let pause = Duration::from_millis(100 << (*count).min(7));
        let pause = pause.mul_f64(1.0 + 0.5 * rand::random::<f64>());
        self.resting.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            key
        }));
    }

    fn start_more(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some(job) = self.queue.pop_front() else {
                break;
            };
            let failed_before = self.failures.contains_key(&job.write.key);
            let request = Box::pin(run(self.client.clone(), job, failed_before));
            self.running.push(request);
        }
        self.events
            .hold(!self.queue.is_empty() || !self.running.is_empty());
    }
}

async fn run(client: Client, job: Job, failed_before: bool) -> Progress {
    let key = job.write.key.clone();
    let request: BoxFuture<'static, Finished> = Box::pin(async move {
        let started = Instant::now();
        let attempt = put(&client, &job.write, failed_before).await;
        Finished {
            job,
            attempt,
            took: started.elapsed(),
        }
    });
    match select(request, Box::pin(tokio::time::sleep(SLOW))).await {
        Either::Left((finished, _)) => Progress::Finished(Box::new(finished)),
        Either::Right(((), request)) => Progress::Slow(key, request),
    }
}

/// With upstream's keys.
fn log(line: &Line) {
    use tracing::field::display;
    let Line {
        service,
        event,
        reason,
        msg,
        ..
    } = line;
    let (service, ip) = (display(service), line.ips.map(display));
    let pool = line.pool.as_deref();
    if let Some(error) = &line.error {
        tracing::error!(service, event, reason, ip, pool, error, "{msg}");
    } else {
        tracing::info!(service, event, reason, ip, pool, "{msg}");
    }
}

/// How many statuses are written at once.
const AT_ONCE: usize = 8;

/// How many writes may wait.
const QUEUE: usize = 256;

/// How long a write may hold up the next one.
const SLOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
