//! The operator's own metrics. Those of reconciling have the names of controller-runtime, which
//! dashboards for operators ask for.

use std::time::Duration;

use metallb_crds::v1beta1::MetalLBStatus;
use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::conditions::{CONDITIONS, is_true};
use crate::object::Kind;

/// Counts what is done, and shows what is so.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    applied: IntCounterVec,
    reconciles: IntCounterVec,
    errors: IntCounterVec,
    time: HistogramVec,
    missing_rights: IntGauge,
    conditions: IntGaugeVec,
    pods: IntGaugeVec,
    info: IntGaugeVec,
}

impl Counters {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            metrics.add(IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            metrics.add(IntGaugeVec::new(Opts::new(name, help), labels))
        };
        let time = HistogramOpts::new(
            "controller_runtime_reconcile_time_seconds",
            "Length of time per reconciliation per controller.",
        );
        let this = Self {
            applied: counter(
                "metallb_operator_applied_total",
                "Objects applied, by kind, by whether that repaired a foreign change, and by result.",
                &["kind", "repair", "result"],
            ),
            reconciles: counter(
                "controller_runtime_reconcile_total",
                "Total number of reconciliations per controller.",
                &["controller", "result"],
            ),
            errors: counter(
                "controller_runtime_reconcile_errors_total",
                "Total number of reconciliation errors per controller.",
                &["controller"],
            ),
            time: metrics.add(HistogramVec::new(
                time.buckets(BUCKETS.to_vec()),
                &["controller"],
            )),
            missing_rights: metrics.add(IntGauge::new(
                "metallb_operator_missing_rights",
                "Rights that the operator cannot do its work without, and does not have.",
            )),
            conditions: gauge(
                "metallb_operator_condition",
                "1 if this condition of the MetalLB object is true, 0 if it is not.",
                &["type"],
            ),
            pods: gauge(
                "metallb_operator_component_pods",
                "Pods of a component: desired, updated and ready.",
                &["component", "state"],
            ),
            info: gauge(
                "metallb_operator_info",
                "1, with the versions of operator and operands, the BGP backend and the platform.",
                &["version", "operands", "bgp_backend", "platform"],
            ),
        };
        this.errors.with_label_values(&[CONTROLLER]);
        this.show(None);
        this
    }

    pub(crate) fn applied(&self, kind: Kind, repairs: bool, ok: bool) {
        let result = if ok { "ok" } else { "refused" };
        let repair = if repairs { "true" } else { "false" };
        self.applied
            .with_label_values(&[kind.names().1, repair, result])
            .inc();
    }

    /// A reconciliation took so long; `again` says that it is to be done once more at a set time.
    pub(crate) fn reconciled(&self, took: Duration, ok: bool, again: bool) {
        let result = match (ok, again) {
            (false, _) => "error",
            (true, true) => "requeue_after",
            (true, false) => "success",
        };
        self.reconciles
            .with_label_values(&[CONTROLLER, result])
            .inc();
        if !ok {
            self.errors.with_label_values(&[CONTROLLER]).inc();
        }
        let time = self.time.with_label_values(&[CONTROLLER]);
        time.observe(took.as_secs_f64());
    }

    pub(crate) fn missing_rights(&self, count: usize) {
        self.missing_rights
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// What the status of the one `MetalLB` object says, if there is one.
    pub(crate) fn show(&self, status: Option<&MetalLBStatus>) {
        let none = MetalLBStatus::default();
        let status = status.unwrap_or(&none);
        for type_ in CONDITIONS {
            let holds = i64::from(is_true(&status.conditions, type_));
            self.conditions.with_label_values(&[type_]).set(holds);
        }
        self.pods.reset();
        for component in &status.components {
            let name = component.name.as_deref().unwrap_or_default();
            for (state, pods) in [
                ("desired", component.desired),
                ("updated", component.updated),
                ("ready", component.ready),
            ] {
                let pods = i64::from(pods.unwrap_or_default());
                self.pods.with_label_values(&[name, state]).set(pods);
            }
        }
        self.info.reset();
        let versions = status.versions.as_ref();
        let text = |it: Option<&String>| it.map(String::as_str).unwrap_or_default().to_owned();
        let operands = text(versions.and_then(|it| it.operands.as_ref()));
        let backend = text(status.bgp_backend.as_ref());
        let platform = text(status.platform.as_ref());
        self.info
            .with_label_values(&[crate::VERSION, &operands, &backend, &platform])
            .set(1);
    }
}

/// As upstream's is called.
const CONTROLLER: &str = "metallb";
/// In seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_is_shown_and_what_holds_no_more_is_0() {
        let metrics = Metrics::new();
        let counters = Counters::register(&metrics);
        let status = |type_: &str, operands: &str| -> MetalLBStatus {
            serde_json::from_value(json!({
                "conditions": [{
                    "type": type_, "status": "True", "reason": "R", "message": "",
                    "lastTransitionTime": "2026-11-28T19:16:54Z",
                }],
                "components": [{ "name": "speaker", "desired": 3, "updated": 2, "ready": 1 }],
                "versions": { "operator": "1", "operands": operands },
                "bgpBackend": "frr", "platform": "Kubernetes",
            }))
            .expect("a status")
        };
        let has = |line: &str| {
            let text = metrics.text();
            assert!(text.contains(line), "{line} is not in {text}");
        };
        counters.show(Some(&status("Paused", "0.1")));
        has("metallb_operator_condition{type=\"Paused\"} 1");
        has("metallb_operator_component_pods{component=\"speaker\",state=\"ready\"} 1");
        counters.show(Some(&status("Available", "0.2")));
        has("metallb_operator_condition{type=\"Paused\"} 0");
        has("metallb_operator_condition{type=\"Available\"} 1");
        has("operands=\"0.2\"");
        assert!(!metrics.text().contains("operands=\"0.1\""));
        counters.show(None);
        assert!(!metrics.text().contains("component=\"speaker\""));
    }

    #[test]
    fn reconciliations_are_counted_under_the_names_of_controller_runtime() {
        let metrics = Metrics::new();
        let counters = Counters::register(&metrics);
        counters.reconciled(Duration::from_millis(3), true, false);
        counters.reconciled(Duration::from_millis(3), false, true);
        let text = metrics.text();
        for line in [
            "controller_runtime_reconcile_total{controller=\"metallb\",result=\"success\"} 1",
            "controller_runtime_reconcile_total{controller=\"metallb\",result=\"error\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"metallb\"} 1",
            "controller_runtime_reconcile_time_seconds_bucket{controller=\"metallb\",le=\"0.005\"} 2",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
