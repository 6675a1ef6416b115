//! A change reaches all pods, in order, or stops and says why.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE, OPERATOR},
};

use super::status;
use crate::{
    layer2,
    world::{Installed, SOON},
};

/// The log level is a change of both: the speakers are not touched before the controllers are new
/// and ready, and somebody always answers.
pub(crate) fn in_order(world: &Installed) -> Result<()> {
    let speaker = || template(world, "daemonset/speaker");
    let before = speaker()?;
    layer2::without_a_gap(world, |watch| {
        watch.settled(SOON)?;
        set_log_level(world, r#""debug""#)?;
        let words = "speaker waits until the controllers are new and ready";
        world.says("Progressing", words, SOON)?;
        world.show("rolling")?;
        eventually("the speakers are to change", SOON * 4, || {
            let controller = world.kubectl.json(&["-n", NAMESPACE, "get", CONTROLLER])?;
            let status = &controller["status"];
            let is_new = status["observedGeneration"] == controller["metadata"]["generation"]
                && status["updatedReplicas"] == 2
                && status["replicas"] == 2;
            let changed = speaker()? != before;
            ensure!(
                is_new || !changed,
                "speakers change before controllers: {controller}"
            );
            Ok(if changed { Ok(()) } else { Err("not yet") })
        })?;
        product::rolled_out(&world.kubectl, NAMESPACE, "daemonset/speaker")
    })?;
    set_back(world)?;
    ensure!(speaker()? == before, "the speakers are not as before");
    product::available(&world.kubectl)
}

/// No log level is asked for any more: on all nodes at once, since nobody looks.
pub(super) fn set_back(world: &Installed) -> Result<()> {
    let at_once = r#"{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"100%"}}}"#;
    world.want(&format!(r#"{{"logLevel":null,"speakerConfig":{at_once}}}"#))?;
    rollout_ends(world)?;
    world.want(r#"{"speakerConfig":null}"#)?;
    rollout_ends(world)
}

/// Waits until the object as it is now is what runs.
fn rollout_ends(world: &Installed) -> Result<()> {
    eventually("all is as asked", SOON * 4, || {
        let metallb = world
            .kubectl
            .json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
        let conditions = metallb["status"]["conditions"].as_array();
        let is_ready = conditions.into_iter().flatten().any(|it| {
            it["type"] == "Ready"
                && it["status"] == "True"
                && it["observedGeneration"] == metallb["metadata"]["generation"]
        });
        Ok(if is_ready {
            Ok(())
        } else {
            Err(metallb["status"].to_string())
        })
    })
}

/// A new version whose image cannot be had: its pods say so in the status, the old ones go on, and
/// no speaker is touched. What ran before can be had back, and the next version mends it.
pub(crate) fn no_such_image(world: &Installed) -> Result<()> {
    let speakers = product::pods(&world.kubectl, "speaker")?;
    set_images(world, "metallb.io/metallb:no-such-version")?;
    let words = "controller: ImagePullBackOff in controller-";
    world.says("Degraded", words, SOON * 4)?;
    world.says("Stalled", "metallb.io/metallb:no-such-version", SOON)?;
    world.says("Progressing", "speaker waits until the controllers", SOON)?;
    world.condition(NAMESPACE, "metallb", "Available", "True")?;
    world.show("degraded")?;
    world.page_answers()?;
    ensure!(
        product::pods(&world.kubectl, "speaker")? == speakers,
        "a speaker was replaced"
    );
    // Back to what ran before, and held there, until there is a version that works.
    status::annotate(world, "metallb", "metallb", "metallb.io/paused=true")?;
    world.says("Paused", "", SOON)?;
    let undo = ["-n", NAMESPACE, "rollout", "undo", CONTROLLER];
    world.kubectl.output(&undo)?;
    product::rolled_out(&world.kubectl, NAMESPACE, CONTROLLER)?;
    world.condition(NAMESPACE, "metallb", "Degraded", "False")?;
    world.says("Paused", "Deployment controller", SOON)?;
    set_images(world, product::IMAGE)?;
    status::annotate(world, "metallb", "metallb", "metallb.io/paused-")?;
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;
    ensure!(
        product::pods(&world.kubectl, "speaker")? == speakers,
        "a speaker was replaced"
    );
    world.page_answers()
}

/// Controllers that end as soon as they start, for two of their ports are one: the status has their
/// own words within a minute, and the old ones go on.
pub(crate) fn crashes(world: &Installed) -> Result<()> {
    set_env(world, &["METRICS_PORT=17472"])?;
    world.says(
        "Degraded",
        "controller: CrashLoopBackOff in controller-",
        SOON * 4,
    )?;
    world.says("Degraded", "17472", SOON)?;
    world.condition(NAMESPACE, "metallb", "Available", "True")?;
    world.page_answers()?;
    set_env(world, &["METRICS_PORT-"])?;
    product::rolled_out(&world.kubectl, NAMESPACE, CONTROLLER)?;
    world
        .condition(NAMESPACE, "metallb", "Ready", "True")
        .map(drop)
}

/// Something that the schema takes and the API server refuses in a workload: the status quotes it,
/// and what runs goes on.
pub(crate) fn refused(world: &Installed) -> Result<()> {
    let set = |value: &str| {
        let patch = format!(r#"{{"spec":{{"speakerConfig":{value}}}}}"#);
        let metallb = ["-n", NAMESPACE, "patch", "metallb", "metallb"];
        let merge = ["--type=merge", "-p", &patch];
        world.kubectl.output(&[&metallb[..], &merge[..]].concat())
    };
    set(r#"{"annotations":{"no key":"x"}}"#)?;
    world.says("Degraded", "DaemonSet speaker: ", SOON)?;
    world.says("Degraded", "no key", SOON)?;
    world.page_answers()?;
    set("null")?;
    world.condition(NAMESPACE, "metallb", "Degraded", "False")?;
    product::available(&world.kubectl)
}

/// As the next version of the operator would have it.
fn set_images(world: &Installed, image: &str) -> Result<()> {
    let [controller, speaker] =
        ["CONTROLLER_IMAGE", "SPEAKER_IMAGE"].map(|name| format!("{name}={image}"));
    set_env(world, &[&controller, &speaker])
}

fn set_env(world: &Installed, variables: &[&str]) -> Result<()> {
    let deployment = format!("deployment/{OPERATOR}");
    let set = ["-n", NAMESPACE, "set", "env", &deployment];
    world.kubectl.output(&[&set[..], variables].concat())?;
    product::rolled_out(&world.kubectl, NAMESPACE, &deployment)
}

pub(super) fn set_log_level(world: &Installed, level: &str) -> Result<()> {
    world.want(&format!(r#"{{"logLevel":{level}}}"#))
}

/// Which form the pods are to have.
fn template(world: &Installed, workload: &str) -> Result<String> {
    let seen = world.kubectl.json(&["-n", NAMESPACE, "get", workload])?;
    let form = seen["metadata"]["annotations"]["metallb.io/template-hash"].as_str();
    Ok(form.context("it does not say its form")?.to_owned())
}

const CONTROLLER: &str = "deployment/controller";
