//! Who announces a Service: what is shown of it, and moves that are meant.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Place, eventually,
    faults::Target,
    probe::{OwnerWatch, Sighting},
    product::{self, NAMESPACE},
};
use serde_json::Value;

use crate::world::{Installed, SOON};

/// `kubectl get servicel2statuses` shows the node that answers, and one object for each Service,
/// whatever happens to the object or to the speaker.
pub(crate) fn owner_is_shown(world: &Installed) -> Result<()> {
    let address = world.addresses()?[0];
    stays(&world.cluster.watch_owner(address)?)?;
    let first = shown(world, "web")?;
    ensure!(
        first.node == world.owner(address)?.to_string(),
        "{} is shown",
        first.node
    );
    ensure!(
        first.labels["metallb.io/node"] == first.node
            && first.labels["metallb.io/service-namespace"] == "default",
        "{}",
        first.labels
    );

    world.delete(NAMESPACE, "servicel2status", &first.name)?;
    let again = shown(world, "web")?;
    ensure!(again.node == first.node, "made again for {}", again.node);

    world.apply_service("shown", &[])?;
    let other = shown(world, "shown")?;
    world.delete("default", "service", "shown")?;
    eventually("nothing is shown of a deleted Service", SOON, || {
        let left = objects(world, "shown")?;
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{} and {left:?}", other.name))
        })
    })
}

/// All speakers are replaced one after the other: somebody always answers.
pub(crate) fn speakers_restart(world: &Installed) -> Result<()> {
    without_a_gap(world, |watch| {
        let owner = watch.settled(SOON)?;
        let restart = ["-n", NAMESPACE, "rollout", "restart", SPEAKERS];
        world.kubectl.output(&restart)?;
        product::rolled_out(&world.kubectl, NAMESPACE, SPEAKERS)?;
        answers_again(watch, owner)
    })?;
    product::available(&world.kubectl)
}

/// The addresses leave a node that gets the taint, it says when it can be stopped, and they come back
/// when it has lost the taint: somebody always answers.
pub(crate) fn drained(world: &Installed) -> Result<()> {
    without_a_gap(world, |watch| {
        let owner = watch.settled(SOON)?;
        let taint = |text: &str| {
            let node = owner.to_string();
            world.kubectl.output(&["taint", "node", &node, text])
        };
        let started = Instant::now();
        taint("metallb.io/drain=:NoSchedule")?;
        let next = watch.next_owner(owner, started, SOON);
        let moved = next.and_then(|_| watch.settled(SOON));
        let state = format!("configurationstate/speaker-{owner}");
        let drained = [
            "wait",
            "-n",
            NAMESPACE,
            &state,
            "--for=condition=Drained",
            "--timeout=10s",
        ];
        let drained = world.kubectl.output(&drained);
        taint("metallb.io/drain-")?;
        drained?;
        let moved = moved?;
        ensure!(moved != owner, "{owner} still answers");
        answers_again(watch, owner)
    })
}

/// Waits until the owner has been the same for longer than a node that came back holds itself back:
/// in the story before, speakers may have been replaced.
fn stays(watch: &OwnerWatch) -> Result<()> {
    eventually("the owner stays", SOON * 2, || {
        let seen = watch.sightings();
        let Some(last) = seen.last() else {
            return Ok(Err("nobody answers".to_owned()));
        };
        let others = |it: &&Sighting| it.answer.place != last.answer.place;
        let since = seen.iter().rev().find(others).unwrap_or(&seen[0]).at;
        let stayed = last.at - since;
        Ok(if stayed >= STAYS {
            Ok(())
        } else {
            Err(format!("{:?} for {stayed:.1?}", last.answer.place))
        })
    })
}

/// Twice the time for which a node that came back holds itself back.
const STAYS: Duration = Duration::from_secs(4);

/// Waits until the one who had the address at first alone has it again.
pub(crate) fn answers_again(watch: &OwnerWatch, owner: Place) -> Result<()> {
    watch.settled_at(owner, SOON * 2)
}

/// Each speaker runs with `NET_RAW` alone, on a root that it cannot write to, and its account reads
/// no Secret: the one that it needs is mounted.
pub(crate) fn confined(world: &Installed) -> Result<()> {
    product::rolled_out(&world.kubectl, NAMESPACE, SPEAKERS)?;
    for node in world.cluster.nodes() {
        let target = Target::program_in(node, "speaker");
        let speaker = eventually(&format!("one speaker runs on {node}"), SOON, || {
            let found = world.cluster.find(&target)?;
            Ok(match (found.first(), found.len()) {
                (Some(speaker), 1) => Ok(*speaker),
                (_, count) => Err(format!("{count} do")),
            })
        })?;
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", speaker.pid());
            std::fs::read_to_string(&path).context(path)
        };
        let status = read("status")?;
        for (field, value) in [
            ("CapEff", "0000000000002000"),
            ("CapPrm", "0000000000002000"),
            ("CapBnd", "0000000000002000"),
            ("NoNewPrivs", "1"),
            // A filter: RuntimeDefault.
            ("Seccomp", "2"),
        ] {
            let line = format!("{field}:\t{value}\n");
            ensure!(status.contains(&line), "{node}: no {line:?} in\n{status}");
        }
        let mounts = read("mounts")?;
        let root = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some("/"));
        let options = root.and_then(|line| line.split(' ').nth(3));
        let options = options.context("it has a root")?;
        ensure!(options.split(',').any(|it| it == "ro"), "{node}: {options}");
    }
    let pods = ["-n", NAMESPACE, "get", "pods", "-l", "component=speaker"];
    let pods = world.kubectl.json(&pods)?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let class = &pod["spec"]["priorityClassName"];
        ensure!(class == "system-node-critical", "{class}");
    }
    for (verb, what) in [
        ("list", "secrets"),
        ("get", "secret/metallb-webhook-cert"),
        ("get", "secret/metallb-memberlist"),
        ("create", "pods"),
        ("update", "services/status"),
        ("patch", "nodes"),
    ] {
        let account = format!("--as=system:serviceaccount:{NAMESPACE}:speaker");
        let asked = ["-n", NAMESPACE, "auth", "can-i", verb, what, &account];
        let answer = world.kubectl.command(&asked).output()?.stdout;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.trim() == "no", "may it {verb} {what}? {answer}");
    }
    Ok(())
}

/// While this happens, a client uses the address: somebody always answers, and every connection is
/// made.
pub(crate) fn without_a_gap(
    world: &Installed,
    happens: impl FnOnce(&OwnerWatch) -> Result<()>,
) -> Result<()> {
    let used = world.cluster.use_while(world.addresses()?[0], happens)?;
    used.without_a_gap(MOVES)
}

/// Waits until this node alone is shown to announce the web Service.
pub(crate) fn is_shown(world: &Installed, node: Option<Place>) -> Result<()> {
    let node = node.context("it is a node's")?.to_string();
    eventually(&format!("{node} is shown"), SOON, || {
        let shown = shown(world, "web")?;
        Ok(if shown.node == node {
            Ok(())
        } else {
            Err(shown.node)
        })
    })
}

/// What is shown of one Service.
struct Shown {
    name: String,
    node: String,
    labels: Value,
}

/// Waits until exactly one object says who announces the Service.
fn shown(world: &Installed, service: &str) -> Result<Shown> {
    eventually(
        &format!("one object says who announces {service}"),
        SOON,
        || {
            let objects = objects(world, service)?;
            let [object] = &objects[..] else {
                return Ok(Err(format!("{objects:?}")));
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let status = &object["status"];
            Ok(if status["serviceName"] == service {
                Ok(Shown {
                    name: text(&object["metadata"]["name"]),
                    node: text(&status["node"]),
                    labels: object["metadata"]["labels"].clone(),
                })
            } else {
                Err(object.to_string())
            })
        },
    )
}

fn objects(world: &Installed, service: &str) -> Result<Vec<Value>> {
    let selector = format!("--selector=metallb.io/service-name={service}");
    let get = ["-n", NAMESPACE, "get", "servicel2statuses", &selector];
    let list = world.kubectl.json(&get)?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

const SPEAKERS: &str = "daemonset/speaker";
/// An address moves at most so often in one of these stories.
const MOVES: usize = 4;
