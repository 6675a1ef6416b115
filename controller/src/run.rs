//! Wires the watches, the decisions and the writes together.

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::stream::{BoxStream, StreamExt as _};
use kube::{Api, Client};
use metallb_crds::v1beta1::IPAddressPool;
use metallb_ipam::ServiceKey;
use metallb_kit::events::Events;
use metallb_kit::leader::{Campaign, Leadership, Settings};
use metallb_kit::metrics::{Endpoint, Metrics};
use metallb_kit::ready::{Condition, Ready};
use metallb_kit::tls::TlsOptions;
use metallb_kit::watch::{Change, watch};
use metallb_kit::{client, leader, namespace, probes, shutdown};

use crate::apply::{Apply, Done};
use crate::args::Args;
use crate::decide::Decider;
use crate::index::{Index, Touched, WatchedNamespace};
use crate::memberlist;
use crate::metrics::ControllerMetrics;
use crate::service::WatchedService;

/// Runs until a signal ends it.
///
/// # Errors
/// Something that it cannot start without: no cluster, a taken port, bad TLS options.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // One thread: an allocation takes microseconds, and a thread costs memory.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(start(args))
}

async fn start(args: &Args) -> anyhow::Result<()> {
    let tls = TlsOptions::parse(
        &args.tls_min_version,
        &args.tls_cipher_suites,
        &args.tls_curve_preferences,
    )?;
    let namespace = namespace::resolve(args.namespace.as_deref())?;
    let shutdown = shutdown::on_signal()?;
    let client = client::connect("metallb-controller", env!("CARGO_PKG_VERSION")).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace,
        "MetalLB controller starting"
    );
    let ineffective = args.ineffective.given();
    if !ineffective.is_empty() {
        tracing::info!(
            flags = ineffective.join(", "),
            "these flags have no effect yet"
        );
    }

    let ready = Ready::new();
    let metrics = Metrics::new();
    let program = Program::new(args, &namespace, client.clone(), &ready, &metrics);
    probes::serve(args.probes_addr(), ready, shutdown.clone())
        .await
        .with_context(|| format!("cannot serve probes on port {}", args.health_probe_port))?;
    let endpoint = Endpoint {
        addr: args.metrics_addr(),
        cert_dir: args.metrics_cert_dir.clone(),
        tls,
    };
    metallb_kit::metrics::serve(metrics, endpoint, client.clone(), shutdown.clone())
        .await
        .with_context(|| format!("cannot serve metrics on port {}", args.port))?;
    if !args.ml_secret_name.is_empty() {
        let (name, owner) = (&args.ml_secret_name, &args.deployment);
        memberlist::ensure(client.clone(), &namespace, name, owner, rand::random())
            .await
            .with_context(|| format!("cannot create the memberlist secret {name:?}"))?;
    }

    let pod = if args.pod_name.is_empty() {
        "metallb-controller"
    } else {
        &args.pod_name
    };
    let campaign = Campaign::start(
        client,
        &namespace,
        LEASE,
        Settings::prompt(leader::identity(pod)),
    );
    shutdown
        .run_until_cancelled(program.run(campaign.leadership()))
        .await;
    // The program and its writes are gone now; another may lead.
    campaign.release().await;
    Ok(())
}

/// One kind's changes, and whether all of it is known.
struct Feed<K> {
    changes: BoxStream<'static, Change<K>>,
    condition: Condition,
    synced: bool,
}

impl<K> Feed<K> {
    fn synced(&mut self) {
        self.synced = true;
        self.condition.set(true);
    }
}

/// The parts that the loop turns.
struct Program {
    services: Feed<WatchedService>,
    pools: Feed<IPAddressPool>,
    namespaces: Feed<WatchedNamespace>,
    index: Index,
    /// There while we lead and know everything.
    decider: Option<Decider>,
    apply: Apply,
    metrics: ControllerMetrics,
}

impl Program {
    fn new(args: &Args, namespace: &str, client: Client, ready: &Ready, metrics: &Metrics) -> Self {
        let events = Events::start(client.clone(), "metallb-controller", None);
        Self {
            services: Feed {
                changes: watch(Api::all(client.clone())),
                condition: ready.condition("services in sync"),
                synced: false,
            },
            pools: Feed {
                changes: watch(Api::namespaced(client.clone(), namespace)),
                condition: ready.condition("ipaddresspools in sync"),
                synced: false,
            },
            namespaces: Feed {
                changes: watch(Api::all(client.clone())),
                condition: ready.condition("namespaces in sync"),
                synced: false,
            },
            index: Index::new(&args.lb_class),
            decider: None,
            apply: Apply::new(client, events),
            metrics: ControllerMetrics::register(metrics),
        }
    }

    async fn run(mut self, mut leadership: Leadership) {
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
                done = self.apply.next() => self.written(&done),
                Some(change) = self.namespaces.changes.next() => self.namespace(change),
                Some(change) = self.pools.changes.next() => self.pool(change),
                Some(change) = self.services.changes.next() => {
                    self.service(change);
                    self.services_at_hand();
                }
            }
            self.lead(*leadership.borrow_and_update());
            self.decide();
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

    /// Starts deciding when we lead and know everything; stops when we do not lead.
    fn lead(&mut self, leads: bool) {
        let synced = self.services.synced && self.pools.synced && self.namespaces.synced;
        if !leads && self.decider.take().is_some() {
            self.apply.abandon();
            self.metrics.pools(None);
        }
        if leads && synced && self.decider.is_none() {
            let (decider, effects) = Decider::start(&mut self.index);
            self.metrics.config(decider.is_stale());
            self.decider = Some(decider);
            self.apply.perform(effects);
        }
    }

    fn decide(&mut self) {
        let Some(decider) = &mut self.decider else {
            return;
        };
        let effects = decider.decide(&self.index);
        self.apply.perform(effects);
        self.metrics.pools(Some(decider.allocator()));
    }

    fn service(&mut self, change: Change<WatchedService>) {
        let touched = match change {
            Change::Apply(service) => {
                self.metrics.updates.inc();
                self.index.apply_service(&service)
            }
            Change::Delete(key) => {
                self.metrics.updates.inc();
                self.index
                    .delete_service(&ServiceKey::new(&key.namespace, &key.name))
            }
            Change::Listing => return,
            Change::Synced => return self.services.synced(),
        };
        self.touched(&touched);
    }

    fn touched(&mut self, touched: &Touched) {
        let Some(decider) = &mut self.decider else {
            return;
        };
        match touched {
            Touched::Nothing => {}
            Touched::Changed(key) => decider.service_changed(&self.index, key),
            Touched::Gone(key) => decider.service_gone(&self.index, key),
        }
    }

    fn written(&mut self, done: &Done) {
        if done.failed {
            self.metrics.update_errors.inc();
        }
        // The answer is newer than what the watch has told so far.
        if let Some(service) = &done.service {
            let touched = self.index.apply_service(service);
            self.touched(&touched);
        }
        if let Some(decider) = &mut self.decider {
            decider.written(&self.index, &done.key);
        }
    }

    fn pool(&mut self, change: Change<IPAddressPool>) {
        let changed = match change {
            Change::Apply(pool) => self.index.apply_pool(pool),
            Change::Delete(key) => {
                self.index.delete_pool(&key.name);
                true
            }
            Change::Listing => false,
            Change::Synced => {
                self.pools.synced();
                true
            }
        };
        if !changed || !self.pools.synced {
            return;
        }
        self.metrics.updates.inc();
        let stale = if let Some(decider) = &mut self.decider {
            let effects = decider.pools_changed(&mut self.index);
            self.apply.perform(effects);
            decider.is_stale()
        } else {
            // Also who does not lead says whether the configuration is good.
            !self.index.parse().rejected.is_empty()
        };
        self.metrics.config(stale);
    }

    fn namespace(&mut self, change: Change<WatchedNamespace>) {
        let changed = match change {
            Change::Apply(namespace) => self.index.apply_namespace(&namespace),
            Change::Delete(key) => {
                self.index.delete_namespace(&key.name);
                false
            }
            Change::Listing => false,
            Change::Synced => {
                self.namespaces.synced();
                false
            }
        };
        if let Some(decider) = &mut self.decider
            && changed
        {
            decider.labels_changed(&self.index);
        }
    }
}

/// The Lease that the replicas share.
const LEASE: &str = "metallb-controller";

/// How many changes of Services are taken in before deciding.
const MAX_WAVE: usize = 512;
