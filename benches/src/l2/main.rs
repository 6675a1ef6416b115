//! `cargo xtask bench l2`: how long nobody answers when a node goes, ours and MetalLB's speakers
//! side by side on one cluster.
//!
//! The nodes are the embedded cluster's, with kubelet and kube-proxy. The speakers run in them as
//! plain processes, so that both are started, stopped and starved in the same way; pods that only
//! wait stand for them at the API server. What the client sees is taken from the wire. Exits with
//! 1 when a bar is missed; the raw numbers go into a JSON file.

mod calm;
mod carrier;
mod changeover;
mod client;
mod crowd;
mod endpoint;
mod footprint;
mod hard;
mod hours;
mod picture;
mod planned;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use metallb_benches::run::Run;
use metallb_benches::table::Table;

use metallb_benches::speakers::Kind;
use metallb_benches::speakers::Rig;

/// What is measured, and how much of it.
#[derive(Parser, Debug)]
struct Args {
    /// Our speaker, as it is in the image.
    #[arg(long)]
    speaker: PathBuf,
    /// MetalLB's speaker; without it ours is measured alone.
    #[arg(long)]
    metallb: Option<PathBuf>,
    #[command(flatten)]
    run: Run,
    /// Where the distribution is drawn.
    #[arg(long)]
    picture: PathBuf,
    /// How often each cause happens to our speakers.
    #[arg(long, default_value_t = 20)]
    trials: usize,
    /// How often each cause happens to MetalLB's, which take longer.
    #[arg(long, default_value_t = 5)]
    peer_trials: usize,
    /// How many Services exist when a speaker is started.
    #[arg(long, default_value_t = 10_000)]
    services: u32,
    /// How long nothing may move at 1 % loss while all cores are busy, in minutes.
    #[arg(long, default_value_t = 3)]
    minutes: u64,
}

impl Args {
    fn rig(&self, nics: u8) -> Result<Rig> {
        Rig::up("bench-l2", &self.speaker, self.metallb.as_deref(), nics)
    }

    /// Whose speakers are measured, and how often.
    fn kinds(&self) -> Vec<(Kind, usize)> {
        let peer = self
            .metallb
            .is_some()
            .then_some((Kind::Metallb, self.peer_trials));
        [(Kind::Ours, self.trials)]
            .into_iter()
            .chain(peer)
            .collect()
    }
}

/// What can be measured for itself.
const PARTS: &[&str] = &[
    "hard",
    "planned",
    "changeover",
    "calm",
    "endpoint",
    "crowd",
    "footprint",
    "start",
    "carrier",
];

fn main() -> ExitCode {
    let args = Args::parse();
    args.run.exit(PARTS, |table| measure(&args, table))
}

fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let one = [
        "hard",
        "planned",
        "changeover",
        "calm",
        "endpoint",
        "crowd",
        "footprint",
        "start",
    ];
    if one.iter().any(|what| args.run.wants(what)) {
        let rig = args.rig(1)?;
        on_one_network(args, &rig, table)?;
        rig.down()?;
    }
    if args.run.wants("carrier") {
        let rig = args.rig(2)?;
        carrier::measure(args, &rig, table)?;
        rig.down()?;
    }
    Ok(())
}

/// What takes one network card a node.
fn on_one_network(args: &Args, rig: &Rig, table: &mut Table) -> Result<()> {
    if args.run.wants("hard") {
        hard::measure(args, rig, table)?;
    }
    if args.run.wants("planned") {
        planned::measure(args, rig, table)?;
    }
    if args.run.wants("changeover") {
        changeover::measure(args, rig, table)?;
    }
    if args.run.wants("calm") {
        calm::measure(args, rig, table)?;
    }
    if args.run.wants("endpoint") {
        endpoint::measure(rig, table)?;
    }
    if args.run.wants("crowd") {
        crowd::taken_over(rig, table)?;
    }
    if args.run.wants("footprint") {
        footprint::measure(rig, table)?;
    }
    if args.run.wants("start") {
        crowd::started(rig, args.services, table)?;
    }
    Ok(())
}
