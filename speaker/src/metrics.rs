//! The speaker's metrics, by upstream's names.

mod announced;

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounterVec, Opts};
use metallb_membership::Dropped;

pub(crate) use announced::AnnouncedMetric;

/// What layer 2 counts, by address.
#[derive(Clone, Debug)]
pub(crate) struct Layer2Metrics {
    requests_received: IntCounterVec,
    responses_sent: IntCounterVec,
    gratuitous_sent: IntCounterVec,
    /// Upstream has no such metric.
    conflicts: IntCounterVec,
}

impl Layer2Metrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.add(IntCounterVec::new(Opts::new(name, help), &["ip"]));
        Self {
            requests_received: counter(
                "metallb_layer2_requests_received",
                "Number of layer2 requests received for owned IPs",
            ),
            responses_sent: counter(
                "metallb_layer2_responses_sent",
                "Number of layer2 responses sent for owned IPs in response to requests",
            ),
            gratuitous_sent: counter(
                "metallb_layer2_gratuitous_sent",
                "Number of gratuitous layer2 packets sent for owned IPs as a result of failovers",
            ),
            conflicts: counter(
                "metallb_layer2_conflicts_total",
                "Number of packets in which another station said that it has an owned IP",
            ),
        }
    }

    pub(crate) fn request_received(&self, ip: IpAddr) {
        self.requests_received
            .with_label_values(&[&ip.to_string()])
            .inc();
    }

    pub(crate) fn conflict(&self, ip: IpAddr) {
        self.conflicts.with_label_values(&[&ip.to_string()]).inc();
    }

    pub(crate) fn response_sent(&self, ip: IpAddr) {
        self.responses_sent
            .with_label_values(&[&ip.to_string()])
            .inc();
    }

    pub(crate) fn gratuitous_sent(&self, ip: IpAddr) {
        self.gratuitous_sent
            .with_label_values(&[&ip.to_string()])
            .inc();
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
