//! Metrics of sessions, by upstream's names, which depend on the backend.

use std::net::SocketAddr;

use metallb_bfd::{Bfd, State};
use metallb_bgp::Speaker;
use metallb_bgp::session::{self, Session};
use metallb_config::PeerAddress;
use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::IntCounter;
use metallb_kit::watch::ObjectKey;

use super::{Backend, Peer, PeerSetup};
use crate::metrics::{Column, Rows, Table};

/// What is counted of each session.
#[derive(Clone, Debug)]
pub(crate) struct BgpMetrics {
    backend: Backend,
    sessions: Table,
    bfd: Table,
    refused: IntCounter,
}

type Gauge = fn(&Session, usize) -> usize;
type Counter = fn(&session::Counts) -> u64;
type BfdCounter = fn(&metallb_bfd::Counts) -> u64;

const GAUGES: [(&str, &str, Gauge); 4] = [
    (
        "bgp_session_up",
        "BGP session state (1 is up, 0 is down)",
        |session, _| usize::from(session.since().is_some()),
    ),
    (
        "bgp_announced_prefixes_total",
        "Number of prefixes currently being advertised on the BGP session",
        |session, _| session.told(),
    ),
    (
        "bgp_pending_prefixes_total",
        "Number of prefixes that should be advertised on the BGP session",
        |session, left| session.told() + left,
    ),
    (
        "bgp_received_prefixes_total",
        "Number of prefixes currently being received on the BGP session",
        |session, _| session.received().count(),
    ),
];

const COUNTERS: [(&str, &str, Counter); 10] = [
    (
        "bgp_updates_total",
        "Number of BGP UPDATE messages sent",
        |it| it.updates.sent,
    ),
    (
        "bgp_updates_total_received",
        "Number of BGP UPDATE messages received",
        |it| it.updates.received,
    ),
    ("bgp_opens_sent", "Number of BGP open messages sent", |it| {
        it.opens.sent
    }),
    (
        "bgp_opens_received",
        "Number of BGP open messages received",
        |it| it.opens.received,
    ),
    (
        "bgp_notifications_sent",
        "Number of BGP notification messages sent",
        |it| it.notifications.sent,
    ),
    (
        "bgp_keepalives_sent",
        "Number of BGP keepalive messages sent",
        |it| it.keepalives.sent,
    ),
    (
        "bgp_keepalives_received",
        "Number of BGP keepalive messages received",
        |it| it.keepalives.received,
    ),
    (
        "bgp_route_refresh_sent",
        "Number of BGP route refresh messages sent",
        |it| it.refreshes.sent,
    ),
    (
        "bgp_total_sent",
        "Number of total BGP messages sent",
        |it| it.total().sent,
    ),
    (
        "bgp_total_received",
        "Number of total BGP messages received",
        |it| it.total().received,
    ),
];

const BFD_COUNTERS: [(&str, &str, BfdCounter); 6] = [
    (
        "bfd_control_packet_input",
        "Number of received BFD control packets",
        |it| it.received,
    ),
    (
        "bfd_control_packet_output",
        "Number of sent BFD control packets",
        |it| it.sent,
    ),
    (
        "bfd_echo_packet_input",
        "Number of received BFD echo packets",
        |it| it.echoes_returned,
    ),
    (
        "bfd_echo_packet_output",
        "Number of sent BFD echo packets",
        |it| it.echoes_sent,
    ),
    (
        "bfd_session_up_events",
        "Number of BFD session up events",
        |it| it.ups,
    ),
    (
        "bfd_session_down_events",
        "Number of BFD session down events",
        |it| it.downs,
    ),
];

impl BgpMetrics {
    /// All names begin with `prefix`.
    pub(crate) fn new(metrics: &Metrics, backend: Backend, prefix: &str) -> Self {
        let name = |name: &str| format!("{prefix}_{name}");
        let labels = labels_of(backend);
        let gauges = GAUGES.map(|(it, help, _)| Column::gauge(name(it), help, labels));
        let counters = COUNTERS.map(|(it, help, _)| Column::counter(name(it), help, labels));
        let up = "BFD session state (1 is up, 0 is down)";
        let up = Column::gauge(name("bfd_session_up"), up, WITH_VRF);
        let bfd = BFD_COUNTERS.map(|(it, help, _)| Column::counter(name(it), help, WITH_VRF));
        let refused = "Number of incoming connections from addresses of no BGP peer, or of one \
                       that has a connection";
        Self {
            backend,
            sessions: Table::new(metrics, labels, gauges.into_iter().chain(counters)),
            bfd: Table::new(metrics, WITH_VRF, std::iter::once(up).chain(bfd)),
            refused: metrics.add(IntCounter::new(
                name("bgp_connections_refused_total"),
                refused,
            )),
        }
    }

    /// A connection came in that nobody wants.
    pub(crate) fn refuse(&self) {
        self.refused.inc();
    }

    /// Shows how things are. `peer` says how one is reached.
    pub(crate) fn show<'a>(
        &self,
        speaker: &Speaker<String, ObjectKey>,
        bfd: &Bfd,
        peer: impl Fn(&str) -> Option<&'a Peer>,
    ) {
        let (mut sessions, mut watched) = (Rows::new(), Rows::new());
        for (name, session) in speaker.sessions() {
            let Some(peer) = peer(name) else { continue };
            let left = session.left(speaker.rib());
            let gauges =
                GAUGES.map(|(.., of)| u64::try_from(of(session, left)).unwrap_or(u64::MAX));
            let counts = session.counts();
            let counters = COUNTERS.map(|(.., of)| of(&counts));
            let row = gauges.into_iter().chain(counters).collect();
            sessions.insert(self.labels(&peer.setup), row);
            if let Some((path, _)) = peer.bfd()
                && let Some(session) = bfd.session(&path)
            {
                // On an interface, too: what FRR calls its BFD peer there.
                let labels = vec![path.peer.to_string(), vrf(&peer.setup)];
                let is_up = session.state() == State::Up;
                let counts = session.counts();
                let counters = BFD_COUNTERS.map(|(.., of)| of(&counts));
                let row = std::iter::once(is_up.into()).chain(counters).collect();
                watched.insert(labels, row);
            }
        }
        self.sessions.show(sessions);
        self.bfd.show(watched);
    }

    fn labels(&self, setup: &PeerSetup) -> Vec<String> {
        let with_port = || match &setup.address {
            PeerAddress::Ip(ip) => SocketAddr::new(*ip, setup.port).to_string(),
            PeerAddress::Interface(name) => format!("{name}:{}", setup.port),
        };
        match self.backend {
            Backend::Native => vec![with_port()],
            Backend::Frr => vec![with_port(), vrf(setup)],
            Backend::FrrK8s => vec![setup.address.to_string(), vrf(setup)],
        }
    }
}

fn labels_of(backend: Backend) -> &'static [&'static str] {
    match backend {
        Backend::Native => &["peer"],
        Backend::Frr | Backend::FrrK8s => WITH_VRF,
    }
}

fn vrf(setup: &PeerSetup) -> String {
    setup.vrf.clone().unwrap_or_else(|| DEFAULT_VRF.to_owned())
}

/// The labels of FRR's metrics.
const WITH_VRF: &[&str] = &["peer", "vrf"];
/// FRR's name for no VRF.
const DEFAULT_VRF: &str = "default";
