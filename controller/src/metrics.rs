//! The controller's metrics: upstream's names and help texts.

use std::collections::BTreeSet;

use metallb_kit::metrics::prometheus::{Histogram, HistogramOpts, IntCounter, IntGaugeVec, Opts};
use metallb_kit::metrics::{ClientMetrics, Metrics};

use crate::decide::PoolUsage;

/// All of them.
#[derive(Debug)]
pub(crate) struct ControllerMetrics {
    pools: [PoolGauge; 7],
    /// The pools that have series now.
    shown: BTreeSet<String>,
    pub(crate) client: ClientMetrics,
    /// How long a change waits for its decision.
    pub(crate) queue: Histogram,
    pub(crate) doubles: IntCounter,
}

#[derive(Debug)]
struct PoolGauge {
    gauge: IntGaugeVec,
    value: fn(&PoolUsage) -> i64,
}

/// What the writes of statuses are measured by.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    pub(crate) write: Histogram,
    /// From a change to the status that is its consequence.
    pub(crate) reconcile: Histogram,
    pub(crate) errors: IntCounter,
}

impl ControllerMetrics {
    pub(crate) fn register(metrics: &Metrics, client: &ClientMetrics) -> Self {
        let vec = |name: &str, help: &str| {
            let name = format!("metallb_allocator_{name}");
            metrics.add(IntGaugeVec::new(Opts::new(name, help), &["pool"]))
        };
        let pool = |name: &str, help: &str, value| PoolGauge {
            gauge: vec(name, help),
            value,
        };
        Self {
            pools: [
                pool(
                    "addresses_total",
                    "Number of usable IP addresses, per pool",
                    |c| c.ipv4.total.saturating_add(c.ipv6.total),
                ),
                pool(
                    "addresses_in_use_total",
                    "Number of IP addresses in use, per pool",
                    |c| c.ipv4.in_use.saturating_add(c.ipv6.in_use),
                ),
                pool(
                    "ipv4_addresses_total",
                    "Number of usable IPV4 addresses, per pool",
                    |c| c.ipv4.total,
                ),
                pool(
                    "ipv6_addresses_total",
                    "Number of usable IPV6 addresses, per pool",
                    |c| c.ipv6.total,
                ),
                pool(
                    "ipv4_addresses_in_use_total",
                    "Number of IPV4 addresses in use, per pool",
                    |c| c.ipv4.in_use,
                ),
                pool(
                    "ipv6_addresses_in_use_total",
                    "Number of IPV6 addresses in use, per pool",
                    |c| c.ipv6.in_use,
                ),
                pool(
                    "services_allocated_total",
                    "Number of services allocated, per pool",
                    |c| i64::try_from(c.services).unwrap_or(i64::MAX),
                ),
            ],
            shown: BTreeSet::new(),
            client: client.clone(),
            queue: histogram(
                metrics,
                "queue",
                "Time from the news of a change to the decision about it.",
            ),
            doubles: metrics.add(IntCounter::new(
                "metallb_controller_double_assignments_resolved_total",
                "Number of Services that held an address of an older one and got another.",
            )),
        }
    }

    /// Shows how much of a pool is in use; nothing when there is no such pool.
    pub(crate) fn pool(&mut self, name: &str, usage: Option<PoolUsage>) {
        match usage {
            Some(usage) => {
                for PoolGauge { gauge, value } in &self.pools {
                    gauge.with_label_values(&[name]).set(value(&usage));
                }
                self.shown.insert(name.to_owned());
            }
            None if self.shown.remove(name) => self.hide(name),
            None => {}
        }
    }

    /// Shows no pools: who does not lead does not count them.
    pub(crate) fn no_pools(&mut self) {
        for name in std::mem::take(&mut self.shown) {
            self.hide(&name);
        }
    }

    fn hide(&self, name: &str) {
        for PoolGauge { gauge, .. } in &self.pools {
            // It has the series, or it would not be among the shown.
            let _ = gauge.remove_label_values(&[name]);
        }
    }
}

impl Latencies {
    pub(crate) fn register(metrics: &Metrics, client: &ClientMetrics) -> Self {
        Self {
            write: histogram(
                metrics,
                "write",
                "Time that writing the status of a Service takes.",
            ),
            reconcile: histogram(
                metrics,
                "reconcile",
                "Time from the news of a change to the status that is its consequence.",
            ),
            errors: client.update_errors.clone(),
        }
    }
}

fn histogram(metrics: &Metrics, what: &str, help: &str) -> Histogram {
    let name = format!("metallb_controller_{what}_seconds");
    let opts = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    metrics.add(Histogram::with_opts(opts))
}

/// In seconds.
const BUCKETS: [f64; 15] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];
