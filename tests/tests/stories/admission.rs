//! What the API server asks the webhooks: bad objects are refused by whoever writes them, peers
//! are read in either version, and what makes that work is kept.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};
use serde_json::{Value, json};

use crate::world::{Installed, SOON, within};

/// Whoever writes nonsense reads at once what is wrong with it, in upstream's words.
pub(crate) fn refused(world: &Installed) -> Result<()> {
    required(world)?;
    let object = |kind: &str, namespace: &str, spec: Value| {
        let version = product::newest_version(kind);
        json!({
            "apiVersion": format!("metallb.io/{version}"), "kind": kind,
            "metadata": { "name": "bad", "namespace": namespace }, "spec": spec,
        })
    };
    let pool = |range: &str| json!({ "addresses": [range] });
    let demo = world
        .kubectl
        .json(&["-n", NAMESPACE, "get", "ipaddresspool", "demo"])?;
    let taken = demo["spec"]["addresses"][0].as_str().context("no range")?;
    for (object, words) in [
        (
            object("IPAddressPool", NAMESPACE, pool("10.0.0.9-10.0.0.1")),
            "is after the end IP",
        ),
        (
            object("IPAddressPool", NAMESPACE, pool(taken)),
            "overlaps with already defined",
        ),
        (
            object("IPAddressPool", "default", pool("10.0.0.0/24")),
            "resource must be created in metallb-system namespace",
        ),
        (
            object(
                "BGPPeer",
                NAMESPACE,
                json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": "nowhere" }),
            ),
            "invalid BGPPeer address",
        ),
    ] {
        let refusal = refusal(world, &object)?;
        ensure!(refusal.contains(words), "{words:?} is not in: {refusal}");
        println!("  {refusal}");
    }
    Ok(())
}

/// A peer that is written in one version is read in the other, and loses nothing by it. That is so
/// again when the operator's manifest has been applied once more.
pub(crate) fn both_versions(world: &Installed) -> Result<()> {
    let v1beta1 = "bgppeers.v1beta1.metallb.io";
    eventually("BGPPeer v1beta1 is served", SOON * 3, || {
        let get = ["-n", NAMESPACE, "get", v1beta1];
        Ok(world
            .kubectl
            .output(&get)
            .map_err(|error| format!("{error:#}")))
    })?;
    world.kubectl.apply(
        &json!({
            "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
            "metadata": { "name": "new", "namespace": NAMESPACE },
            "spec": {
                "myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.9",
                "connectTime": "10s",
            },
        })
        .to_string(),
    )?;
    let read = |version: &str, name: &str| {
        let kind = format!("bgppeers.{version}.metallb.io");
        world.kubectl.json(&["-n", NAMESPACE, "get", &kind, name])
    };
    let old = read("v1beta1", "new")?;
    ensure!(old["spec"]["peerAddress"] == "192.0.2.9", "{old}");
    ensure!(old["spec"]["connectTime"].is_null(), "{old}");

    let label = ["-n", NAMESPACE, "label", v1beta1, "new", "seen=yes"];
    world.kubectl.output(&label)?;
    let new = read("v1beta2", "new")?;
    ensure!(new["spec"]["connectTime"] == "10s", "{new}");
    ensure!(new["metadata"]["labels"]["seen"] == "yes", "{new}");

    world.kubectl.apply(
        &json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer",
            "metadata": { "name": "old", "namespace": NAMESPACE },
            "spec": { "myASN": 64500, "peerASN": 64502, "peerAddress": "192.0.2.10" },
        })
        .to_string(),
    )?;
    let upgraded = read("v1beta2", "old")?;
    ensure!(upgraded["spec"]["peerASN"] == 64502, "{upgraded}");
    // As an upgrade does: no field is disputed, and what it switches off comes back.
    let manifest = product::operator_manifest(product::IMAGE)?;
    world.kubectl.apply(&manifest)?;
    eventually("BGPPeer v1beta1 is served again", SOON, || {
        Ok(read("v1beta1", "old").map_err(|error| format!("{error:#}")))
    })?;
    for name in ["new", "old"] {
        world.delete(NAMESPACE, "bgppeer", name)?;
    }
    Ok(())
}

/// Somebody empties a `caBundle`, somebody removes the Secret: both are set right, and whoever
/// writes nonsense meanwhile is refused or let through, but good objects are never held up.
pub(crate) fn certificates_repaired(world: &Installed) -> Result<()> {
    required(world)?;
    let patch = r#"[{"op":"remove","path":"/webhooks/4/clientConfig/caBundle"}]"#;
    world
        .kubectl
        .output(&["patch", CONFIGURATION, "--type=json", "-p", patch])?;
    required(world)?;
    refused(world)?;

    let authority = || {
        let secret = [
            "-n",
            NAMESPACE,
            "get",
            "secret",
            SECRET,
            "--ignore-not-found",
        ];
        let data = ["-o", "jsonpath={.data.ca\\.crt}"];
        world.kubectl.output(&[&secret[..], &data[..]].concat())
    };
    let before = authority()?;
    world.delete(NAMESPACE, "secret", SECRET)?;
    eventually("the Secret has another authority", SOON, || {
        world.apply_pool("good", &["10.7.0.0/24"])?;
        let now = authority()?;
        Ok(if now.is_empty() || now == before {
            Err("not yet")
        } else {
            Ok(())
        })
    })?;
    world.delete(NAMESPACE, "ipaddresspool", "good")?;
    refused(world)
}

/// One controller of two ends, as in a rollout: not a single object is held up. One is killed: the
/// other answers within seconds.
pub(crate) fn one_controller_of_two(world: &Installed) -> Result<()> {
    required(world)?;
    let first = || -> Result<String> {
        let pods = product::pods(&world.kubectl, "controller")?;
        pods.into_keys().next().context("no controller")
    };
    let good = good();
    let ends = first()?;
    let delete = ["-n", NAMESPACE, "delete", "pod", &ends, "--wait=false"];
    world.kubectl.output(&delete)?;
    let mut asked = 0;
    while product::pods(&world.kubectl, "controller")?.contains_key(&ends) {
        let answer = dry_run(world, &good)?;
        answer.map_err(|error| error.context(format!("object {asked} was held up")))?;
        asked += 1;
    }
    ensure!(asked > 3, "only {asked} objects were written meanwhile");
    println!("  {asked} objects written while {ends} ended");
    product::rolled_out(&world.kubectl, NAMESPACE, "deployment/controller")?;

    let killed = first()?;
    let kill = ["--grace-period=0", "--force"];
    world
        .kubectl
        .output(&[&["-n", NAMESPACE, "delete", "pod", &killed], &kill[..]].concat())?;
    let taken = within("the other answers", Duration::from_secs(5), || {
        answered(world)
    })?;
    println!("  an object is taken {taken:.1?} after {killed} was killed");
    refused(world)?;
    product::available(&world.kubectl)
}

/// Waits until an object that is good is taken.
pub(crate) fn answered(world: &Installed) -> Result<()> {
    eventually("an object is taken", SOON, || {
        Ok(dry_run(world, &good())?.map_err(|error| format!("{error:#}")))
    })
}

/// A pool that nothing is wrong with.
fn good() -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": { "name": "good", "namespace": NAMESPACE },
        "spec": { "addresses": ["10.7.0.0/24"] },
    })
}

/// Waits until there is no way around the webhooks.
pub(crate) fn required(world: &Installed) -> Result<()> {
    eventually("the webhooks are required", Duration::from_secs(20), || {
        let registration = world.kubectl.json(&["get", CONFIGURATION])?;
        let webhooks = registration["webhooks"].as_array();
        let required = webhooks.is_some_and(|all| {
            all.iter().all(|webhook| {
                webhook["failurePolicy"] == "Fail"
                    && webhook["clientConfig"]["caBundle"].is_string()
            })
        });
        Ok(if required {
            Ok(())
        } else {
            Err(registration.to_string())
        })
    })
}

/// Why the object was refused; nothing is written if it is not.
pub(crate) fn refusal(world: &Installed, object: &Value) -> Result<String> {
    let error = dry_run(world, object)?
        .err()
        .with_context(|| format!("{object} was taken"))?;
    Ok(format!("{error:#}"))
}

/// Whether the object would be taken.
fn dry_run(world: &Installed, object: &Value) -> Result<Result<()>> {
    let path = std::env::temp_dir().join(format!("metallb-refused-{}", std::process::id()));
    std::fs::write(&path, object.to_string())?;
    let file = path.to_str().context("no path")?;
    let applied = world
        .kubectl
        .output(&["apply", "--dry-run=server", "-f", file]);
    std::fs::remove_file(&path)?;
    Ok(applied.map(drop))
}

const CONFIGURATION: &str = "validatingwebhookconfiguration/metallb-webhook-configuration";
const SECRET: &str = "metallb-webhook-cert";
