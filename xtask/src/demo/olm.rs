//! `cargo xtask demo --olm`: the Operator Lifecycle Manager installs it from a catalogue, and a new
//! version in the catalogue takes its place while the client keeps fetching.

use std::fmt;
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
            let mut pages = Pages::default();
            while !ended.load(Ordering::Relaxed) {
                pages.fetch(|| product::fetch(cluster, address, "/hostname"));
            }
            pages
        });
        let worked = work();
        ended.store(true, Ordering::Relaxed);
        let pages = client.join().expect("a client does not panic");
        worked?;
        println!("    client: {pages}");
        ensure!(pages.missed == 0, "{} pages did not come", pages.missed);
        ensure!(
            pages.again <= MOVES,
            "{} connections were reset in {MOVES} moves",
            pages.again
        );
        Ok(())
    })
}

/// How the client fared.
#[derive(Default)]
struct Pages {
    fetched: u32,
    /// Those whose first connection was reset.
    again: u32,
    missed: u32,
    slowest: Duration,
}

impl Pages {
    /// Gets one page. A connection that is open while its address moves is reset (docs/layer2.md), and
    /// its client asks once more. Nothing else is a reason for a page not to come.
    fn fetch(&mut self, fetch: impl Fn() -> Result<String>) {
        let started = Instant::now();
        let page = fetch().or_else(|error| {
            let error = format!("{error:#}");
            ensure!(error.contains("Connection reset by peer"), error);
            println!("    client$ {error}");
            self.again += 1;
            fetch()
        });
        match page {
            Ok(_) => self.fetched += 1,
            Err(error) => {
                println!("    client$ {error:#}");
                self.missed += 1;
            }
        }
        self.slowest = self.slowest.max(started.elapsed());
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fetched,
            again,
            missed,
            slowest,
        } = self;
        write!(
            to,
            "{fetched} pages, {again} of them at the second attempt, {missed} missed, the slowest \
             took {slowest:.1?}"
        )
    }
}

/// The address goes to another node while the speaker of its own is replaced, and comes back.
const MOVES: u32 = 2;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::anyhow;

    use super::*;

    #[test]
    fn who_was_cut_off_asks_once_more_and_nobody_else() {
        const RESET: &str = "curl: (56) Recv failure: Connection reset by peer";
        const LATE: &str = "curl: (28) Operation timed out";
        let cases: [(&[&str], [u32; 3]); 4] = [
            (&[], [1, 0, 0]),
            (&[RESET], [1, 1, 0]),
            (&[RESET, RESET], [0, 1, 1]),
            (&[LATE], [0, 0, 1]),
        ];
        for (errors, expected) in cases {
            let (mut pages, asked) = (Pages::default(), Cell::new(0));
            pages.fetch(|| {
                let error = errors.get(asked.replace(asked.get() + 1));
                error.map_or_else(|| Ok("page".to_owned()), |error| Err(anyhow!("{error}")))
            });
            let seen = [pages.fetched, pages.again, pages.missed];
            assert_eq!(seen, expected, "{errors:?}");
        }
    }
}
