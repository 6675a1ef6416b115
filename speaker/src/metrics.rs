//! The speaker's metrics, by upstream's names.

mod announced;
mod labels;
mod table;

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounterVec, Opts};
use metallb_membership::Dropped;

pub(crate) use announced::AnnouncedMetric;
pub(crate) use table::{Column, Rows, Table};

/// What layer 2 counts, by address.
#[derive(Clone, Debug)]
pub(crate) struct Layer2Metrics(Table);

/// The columns of it.
#[derive(Clone, Copy, Debug)]
enum Counted {
    RequestsReceived,
    ResponsesSent,
    GratuitousSent,
    Conflicts,
}

/// In the order of [`Counted`]. Upstream does not have the last one.
const LAYER2: [(&str, &str); 4] = [
    (
        "metallb_layer2_requests_received",
        "Number of layer2 requests received for owned IPs",
    ),
    (
        "metallb_layer2_responses_sent",
        "Number of layer2 responses sent for owned IPs in response to requests",
    ),
    (
        "metallb_layer2_gratuitous_sent",
        "Number of gratuitous layer2 packets sent for owned IPs as a result of failovers",
    ),
    (
        "metallb_layer2_conflicts_total",
        "Number of packets in which another station said that it has an owned IP",
    ),
];

impl Layer2Metrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let labels = &["ip"];
        let columns = LAYER2.map(|(name, help)| Column::counter(name.to_owned(), help, labels));
        Self(Table::new(metrics, labels, columns))
    }

    pub(crate) fn request_received(&self, ip: IpAddr) {
        self.count(ip, Counted::RequestsReceived);
    }

    pub(crate) fn conflict(&self, ip: IpAddr) {
        self.count(ip, Counted::Conflicts);
    }

    pub(crate) fn response_sent(&self, ip: IpAddr) {
        self.count(ip, Counted::ResponsesSent);
    }

    pub(crate) fn gratuitous_sent(&self, ip: IpAddr) {
        self.count(ip, Counted::GratuitousSent);
    }

    fn count(&self, ip: IpAddr, what: Counted) {
        self.0.count(vec![ip.to_string()], what as usize);
    }
}

/// What the membership counts. Upstream has no such metric.
#[derive(Clone, Debug)]
pub(crate) struct HeartbeatMetrics {
    dropped: IntCounterVec,
}

impl HeartbeatMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let opts = Opts::new(
            "metallb_speaker_heartbeats_dropped_total",
            "Number of datagrams on the heartbeat port that were no fresh heartbeat of a speaker",
        );
        Self {
            dropped: metrics.add(IntCounterVec::new(opts, &["reason"])),
        }
    }

    /// Takes in the totals.
    pub(crate) fn dropped(&self, totals: &BTreeMap<Dropped, u64>) {
        for (reason, total) in totals {
            let counter = self.dropped.with_label_values(&[reason.as_str()]);
            counter.inc_by(total.saturating_sub(counter.get()));
        }
    }
}
