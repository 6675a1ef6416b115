//! One Service created beside many others: what it costs the controller.

use std::time::Duration;

use anyhow::Result;
use metallb_benches::service;

use crate::burst;
use crate::program::{Kind, Program};
use crate::rig::{MANY, Rig};
use metallb_benches::load;
use metallb_benches::table::{Bar, Table, median, worst};

/// Creates [`CREATIONS`] one after the other.
pub(crate) async fn measure(rig: &Rig, table: &mut Table) -> Result<()> {
    rig.fill(rig.beside).await?;
    let controller = Program::start(rig, Kind::Ours(1)).await?;
    rig.leader("controller-1").await?;
    // It is at rest when a second goes by with next to no processor time: a renewal costs less.
    loop {
        let before = controller.cpu();
        // The second over which it is measured.
        tokio::time::sleep(Duration::from_secs(1)).await;
        if controller.cpu().saturating_sub(before) < Duration::from_millis(5) {
            break;
        }
    }
    let before = controller.cpu();
    let mut latencies = Vec::new();
    for number in rig.beside..rig.beside + CREATIONS {
        let name = service::name(number);
        let started = std::time::Instant::now();
        load::create(&rig.services, vec![load::service(&name, &[])]).await?;
        let (at, _) = rig.board.assigned(&name, MANY).await?;
        latencies.push((at - started).as_secs_f64() * 1e3);
    }
    // The last Event comes behind its status.
    burst::settled(rig).await?;
    let cpu = controller.cpu().saturating_sub(before).as_secs_f64() * 1e3;
    let what = format!("one Service beside {}", rig.beside);
    table.row(
        &format!("{what}: controller's CPU"),
        "ms",
        cpu / f64::from(CREATIONS),
        Bar::AtMost(1.0),
    );
    table.row(
        &format!("{what}: creation sent until its address is seen, median"),
        "ms",
        median(&latencies),
        Bar::None,
    );
    table.row(
        &format!("{what}: the same, worst"),
        "ms",
        worst(&latencies),
        Bar::None,
    );
    table.raw(&format!("{what}: latencies_ms"), latencies);
    controller.stop().await?;
    rig.clear().await
}

const CREATIONS: u32 = 200;
