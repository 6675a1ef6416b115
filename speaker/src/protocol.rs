//! The protocol thread: heartbeats, ARP and NDP, BGP and BFD, on a runtime of their own, so that they never
//! wait behind the API.
//!
//! ```text
//!   main thread                         protocol thread
//!   brain ── Command (unbounded) ──────► layer2 ── one task per port and protocol: answers
//!     ▲  └── speakers, ready (watch) ──► heartbeat ◄── state (watch): interfaces of layer2
//!     └───── Observed (unbounded) ◄──────┴─ both
//! ```
//!
//! The channels are unbounded because neither side may wait for the other; what is in them is
//! bounded by what changes. All loops are cancel-safe: a message is either taken or still there.

mod bgp;
pub(crate) mod heartbeat;
pub(crate) mod held;
mod layer2;
mod port;
pub(crate) mod rival_pace;
mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Instant;

use metallb_crds::v1beta1::BGPSessionState;
use metallb_kit::ready::Condition;
use metallb_kit::shutdown::CancellationToken;
use metallb_l2::{NodeState, Rival};
use metallb_membership::{Membership, Own};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use crate::addresses::Command;
use crate::bgp::{BgpCommand, BgpMetrics, SessionNews};
use crate::exclude::Exclude;
use crate::index::Members;
use crate::metrics::{HeartbeatMetrics, Layer2Metrics};
use crate::statuses::Statuses;
use held::HANDOVER;

/// What the thread needs to know at its start.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) exclude: Exclude,
    /// Varies the times of announcements.
    pub(crate) seed: u64,
    /// Nothing when nobody watches who is alive.
    pub(crate) heartbeat: Option<HeartbeatSetup>,
    pub(crate) layer2_metrics: Layer2Metrics,
    pub(crate) bgp_metrics: BgpMetrics,
    /// Where routers may connect to, if anywhere. Bound already, for the same reason as below.
    pub(crate) bgp_sockets: Vec<TcpListener>,
    /// The BGP sessions as a table, for people on the node.
    pub(crate) sessions: watch::Sender<String>,
    /// The same as objects, for everybody.
    pub(crate) session_states: Statuses<BGPSessionState>,
    /// Met while all sockets are open.
    pub(crate) ready: Condition,
    /// When cancelled, the others are told that we leave, and after [`HANDOVER`] all stops.
    pub(crate) shutdown: CancellationToken,
}

/// Who we are among the speakers.
#[derive(Debug)]
pub(crate) struct HeartbeatSetup {
    pub(crate) own: Own,
    pub(crate) settings: metallb_membership::Settings,
    /// Where the key comes from, which may change.
    pub(crate) secret: Option<PathBuf>,
    /// Bound already, so that a port in use ends the program at its start.
    pub(crate) socket: UdpSocket,
    pub(crate) metrics: HeartbeatMetrics,
}

/// The brain's end of the thread.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) bgp_commands: mpsc::UnboundedSender<BgpCommand>,
    /// All speakers by node.
    pub(crate) speakers: watch::Sender<BTreeMap<String, IpAddr>>,
    /// Whether this node may take over from others.
    pub(crate) ready: watch::Sender<bool>,
    /// Ends when the thread does.
    pub(crate) observed: mpsc::UnboundedReceiver<Observed>,
    pub(crate) thread: JoinHandle<()>,
}

/// What the thread sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// The nodes whose speakers are alive, and what they say of themselves.
    Members(Members),
    /// Another station says that it has an address that is announced here, or is to be.
    Rival(Rival),
    /// Nobody had an address that was probed for: it is announced now.
    Begun(IpAddr),
    /// The interfaces that may announce, by name, whether they are up or not.
    Interfaces(BTreeSet<String>),
    /// What became of the session with the router of this name.
    Session(String, SessionNews),
}

/// Starts the thread.
pub(crate) fn start(setup: Setup) -> io::Result<Protocol> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (bgp_commands, bgp_queue) = mpsc::unbounded_channel();
    let (speakers, speakers_told) = watch::channel(BTreeMap::new());
    let (ready, ready_told) = watch::channel(false);
    let (seen, observed) = mpsc::unbounded_channel();
    let thread = std::thread::Builder::new()
        .name("protocol".to_owned())
        .spawn(move || {
            be_prompt();
            let (state, state_told) = watch::channel(NodeState::default());
            let told = Told {
                speakers: speakers_told,
                state: state_told,
                ready: ready_told,
            };
            let queues = (command_queue, bgp_queue);
            let all = run(setup, queues, told, state, seen);
            runtime.block_on(LocalSet::new().run_until(all));
        })?;
    Ok(Protocol {
        commands,
        bgp_commands,
        speakers,
        ready,
        observed,
        thread,
    })
}

/// Before other work on a busy node, where the pod may: with the capability `SYS_NICE`. Without it
/// late timers are stretched, and nobody is blamed for them.
/// By Linux's rules that is the calling thread alone.
fn be_prompt() {
    if let Err(error) = metallb_netio::shorten_slice() {
        tracing::debug!(op = "startup", %error, "no shorter slices");
    }
    match metallb_netio::raise_priority() {
        Ok(()) => tracing::info!(op = "startup", "the protocol thread has a raised priority"),
        Err(error) => tracing::debug!(op = "startup", %error, "no raised priority"),
    }
}

/// What the heartbeats depend on.
#[derive(Debug)]
struct Told {
    speakers: watch::Receiver<BTreeMap<String, IpAddr>>,
    state: watch::Receiver<NodeState>,
    ready: watch::Receiver<bool>,
}

async fn run(
    setup: Setup,
    (commands, bgp_commands): (
        mpsc::UnboundedReceiver<Command>,
        mpsc::UnboundedReceiver<BgpCommand>,
    ),
    told: Told,
    state: watch::Sender<NodeState>,
    observer: mpsc::UnboundedSender<Observed>,
) {
    let shutdown = setup.shutdown.clone();
    let heartbeats = async {
        if let Some(HeartbeatSetup {
            own,
            settings,
            secret,
            socket,
            metrics,
        }) = setup.heartbeat
        {
            let membership = Membership::new(Instant::now(), own, settings);
            let leave = setup.shutdown.clone();
            let observer = observer.clone();
            let shell = heartbeat::Shell {
                membership,
                socket,
                secret,
                metrics,
                observer,
                alive: BTreeSet::new(),
            };
            if let Err(error) = shell.run(told, leave).await {
                tracing::error!(op = "heartbeat", %error, "no more heartbeats");
                return;
            }
        }
        // Nothing more to say; that alone is no reason to stop.
        std::future::pending::<()>().await;
    };
    // The successors announce first; until they have, we still answer.
    let stop = async {
        shutdown.cancelled().await;
        tokio::time::sleep(HANDOVER).await;
    };
    let layer2 = layer2::Layer2::new(
        setup.exclude,
        setup.seed,
        setup.layer2_metrics,
        setup.ready,
        layer2::Outlet {
            observer: observer.clone(),
            state,
        },
    );
    let (shell, queue) = bgp::Shell::new(
        setup.seed,
        bgp::Outlet {
            metrics: setup.bgp_metrics,
            page: setup.sessions,
            objects: setup.session_states,
            observer: observer.clone(),
        },
    );
    let leave = setup.shutdown.clone();
    let bgp = async {
        let sockets = setup.bgp_sockets;
        if let Err(error) = shell.run(sockets, queue, bgp_commands, leave).await {
            tracing::error!(op = "bgp", %error, "no more BGP");
            return;
        }
        // Nothing more to say; others may have.
        std::future::pending::<()>().await;
    };
    // The first to end ends the thread, and with it the program.
    tokio::select! {
        biased;
        () = stop => {}
        () = heartbeats => {}
        () = layer2.run(commands) => {}
        () = bgp => {}
    }
}
