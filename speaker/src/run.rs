//! Wires the speaker together.
//!
//! ```text
//!   API server ──watches──► brain: Index ─► decide ─► Apply ──Command──► protocol thread
//!                             ▲                         │ └─Event──► API server
//!                             └──────── Observed ───────┼──────────── (who is alive, interfaces)
//!                                                       └─ metrics
//! ```

mod outlet;
mod watches;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use kube::Client;
use metallb_config::SPEAKER_CONDITION;
use metallb_crds::names::{COMPONENT_TYPE_LABEL, NODE_NAME_LABEL};
use metallb_crds::v1beta1::BGPSessionState;
use metallb_kit::configuration_state::{Identity, Reporter};
use metallb_kit::events::Events;
use metallb_kit::metrics::{ClientMetrics, Endpoint, Metrics};
use metallb_kit::probes::Page;
use metallb_kit::ready::Ready;
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::tls::TlsOptions;
use metallb_kit::words::in_words;
use metallb_membership::{Key, Own, Settings};
use tokio::sync::watch;

use crate::args::{self, Args, Memberlist};
use crate::bgp::{self, Backend, BgpMetrics, Engine, Routers, frr_k8s};
use crate::brain::Brain;
use crate::decide;
use crate::drain::Drain;
use crate::exclude::Exclude;
use crate::exporter::{self, Exporter};
use crate::hold_down::HoldDown;
use crate::index::Index;
use crate::memberlist_file;
use crate::metrics::{AnnouncedMetric, HeartbeatMetrics, Layer2Metrics};
use crate::protocol::{self, HeartbeatSetup};
use crate::statuses::Place;
use outlet::Outlet;
pub(crate) use watches::unknown;
use watches::watches;

/// Reads the command line and runs.
pub(crate) fn main() -> ExitCode {
    let args: Args = metallb_kit::args::parse();
    if let Some(args::Command::Bgp) = args.command {
        return end(bgp::sessions_page::print(args.health_probe_port));
    }
    metallb_kit::log::init(args.log_level);
    let ran = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(args)));
    end(ran)
}

fn end(ran: Result<()>) -> ExitCode {
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("speaker: {}", in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let node = args.node()?.to_owned();
    let bgp_type = std::env::var("METALLB_BGP_TYPE").unwrap_or_default();
    let backend = Backend::of(&bgp_type);
    warn_of_settings(&args, &bgp_type)?;
    let settings = settings(&args)?;
    let namespace = metallb_kit::namespace::resolve(args.namespace.as_deref())?;
    let exclude = Exclude::read(Path::new(EXCLUDE_FILE))?;
    let tls = tls(&args)?;
    let metrics = Metrics::new();
    let memberlist = args.memberlist();
    let heartbeat = memberlist
        .as_ref()
        .map(|memberlist| heartbeat(&args, &node, memberlist, settings, &metrics))
        .transpose()?;
    tracing::info!(
        op = "startup",
        version = env!("CARGO_PKG_VERSION"),
        node,
        namespace,
        "speaker starting"
    );

    let shutdown = metallb_kit::shutdown::on_signal()?;
    let client = metallb_kit::client::connect("speaker", env!("CARGO_PKG_VERSION")).await?;
    let ready = Ready::new();
    let synced = ready.condition("caches in sync");
    let sockets = ready.condition("sockets open");
    // Probes and metrics last until the process ends, handover included.
    let end = CancellationToken::new();
    let told = args.frr_k8s(&bgp_type).map(|it| frr_k8s::page(it, &node));
    let sessions = serve_probes(args.health_probe_port, ready, told, end.clone()).await?;
    let (bgp_metrics, client_metrics) =
        serve_metrics(&args, (tls, backend), &metrics, client.clone(), end.clone()).await?;

    let pod = args.pod_name.clone().filter(|name| !name.is_empty());
    let outlet = Outlet {
        events: Events::start(client.clone(), "metallb-speaker", None),
        client: client.clone(),
        place: Place {
            namespace: namespace.clone(),
            node: node.clone(),
            pod: pod.clone(),
        },
    };
    let started = protocol::start(protocol::Setup {
        exclude,
        seed: rand::random(),
        heartbeat,
        layer2_metrics: Layer2Metrics::new(&metrics),
        bgp_metrics,
        bgp_sockets: bgp_sockets(args.bgp_listen_port)?,
        sessions,
        session_states: outlet.statuses::<BGPSessionState>(),
        ready: sockets,
        shutdown: shutdown.clone(),
    })
    .context("cannot start the protocol thread")?;

    let state = identity(&node, &namespace, pod.clone());
    let reporter = Reporter::start(client.clone(), state);
    let announced = AnnouncedMetric::new(&metrics, &node);
    let (secret_names, secrets) = watch::channel(BTreeSet::new());
    let mut index = Index::new(args.class(), pod.as_deref());
    let engine = match args.frr_k8s(&bgp_type) {
        None => Engine::built_in(backend, started.bgp_commands.clone()),
        Some(it) => outlet.frr_k8s(it, &args, &mut index, reporter.clone()),
    };
    let routers = outlet.routers(engine, announced.of_bgp());
    let apply = outlet.apply(started.commands, announced);
    let brain = Brain {
        index,
        own: decide::Own {
            node,
            ignore_exclude_lb: args.ignore_exclude_lb,
        },
        apply,
        routers: Routers::new(routers, secret_names),
        unknown: unknown(memberlist.is_some()),
        synced,
        speakers: started.speakers,
        ready: started.ready,
        hold_down: HoldDown::default(),
        drain: Drain::default(),
        metrics: client_metrics,
        reporter: Some(reporter),
        reported: None,
    };
    tokio::spawn(metallb_netio::stay_small());
    let labels = memberlist.map(|it| it.labels);
    brain
        .run(
            watches(&client, &namespace, labels.as_deref(), secrets),
            started.observed,
        )
        .await;

    end.cancel();
    if started.thread.join().is_err() || !shutdown.is_cancelled() {
        bail!("the protocol thread ended");
    }
    tracing::info!(op = "shutdown", "done");
    Ok(())
}

/// Says what was given and does nothing.
fn warn_of_settings(args: &Args, bgp_type: &str) -> Result<(), args::Error> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|it| !it.is_empty());
    for (name, why) in args.without_effect(bgp_type, is_set)? {
        tracing::warn!(op = "startup", name, why, "this setting has no effect");
    }
    if args.memberlist().is_none() {
        tracing::warn!(op = "startup", "{MEMBERLIST_OFF}");
    }
    Ok(())
}

fn tls(args: &Args) -> Result<TlsOptions> {
    let tls = TlsOptions::parse(
        &args.tls_min_version,
        &args.tls_cipher_suites,
        &args.tls_curve_preferences,
    );
    Ok(tls?)
}

/// How often the speakers speak, and how long silence is borne.
fn settings(args: &Args) -> Result<Settings> {
    let Some(found) = memberlist_file::read(Path::new(MEMBERLIST_FILE))? else {
        return Ok(if args.ml_wan_config {
            Settings::wan()
        } else {
            Settings::default()
        });
    };
    for name in found.ignored {
        let why = "of the settings of memberlist, heartbeats have ProbeInterval alone";
        tracing::warn!(op = "startup", name, why, "this setting has no effect");
    }
    Ok(found.settings)
}

/// Whose `ConfigurationState` it is.
fn identity(node: &str, namespace: &str, pod: Option<String>) -> Identity {
    let labels = [(COMPONENT_TYPE_LABEL, "speaker"), (NODE_NAME_LABEL, node)];
    Identity {
        namespace: namespace.to_owned(),
        name: format!("speaker-{node}"),
        labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        pod,
        condition: SPEAKER_CONDITION,
        field_manager: "configReconciler",
    }
}

/// Where routers may connect to: nowhere with port 0.
fn bgp_sockets(port: u16) -> Result<Vec<TcpListener>> {
    if port == 0 {
        return Ok(Vec::new());
    }
    let has_v6 = Path::new("/proc/net/if_inet6").exists();
    let families = [Some(false), has_v6.then_some(true)];
    let sockets = families.into_iter().flatten().map(|v6| {
        metallb_netio::listen(port, v6, None).with_context(|| {
            format!(
                "cannot listen for routers on port {port} (--bgp-listen-port): is another BGP \
                 speaker on this node, or does a port below 1024 lack NET_BIND_SERVICE?"
            )
        })
    });
    sockets.collect()
}

fn heartbeat(
    args: &Args,
    node: &str,
    memberlist: &Memberlist,
    settings: Settings,
    metrics: &Metrics,
) -> Result<HeartbeatSetup> {
    let path = args.ml_secret_key_path.as_ref();
    let path = path.filter(|path| !path.as_os_str().is_empty());
    let secret = path.map(|path| path.join("secretkey"));
    let key = match &secret {
        Some(path) => {
            let secret = std::fs::read(path)
                .with_context(|| format!("cannot read the memberlist secret {}", path.display()))?;
            Key::derive(&secret)
        }
        None => None,
    };
    if key.is_none() {
        tracing::warn!(
            op = "startup",
            "no memberlist secret: heartbeats are not sealed"
        );
    }
    let socket = UdpSocket::bind(memberlist.bind).with_context(|| {
        format!(
            "cannot listen for heartbeats on {}: does another MetalLB or program on this node \
                 have the port? MEMBER_LIST_BIND_PORT of the operator, --ml-bindport of the \
                 speaker choose another",
            memberlist.bind
        )
    })?;
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let incarnation = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX);
    Ok(HeartbeatSetup {
        own: Own {
            name: node.to_owned(),
            incarnation,
            session: rand::random(),
            key,
            state: Arc::default(),
        },
        settings,
        secret,
        socket,
        metrics: HeartbeatMetrics::new(metrics),
    })
}

/// Serves probes, and beside them what is said to the channel; at first, `page`.
async fn serve_probes(
    port: u16,
    ready: Ready,
    page: Option<String>,
    end: CancellationToken,
) -> Result<watch::Sender<String>> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let (sessions, text) = watch::channel(page.unwrap_or_default());
    let page = Page {
        path: bgp::sessions_page::PATH,
        text,
    };
    metallb_kit::probes::serve(at, ready, Some(page), end)
        .await
        .with_context(|| format!("cannot listen for probes on {at}"))?;
    Ok(sessions)
}

/// Serves metrics; returns those of sessions, which may be on a port of their own, and those of our
/// dealings with the API, which may be on the port of FRR-K8s' own program as well.
async fn serve_metrics(
    args: &Args,
    (tls, backend): (TlsOptions, Backend),
    metrics: &Metrics,
    client: Client,
    end: CancellationToken,
) -> Result<(BgpMetrics, ClientMetrics)> {
    let endpoint = Endpoint {
        addr: (Ipv6Addr::UNSPECIFIED, args.port).into(),
        cert_dir: args.metrics_cert_dir.clone(),
        tls,
    };
    let beside = |port: Option<u16>| {
        let own = Metrics::new();
        let (like, client, end) = (endpoint.clone(), client.clone(), end.clone());
        if let Some(port) = port {
            exporter::serve(port, own.clone(), like, client, end);
        }
        own
    };
    let exporter = Exporter::of(args, backend);
    let of_sessions = match exporter.port {
        None => metrics.clone(),
        port => beside(port),
    };
    let of_api = ClientMetrics::register(metrics);
    of_api.show_as("frrk8s", &beside(exporter::of_frr_k8s(args, backend)));
    metallb_kit::metrics::serve(metrics.clone(), endpoint, client, end)
        .await
        .with_context(|| format!("cannot serve metrics on port {}", args.port))?;
    let of_sessions = BgpMetrics::new(&of_sessions, backend, exporter.prefix);
    Ok((of_sessions, of_api))
}

const MEMBERLIST_FILE: &str = "/etc/metallb/memberlist/config.json";
const EXCLUDE_FILE: &str = "/etc/metallb/excludel2.yaml";
const MEMBERLIST_OFF: &str = "not enabling heartbeats (set METALLB_ML_LABELS and \
    METALLB_ML_BIND_ADDR): a dead node is noticed only by what the API server says of it, and \
    speakers must run on all nodes";
