//! The operator's own metrics.

use metallb_kit::metrics::Metrics;
use metallb_kit::metrics::prometheus::{IntCounterVec, Opts};

use crate::object::Kind;

/// Counts what is written.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    applied: IntCounterVec,
}

impl Counters {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let opts = Opts::new(
            "metallb_operator_applied_total",
            "Objects applied, by kind, by whether that repaired a foreign change, and by result.",
        );
        Self {
            applied: metrics.add(IntCounterVec::new(opts, &["kind", "repair", "result"])),
        }
    }

    pub(crate) fn applied(&self, kind: Kind, repairs: bool, ok: bool) {
        let result = if ok { "ok" } else { "refused" };
        let repair = if repairs { "true" } else { "false" };
        self.applied
            .with_label_values(&[kind.names().1, repair, result])
            .inc();
    }
}
