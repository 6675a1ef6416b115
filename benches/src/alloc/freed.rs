//! A pool that is used up, many that wait, and one address that comes free.

use std::time::Instant;

use anyhow::Result;
use kube::api::DeleteParams;

use crate::burst;
use crate::program::{Kind, Program};
use crate::rig::{MANY, Rig};
use metallb_benches::load;
use metallb_benches::table::{Bar, Table, median, worst};

/// The pool is at 99 %, and those who wait all ask for one address of it that is in use; then it
/// is full, and they wait for any.
pub(crate) async fn measure(rig: &Rig, table: &mut Table) -> Result<()> {
    rig.pool("tight", &["172.16.0.1-172.16.3.232"], false)
        .await?;
    let controller = Program::start(rig, Kind::Ours(1)).await?;
    rig.leader("controller-1").await?;
    let pool = ("metallb.io/address-pool", "tight");

    let holders = (0..HOLDERS).map(|n| load::service(&format!("holder-{n:04}"), &[pool]));
    load::create(&rig.services, holders.collect()).await?;
    assigned(rig, HOLDERS).await?;
    let (_, address) = rig.board.assigned("holder-0500", MANY).await?;
    let claims = [pool, ("metallb.io/loadBalancerIPs", &*address)];
    let one = grants(rig, "claims", &claims, "holder-0500").await?;
    report(table, "one address asked for, its pool at 99 %", &one);

    // Now all that is left is taken too.
    let rest: Vec<_> = (HOLDERS..=SIZE)
        .map(|n| load::service(&format!("holder-{n:04}"), &[pool]))
        .collect();
    load::create(&rig.services, rest).await?;
    rig.board
        .until("the pool is full", MANY, |seen| {
            (seen.assigned == usize::try_from(SIZE).ok()?).then_some(())
        })
        .await?;
    let any = grants(rig, "waits", &[pool], "holder-0600").await?;
    report(table, "any address, its pool full", &any);
    controller.stop().await?;
    rig.clear().await
}

/// [`WAITING`] Services wait; `first` goes, then each that was served; how long until the next was
/// served, in milliseconds.
async fn grants(rig: &Rig, name: &str, asks: &[(&str, &str)], first: &str) -> Result<Vec<f64>> {
    let waiting = (0..WAITING).map(|n| load::service(&format!("{name}-{n:03}"), asks));
    load::create(&rig.services, waiting.collect()).await?;
    // All have been told that there is nothing for them.
    burst::settled(rig).await?;
    let mut times = Vec::new();
    let mut holder = first.to_owned();
    for _ in 0..GRANTS {
        let before = rig.board.addresses();
        let freed = Instant::now();
        rig.services
            .delete(&holder, &DeleteParams::default())
            .await?;
        let (at, served) = rig
            .board
            .until("somebody was served", MANY, |seen| {
                seen.served_since(freed, |name| !before.contains_key(name))
            })
            .await?;
        times.push((at - freed).as_secs_f64() * 1e3);
        holder = served;
    }
    Ok(times)
}

async fn assigned(rig: &Rig, count: u32) -> Result<()> {
    let count = usize::try_from(count)?;
    rig.board
        .until("all have an address", MANY, |seen| {
            (seen.assigned == count).then_some(())
        })
        .await
}

fn report(table: &mut Table, what: &str, times: &[f64]) {
    let what = format!("{WAITING} wait for {what}: freed until granted");
    table.row(&what, "ms", median(times), Bar::AtMost(20.0));
    table.row(&format!("{what}, worst"), "ms", worst(times), Bar::None);
    table.raw(&format!("{what}: ms"), times);
}

/// Addresses of the pool.
const SIZE: u32 = 1000;
/// 99 % of them.
const HOLDERS: u32 = 990;
const WAITING: u32 = 100;
const GRANTS: u32 = 20;
