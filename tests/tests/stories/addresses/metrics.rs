//! What Prometheus makes of the controller's metrics.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use metallb_tests::product;

use crate::world::Installed;

/// `promtool check metrics` objects to nothing but names that are upstream's.
pub(crate) fn promtool(world: &Installed) -> Result<()> {
    let promtool = metallb_tests::promtool()?;
    let upstream: BTreeSet<&str> = UPSTREAM
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for metrics in product::metrics(&world.cluster, &world.kubectl, "controller")? {
        let lines = metrics.lines().count();
        let found = promtool.check_metrics(&metrics)?;
        let found: BTreeSet<&str> = found
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        println!("  {lines} lines of metrics; promtool says:");
        for finding in &found {
            println!("    {finding}");
        }
        let ours: Vec<_> = found.difference(&upstream).collect();
        ensure!(ours.is_empty(), "not upstream's: {ours:?}");
    }
    product::forget_metrics_reader(&world.kubectl)?;
    product::available(&world.kubectl)
}

const UPSTREAM: &str = include_str!("promtool-findings.txt");
