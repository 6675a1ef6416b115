//! `cargo xtask bench alloc`: who gives addresses how fast and at what price, measured side by
//! side on one API server: a null controller, ours, MetalLB's.
//!
//! The rig is etcd and the API server alone. Whatever is measured runs beside it in the same
//! network namespace, so nothing stands between the programs and the server. Exits with 1 when a
//! bar is missed; the raw numbers go into a JSON file.

mod beside;
mod board;
mod burst;
mod freed;
mod leader;
mod program;
mod restart;
mod rig;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use metallb_benches::allocate;
use metallb_benches::run::Run;
use metallb_netio::NetworkNamespace;
use metallb_tests::Place;

use crate::rig::Rig;
use metallb_benches::table::{Bar, Table};

/// What is measured, and how much of it.
#[derive(Parser, Debug)]
struct Args {
    /// Our controller, as it is in the image.
    #[arg(long)]
    controller: PathBuf,
    /// The null controller, built the same way.
    #[arg(long)]
    null_controller: PathBuf,
    /// MetalLB's controller; without it ours is measured alone.
    #[arg(long)]
    metallb: Option<PathBuf>,
    #[command(flatten)]
    run: Run,
    /// Services created at once, each of these numbers in turn.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    services: Vec<u32>,
    /// How often each number is measured, in alternating order.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long MetalLB may take for one round, in seconds.
    #[arg(long, default_value_t = 300)]
    patience: u64,
    /// How many Services exist when one more is created.
    #[arg(long, default_value_t = 5000)]
    beside: u32,
    /// How many Services exist when the controller is restarted, and when leaders end.
    #[arg(long, default_value_t = 10_000)]
    existing: u32,
    /// How many Nodes exist when memory is read.
    #[arg(long, default_value_t = 1000)]
    nodes: u32,
    /// How long both cores are busy while nobody else may come to lead, in minutes.
    #[arg(long, default_value_t = 3)]
    minutes: u64,
}

/// What can be measured for itself.
const PARTS: &[&str] = &[
    "micro", "burst", "beside", "freed", "restart", "leader", "busy",
];

fn main() -> ExitCode {
    let args = Args::parse();
    args.run.exit(PARTS, |table| run(&args, table))
}

fn run(args: &Args, table: &mut Table) -> Result<()> {
    if args.run.wants("micro") {
        micro(table);
    }
    let cluster = Rig::up()?;
    let inside = format!("/run/netns/{}", cluster.netns(Place::ControlPlane));
    // The client too is inside, so that no forwarder slows it down.
    let measured = NetworkNamespace::open(inside.as_ref())
        .and_then(|namespace| {
            namespace.run(|| {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(measure(args, cluster.clone(), table))
            })
        })
        .context("cannot enter the control plane's namespace")?;
    if let Err(error) = &measured {
        eprintln!(
            "error: {error:#}\nthe cluster is left for a look: its logs are in {}",
            cluster.directory().join("logs").display()
        );
    } else {
        metallb_tests::Cluster::down(cluster.name())?;
    }
    measured
}

async fn measure(args: &Args, cluster: metallb_tests::Cluster, table: &mut Table) -> Result<()> {
    let rig = Rig::start(args, cluster).await?;
    if args.run.wants("burst") {
        for services in &args.services {
            burst::compare(&rig, *services, table).await?;
        }
    }
    if args.run.wants("beside") {
        beside::measure(&rig, table).await?;
    }
    if args.run.wants("freed") {
        freed::measure(&rig, table).await?;
    }
    if ["restart", "leader", "busy"]
        .iter()
        .any(|what| args.run.wants(what))
    {
        rig.fill(args.existing).await?;
    }
    if args.run.wants("restart") {
        restart::measure(&rig, table).await?;
    }
    if args.run.wants("leader") {
        leader::ended(&rig, table).await?;
    }
    if args.run.wants("busy") {
        leader::busy(&rig, table).await?;
    }
    Ok(())
}

/// One allocation, without an API server.
fn micro(table: &mut Table) {
    for case in allocate::CASES {
        let nanoseconds = allocate::nanoseconds(case);
        table.row(
            &format!("one allocation, {}", case.name),
            "ns",
            nanoseconds,
            Bar::AtMost(ALLOCATION_BAR),
        );
    }
}

/// In nanoseconds: 1 µs.
const ALLOCATION_BAR: f64 = 1000.0;
