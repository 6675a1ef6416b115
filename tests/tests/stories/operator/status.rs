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
    keep_revisions(world, 4)?;
    world.says("Paused", "Without it: repair DaemonSet speaker", SOON)?;
    world.show("paused")?;
    // It has seen the edit and decided, so nothing is left to wait for.
    let kept = kept_revisions(world)?;
    ensure!(kept == 4, "it was repaired: {kept}");
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
    keep_revisions(world, 4)?;
    // What is left alone is told of before and after the edit in the same words, so that it is not
    // repaired shows in time alone: a repair takes less than a second.
    std::thread::sleep(4 * REPAIR);
    let kept = kept_revisions(world)?;
    ensure!(kept == 4, "it was repaired: {kept}");
    annotate(world, "daemonset", "speaker", "metallb.io/unmanaged-")?;
    told(false)?;
    repaired(world)
}

pub(super) fn annotate(world: &Installed, kind: &str, name: &str, annotation: &str) -> Result<()> {
    let arguments = ["-n", NAMESPACE, "annotate", kind, name, annotation];
    world.kubectl.output(&arguments).map(drop)
}

/// Edits how many revisions are kept of the speakers: no pod is replaced for that.
pub(super) fn keep_revisions(world: &Installed, count: u32) -> Result<()> {
    let patch = format!(r#"{{"spec":{{"revisionHistoryLimit":{count}}}}}"#);
    let arguments = ["-n", NAMESPACE, "patch", "ds", "speaker", "-p", &patch];
    world.kubectl.output(&arguments).map(drop)
}

fn kept_revisions(world: &Installed) -> Result<u64> {
    let get = ["-n", NAMESPACE, "get", "ds", "speaker"];
    let speaker = world.kubectl.json(&get)?;
    let kept = &speaker["spec"]["revisionHistoryLimit"];
    Ok(kept.as_u64().unwrap_or_default())
}

/// Waits until that edit is undone.
pub(super) fn repaired(world: &Installed) -> Result<()> {
    eventually("the speakers keep 3 revisions again", SOON * 2, || {
        let kept = kept_revisions(world)?;
        Ok(if kept == 3 { Ok(()) } else { Err(kept) })
    })?;
    product::available(&world.kubectl)?;
    world.page_answers()
}

/// How long a repair takes at most.
const REPAIR: Duration = Duration::from_secs(1);
