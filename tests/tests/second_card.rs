//! Nodes with a second card, on a network of its own: addresses are announced there, and what
//! happens to its cable is told over the first.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::faults::Cable;
use metallb_tests::stories::{Stage, Story, tell};
use metallb_tests::{Cluster, Kubectl, Options, Terminal, eventually, product};
use serde_json::json;

/// A cluster with the product on it, and the web Service with an address of the second network.
struct World {
    cluster: Cluster,
    kubectl: Kubectl,
}

const STORIES: &[Story<World>] = &[
    (
        "layer2::an_address_is_announced_on_the_card_that_was_named",
        announced,
    ),
    (
        "layer2::a_lost_carrier_is_told_over_the_other_card",
        carrier_lost,
    ),
];

fn main() -> ExitCode {
    let stage = Stage {
        up: World::up,
        print_what_happened: World::print_what_happened,
        down: |world| Cluster::down(world.cluster.name()),
    };
    tell(&stage, STORIES)
}

impl World {
    fn up() -> Result<Self> {
        let image = std::env::var_os("METALLB_IMAGE").map(PathBuf::from);
        let image = image.context("METALLB_IMAGE names no image; `cargo xtask test` builds one")?;
        let options = Options {
            name: "second-card".parse()?,
            nics: 2,
            ..Options::default()
        };
        Cluster::down(&options.name)?;
        let cluster = Cluster::up(&options, &mut Terminal::start())?;
        let world = Self {
            kubectl: cluster.admin(),
            cluster,
        };
        world.cluster.load(&image)?;
        product::install_operator(&world.kubectl, product::IMAGE)?;
        for object in ["metallb", "web"] {
            world.kubectl.apply(&product::demo_object(object)?)?;
        }
        world.kubectl.apply(&objects())?;
        product::available(&world.kubectl)?;
        product::rolled_out(&world.kubectl, "default", "deployment/web")?;
        Ok(world)
    }

    fn address(&self) -> Result<IpAddr> {
        let all = product::assigned(&self.kubectl, "web", 1)?;
        Ok(all[0])
    }

    fn print_what_happened(&self) {
        let speakers = [
            "-n",
            product::NAMESPACE,
            "logs",
            "-l",
            "component=speaker",
            "--tail=60",
        ];
        match self.kubectl.output(&speakers) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("{error:#}"),
        }
    }
}

/// A client on the second network gets the page.
fn announced(world: &World) -> Result<()> {
    let address = world.address()?;
    let watch = world.cluster.watch_owner(address)?;
    let owner = watch.settled(SOON)?;
    println!("  {owner} answers for {address}");
    product::page(&world.cluster, address).map(drop)
}

/// The cable of the second card is pulled: the owner says so over the first, and another answers
/// before any heartbeat is missed. When the cable is back, so is the address.
fn carrier_lost(world: &World) -> Result<()> {
    let watch = world.cluster.watch_owner(world.address()?)?;
    let owner = watch.settled(SOON)?;
    let cable = Cable {
        place: owner,
        nic: 1,
    };
    let started = Instant::now();
    world.cluster.cut(cable)?;
    let next = watch.next_owner(owner, started, SOON);
    world.cluster.heal(cable)?;
    let taken = next?.at - started;
    println!("  {owner}'s second cable pulled: another answers after {taken:.1?}");
    // Heartbeats would take 250 ms at least; the rest is for a busy machine.
    ensure!(taken < Duration::from_millis(250), "it took {taken:.1?}");
    eventually("the address is back", SOON, || {
        let now = watch.settled(SOON)?;
        Ok(if now == owner {
            Ok(())
        } else {
            Err(now.to_string())
        })
    })
}

fn objects() -> String {
    let object = |kind: &str, spec: serde_json::Value| {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind,
            "metadata": { "name": "second", "namespace": product::NAMESPACE }, "spec": spec,
        })
    };
    let items = [
        object(
            "IPAddressPool",
            json!({ "addresses": ["198.51.100.200/32"] }),
        ),
        object(
            "L2Advertisement",
            json!({ "ipAddressPools": ["second"], "interfaces": ["eth1"] }),
        ),
    ];
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// Long enough for anything that is decided by a watch, also on a busy machine.
const SOON: Duration = Duration::from_secs(15);
