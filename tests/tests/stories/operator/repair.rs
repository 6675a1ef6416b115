//! What the operator keeps and repairs, and that it is quiet otherwise.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};

use crate::world::{Installed, SOON, is_long, within};

/// The Secret is made anew, with the key that the speakers use, and they go on.
pub(crate) fn secret_removed(world: &Installed) -> Result<()> {
    let secret = "Secret/metallb-system/metallb-memberlist";
    let before = uid(world, secret)?.context("there is no Secret")?;
    let key = || {
        let data = "jsonpath={.data.secretkey}";
        let get = [
            "-n",
            NAMESPACE,
            "get",
            "secret",
            "metallb-memberlist",
            "-o",
            data,
        ];
        world.kubectl.output(&get)
    };
    let key_before = key()?;
    world.delete(NAMESPACE, "secret", "metallb-memberlist")?;
    comes_back(world, secret, &before)?;
    ensure!(
        !key_before.is_empty() && key()? == key_before,
        "the speakers have another key"
    );
    world.page_answers()
}

/// Whatever is deleted is back within seconds, and the Service answers again.
pub(crate) fn operands_deleted(world: &Installed) -> Result<()> {
    let operands = product::operands(&world.kubectl)?;
    ensure!(
        operands.len() > 10,
        "only these carry our label: {operands:?}"
    );
    for operand in operands {
        let [kind, namespace, name] = parts(&operand)?;
        let before = uid(world, &operand)?.context("it was just listed")?;
        world.delete(namespace, kind, name)?;
        let taken = within(&operand, Duration::from_secs(5), || {
            comes_back(world, &operand, &before)
        })?;
        println!("  {operand}: back after {taken:.1?}");
        if kind == "ServiceAccount" {
            replaced(world, name)?;
        }
        if matches!(kind, "DaemonSet" | "Deployment" | "ServiceAccount") {
            product::available(&world.kubectl)?;
        }
        world.page_answers()?;
    }
    world
        .condition(NAMESPACE, "metallb", "Available", "True")
        .map(drop)
}

/// A token ends with its `ServiceAccount`: the pods that had one are replaced, or they would be
/// locked out a few seconds later.
fn replaced(world: &Installed, account: &str) -> Result<()> {
    let object = format!("ServiceAccount/{NAMESPACE}/{account}");
    let now = uid(world, &object)?.context("it was just made")?;
    let kind = match account {
        "controller" => "deployment",
        _ => "daemonset",
    };
    let workload = format!("{kind}/{account}");
    eventually(&format!("{workload} has the new account"), SOON, || {
        let seen = world
            .kubectl
            .json(&["-n", NAMESPACE, "get", kind, account])?;
        let annotations = &seen["spec"]["template"]["metadata"]["annotations"];
        let means = annotations["metallb.io/service-account-uid"].clone();
        Ok(if means == *now { Ok(()) } else { Err(means) })
    })?;
    product::rolled_out(&world.kubectl, NAMESPACE, &workload)
}

/// Drift is repaired.
pub(crate) fn edited_by_hand(world: &Installed) -> Result<()> {
    let patch = r#"{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}"#;
    world
        .kubectl
        .output(&["-n", NAMESPACE, "patch", "ds", "speaker", "-p", patch])?;
    eventually("the speaker has its 30 s again", SOON, || {
        let speaker = world
            .kubectl
            .json(&["-n", NAMESPACE, "get", "ds", "speaker"])?;
        let grace = &speaker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
        Ok(if grace == 30 {
            Ok(())
        } else {
            Err(grace.to_string())
        })
    })?;
    product::rolled_out(&world.kubectl, NAMESPACE, "daemonset/speaker")?;
    product::available(&world.kubectl)?;
    world.page_answers()
}

/// While nothing changes, nothing is written.
pub(crate) fn idle(world: &Installed) -> Result<()> {
    product::available(&world.kubectl)?;
    let (last, time) = if is_long() {
        (SETTLED, LONG)
    } else {
        (QUIET, IDLE)
    };
    quiet(world, last, time)?;
    println!("  in {time:?} of rest nothing was written");
    Ok(())
}

/// Upstream's FRR mode makes the ConfigMap `frr-startup` anew with each look. Here none is needed
/// with any backend, and nothing is written there either.
pub(crate) fn idle_with_frr(world: &Installed) -> Result<()> {
    let backend = |value: &str| -> Result<()> {
        let patch = format!(r#"{{"spec":{{"bgpBackend":{value}}}}}"#);
        let metallb = ["-n", NAMESPACE, "patch", "metallb", "metallb"];
        let merge = ["--type=merge", "-p", &patch];
        world.kubectl.output(&[&metallb[..], &merge[..]].concat())?;
        for workload in ["deployment/controller", "daemonset/speaker"] {
            product::rolled_out(&world.kubectl, NAMESPACE, workload)?;
        }
        eventually("all is as asked", SOON * 4, || world.is_said("Ready", ""))
    };
    backend(r#""frr""#)?;
    quiet(world, QUIET, IDLE / 3)?;
    let maps = ["-n", NAMESPACE, "get", "configmaps", "-o", "name"];
    let maps = world.kubectl.output(&maps)?;
    ensure!(!maps.contains("frr-startup"), "{maps}");
    backend("null")
}

/// Waits until the last write was `last` ago, and then sees none for `time`.
pub(crate) fn quiet(world: &Installed, last: Duration, time: Duration) -> Result<()> {
    let writes = || -> Result<Vec<String>> {
        let audited = world.cluster.audit()?.into_iter();
        let ours = audited.filter(|it| it.user.username.ends_with(":manager-account"));
        // Its own Lease is how it says that it lives; reviews store nothing.
        let kept = ours.filter(|it| {
            !["leases", "subjectaccessreviews", "tokenreviews"]
                .contains(&it.object_ref.resource.as_str())
        });
        Ok(kept
            .map(|it| {
                format!(
                    "{} {}/{}",
                    it.verb, it.object_ref.resource, it.object_ref.name
                )
            })
            .collect())
    };
    let mut seen = (writes()?.len(), Instant::now());
    eventually("the last write is over", SOON + 2 * last, || {
        let now = writes()?.len();
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        let is_over = seen.1.elapsed() > last;
        Ok(is_over.then_some(()).ok_or("more writes"))
    })?;
    let before = writes()?.len();
    // So long is the rest that is looked at.
    std::thread::sleep(time);
    let since = writes()?.split_off(before);
    ensure!(since.is_empty(), "in {time:?} of rest: {since:?}");
    Ok(())
}

/// How long nothing may be written.
const IDLE: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_mins(10);
/// What is applied comes one write after the other, closer than this.
pub(crate) const QUIET: Duration = Duration::from_secs(2);
/// And where certificates were deleted, an authority signs a minute after all were seen to trust it.
const SETTLED: Duration = Duration::from_secs(65);

/// Waits until the object is there with another UID than before.
fn comes_back(world: &Installed, operand: &str, before: &str) -> Result<()> {
    eventually(&format!("{operand} is back"), SOON, || {
        Ok(match uid(world, operand)? {
            Some(uid) if uid != before => Ok(()),
            Some(_) => Err("still the old one"),
            None => Err("it is gone"),
        })
    })
}

fn uid(world: &Installed, operand: &str) -> Result<Option<String>> {
    let [kind, namespace, name] = parts(operand)?;
    let text = world.kubectl.output(&[
        "-n",
        namespace,
        "get",
        kind,
        name,
        "--ignore-not-found",
        "-o",
        "jsonpath={.metadata.uid}",
    ])?;
    Ok((!text.is_empty()).then_some(text))
}

/// Kind, namespace (any, for what is cluster-scoped) and name.
fn parts(operand: &str) -> Result<[&str; 3]> {
    let parts: Vec<&str> = operand.splitn(3, '/').collect();
    let [kind, namespace, name] = parts[..] else {
        anyhow::bail!("{operand} is not kind/namespace/name")
    };
    Ok([
        kind,
        if namespace.is_empty() {
            "default"
        } else {
            namespace
        },
        name,
    ])
}
