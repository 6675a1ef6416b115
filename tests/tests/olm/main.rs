//! The product under the Operator Lifecycle Manager: real OLM v0 on the cluster, catalogues in the
//! cluster's own registry, and a client that never stops asking.
//!
//! The stories build on each other: what the first installs is upgraded, broken, mended and removed
//! by the next. Those with `short` in their names are told among all tests, the others are minutes
//! more.

mod timeline;
mod world;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use metallb_tests::olm::Release;
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::stories::{Stage, Story, tell};
use metallb_tests::{Cluster, eventually};

use crate::world::{SOON, World};

const STORIES: &[Story<World>] = &[
    ("olm::short::a_subscription_installs_it", installed),
    (
        "olm::short::a_new_version_in_the_catalogue_is_upgraded_to_without_a_lost_probe",
        upgraded,
    ),
    ("olm::a_broken_version_stops_half_way_and_says_so", broken),
    ("olm::nothing_goes_back_to_an_older_version", downgrade),
    (
        "olm::short::removed_it_leaves_only_what_is_the_users",
        removed,
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

const FIRST: Release<'_> = Release {
    version: "0.1.0",
    replaces: None,
    is_broken: false,
};
const SECOND: Release<'_> = Release {
    version: "0.2.0",
    replaces: Some("0.1.0"),
    is_broken: false,
};
const BROKEN: Release<'_> = Release {
    version: "0.3.0",
    replaces: Some("0.2.0"),
    is_broken: true,
};
const MENDED: Release<'_> = Release {
    version: "0.4.0",
    replaces: Some("0.3.0"),
    is_broken: false,
};

/// Catalogue, `OperatorGroup`, Subscription, one object: a page through the Service's address. The
/// operator may read Secrets in its own namespace alone.
fn installed(world: &World) -> Result<()> {
    let timeline = world.timeline(&[])?;
    let image = world.publisher.publish(FIRST)?;
    world.subscribe()?;
    world.succeeded(FIRST.version)?;
    world.configure()?;
    world.runs(&image)?;
    for address in product::assigned(&world.kubectl, "web", 2)? {
        product::page(&world.cluster, address)?;
    }
    timeline.end(None)?;
    for (namespace, expected) in [(NAMESPACE, "yes"), ("default", "no")] {
        let account = format!("--as=system:serviceaccount:{NAMESPACE}:manager-account");
        let can = ["auth", "can-i", "get", "secrets", "-n", namespace, &account];
        let said = world.kubectl.command(&can).output()?;
        let said = String::from_utf8(said.stdout)?;
        ensure!(said.trim() == expected, "secrets in {namespace}: {said}");
    }
    Ok(())
}

/// The catalogue is looked at again and again, and everything follows by itself.
fn upgraded(world: &World) -> Result<()> {
    let timeline = world.timeline(&world.asked()?)?;
    let image = world.publisher.publish(SECOND)?;
    timeline.note("version 0.2.0 is in the catalogue");
    world.succeeded(SECOND.version)?;
    world.runs(&image)?;
    timeline.end(Some("the upgrade"))?;
    let old = ["-n", NAMESPACE, "get", "csv", "metallb-operator.v0.1.0"];
    eventually("the version before is gone", SOON, || {
        Ok(match world.kubectl.output(&old) {
            Ok(text) => Err(text),
            Err(_) => Ok(()),
        })
    })?;
    // OLM writes the definitions as they are in the bundle, without what the operator put in.
    eventually("BGPPeers are read in either version", SOON, || {
        let old = "bgppeers.v1beta1.metallb.io";
        let read = world.kubectl.output(&["-n", NAMESPACE, "get", old]);
        Ok(read.map(drop).map_err(|error| format!("{error:#}")))
    })
}

/// Speakers that end as soon as they start: the first node has one, the others go on, the client
/// notices nothing, and the status says why. The next version mends it.
fn broken(world: &World) -> Result<()> {
    let timeline = world.timeline(&world.asked()?)?;
    let image = world.publisher.publish(BROKEN)?;
    timeline.note("version 0.3.0, whose speaker is broken, is in the catalogue");
    world.succeeded(BROKEN.version)?;
    let degraded = world.condition("Degraded", "True")?;
    let message = degraded["message"].as_str().unwrap_or_default();
    ensure!(
        degraded["reason"] == "CrashLooping" && message.starts_with("speaker: CrashLoopBackOff"),
        "{degraded}"
    );
    timeline.note(&format!("Degraded: {message}"));
    let speakers = world.speakers()?;
    let new = speakers.iter().filter(|it| it.image == image);
    let ready = speakers.iter().filter(|it| it.is_ready);
    let (new, ready) = (new.count(), ready.count());
    ensure!((new, ready) == (1, 2), "{speakers:?}");
    let upgradeable = world.condition("Upgradeable", "False")?;
    ensure!(upgradeable["reason"] == "CrashLooping", "{upgradeable}");

    let image = world.publisher.publish(MENDED)?;
    timeline.note("version 0.4.0 is in the catalogue");
    world.succeeded(MENDED.version)?;
    world.runs(&image)?;
    timeline.end(Some("the broken version and the one after it"))
}

/// A catalogue whose newest version is older than what runs changes nothing.
fn downgrade(world: &World) -> Result<()> {
    world.publisher.publish(SECOND)?;
    eventually("the catalogue offers 0.2.0 alone", SOON * 4, || {
        let package = world.kubectl.json(&[
            "-n",
            NAMESPACE,
            "get",
            "packagemanifest",
            "metallb-operator",
        ])?;
        let offered = package["status"]["channels"][0]["currentCSV"].clone();
        Ok(if offered == "metallb-operator.v0.2.0" {
            Ok(())
        } else {
            Err(offered)
        })
    })?;
    // Each look at the catalogue is followed by one at the Subscriptions.
    for _ in 0..2 {
        world.looked_at_the_catalogue()?;
    }
    let later = world.subscription()?;
    let installed = &later["status"]["installedCSV"];
    println!(
        "  installed: {installed}, state: {}",
        later["status"]["state"]
    );
    ensure!(installed == "metallb-operator.v0.4.0", "{later}");
    world.succeeded(MENDED.version)
}

/// First the object, then the Subscription and the CSV: definitions, the user's objects and the
/// Services' addresses stay, and nothing else that is the cluster's.
fn removed(world: &World) -> Result<()> {
    let addresses = product::assigned(&world.kubectl, "web", 2)?;
    let delete = |what: &[&str]| {
        let arguments = [&["-n", NAMESPACE, "delete"], what].concat();
        world.kubectl.output(&arguments).map(drop)
    };
    delete(&["metallb", "metallb"])?;
    let left = product::operands(&world.kubectl)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let csv = world.subscription()?["status"]["installedCSV"].clone();
    delete(&["subscription", "metallb-operator"])?;
    delete(&["csv", csv.as_str().unwrap_or_default()])?;
    eventually("nothing of it is the cluster's", SOON * 2, || {
        let left = world.cluster_scoped()?;
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        })
    })?;
    eventually("no pod of it is left", SOON * 2, || {
        let pods = world
            .kubectl
            .output(&["-n", NAMESPACE, "get", "pods", "-o", "name"])?;
        let ours = pods
            .lines()
            .any(|pod| pod.contains("metallb-operator-controller"));
        Ok(if ours { Err(pods) } else { Ok(()) })
    })?;
    let get = ["-n", NAMESPACE, "get", "ipaddresspool", "demo"];
    world.kubectl.output(&get)?;
    ensure!(
        product::addresses(&world.kubectl, "web")? == addresses,
        "the status changed"
    );
    Ok(())
}
