//! What the operator stands on is taken away: the API server, its rights, a definition; or the
//! programs end as soon as they start. What runs goes on, the status says what is wrong where it can
//! be said, and all is well again by itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Place, eventually,
    faults::Target,
    product::{self, NAMESPACE},
};
use rustix::process::Signal;
use serde_json::Value;

use super::{is_long, rollout::set_log_level};
use crate::{
    layer2,
    world::{Installed, SOON},
};

/// A change is under way when the API server is lost, once before the controllers are new and once
/// while the speakers are replaced: somebody always answers, and the change is finished when it is
/// back.
pub(crate) fn api_server_away(world: &Installed) -> Result<()> {
    for (what, level, workload) in [
        ("controllers", r#""debug""#, "deployment/controller"),
        ("speakers", "null", "daemonset/speaker"),
    ] {
        layer2::without_a_gap(world, |watch| {
            watch.settled(SOON)?;
            let before = generation(world, workload)?;
            set_log_level(world, level)?;
            eventually(&format!("the {what} are to change"), SOON * 4, || {
                let now = generation(world, workload)?;
                Ok(if now > before { Ok(()) } else { Err(now) })
            })?;
            let api_server = Target::program("kube-apiserver");
            world.cluster.freeze(&api_server)?;
            // So long is the outage that is looked at.
            std::thread::sleep(if is_long() { MINUTE } else { MINUTE / 6 });
            world.cluster.thaw(&api_server)?;
            let back = Instant::now();
            for workload in ["deployment/controller", "daemonset/speaker"] {
                product::rolled_out(&world.kubectl, NAMESPACE, workload)?;
            }
            eventually("all is as asked", SOON * 4, || world.is_said("Ready", ""))?;
            println!(
                "  away while the {what} change: all is as asked {:.1?} after",
                back.elapsed()
            );
            Ok(())
        })?;
    }
    world.page_answers()
}

/// The operator may not write `ConfigMaps` any more: when one is to be repaired it names that right,
/// and repairs everything else. It may again: that one is repaired, too.
pub(crate) fn rights_withdrawn(world: &Installed) -> Result<()> {
    let role = ["-n", NAMESPACE, "get", "role", "metallb-manager-role"];
    let mut before = world.kubectl.json(&role)?;
    let mut less = before.clone();
    let rules = less["rules"].as_array_mut().context("no rules")?;
    for rule in rules {
        let resources = rule["resources"].as_array_mut().context("no resources")?;
        resources.retain(|it| it != "configmaps");
    }
    let rules = less["rules"].as_array_mut().context("no rules")?;
    rules.retain(|it| it["resources"] != serde_json::json!([]));
    replace(world, &less)?;
    let told = || -> Result<()> {
        let patch = r#"{"data":{"excludel2.yaml":""}}"#;
        let config = ["-n", NAMESPACE, "patch", "configmap", "metallb-excludel2"];
        // The watch was open before, so the edit is seen.
        world
            .kubectl
            .output(&[&config[..], &["-p", patch]].concat())?;
        world.says("Degraded", "configmaps in namespace", SOON * 2)?;
        world.condition(NAMESPACE, "metallb", "Available", "True")?;
        world.delete(NAMESPACE, "daemonset", "speaker")?;
        eventually("the speakers are back", SOON, || {
            generation(world, SPEAKERS).map(Ok::<_, String>)
        })?;
        product::rolled_out(&world.kubectl, NAMESPACE, SPEAKERS)
    };
    let told = told();
    before["metadata"]
        .as_object_mut()
        .context("no metadata")?
        .remove("resourceVersion");
    let restored = replace(world, &before);
    told?;
    restored?;
    eventually("the ConfigMap is repaired", SOON * 5, || {
        let config =
            world
                .kubectl
                .json(&["-n", NAMESPACE, "get", "configmap", "metallb-excludel2"])?;
        let is_whole = config["data"]["excludel2.yaml"] != "";
        Ok(if is_whole { Ok(()) } else { Err("not yet") })
    })?;
    eventually("all is as asked", SOON * 4, || world.is_said("Ready", ""))?;
    world.page_answers()
}

/// Somebody deletes one of MetalLB's definitions, and the objects with it: the status says which,
/// and what to do, and is well again when that is done.
pub(crate) fn definition_removed(world: &Installed) -> Result<()> {
    world.delete("default", "crd", "communities.metallb.io")?;
    world.says("Degraded", "communities.metallb.io", SOON * 4)?;
    world.condition(NAMESPACE, "metallb", "Available", "True")?;
    world.page_answers()?;
    let manifest = product::operator_manifest(product::IMAGE)?;
    world.kubectl.apply(&manifest)?;
    eventually("all is as asked", SOON * 4, || world.is_said("Ready", ""))?;
    world.page_answers()
}

/// Whatever starts there ends at once: a speaker that has worked for long, on one node. Within a
/// minute the status says so; the other nodes go on; and it is over by itself.
pub(crate) fn speaker_crashes(world: &Installed) -> Result<()> {
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;
    let started = Instant::now();
    let node = Place::Node(1);
    let speaker = Target::program_in(node, "speaker");
    eventually("the status says that it crashes", MINUTE, || {
        for process in world.cluster.find(&speaker)? {
            process.signal(Signal::KILL);
        }
        world.is_said("Degraded", "speaker: CrashLoopBackOff in speaker-")
    })?;
    println!("  said after {:.1?}", started.elapsed());
    world.condition(NAMESPACE, "metallb", "Available", "True")?;
    world.page_answers()?;
    eventually("the speaker is back", MINUTE * 2, || {
        world.is_said("Ready", "")
    })?;
    world.page_answers()
}

/// How often the spec of a workload has changed.
fn generation(world: &Installed, workload: &str) -> Result<u64> {
    let seen = world.kubectl.json(&["-n", NAMESPACE, "get", workload])?;
    let generation = seen["metadata"]["generation"].as_u64();
    generation.context("no generation")
}

fn replace(world: &Installed, object: &Value) -> Result<()> {
    let path = std::env::temp_dir().join(format!("metallb-replaced-{}", std::process::id()));
    std::fs::write(&path, object.to_string())?;
    let file = path.to_str().context("no path")?;
    let replaced = world.kubectl.output(&["replace", "-f", file]);
    std::fs::remove_file(&path)?;
    let replaced = replaced?;
    ensure!(replaced.contains("replaced"), "{replaced}");
    Ok(())
}

const SPEAKERS: &str = "daemonset/speaker";
const MINUTE: Duration = Duration::from_mins(1);
