//! The leading controller ends, or does not although both cores are busy.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metallb_benches::{busy, service};
use rustix::process::Signal;

use crate::program::{Kind, Program, name};
use crate::rig::{MANY, Rig, SYSTEM};
use metallb_benches::load;
use metallb_benches::table::{Bar, Table, worst};

/// From the signal until a Service created at that moment has its address from the other.
pub(crate) async fn ended(rig: &Rig, table: &mut Table) -> Result<()> {
    let existing = rig.board.now().services_count;
    let first = u32::try_from(existing)?;
    let mut next = first..;
    for (signal, word, bar) in [
        (Signal::TERM, "SIGTERM", 0.5),
        (Signal::KILL, "SIGKILL", 5.0),
    ] {
        let mut times = Vec::new();
        let mut leader = Program::start(rig, Kind::Ours(1)).await?;
        let mut numbers = [1, 2];
        rig.leader(&name(Kind::Ours(1))).await?;
        for _ in 0..TRIALS {
            let other = Program::start(rig, Kind::Ours(numbers[1])).await?;
            let service = service::name(next.next().context("numbers do not end")?);
            let started = Instant::now();
            leader.signal(signal);
            load::create(&rig.services, vec![load::service(&service, &[])]).await?;
            let (at, _) = rig.board.assigned(&service, MANY).await?;
            times.push((at - started).as_secs_f64());
            leader.ended().await?;
            leader = other;
            numbers.reverse();
            rig.leader(&name(Kind::Ours(numbers[0]))).await?;
        }
        leader.stop().await?;
        let what =
            format!("leader ended by {word} beside {existing}: next allocation, worst of {TRIALS}");
        table.row(&what, "s", worst(&times), Bar::AtMost(bar));
        table.raw(&what, times);
    }
    Ok(())
}

/// Every core is made busy twice over; how often somebody else comes to lead.
pub(crate) async fn busy(rig: &Rig, table: &mut Table) -> Result<()> {
    let leader = Program::start(rig, Kind::Ours(1)).await?;
    rig.leader(&name(Kind::Ours(1))).await?;
    let other = Program::start(rig, Kind::Ours(2)).await?;
    let before = transitions(rig).await?;
    let load = busy::every_core_twice(rig.busy_for)?;
    // The time for which it must hold, not a wait for something.
    tokio::time::sleep(rig.busy_for).await;
    drop(load);
    let changes = transitions(rig).await? - before;
    let minutes = rig.busy_for.as_secs() / 60;
    let what = format!("changes of leader in {minutes} min with every core busy twice over");
    table.row(&what, "", f64::from(changes), Bar::AtMost(0.0));
    leader.stop().await?;
    other.stop().await
}

async fn transitions(rig: &Rig) -> Result<i32> {
    let lease = rig.lease().await?;
    let count = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
    Ok(i32::try_from(count)?)
}

impl Rig {
    /// Waits until the Lease is held by this candidate.
    pub(crate) async fn leader(&self, candidate: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let lease = self.lease().await.unwrap_or_default();
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
            if holder
                .strip_prefix(candidate)
                .is_some_and(|rest| rest.starts_with('_'))
            {
                return Ok(());
            }
            anyhow::ensure!(
                started.elapsed() < Duration::from_secs(30),
                "{candidate} does not lead; the Lease: {lease}"
            );
            // Between two looks; a watch would be one more client to serve.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn lease(&self) -> Result<serde_json::Value> {
        self.get(&format!(
            "/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/metallb-controller"
        ))
        .await
    }
}

const TRIALS: usize = 5;
