//! What controller and speaker count of their dealings with the API, by upstream's names.

use prometheus::{IntCounter, IntGauge};

use super::Metrics;

/// How a program gets on with the API.
#[derive(Clone, Debug)]
pub struct ClientMetrics {
    /// Changes of objects that were taken in.
    pub updates: IntCounter,
    /// Those of which something failed.
    pub update_errors: IntCounter,
    config_loaded: IntGauge,
    config_stale: IntGauge,
}

impl ClientMetrics {
    /// Adds them to `metrics`; once for each program.
    pub fn register(metrics: &Metrics) -> Self {
        Self {
            updates: metrics.add(IntCounter::new(
                "metallb_k8s_client_updates_total",
                "Number of k8s object updates that have been processed.",
            )),
            update_errors: metrics.add(IntCounter::new(
                "metallb_k8s_client_update_errors_total",
                "Number of k8s object updates that failed for some reason.",
            )),
            config_loaded: metrics.add(IntGauge::new(
                "metallb_k8s_client_config_loaded_bool",
                "1 if the MetalLB configuration was successfully loaded at least once.",
            )),
            config_stale: metrics.add(IntGauge::new(
                "metallb_k8s_client_config_stale_bool",
                "1 if running on a stale configuration, because the latest config failed to load.",
            )),
        }
    }

    /// All of the configuration has been read.
    pub fn set_loaded(&self) {
        self.config_loaded.set(1);
    }

    /// Whether some object of the configuration is no good.
    pub fn set_stale(&self, stale: bool) {
        self.config_stale.set(i64::from(stale));
    }

    /// What was set last.
    pub fn is_stale(&self) -> bool {
        self.config_stale.get() != 0
    }
}
