//! Metrics of sessions, by upstream's names, which depend on the backend.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use metallb_bfd::{Bfd, State};
use metallb_bgp::Speaker;
use metallb_bgp::session::{self, Session};
use metallb_config::PeerAddress;
use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts};
use metallb_kit::watch::ObjectKey;

use super::{Backend, Peer, PeerSetup};

/// What is counted of each session.
#[derive(Clone, Debug)]
pub(crate) struct BgpMetrics {
    backend: Backend,
    gauges: Vec<(IntGaugeVec, Gauge)>,
    counters: Vec<(IntCounterVec, Counter)>,
    refused: IntCounter,
    bfd_up: IntGaugeVec,
    bfd_counters: Vec<(IntCounterVec, BfdCounter)>,
    /// The labels of sessions that have a value.
    shown: BTreeSet<Vec<String>>,
    bfd_shown: BTreeSet<Vec<String>>,
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
        let labels: &[&str] = match backend {
            Backend::Native => &["peer"],
            Backend::Frr | Backend::FrrK8s => &["peer", "vrf"],
        };
        let opts = |name: &str, help: &str| Opts::new(format!("{prefix}_{name}"), help);
        let gauge = |name, help| metrics.add(IntGaugeVec::new(opts(name, help), labels));
        let counter = |name, help| metrics.add(IntCounterVec::new(opts(name, help), labels));
        let bfd = |name, help| {
            let labels = &["peer", "vrf"];
            metrics.add(IntCounterVec::new(opts(name, help), labels))
        };
        let bfd_counters = BFD_COUNTERS.map(|(name, help, of)| (bfd(name, help), of));
        let bfd_up = opts("bfd_session_up", "BFD session state (1 is up, 0 is down)");
        let gauges = GAUGES.map(|(name, help, of)| (gauge(name, help), of));
        let counters = COUNTERS.map(|(name, help, of)| (counter(name, help), of));
        Self {
            backend,
            gauges: gauges.into(),
            counters: counters.into(),
            refused: metrics.add(IntCounter::with_opts(opts(
                "bgp_connections_refused_total",
                "Number of incoming connections from addresses of no BGP peer, or of one that has \
                 a connection",
            ))),
            bfd_up: metrics.add(IntGaugeVec::new(bfd_up, &["peer", "vrf"])),
            bfd_counters: bfd_counters.into(),
            shown: BTreeSet::new(),
            bfd_shown: BTreeSet::new(),
        }
    }

    /// A connection came in that nobody wants.
    pub(crate) fn refuse(&self) {
        self.refused.inc();
    }

    /// Shows how things are. `peer` says how one is reached.
    pub(crate) fn show<'a>(
        &mut self,
        speaker: &Speaker<String, ObjectKey>,
        bfd: &Bfd,
        peer: impl Fn(&str) -> Option<&'a Peer>,
    ) {
        let (mut shown, mut bfd_shown) = (BTreeSet::new(), BTreeSet::new());
        for (name, session) in speaker.sessions() {
            let Some(peer) = peer(name) else { continue };
            let labels = self.labels(&peer.setup);
            let values: Vec<_> = labels.iter().map(String::as_str).collect();
            let left = session.left(speaker.rib());
            for (metric, of) in &self.gauges {
                let value = i64::try_from(of(session, left)).unwrap_or(i64::MAX);
                metric.with_label_values(&values).set(value);
            }
            let counts = session.counts();
            for (metric, of) in &self.counters {
                raise(&metric.with_label_values(&values), of(&counts));
            }
            shown.insert(labels);
            if let Some((path, _)) = peer.bfd()
                && let Some(session) = bfd.session(&path)
            {
                bfd_shown.insert(self.show_bfd(path.peer, &peer.setup, session));
            }
        }
        for gone in self.shown.difference(&shown) {
            let values: Vec<_> = gone.iter().map(String::as_str).collect();
            // An error says that it is not there.
            for (metric, _) in &self.gauges {
                let _ = metric.remove_label_values(&values);
            }
            for (metric, _) in &self.counters {
                let _ = metric.remove_label_values(&values);
            }
        }
        for gone in self.bfd_shown.difference(&bfd_shown) {
            let values: Vec<_> = gone.iter().map(String::as_str).collect();
            let _ = self.bfd_up.remove_label_values(&values);
            for (metric, _) in &self.bfd_counters {
                let _ = metric.remove_label_values(&values);
            }
        }
        (self.shown, self.bfd_shown) = (shown, bfd_shown);
    }

    fn show_bfd(
        &self,
        peer: IpAddr,
        setup: &PeerSetup,
        session: &metallb_bfd::Session,
    ) -> Vec<String> {
        let labels = vec![
            // On an interface, too: what FRR calls its BFD peer there.
            peer.to_string(),
            setup.vrf.clone().unwrap_or_else(|| DEFAULT_VRF.to_owned()),
        ];
        let values: Vec<_> = labels.iter().map(String::as_str).collect();
        let is_up = session.state() == State::Up;
        self.bfd_up.with_label_values(&values).set(is_up.into());
        let counts = session.counts();
        for (metric, of) in &self.bfd_counters {
            raise(&metric.with_label_values(&values), of(&counts));
        }
        labels
    }

    fn labels(&self, setup: &PeerSetup) -> Vec<String> {
        let vrf = || setup.vrf.clone().unwrap_or_else(|| DEFAULT_VRF.to_owned());
        let with_port = || match &setup.address {
            PeerAddress::Ip(ip) => SocketAddr::new(*ip, setup.port).to_string(),
            PeerAddress::Interface(name) => format!("{name}:{}", setup.port),
        };
        match self.backend {
            Backend::Native => vec![with_port()],
            Backend::Frr => vec![with_port(), vrf()],
            Backend::FrrK8s => vec![setup.address.to_string(), vrf()],
        }
    }
}

/// FRR's name for no VRF.
const DEFAULT_VRF: &str = "default";

/// A counter of the prometheus library only goes up by something.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
