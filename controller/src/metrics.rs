//! The controller's metrics: upstream's names and help texts.

use std::collections::BTreeSet;

use metallb_ipam::{Allocator, Counters};
use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts};

/// All of them.
#[derive(Debug)]
pub(crate) struct ControllerMetrics {
    pools: [PoolGauge; 6],
    /// The pools that have series now.
    shown: BTreeSet<String>,
    /// Registered and never set, as upstream.
    #[expect(dead_code, reason = "holds the series' place in the registry")]
    services_allocated: IntGaugeVec,
    pub(crate) updates: IntCounter,
    pub(crate) update_errors: IntCounter,
    config_loaded: IntGauge,
    config_stale: IntGauge,
}

#[derive(Debug)]
struct PoolGauge {
    gauge: IntGaugeVec,
    value: fn(&Counters) -> i64,
}

impl ControllerMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let vec = |name: &str, help: &str| {
            let name = format!("metallb_allocator_{name}");
            metrics.add(IntGaugeVec::new(Opts::new(name, help), &["pool"]))
        };
        let client = |name: &str| format!("metallb_k8s_client_{name}");
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
            ],
            shown: BTreeSet::new(),
            services_allocated: vec(
                "services_allocated_total",
                "Number of services allocated, per pool",
            ),
            updates: metrics.add(IntCounter::new(
                client("updates_total"),
                "Number of k8s object updates that have been processed.",
            )),
            update_errors: metrics.add(IntCounter::new(
                client("update_errors_total"),
                "Number of k8s object updates that failed for some reason.",
            )),
            config_loaded: metrics.add(IntGauge::new(
                client("config_loaded_bool"),
                "1 if the MetalLB configuration was successfully loaded at least once.",
            )),
            config_stale: metrics.add(IntGauge::new(
                client("config_stale_bool"),
                "1 if running on a stale configuration, because the latest config failed to load.",
            )),
        }
    }

    /// The configuration was read; `stale` says that some object of it is no good.
    pub(crate) fn config(&self, stale: bool) {
        self.config_loaded.set(1);
        self.config_stale.set(i64::from(stale));
    }

    /// Shows how much of each pool is in use; who does not lead shows none.
    pub(crate) fn pools(&mut self, allocator: Option<&Allocator>) {
        let mut now = BTreeSet::new();
        for (name, counters) in allocator.into_iter().flat_map(Allocator::all_counters) {
            for PoolGauge { gauge, value } in &self.pools {
                gauge.with_label_values(&[name]).set(value(&counters));
            }
            now.insert(name.to_owned());
        }
        for gone in self.shown.difference(&now) {
            for PoolGauge { gauge, .. } in &self.pools {
                // It has the series, or it would not be among the shown.
                let _ = gauge.remove_label_values(&[gone]);
            }
        }
        self.shown = now;
    }
}
