//! What the operator stands on is taken away: the API server, its rights, a definition; or the
//! programs end as soon as they start. What runs goes on, the status says what is wrong where it can
//! be said, and all is well again by itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Place,
    api_faults::{ApiFaults, Rule},
    eventually,
    faults::Target,
    product::{self, NAMESPACE},
};
use rustix::process::Signal;
use serde_json::Value;

use super::rollout::{set_back, set_log_level};
use crate::{
    layer2,
    world::{Installed, SOON, engage, is_long},
};

/// The API server is lost at one write of a removal, an installation, a change; what was under way is
/// finished when it is back. While it is a change, somebody always answers.
pub(crate) fn api_server_away(world: &Installed) -> Result<()> {
    let faults = engage(world)?;
    let (steps, away) = if is_long() {
        (&STEPS[..], MINUTE)
    } else {
        // The change in which every node has its turn.
        (&STEPS[STEPS.len() - 1..], MINUTE / 20)
    };
    let told = steps.iter().map(|step| {
        let what = format!(
            "{}, lost at {} {}",
            step.what, step.lost_at.0, step.lost_at.1
        );
        let told = match step.what {
            "change" => layer2::without_a_gap(world, |watch| {
                watch.settled(SOON)?;
                step.interrupted(world, &faults, away)
            }),
            _ => step.interrupted(world, &faults, away),
        };
        told.context(what)
    });
    let told: Result<()> = told.collect();
    faults.disengage()?;
    told?;
    set_back(world)?;
    world.page_answers()
}

/// Something that the operator does, and the write of it at which the API server is lost.
struct Step {
    what: &'static str,
    begin: fn(&Installed) -> Result<()>,
    /// Its method, and what is in its path.
    lost_at: (&'static str, &'static str),
    /// Whether it says nothing with all connections open, or refuses them.
    silent: bool,
    end: fn(&Installed) -> Result<()>,
}

const STEPS: [Step; 6] = [
    Step {
        what: "removal",
        begin: remove,
        lost_at: ("DELETE", "/validatingwebhookconfigurations/"),
        silent: false,
        end: gone,
    },
    Step {
        what: "installation",
        begin: install,
        lost_at: ("PATCH", "/deployments/controller"),
        silent: false,
        end: as_asked,
    },
    Step {
        what: "removal",
        begin: remove,
        lost_at: ("DELETE", "/daemonsets/speaker"),
        silent: true,
        end: gone,
    },
    Step {
        what: "installation",
        begin: install,
        lost_at: ("PATCH", "/daemonsets/speaker"),
        silent: true,
        end: as_asked,
    },
    Step {
        what: "change",
        begin: |world| set_log_level(world, r#""debug""#),
        lost_at: ("PATCH", "/deployments/controller"),
        silent: false,
        end: as_asked,
    },
    Step {
        what: "change",
        begin: |world| set_log_level(world, r#""warn""#),
        lost_at: ("PATCH", "/daemonsets/speaker"),
        silent: true,
        end: as_asked,
    },
];

impl Step {
    fn interrupted(&self, world: &Installed, faults: &ApiFaults<'_>, away: Duration) -> Result<()> {
        let (method, path) = self.lost_at;
        let at = Rule::status(503).method(method).path(path);
        faults.set(at.user_agent("metallb-operator"))?;
        (self.begin)(world)?;
        eventually("the operator is that far", SOON * 4, || {
            let state = faults.status()?;
            let is_there = state.rules.iter().any(|tally| tally.answered > 0);
            Ok(if is_there { Ok(()) } else { Err(state) })
        })?;
        if self.silent {
            faults.stall()?;
        } else {
            faults.refuse()?;
        }
        // So long is the outage that is looked at.
        std::thread::sleep(away);
        faults.clear()?;
        let back = Instant::now();
        (self.end)(world)?;
        println!(
            "  {}, lost at {method} {path}: finished {:.1?} after it is back",
            self.what,
            back.elapsed()
        );
        Ok(())
    }
}

fn remove(world: &Installed) -> Result<()> {
    let delete = ["-n", NAMESPACE, "delete", "metallb", "metallb"];
    let delete = [&delete[..], &["--wait=false"]].concat();
    world.kubectl.output(&delete).map(drop)
}

fn gone(world: &Installed) -> Result<()> {
    let wait = ["-n", NAMESPACE, "wait", "metallb/metallb", "--for=delete"];
    let wait = [&wait[..], &["--timeout=90s"]].concat();
    world.kubectl.output(&wait)?;
    let left = product::operands(&world.kubectl)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

fn install(world: &Installed) -> Result<()> {
    world.kubectl.apply(&product::demo_object("metallb")?)
}

fn as_asked(world: &Installed) -> Result<()> {
    eventually("all is as asked", SOON * 8, || world.is_said("Ready", ""))?;
    for workload in [CONTROLLERS, SPEAKERS] {
        product::rolled_out(&world.kubectl, NAMESPACE, workload)?;
    }
    Ok(())
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

const CONTROLLERS: &str = "deployment/controller";
const SPEAKERS: &str = "daemonset/speaker";
const MINUTE: Duration = Duration::from_mins(1);
