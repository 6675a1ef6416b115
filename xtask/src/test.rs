//! `cargo xtask test`: everything that says whether this tree may land, in one run.
//!
//! The cheap stages come first. Output is passed on as it comes; the end is one line of counts.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{generated, image, steps::Steps, workspace};

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
    /// Both of the others, the licences of what we depend on, and whether our definitions may
    /// take the place of upstream's.
    All,
    /// Formatting, lints, unit and property tests; needs neither root nor network.
    Unit,
    /// The stories on the embedded cluster; needs root.
    Cluster,
}

/// Tests counted over all stages.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    /// What ended well, those that skipped themselves included.
    ended_well: u32,
    failed: u32,
    ignored: u32,
    /// What printed `skipped: ` and its reason, and then ended well.
    skipped_itself: u32,
}

pub(crate) fn run(args: &TestArgs) -> Result<()> {
    let mut steps = Steps::start();
    let mut counts = Counts::default();
    if metallb_tests::is_root() {
        // Before anything that runs them: also the unit tests listen to frames with arping.
        steps.time("programs that tests run", || {
            metallb_tests::install_programs(&[], &mut metallb_tests::Terminal::start())
        })?;
    }
    if args.part != Part::Cluster {
        unit(args, &mut steps, &mut counts)?;
    }
    if args.part == Part::All {
        licences(&mut steps, &mut counts)?;
        upgrade_safety(&mut steps, &mut counts)?;
    }
    if args.part != Part::Unit {
        cluster(args, &mut steps, &mut counts)?;
    }
    steps.print_summary();
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

fn unit(args: &TestArgs, steps: &mut Steps, counts: &mut Counts) -> Result<()> {
    check(steps, counts, "formatting", &mut cargo("fmt --all --check"))?;
    let clippy = "clippy --quiet --workspace --all-targets --locked -- -D warnings";
    check(steps, counts, "lints", &mut cargo(clippy))?;
    // The stories are switched off in tests/Cargo.toml, so this is all but them.
    let tests = cargo("test --workspace --locked --no-fail-fast");
    run_tests(steps, counts, "unit and property tests", tests, args)
}

fn licences(steps: &mut Steps, counts: &mut Counts) -> Result<()> {
    steps.time("looking for cargo-deny", install_deny)?;
    let deny = "deny --log-level error check licenses bans sources";
    check(steps, counts, "licences, bans, sources", &mut cargo(deny))
}

/// OLM v1's judgement on our definitions in the place of upstream's; a Go program, since its
/// library is.
fn upgrade_safety(steps: &mut Steps, counts: &mut Counts) -> Result<()> {
    let ours = generated::definitions_without_rules()?;
    let path = workspace::root().join("target/definitions-without-rules.yaml");
    fs::write(&path, ours).with_context(|| format!("cannot write {}", path.display()))?;
    let mut go = Command::new("go");
    go.args(["run", "."])
        .current_dir(workspace::root().join("tests/crd-safety"))
        .stdin(fs::File::open(&path)?);
    check(
        steps,
        counts,
        "definitions replace upstream's safely",
        &mut go,
    )
}

fn cluster(args: &TestArgs, steps: &mut Steps, counts: &mut Counts) -> Result<()> {
    let image = image::build(&image::ImageArgs::default(), steps)?;
    for (what, test) in STORIES {
        let mut tests = cargo(&format!("test --workspace --locked --test {test}"));
        tests.env("METALLB_IMAGE", &image.archive);
        run_tests(steps, counts, what, tests, args)?;
    }
    Ok(())
}

/// A stage that is one check: green or not.
fn check(steps: &mut Steps, counts: &mut Counts, what: &str, command: &mut Command) -> Result<()> {
    let status = steps.time(what, || {
        let program = command.get_program().to_owned();
        command
            .status()
            .with_context(|| format!("cannot run {}", program.display()))
    })?;
    if status.success() {
        counts.ended_well += 1;
    } else {
        counts.failed += 1;
        println!("    {what}: NOT GREEN");
    }
    Ok(())
}

/// A stage of tests that count themselves.
fn run_tests(
    steps: &mut Steps,
    counts: &mut Counts,
    what: &str,
    mut command: Command,
    args: &TestArgs,
) -> Result<()> {
    command.arg("--");
    command.args(args.filter.as_deref());
    // The output of passed tests holds the reasons of skipped ones and the measured times.
    command.args(["--show-output", "--test-threads"]);
    command.arg(if what.starts_with("cluster") {
        "1"
    } else {
        "2"
    });
    let counted = steps.time(what, || {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run cargo")?;
        let mut counted = Counts::default();
        for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
            let line = line?;
            counted.read(&line);
            if worth_showing(&line) {
                println!("{line}");
            }
        }
        if !child.wait()?.success() && counted.failed == 0 {
            // A build that failed, or a test program that died.
            counted.failed = 1;
        }
        Ok(counted)
    })?;
    counts.add(counted);
    Ok(())
}

impl Counts {
    /// Takes in what a line of a test program says.
    fn read(&mut self, line: &str) {
        if line.trim_start().starts_with("skipped: ") {
            self.skipped_itself += 1;
        }
        let Some(summary) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in summary.split(['.', ';']) {
            let mut words = part.split_whitespace();
            if let (Some(Ok(number)), Some(word)) =
                (words.next().map(str::parse::<u32>), words.next())
            {
                match word {
                    "passed" => self.ended_well += number,
                    "failed" => self.failed += number,
                    "ignored" => self.ignored += number,
                    _ => {}
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.ended_well += other.ended_well;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped_itself += other.skipped_itself;
    }

    fn passed(self) -> u32 {
        self.ended_well.saturating_sub(self.skipped_itself)
    }

    fn skipped(self) -> u32 {
        self.ignored + self.skipped_itself
    }
}

/// A test program without tests says so in five lines; nobody needs them.
fn worth_showing(line: &str) -> bool {
    !line.is_empty() && line != "running 0 tests" && !line.contains("0 passed; 0 failed; 0 ignored")
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

/// `cargo …` in this workspace; the arguments as one would type them.
fn cargo(arguments: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(workspace::root())
        .args(arguments.split_whitespace());
    cargo
}

/// The test programs that need the embedded cluster, in the order in which they build on each
/// other: a broken harness is seen before the stories that stand on it.
const STORIES: [(&str, &str); 4] = [
    (
        "cluster: it comes up, runs pods, and leaves nothing behind",
        "cluster",
    ),
    ("cluster: every fault does what it says", "verbs"),
    (
        "cluster: what the API server refuses on its own",
        "definitions",
    ),
    ("cluster: the product's stories", "stories"),
];

const DENY_VERSION: &str = "0.20.2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "skipped: needs root",
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "test a::b ... ok",
        ] {
            counts.read(line);
        }
        assert_eq!(
            (counts.passed(), counts.failed, counts.skipped()),
            (14, 2, 2)
        );
    }
}
