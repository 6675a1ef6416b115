//! From the word that an endpoint is ready to the route in the router, and back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use ipnet::IpNet;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Client};
use metallb_benches::load;
use metallb_benches::speakers::crowd::{self, Crowd};
use metallb_benches::speakers::{Kind, Rig, Speakers};
use metallb_benches::table::{Bar, Table, median, percentile, worst};
use metallb_kit::watch::{Change, watch_with};
use metallb_tests::eventually;
use serde_json::json;

use crate::router::Router;
use crate::{Args, FIRST, all_is_said};

/// Beside none, a tenth and all of the routes.
pub(crate) fn measure(args: &Args, rig: &Rig, router: &Router, table: &mut Table) -> Result<()> {
    for routes in [1, args.routes / 10, args.routes] {
        let crowd = Crowd {
            count: routes,
            endpoints: 1,
            ready: true,
        };
        rig.beside_the_server(async |client| crowd.make(&client).await)?;
        let ours = Speakers::none(rig, Kind::Ours);
        one(
            args.rounds,
            rig,
            router,
            (Kind::Ours.name(), ours),
            routes,
            table,
        )?;
        // MetalLB's need minutes to tell of very many.
        if rig.metallb.is_some() && routes <= MOST_FOR_METALLB {
            let metallb = || Speakers::none(rig, Kind::Metallb);
            let native = ("MetalLB", metallb());
            one(args.rounds, rig, router, native, routes, table)?;
            let with_frr = ("MetalLB with FRR", metallb().with_frr());
            one(args.rounds.min(A_FEW), rig, router, with_frr, routes, table)?;
        }
        rig.beside_the_server(async |client| crowd.clear(&client).await)?;
    }
    Ok(())
}

fn one(
    rounds: usize,
    rig: &Rig,
    router: &Router,
    (name, mut speakers): (&str, Speakers<'_>),
    all: u32,
    table: &mut Table,
) -> Result<()> {
    let since = Instant::now();
    speakers.start_on(FIRST)?;
    router.all_told(since, all)?;
    // What is measured is not how busy the API server is with statuses.
    all_is_said(rig, all, 1)?;
    let times = rig.beside_the_server(async |client| {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let told = change(&client, false).await?;
            heard(router, told, false)?;
            let told = change(&client, true).await?;
            let heard = heard(router, told, true)?;
            times.push(heard.saturating_duration_since(told).as_secs_f64() * 1000.0);
        }
        Ok(times)
    })?;
    let others = all - 1;
    let what = format!("{name}: endpoint ready to route, beside {others} routes");
    let bar = if name == Kind::Ours.name() {
        Bar::AtMost(20.0)
    } else {
        Bar::None
    };
    table.row(&format!("{what}, median"), "ms", median(&times), Bar::None);
    table.row(&format!("{what}, p99"), "ms", percentile(&times, 99), bar);
    table.row(&format!("{what}, longest"), "ms", worst(&times), Bar::None);
    table.raw(&what, json!({ "milliseconds": times }));
    Ok(())
}

/// Changes whether the endpoint of the first Service is ready; when a watch told of it.
async fn change(client: &Client, ready: bool) -> Result<Instant> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), crowd::NAMESPACE);
    let own = watcher::Config::default().labels("kubernetes.io/service-name=crowd-00000");
    let mut changes = watch_with(slices, own);
    while !matches!(changes.next().await, Some(Change::Synced) | None) {}
    load::put(client, &crowd::slice_path(0), &crowd::slice(0, 1, ready)).await?;
    loop {
        let change = changes.next().await.context("the watch has ended")?;
        let Change::Apply(slice) = change else {
            continue;
        };
        let first = slice.endpoints.first();
        let conditions = first.and_then(|it| it.conditions.as_ref());
        if conditions.and_then(|it| it.ready) == Some(ready) {
            return Ok(Instant::now());
        }
    }
}

/// When the router heard of it. Speakers may hear of it a little before us.
fn heard(router: &Router, told: Instant, reached: bool) -> Result<Instant> {
    let since = told
        .checked_sub(EARLY)
        .context("the clock has just begun")?;
    let prefix = IpNet::from(IpAddr::from(crowd::address(0)));
    eventually("the router hears of it", PATIENCE, || {
        let heard = router.since(since);
        let it = heard
            .iter()
            .find(|it| it.prefix == prefix && it.reached == reached);
        Ok(it
            .map(|it| it.at)
            .ok_or_else(|| format!("{} others", heard.len())))
    })
}

/// FRR is told anew for each change, which takes seconds.
const A_FEW: usize = 3;
/// FRR takes tens of seconds beside very many.
const PATIENCE: Duration = Duration::from_mins(3);
const EARLY: Duration = Duration::from_millis(20);
const MOST_FOR_METALLB: u32 = 1000;
