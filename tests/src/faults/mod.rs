//! What can go wrong with cables, machines and processes, on demand.
//!
//! Every verb waits until its effect is in place, and fails when it does not come. Nothing is
//! remembered on the side: what is cut, stopped or lossy is read back from the kernel.

mod cable;
mod loss;
mod process;

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::{Cluster, Place, cgroup, node};

pub use cable::Cable;
pub(crate) use cable::cards;
pub use process::Target;

impl Cluster {
    /// Pulls a cable: both ends lose carrier.
    pub fn cut(&self, cable: impl Into<Cable>) -> Result<()> {
        let cable = self.cable(cable)?;
        cable::cut(&self.netns(Place::Fabric), &self.netns(cable.place), cable)
    }

    /// Loses every frame of a cable, both ways, while both ends keep their carrier: as when the
    /// far side of a switch fails.
    pub fn isolate(&self, cable: impl Into<Cable>) -> Result<()> {
        let cable = self.cable(cable)?;
        cable::isolate(&self.netns(Place::Fabric), &self.netns(cable.place), cable)
    }

    /// Undoes [`Cluster::cut`] and [`Cluster::isolate`].
    pub fn heal(&self, cable: impl Into<Cable>) -> Result<()> {
        let cable = self.cable(cable)?;
        cable::heal(&self.netns(Place::Fabric), &self.netns(cable.place), cable)
    }

    /// Loses `percent` of the frames of a cable in each direction, by chance; 0 ends it.
    pub fn lossy(&self, cable: impl Into<Cable>, percent: u8) -> Result<()> {
        let cable = self.cable(cable)?;
        loss::set(&self.netns(Place::Fabric), &cable.port(), percent)
    }

    /// How many frames [`Cluster::lossy`] has taken from a cable since it was called last.
    pub fn lost(&self, cable: impl Into<Cable>) -> Result<u64> {
        let cable = self.cable(cable)?;
        loss::count(&self.netns(Place::Fabric), &cable.port())
    }

    /// A router no longer forwards what comes from a node's IPv4 address to a UDP port, and does
    /// everything else as before; without a node it forwards it again.
    pub fn stop_forwarding(&self, router: Place, node: Option<Place>, port: u16) -> Result<()> {
        let from = node.map(|node| node.address().v4);
        loss::not_forwarded(&self.netns(router), from, port)
    }

    /// Stops a whole node at one instant, or each process of a program; see [`Target`].
    pub fn freeze(&self, target: &Target) -> Result<()> {
        match target {
            Target::Node(node) => {
                self.check_node(*node)?;
                cgroup::freeze(&self.cgroup(*node))
            }
            Target::Program { .. } => process::stop(self, target),
        }
    }

    /// Undoes [`Cluster::freeze`].
    pub fn thaw(&self, target: &Target) -> Result<()> {
        match target {
            Target::Node(node) => {
                self.check_node(*node)?;
                cgroup::thaw(&self.cgroup(*node))
            }
            Target::Program { .. } => process::go_on(self, target),
        }
    }

    /// Ends every process of a node at one instant, containers included, as a power cut does. What
    /// the kernel does by itself it goes on doing: it answers for the node's own addresses.
    pub fn kill(&self, node: Place) -> Result<()> {
        self.check_node(node)?;
        cgroup::kill(&self.cgroup(node))
    }

    /// Starts a killed node again, as after a power cut: its disk is as it was, and nothing that
    /// lived in memory is left. It is back when its kubelet runs; Ready comes later.
    pub fn revive(&self, node: Place) -> Result<()> {
        self.check_node(node)?;
        let left = self.processes(node)?;
        ensure!(
            left.is_empty(),
            "{node} runs, with {} processes; only a killed node is revived",
            left.len()
        );
        // Where a real machine has a tmpfs.
        let memory = self.files.of_place(node).join("run-containerd");
        fs::remove_dir_all(&memory)
            .with_context(|| format!("cannot clear {}", memory.display()))?;
        node::start_containerd(self, node)?;
        node::start_kubelet(self, node)
    }

    fn check_node(&self, node: Place) -> Result<()> {
        ensure!(
            self.nodes().contains(&node),
            "cluster {} has no node {node}",
            self.name()
        );
        Ok(())
    }

    /// The cable, if this cluster has it.
    fn cable(&self, cable: impl Into<Cable>) -> Result<Cable> {
        let cable @ Cable { place, nic } = cable.into();
        ensure!(
            place != Place::Fabric && self.places().contains(&place),
            "cluster {} has no cable to {place}",
            self.name()
        );
        ensure!(
            nic == 0 || (nic < self.options().nics && !matches!(place, Place::Router(_))),
            "{place} of cluster {} has no eth{nic}",
            self.name()
        );
        Ok(cable)
    }
}
