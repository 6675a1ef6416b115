//! `cargo xtask demo --olm`: the Operator Lifecycle Manager installs it from a catalogue, and a new
//! version in the catalogue takes its place while the client keeps fetching.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::olm::{self, Olm, Publisher, Release};
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::{Cluster, Terminal};

use crate::{image, steps::Steps};

/// From an empty cluster to the upgraded product; gives the Service's addresses.
pub(super) fn show(
    cluster: &Cluster,
    image: &image::Image,
    steps: &mut Steps,
) -> Result<Vec<IpAddr>> {
    let kubectl = cluster.admin();
    let olm = steps.time("building OLM, minutes the first time", || {
        Olm::build(&mut Terminal::start())
    })?;
    steps.time("installing OLM and a name server", || olm.install(cluster))?;
    let publisher = Publisher::new(&olm, cluster, &image.archive)?;
    let publish = |version, replaces| {
        publisher.publish(Release {
            version,
            replaces,
            is_broken: false,
        })
    };
    let first = steps.time("version 0.1.0 into the catalogue: image, bundle", || {
        publish("0.1.0", None)
    })?;
    steps.time("a CatalogSource, an OperatorGroup, a Subscription", || {
        olm::subscribe(&kubectl)
    })?;
    steps.time("waiting for OLM to install it", || {
        olm::succeeded(&kubectl, "0.1.0")
    })?;
    steps.time(
        "the MetalLB object, a pool, an advertisement, a page",
        || {
            for object in ["metallb", "pool", "l2advertisement", "web"] {
                kubectl.apply(&product::demo_object(object)?)?;
            }
            olm::runs(&kubectl, &first)
        },
    )?;
    let addresses = product::assigned(&kubectl, "web", 2)?;
    for address in &addresses {
        let page = product::page(cluster, *address)?;
        println!(
            "    client$ curl {}   ->  {}",
            super::url(*address),
            page.trim()
        );
    }
    let address = *addresses.first().context("the Service has an address")?;
    steps.time(
        "version 0.2.0 into the catalogue, while the client fetches",
        || {
            fetching(cluster, address, || {
                let second = publish("0.2.0", Some("0.1.0"))?;
                olm::succeeded(&kubectl, "0.2.0")?;
                olm::runs(&kubectl, &second)
            })
        },
    )?;
    println!();
    let shown = ["-n", NAMESPACE, "get", "csv,subscription,metallb,pods"];
    let _ = kubectl.command(&shown).status();
    println!();
    Ok(addresses)
}

/// Fetches the page over and over meanwhile, and says how that went.
fn fetching(cluster: &Cluster, address: IpAddr, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut fetched, mut failed, mut slowest) = (0, 0, Duration::ZERO);
            while !ended.load(Ordering::Relaxed) {
                let started = Instant::now();
                match product::fetch(cluster, address, "/hostname") {
                    Ok(_) => fetched += 1,
                    Err(error) => {
                        println!("    client$ {error:#}");
                        failed += 1;
                    }
                }
                slowest = slowest.max(started.elapsed());
            }
            (fetched, failed, slowest)
        });
        let worked = work();
        ended.store(true, Ordering::Relaxed);
        let (fetched, failed, slowest) = client.join().expect("a client does not panic");
        worked?;
        println!("    client: {fetched} pages, {failed} failures, the slowest took {slowest:.1?}");
        ensure!(failed == 0, "{failed} pages did not come");
        Ok(())
    })
}
