//! What controller and speaker count of their dealings with the API, by upstream's names.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
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

    /// Shows the same figures in other metrics, by names that begin with `prefix` in the place of
    /// `metallb`; once for each `metrics`.
    ///
    /// # Panics
    /// They are there already.
    pub fn show_as(&self, prefix: &'static str, metrics: &Metrics) {
        let of = self.clone();
        let shown = metrics
            .registry()
            .register(Box::new(Renamed { of, prefix }));
        shown.expect("they are shown once");
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [
            &self.updates,
            &self.update_errors,
            &self.config_loaded,
            &self.config_stale,
        ]
    }
}

struct Renamed {
    of: ClientMetrics,
    prefix: &'static str,
}

impl Collector for Renamed {
    fn desc(&self) -> Vec<&Desc> {
        let all = self.of.all().into_iter();
        all.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let all = self.of.all().into_iter();
        let renamed = all.flat_map(Collector::collect).map(|mut family| {
            let name = family.name().replacen("metallb", self.prefix, 1);
            family.set_name(name);
            family
        });
        renamed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_figures_have_two_names() {
        let (metrics, others) = (Metrics::new(), Metrics::new());
        let client = ClientMetrics::register(&metrics);
        client.show_as("frrk8s", &others);
        client.updates.inc();
        client.set_loaded();
        for (metrics, prefix) in [(&metrics, "metallb"), (&others, "frrk8s")] {
            let text = metrics.text();
            for line in [
                "updates_total 1",
                "update_errors_total 0",
                "config_loaded_bool 1",
                "config_stale_bool 0",
            ] {
                let line = format!("\n{prefix}_k8s_client_{line}\n");
                assert!(text.contains(&line), "no {line} in {text}");
            }
        }
        assert!(!others.text().contains("metallb_"));
    }
}
