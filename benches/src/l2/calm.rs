//! Nothing happens, but for lost frames and busy cores: how often an address moves all the same.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use metallb_benches::busy;
use metallb_benches::table::{Bar, Table};
use serde_json::json;

use crate::Args;
use crate::client::Watch;
use crate::hours;
use metallb_benches::speakers::Rig;
use metallb_benches::speakers::{Kind, Speakers};

/// On the cluster for some minutes, in simulation for many hours.
pub(crate) fn measure(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    for (loss, bar) in [(1, 0.0), (5, 0.1)] {
        let moves = hours::false_deaths(loss, HOURS);
        let what = format!("false failovers an hour at {loss} % loss, in {HOURS} simulated hours");
        let rate = f64::from(moves) / f64::from(HOURS);
        table.row(&what, "", rate, Bar::AtMost(bar));
    }
    let time = Duration::from_secs(60 * args.minutes);
    let _speakers = Speakers::start(rig, Kind::Ours)?;
    let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
    watch.settled()?;
    for node in rig.cluster.nodes() {
        rig.cluster.lossy(node, LOSS)?;
    }
    let since = Instant::now();
    let load = busy::every_core_twice(time)?;
    // The time for which it must hold, not a wait for something.
    thread::sleep(time);
    drop(load);
    for node in rig.cluster.nodes() {
        rig.cluster.lossy(node, 0)?;
    }
    let seen = watch.since(since);
    let answers: Vec<_> = seen.iter().filter(|it| it.answer).collect();
    let moves = answers.windows(2).filter(|it| it[0].place != it[1].place);
    let moves = u32::try_from(moves.count())?;
    let what = format!(
        "false failovers in {} min at {LOSS} % loss with every core busy twice over",
        args.minutes
    );
    table.row(&what, "", f64::from(moves), Bar::AtMost(0.0));
    table.raw(&what, json!({ "answers": answers.len() }));
    Ok(())
}

/// In percent, of what each node sends and of what it gets.
const LOSS: u8 = 1;
/// Long enough to tell a tenth of a failover an hour.
const HOURS: u32 = 50;
