//! Two controllers, of which one may always die.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Process, eventually,
    product::{self, NAMESPACE},
};

use rustix::process::Signal;

use super::crowd::service;
use super::ledger::Ledger;
use crate::world::{Installed, SOON};

/// A controller's pod and its process.
pub(super) struct Controller {
    pub(super) pod: String,
    pub(super) process: Process,
}

impl Installed {
    /// The controllers that run, the leading one first.
    pub(super) fn controllers(&self) -> Result<Vec<Controller>> {
        let leader = self.leading_pod()?;
        let mut found = Vec::new();
        for node in self.cluster.nodes() {
            for process in self.cluster.pod_processes(node)? {
                if let Some(pod) = controller_pod(process) {
                    found.push(Controller { pod, process });
                }
            }
        }
        found.sort_by_key(|controller| controller.pod != leader);
        ensure!(
            found.first().is_some_and(|first| first.pod == leader),
            "the leader is {leader:?}, and there are {:?}",
            found.iter().map(|it| &it.pod).collect::<Vec<_>>()
        );
        Ok(found)
    }

    /// The pod that holds the Lease.
    pub(super) fn leading_pod(&self) -> Result<String> {
        let lease = self.cluster.get(LEASE)?;
        let holder = lease["spec"]["holderIdentity"]
            .as_str()
            .context("nobody holds the Lease")?;
        let (pod, _) = holder.rsplit_once('_').context("a holder is POD_number")?;
        Ok(pod.to_owned())
    }

    /// Waits until two controllers are ready, of which one leads, and all pods are available.
    pub(super) fn two_controllers(&self) -> Result<Vec<Controller>> {
        // The API server may still think that one is ready that has just been killed.
        let two = eventually("two controllers are ready", SOON * 4, || {
            let found = self.controllers()?;
            let ready = found.iter().filter(|it| is_ready(it.process)).count();
            Ok(if (found.len(), ready) == (2, 2) {
                Ok(found)
            } else {
                Err(format!("{} run, {ready} of them are ready", found.len()))
            })
        })?;
        product::rolled_out(&self.kubectl, NAMESPACE, "deployment/controller")?;
        product::available(&self.kubectl)?;
        Ok(two)
    }
}

/// The leader is killed, then the one that waits; then the leader's pod is deleted in good order.
/// A Service that comes at that moment is served by the other, and no address moves.
pub(crate) fn either_dies(world: &Installed) -> Result<()> {
    world.apply_pool("pair", &["10.14.0.1-10.14.0.60"])?;
    world.crowd("pair", 50)?;
    let ledger = Ledger::start(world)?;
    ledger.all_assigned("pair", 50)?;

    for (number, (who, bar)) in [
        ("the leader is killed", Duration::from_secs(5)),
        ("the one that waits is killed", Duration::from_secs(2)),
        ("the leader's pod is deleted", Duration::from_secs(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let two = world.two_controllers()?;
        let name = format!("pair-{:03}", 50 + number);
        let object = service(&name, "pair");
        let started = Instant::now();
        match number {
            0 => two[0].process.signal(Signal::KILL),
            1 => two[1].process.signal(Signal::KILL),
            _ => drop(world.kubectl.output(&[
                "-n",
                NAMESPACE,
                "delete",
                "pod",
                &two[0].pod,
                "--wait=false",
            ])?),
        }
        world.apply_all(&[object])?;
        ledger.all_assigned("pair", 51 + number)?;
        let taken = started.elapsed();
        println!("  {who}: the next Service has its address after {taken:.2?}");
        // What kubectl itself takes is no fault of the controllers'.
        ensure!(taken < bar + KUBECTL, "{who}: {taken:.2?}");
    }
    world.two_controllers()?;
    ledger.nothing_moved("pair-")?;
    world.crowd_leaves("pair")
}

/// Whose process it is, if it is a controller's.
fn controller_pod(process: Process) -> Option<String> {
    let read = |file: &str| std::fs::read(format!("/proc/{}/{file}", process.pid())).ok();
    if !read("cmdline")?.starts_with(b"/controller\0") {
        return None;
    }
    let environment = read("environ")?;
    let name = environment
        .split(|byte| *byte == 0)
        .find_map(|variable| variable.strip_prefix(b"METALLB_POD_NAME="))?;
    String::from_utf8(name.to_vec()).ok()
}

/// What the process itself says to its kubelet.
fn is_ready(process: Process) -> bool {
    let namespace = format!("--net=/proc/{}/ns/net", process.pid());
    let ask = [&*namespace, "curl", "-sf", "http://127.0.0.1:17472/readyz"];
    let asked = std::process::Command::new("nsenter").args(ask).output();
    asked.is_ok_and(|asked| asked.status.success())
}

const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/metallb-system/leases/metallb-controller";
/// For starting kubectl on a busy machine.
const KUBECTL: Duration = Duration::from_secs(2);
