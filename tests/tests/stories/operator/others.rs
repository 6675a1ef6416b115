//! Others write to the same objects: somebody who has a field of an operand, and an older operator.

use anyhow::{Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE, OPERATOR},
};
use serde_json::json;

use super::repair;
use crate::world::{Installed, SOON};

/// Somebody applies an annotation, a label and the image under a name of their own: what the
/// operator has no opinion of is kept, the rest is set right, and there is no quarrel.
pub(crate) fn fields_of_others(world: &Installed) -> Result<()> {
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {
            "name": "speaker", "namespace": NAMESPACE,
            "annotations": { "example.com/owner": "network" },
            "labels": { "component": "mine" },
        },
        "spec": { "template": { "spec": {
            "containers": [{ "name": "speaker", "image": "example.com/mine:1" }],
        } } },
    });
    let path = std::env::temp_dir().join(format!("metallb-theirs-{}", std::process::id()));
    std::fs::write(&path, theirs.to_string())?;
    let file = path.display().to_string();
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", &file];
    let applied = world
        .kubectl
        .output(&[&apply[..], &["--field-manager=somebody"]].concat());
    std::fs::remove_file(&path)?;
    applied?;
    let speaker = || {
        world
            .kubectl
            .json(&["-n", NAMESPACE, "get", "ds", "speaker"])
    };
    eventually("the speaker has its image and label again", SOON, || {
        let speaker = speaker()?;
        let image = &speaker["spec"]["template"]["spec"]["containers"][0]["image"];
        let label = &speaker["metadata"]["labels"]["component"];
        Ok(if image == product::IMAGE && label == "speaker" {
            Ok(())
        } else {
            Err(format!("{image} {label}"))
        })
    })?;
    product::rolled_out(&world.kubectl, NAMESPACE, "daemonset/speaker")?;
    // One may have been told to go while the image was another. It counts until it is gone.
    eventually("all speakers are ready and stay", SOON * 2, || {
        let speakers = ["-n", NAMESPACE, "get", "pods", "-l", "component=speaker"];
        let speakers = world.kubectl.json(&speakers)?["items"].clone();
        let speakers = speakers.as_array().into_iter().flatten();
        let stay = speakers.filter(|it| {
            let is_ready = it["status"]["containerStatuses"][0]["ready"] == true;
            is_ready && it["metadata"]["deletionTimestamp"].is_null()
        });
        let stay = stay.count();
        let all = world.cluster.nodes().len();
        Ok(if stay == all { Ok(()) } else { Err(stay) })
    })?;
    eventually("all is as asked", SOON * 4, || world.is_said("Ready", ""))?;
    repair::quiet(world, repair::QUIET, SOON / 3)?;
    let kept = &speaker()?["metadata"]["annotations"]["example.com/owner"];
    ensure!(kept == "network", "it is {kept}");
    let annotate = [
        "-n",
        NAMESPACE,
        "annotate",
        "ds",
        "speaker",
        "example.com/owner-",
    ];
    world.kubectl.output(&annotate)?;
    world.page_answers()
}

/// An operator that finds the work of a newer one: it changes nothing, says so, and leaves the
/// Lease to others, until somebody says that it is to go back.
pub(crate) fn older_operator(world: &Installed) -> Result<()> {
    let annotate = |annotation: &str| {
        let metallb = ["-n", NAMESPACE, "annotate", "metallb", "metallb"];
        let overwrite = ["--overwrite", annotation];
        world
            .kubectl
            .output(&[&metallb[..], &overwrite[..]].concat())
    };
    let version = world
        .kubectl
        .json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
    let version = version["status"]["versions"]["operator"].clone();
    let newer = r#"{"status":{"versions":{"operator":"99.0.0"}}}"#;
    let patch = ["-n", NAMESPACE, "patch", "metallb", "metallb"];
    let status = ["--subresource=status", "--type=merge", "-p", newer];
    world.kubectl.output(&[&patch[..], &status[..]].concat())?;
    world.says("Degraded", "leaves everything as operator 99.0.0", SOON * 2)?;
    world.condition(NAMESPACE, "metallb", "Degraded", "True")?;
    let edit = r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":29}}}}"#;
    let edit = [
        "-n",
        NAMESPACE,
        "patch",
        "deployment",
        "controller",
        "-p",
        edit,
    ];
    world.kubectl.output(&edit)?;
    // Nobody leads any more, for ten seconds at a time.
    eventually("the Lease is free", SOON, || {
        let lease = [
            "-n",
            NAMESPACE,
            "get",
            "lease",
            "metallb.io.metallboperator",
        ];
        let holder = world.kubectl.json(&lease)?["spec"]["holderIdentity"].clone();
        Ok(if holder == "" || holder.is_null() {
            Ok(())
        } else {
            Err(holder)
        })
    })?;
    let controller = world
        .kubectl
        .json(&["-n", NAMESPACE, "get", "deployment", "controller"])?;
    let grace = &controller["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    ensure!(grace == 29, "it was repaired: {grace} s");
    world.page_answers()?;
    annotate(&format!(
        "metallb.io/downgrade={}",
        version.as_str().unwrap_or_default()
    ))?;
    eventually("the controller has its 30 s again", SOON * 4, || {
        let controller = ["-n", NAMESPACE, "get", "deployment", "controller"];
        let controller = world.kubectl.json(&controller)?;
        let grace = &controller["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        Ok(if grace == 30 {
            Ok(())
        } else {
            Err(grace.clone())
        })
    })?;
    annotate("metallb.io/downgrade-")?;
    product::rolled_out(&world.kubectl, NAMESPACE, "deployment/controller")?;
    product::rolled_out(&world.kubectl, NAMESPACE, &format!("deployment/{OPERATOR}"))?;
    eventually("all is as asked", SOON * 2, || world.is_said("Ready", ""))?;
    world.page_answers()
}
