//! A hundred routers, and what they cost.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use metallb_benches::speakers::crowd::Crowd;
use metallb_benches::speakers::rig::SYSTEM;
use metallb_benches::speakers::{Kind, Rig, Speakers};
use metallb_benches::table::{Bar, Table};
use metallb_tests::eventually;

use crate::router::Router;
use crate::{Args, FIRST, all_is_said, peer};

pub(crate) fn measure(args: &Args, rig: &Rig, router: &Router, table: &mut Table) -> Result<()> {
    let peers: Vec<_> = (0..ROUTERS).map(peer).collect();
    rig.apply(&peers)?;
    let crowd = Crowd {
        count: args.routes,
        endpoints: 1,
        ready: true,
    };
    rig.beside_the_server(async |client| crowd.make(&client).await)?;
    let mut speakers = Speakers::none(rig, Kind::Ours);
    let since = speakers.start_on(FIRST)?;
    let routers = usize::from(ROUTERS);
    eventually(
        "all routers know everything",
        Duration::from_mins(3),
        || {
            let ends = router.ends(since).len();
            Ok(if ends >= routers {
                Ok(())
            } else {
                Err(format!("{ends} of {routers}"))
            })
        },
    )?;
    let took = since.elapsed().as_secs_f64();
    all_is_said(rig, args.routes, ROUTERS)?;
    let process = speakers.on(FIRST)?;
    let (before, began) = (process.processor_time(), Instant::now());
    // So long is the idleness that is measured.
    thread::sleep(IDLE);
    let used = process.processor_time().saturating_sub(before);
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let resident = f64::from(u32::try_from(process.resident() / 1024)?) / 1024.0;
    let what = format!("{ROUTERS} routers, {} routes", args.routes);
    table.row(
        &format!("{what}: all told after the start"),
        "s",
        took,
        Bar::None,
    );
    table.row(
        &format!("{what}: resident"),
        "MiB",
        resident,
        Bar::AtMost(25.0),
    );
    table.row(&format!("{what}: idle"), "%", share, Bar::AtMost(1.0));
    drop(speakers);
    rig.beside_the_server(async |client| crowd.clear(&client).await)?;
    let all = ["-n", SYSTEM, "delete", "bgppeers", "--all"];
    rig.cluster.kubectl_output(&all)?;
    rig.apply(&[peer(0)])
}

const IDLE: Duration = Duration::from_secs(20);
/// Each on a port of its own.
pub(crate) const ROUTERS: u16 = 100;
