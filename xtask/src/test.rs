//! `cargo xtask test`: everything that says whether this tree may land, in one run.
//!
//! The cheap stages come first. Output is passed on as it comes; the end is a table of what ran
//! and one line of counts.

mod counts;
mod failures;
mod interop;
mod stage;

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use self::stage::{Stages, Tests};
use crate::{generated, image, workspace};

/// What `cargo xtask test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Which part.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// Only the tests whose name contains this, in the stages that run tests.
    filter: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Unit and cluster, the licences of what we depend on, and whether our definitions may take
    /// the place of upstream's.
    All,
    /// Formatting, lints, unit and property tests; needs neither root nor network.
    Unit,
    /// The stories on the embedded cluster; needs root.
    Cluster,
    /// Of both, what decides which Service has which address: the crates that do, and the stories
    /// about it; needs root.
    Addresses,
    /// Of both, what decides which node announces an address, and how; needs root.
    Layer2,
    /// Of both, what speaks with routers; needs root.
    Bgp,
    /// Of both, what turns the MetalLB object into a running MetalLB, keeps and removes it, with ten
    /// minutes of rest and a minute without API server; needs root.
    Operator,
    /// The chart and the plain manifests, held against the operator's renderer and then installed,
    /// upgraded and removed; needs root.
    Helm,
    /// Under the Operator Lifecycle Manager: installed, upgraded under traffic, broken and removed;
    /// needs root.
    Olm,
}

pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let mut stages = Stages::start(args.filter.as_deref());
    if metallb_tests::is_root() {
        // Before anything that runs them: also the unit tests listen to frames with arping.
        stages.steps().time("programs that tests run", || {
            metallb_tests::install_programs(&[], &mut metallb_tests::Terminal::start())
        })?;
    }
    match args.part {
        Part::All => {
            unit(&mut stages)?;
            licences(&mut stages)?;
            upgrade_safety(&mut stages)?;
            chart(&mut stages)?;
            bundle(&mut stages)?;
            cluster(&mut stages)?;
        }
        Part::Unit => unit(&mut stages)?,
        Part::Cluster => cluster(&mut stages)?,
        Part::Addresses => {
            crates(&mut stages, &ADDRESSES)?;
            upgrade_safety(&mut stages)?;
            stages.tell_at_length();
            some_stories(&mut stages, &["definitions", "stories"], "addresses::")?;
        }
        Part::Layer2 => {
            crates(&mut stages, &LAYER2)?;
            some_stories(&mut stages, &["stories", "second_card"], "layer2::")?;
        }
        Part::Operator => {
            crates(&mut stages, &OPERATOR)?;
            upgrade_safety(&mut stages)?;
            stages.tell_at_length();
            some_stories(&mut stages, &["stories"], "operator::")?;
        }
        Part::Bgp => {
            crates(&mut stages, &BGP)?;
            some_stories(&mut stages, &["bgp"], "bgp::")?;
        }
        Part::Helm => {
            crates(&mut stages, &[("what is installed", "metallb-operator")])?;
            chart(&mut stages)?;
            some_stories(&mut stages, &["install"], "")?;
        }
        Part::Olm => {
            bundle(&mut stages)?;
            some_stories(&mut stages, &["olm"], "olm::")?;
        }
    }
    stages.print();
    if args.part == Part::Bgp && metallb_tests::is_root() {
        interop::print(&stages)?;
    }
    let counts = stages.counts();
    println!(
        "\n{} passed, {} failed, {} skipped",
        counts.passed(),
        counts.failed,
        counts.skipped()
    );
    ensure!(counts.failed == 0, "{} failed", counts.failed);
    ensure!(
        counts.skipped() == 0 || std::env::var_os("CI").is_none(),
        "under CI nothing may be skipped; the reasons are above, after \"skipped:\""
    );
    Ok(())
}

fn unit(stages: &mut Stages) -> Result<()> {
    stages.check("formatting", &mut cargo("fmt --all --check"))?;
    let clippy = "clippy --quiet --locked --workspace --all-targets -- -D warnings";
    stages.check("lints", &mut cargo(clippy))?;
    // --all-targets leaves out what tests/Cargo.toml keeps from a plain `cargo test`.
    let mut clippy = cargo("clippy --quiet --locked --workspace");
    clippy.args(CLUSTER.map(|(_, test)| format!("--test={test}")));
    clippy.arg("--test=chart");
    stages.check(
        "lints of the stories",
        clippy.args(["--", "-D", "warnings"]),
    )?;
    stages.check(
        "generated manifests are what the code says",
        myself()?.args(["manifests", "--check"]),
    )?;
    // For the same reason this is all but the stories.
    let tests = cargo("test --workspace --locked --no-fail-fast");
    stages.tests("unit and property tests", Tests::Beside, tests, None)
}

fn licences(stages: &mut Stages) -> Result<()> {
    stages
        .steps()
        .time("looking for cargo-deny", install_deny)?;
    let deny = "deny --log-level error check licenses bans sources";
    stages.check("licences, bans, sources", &mut cargo(deny))
}

/// OLM v1's judgement on our definitions in the place of upstream's; a Go program, since its
/// library is.
fn upgrade_safety(stages: &mut Stages) -> Result<()> {
    let ours = generated::definitions_without_rules()?;
    let path = workspace::root().join("target/definitions-without-rules.yaml");
    fs::write(&path, ours).with_context(|| format!("cannot write {}", path.display()))?;
    let mut go = Command::new("go");
    go.args(["run", "."])
        .current_dir(workspace::root().join("tests/crd-safety"))
        .stdin(fs::File::open(&path)?);
    stages.check("definitions replace upstream's safely", &mut go)
}

/// The chart, held against the operator's renderer.
fn chart(stages: &mut Stages) -> Result<()> {
    stages
        .steps()
        .time("helm", || metallb_tests::helm().map(drop))?;
    let tests = cargo("test --workspace --locked --test chart");
    stages.tests("chart", Tests::Beside, tests, None)
}

/// The Operator Framework's judgement on the bundle; its validators are Go programs, too.
fn bundle(stages: &mut Stages) -> Result<()> {
    stages.check("the OLM bundle", myself()?.args(["bundle", "--check"]))
}

fn cluster(stages: &mut Stages) -> Result<()> {
    let image = image::build(&image::ImageArgs::default(), stages.steps())?;
    for (what, test) in CLUSTER {
        // What is about MetalLB's own programs, which take minutes to build, has a part of its own; a
        // version that breaks and one that mends it take minutes of waiting for a catalogue.
        let only = match test {
            "install" => Some("install::"),
            "olm" => Some("olm::short::"),
            _ => None,
        };
        stories(stages, &image, what, test, only)?;
    }
    Ok(())
}

/// Each crate by itself, so that the table says what ran.
fn crates(stages: &mut Stages, crates: &[(&str, &str)]) -> Result<()> {
    for (what, package) in crates {
        let tests = cargo(&format!("test --locked --no-fail-fast --package {package}"));
        let what = format!("{package}: {what}");
        stages.tests(&what, Tests::Beside, tests, None)?;
    }
    Ok(())
}

/// Some of the test programs that need the cluster; of the product's stories those with `only` in
/// their names.
fn some_stories(stages: &mut Stages, programs: &[&str], only: &str) -> Result<()> {
    let image = image::build(&image::ImageArgs::default(), stages.steps())?;
    for (what, test) in CLUSTER.iter().filter(|(_, test)| programs.contains(test)) {
        let only = (*test == "stories").then_some(only);
        stories(stages, &image, what, test, only)?;
    }
    Ok(())
}

fn stories(
    stages: &mut Stages,
    image: &image::Image,
    what: &str,
    test: &str,
    only: Option<&str>,
) -> Result<()> {
    let mut tests = cargo(&format!("test --workspace --locked --test {test}"));
    tests.env("METALLB_IMAGE", &image.archive);
    stages.tests(&format!("cluster: {what}"), Tests::Stories, tests, only)
}

/// Gets `cargo deny` where it is not there yet.
fn install_deny() -> Result<()> {
    let there = cargo("deny --version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if there.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    // An unoptimised build is there minutes sooner, and is quick enough.
    let install = format!("install --quiet --locked --debug cargo-deny --version {DENY_VERSION}");
    println!("    not there; a minute or more: cargo {install}");
    let status = cargo(&install).status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo {install} ended with {status}");
    Ok(())
}

/// Another of `cargo xtask …`.
fn myself() -> Result<Command> {
    let myself = std::env::current_exe().context("where is this program?")?;
    Ok(Command::new(myself))
}

/// `cargo …` in this workspace; the arguments as one would type them.
///
/// With `--workspace`, since dependencies have the features that all of the packages together ask
/// for which are chosen: a package by itself would have most of them built once more.
fn cargo(arguments: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace::root())
        .args(arguments.split_whitespace());
    cargo
}

/// The test programs that need the embedded cluster, in the order in which they build on each
/// other: a broken harness is seen before the stories that stand on it.
const CLUSTER: [(&str, &str); 8] = [
    (
        "it comes up, runs pods, and leaves nothing behind",
        "cluster",
    ),
    ("every fault does what it says", "verbs"),
    ("what the API server refuses on its own", "definitions"),
    ("the product's stories", "stories"),
    ("nodes with a second card", "second_card"),
    ("real routers take the routes", "bgp"),
    ("by kubectl and by Helm, without an operator", "install"),
    ("installed and upgraded by OLM", "olm"),
];

/// The crates that decide about addresses, the lowest first.
const ADDRESSES: [(&str, &str); 6] = [
    (
        "what the objects mean, and which are no good",
        "metallb-config",
    ),
    ("what the webhooks answer", "metallb-admission"),
    ("which address a Service gets", "metallb-ipam"),
    ("who leads", "metallb-lease"),
    ("what controllers stand on", "metallb-kit"),
    (
        "the controller, and lives of two of them",
        "metallb-controller",
    ),
];

/// The crates that decide about announcing, the lowest first.
const LAYER2: [(&str, &str); 4] = [
    ("frames, answers, announcements, owners", "metallb-l2"),
    ("who is alive", "metallb-membership"),
    ("sockets and interfaces", "metallb-netio"),
    ("the speaker", "metallb-speaker"),
];

/// The crates that speak with routers, the lowest first.
const BGP: [(&str, &str); 4] = [
    ("messages, sessions, routes", "metallb-bgp"),
    ("whether routers can be reached", "metallb-bfd"),
    ("sockets and interfaces", "metallb-netio"),
    ("the speaker", "metallb-speaker"),
];

/// The crates that decide about the MetalLB object, the lowest first.
const OPERATOR: [(&str, &str); 4] = [
    ("the definitions", "metallb-crds"),
    ("what the webhooks answer", "metallb-admission"),
    ("what the operator stands on", "metallb-kit"),
    ("the operator", "metallb-operator"),
];

const DENY_VERSION: &str = "0.20.2";
