//! The owner loses the network on which it announces, and is still heard on another.

use std::time::Instant;

use anyhow::Result;
use metallb_benches::table::{Bar, Table, percentile, worst};
use metallb_tests::faults::Cable;
use serde_json::json;

use crate::Args;
use crate::client::{PATIENCE, Watch};
use crate::hard::back;
use crate::rig::Rig;
use crate::speaker::{Kind, Speakers};

/// The cable of the second card is pulled.
pub(crate) fn measure(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    for (kind, trials) in args.kinds() {
        // MetalLB never notices: once is enough to see that.
        let trials = if kind == Kind::Ours { trials } else { 1 };
        let _speakers = Speakers::start(rig, kind)?;
        let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
        let mut times = Vec::new();
        for _ in 0..trials {
            let owner = watch.settled()?;
            let cable = Cable {
                place: owner,
                nic: rig.nic,
            };
            let since = Instant::now();
            rig.cluster.cut(cable)?;
            let another = watch.another(owner, since);
            rig.cluster.heal(cable)?;
            let took = another.map_or(PATIENCE, |it| it.at - since);
            println!("  {} second card: {took:.1?}", kind.name());
            times.push(took.as_secs_f64() * 1000.0);
            back(&watch, owner)?;
        }
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
