//! `cargo xtask bench bgp`: from the word that an endpoint is ready to the route in the router, and
//! what many routes and many routers cost; ours and MetalLB's native speaker side by side.
//!
//! The speaker is a plain process on one node of the embedded cluster; the router is the bench's
//! own, which notes what it hears and when. Exits with 1 when a bar is missed; the raw numbers go
//! into a JSON file.

mod bfd;
mod bulk;
mod ready;
mod router;
mod routers;
mod watcher;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use metallb_benches::run::Run;
use metallb_benches::speakers::Rig;
use metallb_benches::speakers::rig::SYSTEM;
use metallb_benches::table::Table;
use metallb_tests::{Place, eventually};
use serde_json::{Value, json};

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
    /// How often an endpoint becomes ready, beside each number of routes.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// The most routes that there are.
    #[arg(long, default_value_t = 10_000)]
    routes: u32,
    /// For how many minutes BFD may take nobody for gone while all cores are busy.
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// How often a router falls silent for BFD.
    #[arg(long, default_value_t = 20)]
    trials: usize,
}

/// What can be measured for itself.
const PARTS: &[&str] = &["ready", "bulk", "routers", "bfd"];

fn main() -> ExitCode {
    let args = Args::parse();
    args.run.exit(PARTS, |table| measure(&args, table))
}

fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let rig = Rig::up("bench-bgp", &args.speaker, args.metallb.as_deref(), 1)?;
    let router = router::Router::start(&rig.cluster, routers::ROUTERS)?;
    // The rig's own is for ARP.
    let none = ["-n", SYSTEM, "delete", "l2advertisements", "--all"];
    rig.cluster.kubectl_output(&none)?;
    rig.apply(&[advertisement(), peer(0)])?;
    if args.run.wants("ready") {
        ready::measure(args, &rig, &router, table)?;
    }
    if args.run.wants("bulk") {
        bulk::measure(args, &rig, &router, table)?;
    }
    if args.run.wants("routers") {
        routers::measure(args, &rig, &router, table)?;
    }
    if args.run.wants("bfd") {
        bfd::measure(args, &rig, &router, table)?;
    }
    rig.down()
}

/// All addresses are told to all routers.
fn advertisement() -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "BGPAdvertisement",
        "metadata": { "name": "bench", "namespace": SYSTEM }, "spec": {},
    })
}

/// The router on the n-th port.
fn peer(number: u16) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
        "metadata": { "name": format!("router-{number}"), "namespace": SYSTEM },
        "spec": {
            "myASN": 64500, "peerASN": router::ASN,
            "peerAddress": Place::Client.address().v4.to_string(),
            "peerPort": router::PORT + number,
        },
    })
}

/// Waits until users can read of so many Services that each is told to so many peers, and of none
/// anything else: until then the speaker is not idle. First an object is made, and then its status
/// is written.
fn all_is_said(rig: &Rig, services: u32, peers: u16) -> Result<()> {
    let (services, peers) = (usize::try_from(services)?, usize::from(peers));
    eventually("all statuses are written", Duration::from_mins(10), || {
        let lists = r#"jsonpath={range .items[*]}{.status.peers}{"\n"}{end}"#;
        let names = ["-n", SYSTEM, "get", "servicebgpstatuses", "-o", lists];
        let told = rig.cluster.kubectl_output(&names)?;
        let right = |list: &&str| {
            serde_json::from_str::<Vec<String>>(list).is_ok_and(|it| it.len() == peers)
        };
        let (right, wrong): (Vec<_>, Vec<_>) = told.lines().partition(right);
        Ok(if right.len() >= services && wrong.is_empty() {
            Ok(())
        } else {
            let (right, wrong) = (right.len(), wrong.len());
            Err(format!(
                "{right} of {services}, and {wrong} with other peers"
            ))
        })
    })
}

/// Where the speaker under measurement runs.
const FIRST: Place = Place::Node(1);
