//! What the status says of what the user has said is to be left alone.

use std::time::Duration;

use anyhow::{Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};

use crate::world::{Installed, SOON};

/// Somebody edits the speaker while nothing may be changed: the status says what would be done, and
/// it is done when the pause is over.
pub(crate) fn paused(world: &Installed) -> Result<()> {
    annotate(world, "metallb", "metallb", "metallb.io/paused=true")?;
    world.says("Paused", "Everything is as asked", SOON)?;
    set_grace(world, 29)?;
    world.says("Paused", "Without it: repair DaemonSet speaker", SOON)?;
    world.show("paused")?;
    // It has seen the edit and decided, so nothing is left to wait for.
    let grace = grace(world)?;
    ensure!(grace == 29, "it was repaired: {grace} s");
    annotate(world, "metallb", "metallb", "metallb.io/paused-")?;
    repaired(world)
}

/// Somebody edits the speaker and says that it is to stay so.
pub(crate) fn unmanaged(world: &Installed) -> Result<()> {
    annotate(world, "daemonset", "speaker", "metallb.io/unmanaged=true")?;
    let told = |wanted: bool| {
        eventually("the status names it", SOON, || {
            let metallb = world
                .kubectl
                .json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
            let named = metallb["status"]["unmanaged"][0] == "DaemonSet speaker";
            Ok(if named == wanted {
                Ok(())
            } else {
                Err(metallb["status"].to_string())
            })
        })
    };
    told(true)?;
    set_grace(world, 29)?;
    // What is left alone is told of before and after the edit in the same words, so that it is not
    // repaired shows in time alone: a repair takes less than a second.
    std::thread::sleep(4 * REPAIR);
    let grace = grace(world)?;
    ensure!(grace == 29, "it was repaired: {grace} s");
    annotate(world, "daemonset", "speaker", "metallb.io/unmanaged-")?;
    told(false)?;
    repaired(world)
}

pub(super) fn annotate(world: &Installed, kind: &str, name: &str, annotation: &str) -> Result<()> {
    let arguments = ["-n", NAMESPACE, "annotate", kind, name, annotation];
    world.kubectl.output(&arguments).map(drop)
}

fn set_grace(world: &Installed, seconds: u32) -> Result<()> {
    let spec = format!(r#"{{"terminationGracePeriodSeconds":{seconds}}}"#);
    let patch = format!(r#"{{"spec":{{"template":{{"spec":{spec}}}}}}}"#);
    let arguments = ["-n", NAMESPACE, "patch", "ds", "speaker", "-p", &patch];
    world.kubectl.output(&arguments).map(drop)
}

fn grace(world: &Installed) -> Result<u64> {
    let speaker = world
        .kubectl
        .json(&["-n", NAMESPACE, "get", "ds", "speaker"])?;
    let grace = &speaker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    Ok(grace.as_u64().unwrap_or_default())
}

fn repaired(world: &Installed) -> Result<()> {
    eventually("the speaker has its 30 s again", SOON, || {
        let grace = grace(world)?;
        Ok(if grace == 30 { Ok(()) } else { Err(grace) })
    })?;
    product::rolled_out(&world.kubectl, NAMESPACE, "daemonset/speaker")?;
    product::available(&world.kubectl)?;
    world.page_answers()
}

/// How long a repair takes at most.
const REPAIR: Duration = Duration::from_secs(1);
