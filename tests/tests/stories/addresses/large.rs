//! Configurations as large as they get.

use std::time::Instant;

use anyhow::{Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};
use serde_json::{Value, json};

use super::crowd::{join, service};
use crate::world::{Installed, SOON};

/// One pool with as many networks as fit into what etcd takes for one object, 1.5 MB; the last of
/// them is served like the first, and other pools as ever.
pub(crate) fn one_pool(world: &Installed) -> Result<()> {
    let addresses: Vec<String> = (0..NETWORKS)
        .map(|n| {
            format!(
                "10.{}.{}.{}/32",
                64 + (n >> 15),
                (n >> 7) & 255,
                (n & 127) << 1
            )
        })
        .collect();
    let last = addresses
        .last()
        .map(|last| last.trim_end_matches("/32").to_owned());
    let last = last.expect("there are some");
    let pool = pool("large", &addresses, "large");
    println!(
        "  {NETWORKS} networks, {} kB",
        pool.to_string().len() / 1000
    );
    let started = Instant::now();
    world.kubectl.create(&pool.to_string())?;
    println!("  the API server has it after {:.1?}", started.elapsed());

    world.apply_all(&[service("large-first", "large")])?;
    let mut wants_last = service("large-last", "large");
    wants_last["metadata"]["annotations"]["metallb.io/loadBalancerIPs"] = json!(last);
    world.apply_all(&[wants_last])?;
    let first = product::assigned(&world.kubectl, "large-first", 1)?;
    ensure!(first[0].to_string() == "10.64.0.0", "{first:?}");
    let got = product::assigned(&world.kubectl, "large-last", 1)?;
    ensure!(got[0].to_string() == last, "{got:?}");
    println!("  both are served after {:.1?}", started.elapsed());
    world.apply_service("beside", &[])?;
    product::assigned(&world.kubectl, "beside", 1)?;
    world.page_answers()?;
    world.delete("default", "service", "beside")?;
    world.crowd_leaves("large")?;
    product::available(&world.kubectl)
}

/// A thousand pools, one of which is no good; a Service of the last one.
pub(crate) fn many_pools(world: &Installed) -> Result<()> {
    let started = Instant::now();
    let pools: Vec<Value> = (0..POOLS)
        .map(|n| {
            let network = format!("10.{}.{}.0/28", 96 + (n >> 8), n & 255);
            pool(&format!("many-{n:04}"), &[network], "many")
        })
        .collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = pools
            // A kubectl makes five a second.
            .chunks(pools.len().div_ceil(CLIENTS))
            .map(|share| scope.spawn(|| world.apply_all(share)))
            .collect();
        threads.into_iter().try_for_each(join)
    })?;
    println!("  {POOLS} pools made after {:.1?}", started.elapsed());
    let last = format!("many-{:04}", POOLS - 1);
    let asked = Instant::now();
    // 63 letters are the most that a Service's name may have.
    let long = format!("many-{}", "x".repeat(58));
    world.apply_all(&[service("many-last", &last), service(&long, "many-0000")])?;
    for name in ["many-last", &long] {
        product::assigned(&world.kubectl, name, 1)?;
    }
    println!("  both are served after {:.1?}", asked.elapsed());
    for name in ["many-last", &long] {
        world.delete("default", "service", name)?;
    }
    let all = format!("/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}/ipaddresspools");
    let all = format!("{all}?labelSelector=size%3Dmany");
    let answer = world.cluster.request("DELETE", &all, None)?;
    ensure!(answer.is_ok(), "{}", answer.message());
    eventually("all are gone", SOON * 4, || {
        let left = world.kubectl.output(&[
            "-n",
            NAMESPACE,
            "get",
            "ipaddresspools",
            "-l",
            "size=many",
            "-o",
            "name",
        ])?;
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(left.lines().count())
        })
    })?;
    world.page_answers()
}

fn pool(name: &str, addresses: &[String], size: &str) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": { "name": name, "namespace": NAMESPACE, "labels": { "size": size } },
        "spec": { "addresses": addresses, "autoAssign": false },
    })
}

const NETWORKS: usize = 80_000;
const POOLS: usize = 1_000;
/// So many clients make them at once.
const CLIENTS: usize = 16;
