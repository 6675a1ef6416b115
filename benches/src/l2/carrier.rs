//! The owner loses the network on which it announces, and is still heard on another.

use anyhow::Result;
use metallb_benches::table::{Bar, Table, percentile, worst};
use serde_json::json;

use crate::Args;
use crate::hard::{self, Cause};
use metallb_benches::speakers::Kind;
use metallb_benches::speakers::Rig;

/// The cable of the second card is pulled.
pub(crate) fn measure(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    for (kind, trials) in args.kinds() {
        // MetalLB never notices: once is enough to see that.
        let trials = if kind == Kind::Ours { trials } else { 1 };
        let times = hard::times(rig, kind, Cause::Cable, trials)?;
        let what = format!(
            "{}, cable of the second card pulled: another answers",
            kind.name()
        );
        let bar = if kind == Kind::Ours {
            Bar::AtMost(50.0)
        } else {
            Bar::None
        };
        table.row(
            &format!("{what}, median of {trials}"),
            "ms",
            percentile(&times, 50),
            bar,
        );
        table.row(&format!("{what}, longest"), "ms", worst(&times), Bar::None);
        table.raw(&what, json!({ "milliseconds": times }));
    }
    Ok(())
}
