//! What is refused of the `MetalLB` object, and that nobody is held up by it.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE, OPERATOR},
};
use serde_json::{Value, json};

use crate::{
    admission::refusal,
    world::{Installed, SOON},
};

/// Wrong name, wrong namespace: whoever creates it is told what to do. Where no operator was there
/// to say so, the object is, and the right one is untouched.
pub(crate) fn misplaced(world: &Installed) -> Result<()> {
    callable(world)?;
    let misplaced = [(NAMESPACE, "another"), ("default", "metallb")];
    for (namespace, name) in misplaced {
        let refusal = refusal(world, &object(namespace, name, &json!({})))?;
        ensure!(refusal.contains("change that one instead"), "{refusal}");
        println!("  {refusal}");
    }
    operators(world, 0)?;
    for (namespace, name) in misplaced {
        let object = object(namespace, name, &json!({}));
        world.kubectl.apply(&object.to_string())?;
    }
    operators(world, 2)?;
    for (namespace, name) in misplaced {
        let condition = world.condition(namespace, name, "Degraded", "True")?;
        let message = condition["message"].as_str().context("no message")?;
        ensure!(message.contains("this object is ignored"), "{condition}");
        println!("  {namespace}/{name}: {}: {message}", condition["reason"]);
        let reason = condition["reason"].as_str().context("no reason")?;
        world.event(&format!("MetalLB/{name}"), reason, "")?;
        world.delete(namespace, "metallb", name)?;
    }
    world.condition(NAMESPACE, "metallb", "Available", "True")?;
    world.page_answers()
}

/// One of each rule, as upstream says it.
pub(crate) fn invalid(world: &Installed) -> Result<()> {
    callable(world)?;
    let timed = json!([{ "key": "a", "effect": "NoSchedule", "tolerationSeconds": 5 }]);
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let heavy = json!({ "affinity": { "nodeAffinity": { preferred: [
        { "weight": 101, "preference": {} },
    ] } } });
    for (spec, words) in [
        (
            json!({ "controllerTolerations": timed }),
            "ControllerToleration effect must be NoExecute when tolerationSeconds is set",
        ),
        (
            json!({ "speakerTolerations": timed }),
            "SpeakerToleration effect must be NoExecute when tolerationSeconds is set",
        ),
        (
            json!({ "speakerConfig": heavy }),
            "SpeakerConfig NodeAffinity set with invalid weight for preferred scheduling term",
        ),
        (
            json!({ "bgpBackend": "bird" }),
            "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external",
        ),
        (
            json!({ "frrk8sConfig": { "alwaysBlock": ["10.0.0.0/33"] } }),
            "invalid CIDR 10.0.0.0/33 in AlwaysBlock",
        ),
    ] {
        let refusal = refusal(world, &object(NAMESPACE, "metallb", &spec))?;
        ensure!(
            refusal.contains(&format!("denied the request: {words}")),
            "{words:?} is not in: {refusal}"
        );
        println!("  {words}");
    }
    Ok(())
}

/// Somebody deletes the registration, somebody the certificates: both come back.
pub(crate) fn repaired(world: &Installed) -> Result<()> {
    callable(world)?;
    world.delete("default", "validatingwebhookconfiguration", CONFIGURATION)?;
    callable(world)?;
    world.delete(NAMESPACE, "secret", "metallb-operator-webhook-server-cert")?;
    callable(world)
}

/// Waits until a bad object is refused.
fn callable(world: &Installed) -> Result<()> {
    let bad = object(NAMESPACE, "metallb", &json!({ "bgpBackend": "bird" }));
    eventually("the operator's webhook is asked", SOON * 2, || {
        Ok(refusal(world, &bad).map_err(|error| format!("{error:#}")))
    })
    .map(drop)
}

/// So many operators run, and no other.
fn operators(world: &Installed, count: u32) -> Result<()> {
    let replicas = format!("--replicas={count}");
    let deployment = format!("deployment/{OPERATOR}");
    let scale = ["-n", NAMESPACE, "scale", &deployment, &replicas];
    world.kubectl.output(&scale)?;
    eventually(&format!("{count} operators run"), SOON * 4, || {
        let label = "control-plane=controller-manager";
        let pods = world
            .kubectl
            .json(&["-n", NAMESPACE, "get", "pods", "-l", label])?;
        let pods = pods["items"].as_array().map_or(0, Vec::len);
        Ok(if pods == count as usize {
            Ok(())
        } else {
            Err(pods)
        })
    })?;
    product::rolled_out(&world.kubectl, NAMESPACE, &deployment)
}

fn object(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": { "namespace": namespace, "name": name }, "spec": spec,
    })
}

const CONFIGURATION: &str = "metallb-operator-webhook-configuration";
