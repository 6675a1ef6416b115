//! Wires the watches, the decisions and the writes together.

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::stream::{BoxStream, StreamExt as _};
use kube::{Api, Client};
use metallb_crds::v1beta1::IPAddressPool;
use metallb_kit::events::Events;
use metallb_kit::leader::{Campaign, Leadership, Settings};
use metallb_kit::metrics::{Endpoint, Metrics};
use metallb_kit::ready::{Condition, Ready};
use metallb_kit::tls::TlsOptions;
use metallb_kit::watch::{Change, watch};
use metallb_kit::{client, leader, namespace, probes, shutdown};

use crate::apply::{Apply, Done};
use crate::args::Args;
use crate::control::{Control, Input};
use crate::index::WatchedNamespace;
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

/// The readiness conditions, met as the watches get in sync.
struct Conditions {
    services: Condition,
    pools: Condition,
    namespaces: Condition,
}

/// The parts that the loop turns.
struct Program {
    services: BoxStream<'static, Change<WatchedService>>,
    pools: BoxStream<'static, Change<IPAddressPool>>,
    namespaces: BoxStream<'static, Change<WatchedNamespace>>,
    conditions: Conditions,
    control: Control,
    apply: Apply,
    metrics: ControllerMetrics,
}

impl Program {
    fn new(args: &Args, namespace: &str, client: Client, ready: &Ready, metrics: &Metrics) -> Self {
        let events = Events::start(client.clone(), "metallb-controller", None);
        Self {
            services: watch(Api::all(client.clone())),
            pools: watch(Api::namespaced(client.clone(), namespace)),
            namespaces: watch(Api::all(client.clone())),
            conditions: Conditions {
                services: ready.condition("services in sync"),
                pools: ready.condition("ipaddresspools in sync"),
                namespaces: ready.condition("namespaces in sync"),
            },
            control: Control::new(&args.lb_class),
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
                done = self.apply.next() => self.written(done),
                Some(change) = self.namespaces.next() => self.take(Input::Namespace(change)),
                Some(change) = self.pools.next() => self.take(Input::Pool(change)),
                Some(change) = self.services.next() => {
                    self.take(Input::Service(change));
                    self.services_at_hand();
                }
            }
            self.control
                .handle(Input::Leads(*leadership.borrow_and_update()));
            let effects = self.control.poll();
            self.apply.perform(effects);
            self.show();
        }
    }

    /// Takes in more that is there already, so that a wave of changes is decided on together.
    fn services_at_hand(&mut self) {
        for _ in 0..MAX_WAVE {
            let Some(Some(change)) = self.services.next().now_or_never() else {
                return;
            };
            self.take(Input::Service(change));
        }
    }

    fn take(&mut self, input: Input) {
        self.metrics.updates.inc();
        self.control.handle(input);
    }

    fn written(&mut self, done: Done) {
        if done.failed {
            self.metrics.update_errors.inc();
        }
        let Done { key, service, .. } = done;
        self.control.handle(Input::Written { key, service });
    }

    /// Tells probes and metrics how it stands.
    fn show(&mut self) {
        let synced = self.control.synced;
        self.conditions.services.set(synced.services);
        self.conditions.pools.set(synced.pools);
        self.conditions.namespaces.set(synced.namespaces);
        if let Some(stale) = self.control.is_stale() {
            self.metrics.config(stale);
        }
        self.metrics.pools(self.control.allocator());
    }
}

/// The Lease that the replicas share.
const LEASE: &str = "metallb-controller";

/// How many changes of Services are taken in before deciding.
const MAX_WAVE: usize = 512;
