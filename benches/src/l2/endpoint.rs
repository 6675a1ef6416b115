//! From the word that an endpoint is ready to the first that the segment hears of its address.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Client};
use metallb_benches::load;
use metallb_benches::table::{Bar, Table, median, worst};
use metallb_kit::watch::{Change, watch_with};
use metallb_tests::eventually;
use serde_json::json;

use crate::client::Watch;
use metallb_benches::speakers::Rig;
use metallb_benches::speakers::crowd::{self, Crowd};
use metallb_benches::speakers::{Kind, Speakers};

/// Twenty times, against the same watch as the speakers have.
pub(crate) fn measure(rig: &Rig, table: &mut Table) -> Result<()> {
    let crowd = Crowd {
        count: 1,
        endpoints: 1,
        ready: false,
    };
    rig.beside_the_server(async |client| crowd.make(&client).await)?;
    let _speakers = Speakers::start(rig, Kind::Ours)?;
    let watch = Watch::start(&rig.cluster, rig.nic, Some(rig.address()))?;
    watch.settled()?;
    let ip = crowd::address(0);
    let times = rig.beside_the_server(async |client| {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let told = change(&client, true).await?;
            let heard = heard(&watch, ip, told)?;
            times.push(heard.saturating_duration_since(told).as_secs_f64() * 1000.0);
            let told = change(&client, false).await?;
            quiet(&watch, ip, told)?;
        }
        crowd.clear(&client).await?;
        Ok(times)
    })?;
    let what = "endpoint ready: first announcement after the watch told of it";
    table.row(
        &format!("{what}, median of {ROUNDS}"),
        "ms",
        median(&times),
        Bar::AtMost(10.0),
    );
    table.row(&format!("{what}, longest"), "ms", worst(&times), Bar::None);
    table.raw(what, json!({ "milliseconds": times }));
    Ok(())
}

/// Changes whether the endpoint is ready; when a watch told of it.
async fn change(client: &Client, ready: bool) -> Result<Instant> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), crowd::NAMESPACE);
    let own = watcher::Config::default().labels(&format!("{}=crowd", crowd::LABEL));
    let mut changes = watch_with(slices, own);
    while !matches!(changes.next().await, Some(Change::Synced) | None) {}
    load::put(client, &crowd::slice_path(0), &crowd::slice(0, 1, ready)).await?;
    loop {
        let change = changes.next().await.context("the watch has ended")?;
        let Change::Apply(slice) = change else {
            continue;
        };
        let conditions = slice
            .endpoints
            .first()
            .and_then(|it| it.conditions.as_ref());
        if conditions.and_then(|it| it.ready) == Some(ready) {
            return Ok(Instant::now());
        }
    }
}

fn heard(watch: &Watch, ip: Ipv4Addr, told: Instant) -> Result<Instant> {
    // Speakers may hear of it a little before us.
    let since = told
        .checked_sub(QUIET)
        .context("the clock has just begun")?;
    eventually("the address is announced", Duration::from_secs(10), || {
        let seen = watch.since(since);
        let first = seen.iter().find(|it| it.ip == ip && !it.answer);
        Ok(first
            .map(|it| it.at)
            .ok_or_else(|| format!("{} sightings", seen.len())))
    })
}

/// Waits until nothing has been said of the address for a while.
fn quiet(watch: &Watch, ip: Ipv4Addr, told: Instant) -> Result<()> {
    eventually("the address is quiet", Duration::from_secs(10), || {
        let now = Instant::now();
        let since = now.checked_sub(QUIET).filter(|since| *since > told);
        let quiet = since.is_some_and(|since| watch.since(since).iter().all(|it| it.ip != ip));
        Ok(if quiet {
            Ok(())
        } else {
            Err("it is announced".to_owned())
        })
    })
}

const ROUNDS: usize = 20;
/// Longer than the pauses of a burst in which an address is announced at first.
const QUIET: Duration = Duration::from_millis(700);
