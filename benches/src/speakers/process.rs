//! The speakers under measurement, one process on each node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metallb_tests::{Place, Process, eventually};
use rustix::process::Signal;

use super::frr;
use super::rig::{LABELS, Rig, SYSTEM, speaker_pod};

/// Whose speakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This repository's.
    Ours,
    /// MetalLB's own.
    Metallb,
}

impl Kind {
    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Metallb => "MetalLB",
        }
    }
}

/// Speakers of one kind on some nodes. They end with this value.
#[derive(Debug)]
pub struct Speakers<'a> {
    rig: &'a Rig,
    kind: Kind,
    running: BTreeMap<Place, Process>,
    /// They have FRR beside them, to speak BGP.
    with_frr: bool,
    /// What runs beside them.
    beside: Vec<Process>,
}

impl<'a> Speakers<'a> {
    /// Starts one on every node.
    pub fn start(rig: &'a Rig, kind: Kind) -> Result<Self> {
        let mut speakers = Self::none(rig, kind);
        for node in rig.cluster.nodes() {
            speakers.start_on(node)?;
        }
        Ok(speakers)
    }

    /// On no node yet.
    pub fn none(rig: &'a Rig, kind: Kind) -> Self {
        Self {
            rig,
            kind,
            running: BTreeMap::new(),
            with_frr: false,
            beside: Vec::new(),
        }
    }

    /// The same, each with an FRR beside it that speaks BGP.
    #[must_use]
    pub fn with_frr(mut self) -> Self {
        self.with_frr = true;
        self
    }

    /// Starts the one of a node; when that was.
    pub fn start_on(&mut self, node: Place) -> Result<Instant> {
        let mut environment = Vec::new();
        if self.with_frr {
            let (processes, known) = frr::start(self.rig, node)?;
            self.beside.extend(processes);
            environment = known;
        }
        let started = Instant::now();
        let command = command(self.rig, self.kind, node, environment)?;
        let name = format!("{}-speaker", self.kind.name());
        let process = self.rig.cluster.spawn(node, &name, &command)?;
        self.running.insert(node, process);
        Ok(started)
    }

    /// Ends the one of a node in good order or by force, and waits until it is gone.
    pub fn end_on(&mut self, node: Place, signal: Signal) -> Result<()> {
        let process = self.running.remove(&node).context("it runs")?;
        process.signal(signal);
        gone(process)
    }

    /// The process on a node.
    pub fn on(&self, node: Place) -> Result<Process> {
        self.running.get(&node).copied().context("it runs")
    }

    /// All are started anew, for those that take long to find each other again.
    pub fn restart(&mut self) -> Result<()> {
        self.end_all()?;
        for node in self.rig.cluster.nodes() {
            self.start_on(node)?;
        }
        Ok(())
    }

    fn end_all(&mut self) -> Result<()> {
        let running = std::mem::take(&mut self.running).into_values();
        let all: Vec<_> = running.chain(self.beside.drain(..)).collect();
        for process in &all {
            process.signal(Signal::KILL);
        }
        all.into_iter().try_for_each(gone)
    }
}

impl Drop for Speakers<'_> {
    fn drop(&mut self) {
        // They end with the cluster if not now.
        let _ = self.end_all();
    }
}

fn gone(process: Process) -> Result<()> {
    eventually("the speaker has ended", Duration::from_secs(40), || {
        Ok(if process.alive() {
            Err(format!("{} runs", process.pid()))
        } else {
            Ok(())
        })
    })
}

fn command(rig: &Rig, kind: Kind, node: Place, more: Vec<String>) -> Result<Vec<String>> {
    let program = match kind {
        Kind::Ours => &rig.speaker,
        Kind::Metallb => rig
            .metallb
            .as_ref()
            .context("MetalLB's speaker was not given")?,
    };
    // Both are told what their pods would be told.
    let environment = [
        format!("KUBECONFIG={}", rig.kubeconfig().display()),
        format!("METALLB_NAMESPACE={SYSTEM}"),
        format!("METALLB_NODE_NAME={node}"),
        format!("METALLB_POD_NAME={}", speaker_pod(node)),
        format!("METALLB_HOST={}", node.address().v4),
        format!("METALLB_ML_BIND_ADDR={}", node.address().v4),
        "METALLB_ML_BIND_PORT=7946".to_owned(),
        format!("METALLB_ML_LABELS={LABELS}"),
        format!("METALLB_ML_SECRET_KEY_PATH={}", rig.key().display()),
    ];
    let program = program.display().to_string();
    let environment = environment.into_iter().chain(more);
    let command = ["env".to_owned()].into_iter().chain(environment);
    Ok(command.chain([program, "--port=7472".to_owned()]).collect())
}
