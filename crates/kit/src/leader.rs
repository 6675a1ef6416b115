//! Leadership by a Lease: the shell around the rules in `metallb-lease`.
//!
//! Needs the rights to get, list, watch, create and update the Lease. The watch makes a Lease that
//! was released change hands at once; without that right it does at the next try.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::runtime::watcher;
pub use metallb_lease::Settings;
use metallb_lease::{Action, Elector, Now, Observation, Record};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::shutdown::CancellationToken;
use crate::sleep;
use crate::watch::{Change, watch_with};
use crate::words::in_words;

/// In which of its terms this process leads, if it leads, now and at every change. A number that
/// is another one says that somebody else may have led in between.
pub type Leadership = watch::Receiver<Option<u64>>;

/// By which a leader lets others lead, if there are any.
#[derive(Clone, Debug, Default)]
pub struct Candidacy(Arc<Notify>);

impl Candidacy {
    /// Steps down, frees the Lease, and does not run for it for ten seconds. Leads again after
    /// that where nobody else does.
    pub fn stand_back(&self) {
        self.0.notify_one();
    }
}

/// A candidate at work in the background.
#[derive(Debug)]
pub struct Campaign {
    leadership: Leadership,
    candidacy: Candidacy,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Campaign {
    /// Runs for the Lease `namespace/name`; for the identity in `settings` see [`identity`].
    pub fn start(client: Client, namespace: &str, name: &str, settings: Settings) -> Self {
        let (lead, leadership) = watch::channel(None);
        let candidacy = Candidacy::default();
        let stop = CancellationToken::new();
        let api = Api::namespaced(client, namespace);
        let this_one = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let candidate = Candidate {
            api: api.clone(),
            name: name.to_owned(),
            identity: settings.identity.clone(),
            // A second request must fit before the deadline.
            request: settings.renew_deadline.mul_f64(0.4),
            elector: Elector::new(settings, rand::random()),
            lead,
            stands_back: candidacy.0.clone(),
        };
        let task = tokio::spawn(candidate.run(watch_with(api, this_one), stop.clone()));
        Self {
            leadership,
            candidacy,
            stop,
            task,
        }
    }

    /// In which term we lead. `None` comes before anybody else can lead.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// How to let others lead.
    pub fn candidacy(&self) -> Candidacy {
        self.candidacy.clone()
    }

    /// Steps down and frees the Lease, so that another takes over at its next try. Call it after
    /// the last write that needed leadership.
    pub async fn release(self) {
        self.stop.cancel();
        // A panic in there is already in the log.
        let _ = self.task.await;
    }
}

/// A name for this process that no other has, not even its predecessor in the same pod.
pub fn identity(pod: &str) -> String {
    format!("{pod}_{:016x}", rand::random::<u64>())
}

struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// How long one request may take.
    request: Duration,
    elector: Elector,
    lead: watch::Sender<Option<u64>>,
    stands_back: Arc<Notify>,
}

impl Candidate {
    async fn run(
        mut self,
        mut changes: BoxStream<'static, Change<Lease>>,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let action = self.elector.decide(now());
            self.tell();
            if let Action::Wait(until) = action {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep_until(until.into()) => {}
                    Some(change) = changes.next() => self.see(change),
                    () = self.stands_back.notified() => {
                        self.release().await;
                        let _ = stop.run_until_cancelled(tokio::time::sleep(STAND_BACK)).await;
                    }
                }
                continue;
            }
            // Not given up when we are to stop: the Lease that a renewal leaves is the one that is
            // given away.
            let seen = tokio::select! {
                seen = self.perform(&action) => seen,
                // An answer that is late must not make us lead on.
                () = sleep::until(self.elector.leads_until()) => Observation::Failed,
            };
            self.elector.observe(now(), seen);
            self.tell();
        }
        self.release().await;
    }

    async fn release(&mut self) {
        let release = self.elector.release(now());
        self.tell();
        let Some(action) = release else {
            return;
        };
        let seen = self.perform(&action).await;
        if !matches!(seen, Observation::Lease(_)) {
            tracing::warn!(lease = self.name, "lease not released, it will run out");
        }
        self.elector.observe(now(), seen);
    }

    /// Takes in what the watch tells of the Lease.
    fn see(&mut self, change: Change<Lease>) {
        match change {
            Change::Apply(lease) => self.elector.see(now(), Some(record(lease))),
            Change::Delete(_) => self.elector.see(now(), None),
            Change::Listing | Change::Synced => {}
        }
    }

    /// Passes on whether we lead, when that changed.
    fn tell(&self) {
        let term = self.elector.term(Instant::now());
        self.lead.send_if_modified(|before| {
            let changed = *before != term;
            if changed {
                *before = term;
                let message = if term.is_some() {
                    "leading"
                } else {
                    "no longer leading"
                };
                tracing::info!(lease = self.name, identity = self.identity, "{message}");
            }
            changed
        });
    }

    async fn perform(&self, action: &Action) -> Observation {
        let request = async {
            match action {
                Action::Get => self.api.get_opt(&self.name).await,
                Action::Create(spec) => self
                    .api
                    .create(&PostParams::default(), &self.lease(spec, None))
                    .await
                    .map(Some),
                Action::Update(Record {
                    resource_version,
                    spec,
                }) => {
                    let lease = self.lease(spec, Some(resource_version.clone()));
                    self.api
                        .replace(&self.name, &PostParams::default(), &lease)
                        .await
                        .map(Some)
                }
                Action::Wait(_) => Ok(None),
            }
        };
        match tokio::time::timeout(self.request, request).await {
            Ok(Ok(lease)) => Observation::Lease(lease.map(record)),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Observation::Conflict,
            Ok(Err(error)) => {
                tracing::warn!(
                    lease = self.name,
                    error = in_words(&error),
                    "cannot reach the lease"
                );
                Observation::Failed
            }
            Err(_) => {
                tracing::warn!(lease = self.name, "no answer about the lease");
                Observation::Failed
            }
        }
    }

    fn lease(&self, spec: &LeaseSpec, resource_version: Option<String>) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version,
                ..ObjectMeta::default()
            },
            spec: Some(spec.clone()),
        }
    }
}

/// Longer than it takes another to see that the Lease is free.
const STAND_BACK: Duration = Duration::from_secs(10);

fn record(lease: Lease) -> Record {
    Record {
        resource_version: lease.metadata.resource_version.unwrap_or_default(),
        spec: lease.spec.unwrap_or_default(),
    }
}

fn now() -> Now {
    Now {
        monotonic: Instant::now(),
        wall: jiff::Timestamp::now(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body as Streamed;
    use futures::{FutureExt as _, stream};
    use serde_json::json;

    use super::*;
    use crate::mock;

    #[tokio::test]
    async fn it_creates_the_lease_leads_and_gives_it_back() {
        let (bodies, mut written) = tokio::sync::mpsc::unbounded_channel();
        let (client, _) = mock::api(move |asked| {
            let mut body = asked.body;
            if asked.line.starts_with("GET") {
                return mock::status(404);
            }
            body["metadata"]["resourceVersion"] = json!("5");
            bodies.send(body.clone()).unwrap();
            (200, body.to_string())
        });
        let campaign = Campaign::start(
            client,
            "metallb-system",
            "metallb-controller",
            Settings::new("me"),
        );
        let mut leadership = campaign.leadership();
        leadership.wait_for(Option::is_some).await.unwrap();
        assert_eq!(
            written.recv().await.unwrap()["spec"]["holderIdentity"],
            "me"
        );
        campaign.release().await;
        assert_eq!(*leadership.borrow(), None);
        let released = written.recv().await.unwrap();
        assert_eq!(released["spec"]["holderIdentity"], "");
        assert_eq!(released["metadata"]["resourceVersion"], "5");
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_back_gives_the_lease_away_and_runs_again_later() {
        let (bodies, mut written) = tokio::sync::mpsc::unbounded_channel();
        let lease = std::sync::Mutex::new(None);
        let (client, _) = mock::api(move |asked| {
            let mut lease = lease.lock().unwrap();
            if asked.line.starts_with("GET") {
                return match &*lease {
                    None => mock::status(404),
                    Some(body) => (200, serde_json::Value::to_string(body)),
                };
            }
            let mut body = asked.body;
            let version = body["metadata"]["resourceVersion"].as_str();
            let version = version.map_or(5, |it| it.parse::<u32>().unwrap() + 1);
            body["metadata"]["resourceVersion"] = json!(version.to_string());
            bodies.send(body.clone()).unwrap();
            *lease = Some(body.clone());
            (200, body.to_string())
        });
        let settings = Settings::new("me");
        let campaign = Campaign::start(client, "metallb-system", "the-lease", settings);
        let mut leadership = campaign.leadership();
        leadership.wait_for(Option::is_some).await.unwrap();
        campaign.candidacy().stand_back();
        leadership.wait_for(Option::is_none).await.unwrap();
        leadership.wait_for(Option::is_some).await.unwrap();
        let mut holders = Vec::new();
        while let Ok(body) = written.try_recv() {
            let holder = body["spec"]["holderIdentity"].as_str().unwrap().to_owned();
            if holders.last() != Some(&holder) {
                holders.push(holder);
            }
        }
        assert_eq!(holders, ["me", "", "me"]);
    }

    /// Given away as it was before the renewal, it would stay ours until it runs out.
    #[tokio::test]
    async fn a_renewal_under_way_is_waited_for_before_the_lease_is_given_away() {
        let (bodies, mut written) = tokio::sync::mpsc::unbounded_channel();
        let answer = CancellationToken::new();
        let answered = answer.clone();
        let (client, _) = mock::serve(move |asked| {
            let mut body = asked.body;
            if asked.line.starts_with("GET") {
                let (code, text) = mock::status(404);
                return (code, text.into());
            }
            bodies.send(body.clone()).unwrap();
            let known = body["metadata"]["resourceVersion"].as_str().is_some();
            body["metadata"]["resourceVersion"] = json!(if known { "6" } else { "5" });
            let answered = answered.clone();
            let late = async move {
                if known {
                    answered.cancelled().await;
                }
                Ok::<_, std::convert::Infallible>(body.to_string())
            };
            (200, Streamed::from_stream(stream::once(late)))
        });
        let settings = Settings {
            retry_period: Duration::from_millis(20),
            ..Settings::new("me")
        };
        let campaign = Campaign::start(client, "metallb-system", "metallb-controller", settings);
        for renewals in 0..=1 {
            assert_eq!(
                written.recv().await.unwrap()["spec"]["holderIdentity"],
                "me",
                "{renewals}"
            );
        }
        let mut release = std::pin::pin!(campaign.release());
        assert!(
            release.as_mut().now_or_never().is_none(),
            "the renewal is not answered"
        );
        // The candidate has heard by then that it is to stop.
        tokio::task::yield_now().await;
        answer.cancel();
        release.await;
        let released = written.recv().await.unwrap();
        assert_eq!(released["spec"]["holderIdentity"], "");
        assert_eq!(released["metadata"]["resourceVersion"], "6");
    }
}
