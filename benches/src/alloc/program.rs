//! The programs under measurement.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use metallb_tests::{Place, Process};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::Rig;

/// Whose controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The floor.
    Null,
    /// Ours; several can run, each with a number.
    Ours(u16),
    /// MetalLB's.
    Metallb,
}

/// A controller that runs and is ready.
#[derive(Debug)]
pub(crate) struct Program {
    kind: Kind,
    process: Process,
    /// From the start to being ready.
    pub(crate) ready_after: Duration,
}

impl Program {
    /// Starts it beside the API server and waits until it is ready; ours alone also leads then.
    pub(crate) async fn start(rig: &Rig, kind: Kind) -> Result<Self> {
        let name = name(kind);
        let mut command = vec![
            "env".to_owned(),
            format!("KUBECONFIG={}", rig.cluster.local_kubeconfig().display()),
        ];
        command.extend(arguments(rig, kind)?);
        let started = Instant::now();
        let process = rig.cluster.spawn(Place::ControlPlane, &name, &command)?;
        let mut program = Self {
            kind,
            process,
            ready_after: Duration::ZERO,
        };
        loop {
            if program.is_ready().await {
                program.ready_after = started.elapsed();
                return Ok(program);
            }
            let log = rig.cluster.logs(&name)?;
            ensure!(process.alive(), "{name} has ended; see {}", log.display());
            if started.elapsed() > START {
                bail!("{name} is not ready after {START:?}; see {}", log.display());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn stop(self) -> Result<()> {
        self.process.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends a signal and does not wait.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(self) -> Result<()> {
        let since = Instant::now();
        while self.process.alive() {
            ensure!(since.elapsed() < START, "{} does not end", name(self.kind));
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The processor time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.processor_time()
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.process.resident()
    }

    async fn is_ready(&self) -> bool {
        match self.kind {
            Kind::Null | Kind::Ours(_) => get(probes_port(self.kind), "/readyz")
                .await
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")),
            Kind::Metallb => get(METALLB_METRICS, "/metrics")
                .await
                .is_ok_and(|answer| answer.contains("metallb_k8s_client_config_loaded_bool 1")),
        }
    }
}

/// Its name in the cluster's logs, and as a candidate.
pub(crate) fn name(kind: Kind) -> String {
    match kind {
        Kind::Null => "null-controller".to_owned(),
        Kind::Ours(number) => format!("controller-{number}"),
        Kind::Metallb => "metallb-controller".to_owned(),
    }
}

fn arguments(rig: &Rig, kind: Kind) -> Result<Vec<String>> {
    let probes = format!("--health-probe-port={}", probes_port(kind));
    Ok(match kind {
        Kind::Null => vec![
            rig.null_controller.display().to_string(),
            probes,
            format!("--template={}", rig.template().display()),
            format!("--at-once={AT_ONCE}"),
        ],
        Kind::Ours(number) => vec![
            rig.controller.display().to_string(),
            probes,
            format!("--namespace={}", crate::rig::SYSTEM),
            format!("--pod-name={}", name(kind)),
            format!("--port={}", 9120 + number),
            "--webhook-mode=disabled".to_owned(),
        ],
        Kind::Metallb => vec![
            rig.metallb
                .as_ref()
                .context("MetalLB's controller was not given")?
                .display()
                .to_string(),
            format!("--namespace={}", crate::rig::SYSTEM),
            format!("--port={METALLB_METRICS}"),
            "--webhook-mode=disabled".to_owned(),
            "--disable-cert-rotation".to_owned(),
        ],
    })
}

fn probes_port(kind: Kind) -> u16 {
    match kind {
        Kind::Ours(number) => 17472 + number,
        Kind::Null | Kind::Metallb => 17470,
    }
}

/// What a plain HTTP server on this port answers, with its headers.
async fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// As many statuses as our controller writes at once: `AT_ONCE` in controller/src/apply.rs.
const AT_ONCE: usize = 8;
const METALLB_METRICS: u16 = 7472;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
const START: Duration = Duration::from_mins(1);
