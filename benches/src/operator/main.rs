//! `cargo xtask bench operator`: how long an installation and a repair take on a cluster of three
//! nodes, and what the operator takes beside a thousand more. How much is written in an upgrade of
//! a hundred nodes is counted by a test of the operator's plans,
//! `an_upgrade_of_a_hundred_nodes_writes_no_more_than_what_changes`. Exits with 1 when a bar is
//! missed; the raw numbers go into a JSON file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use metallb_benches::run::Run;
use metallb_benches::table::{Bar, Table};
use metallb_tests::product::{self, NAMESPACE, OPERATOR};
use metallb_tests::{Cluster, Kubectl, Options, Terminal, eventually};
use serde_json::{Value, json};

/// What is measured, and how much of it.
#[derive(Parser, Debug)]
struct Args {
    /// The archive of the image, as users get it.
    #[arg(long)]
    image: PathBuf,
    #[command(flatten)]
    run: Run,
    /// How often MetalLB is installed, and a field is edited: what is edited ten times a minute is
    /// repaired less often.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=8))]
    rounds: u8,
    /// How many Nodes there are, without kubelets, when memory is read.
    #[arg(long, default_value_t = 1000)]
    nodes: u32,
}

/// What can be measured for itself.
const PARTS: &[&str] = &["install", "repair", "memory"];

fn main() -> ExitCode {
    let args = Args::parse();
    args.run.exit(PARTS, |table| run(&args, table))
}

fn run(args: &Args, table: &mut Table) -> Result<()> {
    let options = Options {
        name: "bench-operator".parse()?,
        ..Options::default()
    };
    Cluster::down(&options.name)?;
    let cluster = Cluster::up(&options, &mut Terminal::start())?;
    let measured = measure(args, &cluster, table);
    Cluster::down(cluster.name())?;
    measured
}

fn measure(args: &Args, cluster: &Cluster, table: &mut Table) -> Result<()> {
    let kubectl = cluster.admin();
    cluster.load(&args.image)?;
    product::install_operator(&kubectl, product::IMAGE)?;
    if args.run.wants("install") {
        install(args, &kubectl, table)?;
    }
    kubectl.apply(&product::demo_object("metallb")?)?;
    ready(&kubectl)?;
    if args.run.wants("repair") {
        repair(args, &kubectl, table)?;
    }
    if args.run.wants("memory") {
        memory(args, cluster, &kubectl, table)?;
    }
    Ok(())
}

/// From `kubectl apply` of the object to Available, with the images on the nodes.
fn install(args: &Args, kubectl: &Kubectl, table: &mut Table) -> Result<()> {
    let metallb = product::demo_object("metallb")?;
    let mut took = Vec::new();
    for _ in 0..args.rounds {
        let started = Instant::now();
        kubectl.apply(&metallb)?;
        product::available(kubectl)?;
        took.push(started.elapsed().as_secs_f64());
        ready(kubectl)?;
        kubectl.output(&["-n", NAMESPACE, "delete", "metallb", "metallb"])?;
    }
    report(
        table,
        "kubectl apply to Available, three nodes, longest",
        took,
        10.0,
    );
    Ok(())
}

/// From an edit of the speakers by hand to the field as it was.
fn repair(args: &Args, kubectl: &Kubectl, table: &mut Table) -> Result<()> {
    let patch = r#"{"metadata":{"labels":{"component":"edited"}}}"#;
    let edit = [
        "-n",
        NAMESPACE,
        "patch",
        "daemonset",
        "speaker",
        "-p",
        patch,
    ];
    let label = "jsonpath={.metadata.labels.component}";
    let get = ["-n", NAMESPACE, "get", "daemonset", "speaker", "-o", label];
    let mut took = Vec::new();
    for _ in 0..args.rounds {
        let started = Instant::now();
        kubectl.output(&edit)?;
        eventually("the label is as it was", PATIENCE, || {
            let label = kubectl.output(&get)?;
            Ok(if label == "speaker" {
                Ok(())
            } else {
                Err(label)
            })
        })?;
        took.push(started.elapsed().as_secs_f64());
    }
    report(table, "an edit by hand to its repair, longest", took, 2.0);
    Ok(())
}

/// What the leader takes beside so many Nodes, each with a pod of the speakers'.
fn memory(args: &Args, cluster: &Cluster, kubectl: &Kubectl, table: &mut Table) -> Result<()> {
    row(cluster, table, "with three nodes", Bar::None)?;
    // Nodes that no kubelet keeps are tainted before long.
    let anywhere = r#"{"spec":{"speakerTolerations":[{"operator":"Exists"}]}}"#;
    let metallb = ["-n", NAMESPACE, "patch", "metallb", "metallb"];
    let merge = ["--type=merge", "-p", anywhere];
    kubectl.output(&[&metallb[..], &merge[..]].concat())?;
    product::rolled_out(kubectl, NAMESPACE, "daemonset/speaker")?;
    let nodes: Vec<Value> = (1..=args.nodes).map(node).collect();
    kubectl.create(&json!({ "apiVersion": "v1", "kind": "List", "items": nodes }).to_string())?;
    let wanted = u64::from(args.nodes) + 3;
    eventually("each of them is to run a speaker", PATIENCE, || {
        let speaker = kubectl.json(&["-n", NAMESPACE, "get", "daemonset", "speaker"])?;
        let there = speaker["status"]["currentNumberScheduled"].as_u64();
        Ok(match there {
            Some(there) if there == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })?;
    // The status counts them, and so the operator has seen them.
    eventually("the operator has seen them", PATIENCE, || {
        let metallb = kubectl.json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
        let components = metallb["status"]["components"].as_array().cloned();
        let mut desired = components
            .into_iter()
            .flatten()
            .map(|it| it["desired"].as_u64());
        Ok(if desired.any(|it| it == Some(wanted)) {
            Ok(())
        } else {
            Err(metallb["status"].to_string())
        })
    })?;
    let what = format!("with {} more nodes", args.nodes);
    row(cluster, table, &what, Bar::AtMost(15.0))?;
    // One that starts takes in everything at once.
    let operator = format!("deployment/{OPERATOR}");
    kubectl.output(&["-n", NAMESPACE, "rollout", "restart", &operator])?;
    product::rolled_out(kubectl, NAMESPACE, &operator)?;
    let what = format!("started beside {} more nodes", args.nodes);
    row(cluster, table, &what, Bar::AtMost(15.0))
}

/// The greater of the two operators.
fn row(cluster: &Cluster, table: &mut Table, what: &str, bar: Bar) -> Result<()> {
    let all = product::memory(cluster)?.into_iter();
    let bytes: Vec<u64> = all
        .filter(|(_, program, _)| *program == "/operator")
        .map(|(_, _, bytes)| bytes)
        .collect();
    let most = bytes.iter().max().context("no operator runs")?;
    table.raw(what, &bytes);
    let what = format!("operator's resident memory, {what}");
    #[expect(clippy::cast_precision_loss, reason = "shown with two decimals")]
    let most = *most as f64 / f64::from(1 << 20);
    table.row(&what, "MiB", most, bar);
    Ok(())
}

fn report(table: &mut Table, what: &str, took: Vec<f64>, bar: f64) {
    let longest = took.iter().copied().fold(0.0, f64::max);
    table.row(what, "s", longest, Bar::AtMost(bar));
    table.raw(what, took);
}

/// A Node as its kubelet would keep it, were there one.
fn node(number: u32) -> Value {
    let name = format!("paper-{number}");
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/os": "linux", "kubernetes.io/hostname": name },
        },
    })
}

fn ready(kubectl: &Kubectl) -> Result<()> {
    let ready = [
        "wait",
        "metallb/metallb",
        "--for=condition=Ready",
        "--timeout=60s",
    ];
    kubectl
        .output(&[&["-n", NAMESPACE][..], &ready[..]].concat())
        .map(drop)
}

/// How long to wait for what takes long.
const PATIENCE: Duration = Duration::from_mins(5);
