//! The loop: what the watches and the API server tell goes into the core, what it decides is done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt as _};
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Api, Client};
use metallb_config::CONTROLLER_CONDITION;
use metallb_crds::names::COMPONENT_TYPE_LABEL;
use metallb_crds::v1beta1::{Community, ConfigurationResult, IPAddressPool, IPAddressPoolStatus};
use metallb_kit::configuration_state::{Identity, Reporter};
use metallb_kit::events::Events;
use metallb_kit::leader::Leadership;
use metallb_kit::metrics::{ClientMetrics, Metrics};
use metallb_kit::ready::{Condition, Ready};
use metallb_kit::sleep;
use metallb_kit::watch::{Change, watch_anew_on, watch_with};
use metallb_kit::words::in_words;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, timeout};

use crate::apply::{Apply, PoolStatuses};
use crate::args::Args;
use crate::control::{Control, Figures, Input};
use crate::decide::Effect;
use crate::metrics::{ControllerMetrics, Latencies};
use crate::watched::{WatchedNamespace, WatchedService};

/// One kind's changes.
struct Feed<K> {
    changes: BoxStream<'static, Change<K>>,
    /// That all of it is known.
    synced: Condition,
}

impl<K> Feed<K> {
    fn see(&self, change: &Change<K>) {
        if matches!(change, Change::Synced) {
            self.synced.set(true);
        }
    }
}

/// The parts that the loop turns.
pub(crate) struct Program {
    services: Feed<WatchedService>,
    /// Has the Services told anew.
    anew: Arc<Notify>,
    pools: Feed<IPAddressPool>,
    communities: Feed<Community>,
    namespaces: Feed<WatchedNamespace>,
    control: Control,
    apply: Apply,
    reporter: Reporter,
    pool_statuses: PoolStatuses,
    pool_api: Api<IPAddressPool>,
    pool_writes: FuturesUnordered<BoxFuture<'static, (Arc<str>, bool)>>,
    metrics: ControllerMetrics,
}

impl Program {
    pub(crate) fn new(
        args: &Args,
        namespace: &str,
        client: Client,
        ready: &Ready,
        metrics: &Metrics,
    ) -> Self {
        let events = Events::start(client.clone(), "metallb-controller", None);
        metrics.add(Ok(events.lost()));
        let client_metrics = ClientMetrics::register(metrics);
        let anew = Arc::<Notify>::default();
        // A connection that has died without a word is noticed soon.
        let config = watcher::Config::default().timeout(WATCH);
        let all = Api::all(client.clone());
        Self {
            services: Feed {
                changes: watch_anew_on(anew.clone(), all, config.clone()),
                synced: ready.condition("services in sync"),
            },
            anew,
            pools: Feed {
                changes: watch_with(Api::namespaced(client.clone(), namespace), config.clone()),
                synced: ready.condition("ipaddresspools in sync"),
            },
            communities: Feed {
                changes: watch_with(Api::namespaced(client.clone(), namespace), config.clone()),
                synced: ready.condition("communities in sync"),
            },
            namespaces: Feed {
                changes: watch_with(Api::all(client.clone()), config),
                synced: ready.condition("namespaces in sync"),
            },
            control: Control::new(&args.lb_class),
            reporter: Reporter::start(client.clone(), identity(args, namespace)),
            pool_statuses: PoolStatuses::default(),
            pool_api: Api::namespaced(client.clone(), namespace),
            pool_writes: FuturesUnordered::new(),
            apply: Apply::new(
                client,
                events,
                Latencies::register(metrics, &client_metrics),
            ),
            metrics: ControllerMetrics::register(metrics, &client_metrics),
        }
    }

    pub(crate) async fn run(mut self, mut leadership: Leadership) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Leadership first: nothing is decided on the strength of one that is lost.
                biased;
                changed = leadership.changed() => {
                    if changed.is_err() {
                        tracing::error!("the election has ended, so does this process");
                        return;
                    }
                }
                (key, outcome) = self.apply.next() => {
                    let written = Input::Written { key, outcome };
                    self.control.handle(written, Instant::now());
                }
                Some(change) = self.namespaces.changes.next() => {
                    self.namespaces.see(&change);
                    self.control.handle(Input::Namespace(change), Instant::now());
                }
                Some(change) = self.communities.changes.next() => {
                    self.communities.see(&change);
                    self.control.handle(Input::Community(change), Instant::now());
                }
                Some(change) = self.pools.changes.next() => {
                    self.pool(change);
                    self.pools_at_hand();
                }
                Some(change) = self.services.changes.next() => {
                    self.service(change);
                    self.services_at_hand();
                }
                Some((pool, is_written)) = self.pool_writes.next() => {
                    self.pool_statuses.written(pool, is_written, Instant::now());
                }
                () = sleep::until(self.pool_statuses.next()) => {}
                _ = tick.tick() => self.listen(),
            }
            let leads = Input::Leads(*leadership.borrow_and_update());
            self.control.handle(leads, Instant::now());
            self.decide();
            self.write_pool_statuses();
            // There may be more at hand without end, and the election has its renewals to make.
            tokio::task::yield_now().await;
        }
    }

    /// Takes in more that is there already, so that a wave of changes is decided on together.
    fn services_at_hand(&mut self) {
        for _ in 0..MAX_WAVE {
            let Some(Some(change)) = self.services.changes.next().now_or_never() else {
                return;
            };
            self.service(change);
        }
    }

    fn pools_at_hand(&mut self) {
        for _ in 0..MAX_WAVE {
            let Some(Some(change)) = self.pools.changes.next().now_or_never() else {
                return;
            };
            self.pool(change);
        }
    }

    fn service(&mut self, change: Change<WatchedService>) {
        self.metrics.client.updates.inc();
        self.services.see(&change);
        self.control.handle(Input::Service(change), Instant::now());
    }

    fn pool(&mut self, change: Change<IPAddressPool>) {
        self.metrics.client.updates.inc();
        self.pools.see(&change);
        self.control.handle(Input::Pool(change), Instant::now());
    }

    /// A watch that does not tell of what we wrote is begun anew.
    fn listen(&mut self) {
        if self.control.is_deaf(Instant::now()) {
            tracing::warn!("the watch of Services does not tell of our own writes; listing anew");
            self.anew.notify_one();
        }
    }

    fn decide(&mut self) {
        let effects = self.control.poll(self.apply.room());
        if effects.contains(&Effect::Abandon) {
            self.pool_statuses.clear();
            self.pool_writes.clear();
            self.metrics.no_pools();
        }
        let Figures {
            decided,
            pools,
            doubles,
        } = self.control.take_figures();
        let now = Instant::now();
        for since in decided.values() {
            let waited = now.duration_since(*since);
            self.metrics.queue.observe(waited.as_secs_f64());
        }
        self.metrics.doubles.inc_by(doubles);
        self.apply
            .perform(effects, |key| decided.get(key).copied().unwrap_or(now));
        for pool in pools {
            self.metrics.pool(&pool, self.control.pool_usage(&pool));
            self.pool_statuses.touch(pool, now);
        }
        if self.control.take_report_changed()
            && let Some(report) = self.control.report()
        {
            let client = &self.metrics.client;
            client.set_loaded();
            client.set_stale(report.result != ConfigurationResult::Valid);
            let is_ours = self.control.is_leading();
            self.reporter.report(is_ours.then(|| report.clone()));
        }
    }

    fn write_pool_statuses(&mut self) {
        while self.pool_writes.len() < POOLS_AT_ONCE
            && let Some(name) = self.pool_statuses.take(Instant::now())
        {
            let Some(status) = self.control.pool_status_due(&name) else {
                continue;
            };
            let api = self.pool_api.clone();
            self.pool_writes
                .push(Box::pin(write_pool_status(api, name, status)));
        }
    }
}

/// Whose `ConfigurationState` it is: that of whichever controller leads.
fn identity(args: &Args, namespace: &str) -> Identity {
    let label = (COMPONENT_TYPE_LABEL.to_owned(), "controller".to_owned());
    Identity {
        namespace: namespace.to_owned(),
        name: "controller".to_owned(),
        labels: [label].into(),
        pod: Some(args.pod_name.clone()).filter(|name| !name.is_empty()),
        condition: CONTROLLER_CONDITION,
        field_manager: "poolReconciler",
    }
}

/// Says whether that was the end of it.
async fn write_pool_status(
    api: Api<IPAddressPool>,
    name: Arc<str>,
    status: IPAddressPoolStatus,
) -> (Arc<str>, bool) {
    let patch = Patch::Merge(json!({ "status": status }));
    let params = PatchParams::default();
    let written = match timeout(REQUEST, api.patch_status(&name, &params, &patch)).await {
        Ok(Ok(_)) => true,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => true,
        Ok(Err(error)) => {
            tracing::warn!(
                pool = &*name,
                error = in_words(&error),
                "cannot write the pool's status, will be tried again"
            );
            false
        }
        Err(_) => {
            tracing::warn!(
                pool = &*name,
                "cannot write the pool's status: no answer, will be tried again"
            );
            false
        }
    };
    (name, written)
}

/// How many changes of one kind are taken in before deciding.
const MAX_WAVE: usize = 512;

/// How long the API server is to hold a watch, in seconds; one on which nothing comes for 5 s more
/// is dead.
const WATCH: u32 = 30;

/// How often it is asked whether the watch is alive.
const TICK: Duration = Duration::from_secs(1);

/// How many statuses of pools are written at once.
const POOLS_AT_ONCE: usize = 2;

/// How long writing the status of a pool may take.
const REQUEST: Duration = Duration::from_secs(15);
