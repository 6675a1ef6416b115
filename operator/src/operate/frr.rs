//! The FRR-K8s that MetalLB's own operator left gives way.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Operator, later};

impl Operator {
    /// Learns how far it is. An error is when to try again.
    pub(super) async fn look_at_frr(&mut self, image: &str) -> Result<(), Instant> {
        let frr = self.applier.frr(image).await;
        match frr.map_err(later("cannot see how far FRR-K8s has given way"))? {
            Some(frr) => self.index.frr = Some(Box::new(frr)),
            // Somebody has deleted it: what else is left?
            None => self.index.predecessors = None,
        }
        Ok(())
    }

    /// Has it end on a node. What comes of that is looked at. An error is when to try again.
    pub(super) async fn end_frr(
        &mut self,
        node: &str,
        awaited: &BTreeSet<String>,
    ) -> Result<(), Instant> {
        let Some(frr) = self.index.frr.take() else {
            return Ok(());
        };
        let ended = self.applier.end_frr(&frr, node, awaited).await;
        ended.map_err(later(format!("FRR-K8s does not end on {node}")))?;
        tracing::info!(
            node,
            "FRR-K8s ends there, and our speaker takes its sessions"
        );
        Ok(())
    }
}
