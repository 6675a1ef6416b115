//! One stage after the other, each with its time and what it counted.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::counts::Counts;
use super::failures::Failures;
use crate::steps::{Steps, seconds};

/// The stages so far.
#[derive(Debug)]
pub(super) struct Stages {
    steps: Steps,
    rows: Vec<Row>,
    failures: Failures,
    /// Only tests whose name contains this.
    filter: Option<String>,
    /// Stories that have a long form are told in it.
    long: bool,
}

/// A line of the table.
#[derive(Debug)]
enum Row {
    /// What a stage came to.
    Stage(String, Duration, Counts),
    /// A story that was told in the stage before: its name and how long it took, as it says.
    Story(String),
}

/// How a stage's tests are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tests {
    /// Side by side.
    Beside,
    /// One after the other, since they share a cluster.
    Stories,
}

impl Stages {
    pub(super) fn start(filter: Option<&str>) -> Self {
        Self {
            steps: Steps::start(),
            rows: Vec::new(),
            failures: Failures::default(),
            filter: filter.map(str::to_owned),
            long: false,
        }
    }

    /// Has stories that wait for long do so from here on.
    pub(super) fn tell_at_length(&mut self) {
        self.long = true;
    }

    /// For work that is no test itself.
    pub(super) fn steps(&mut self) -> &mut Steps {
        &mut self.steps
    }

    /// A stage that is one check: green or not.
    pub(super) fn check(&mut self, what: &str, command: &mut Command) -> Result<()> {
        let started = Instant::now();
        let status = self.steps.time(what, || {
            let program = command.get_program().to_owned();
            command
                .status()
                .with_context(|| format!("cannot run {}", program.display()))
        })?;
        let mut counts = Counts::default();
        if status.success() {
            counts.ended_well = 1;
        } else {
            counts.failed = 1;
            println!("    {what}: NOT GREEN");
        }
        let row = Row::Stage(what.to_owned(), started.elapsed(), counts);
        self.rows.push(row);
        Ok(())
    }

    /// A stage of tests that count themselves: `cargo test` with its own arguments. `only` narrows
    /// them where the user does not.
    pub(super) fn tests(
        &mut self,
        what: &str,
        tests: Tests,
        mut command: Command,
        only: Option<&str>,
    ) -> Result<()> {
        command.arg("--").args(self.filter.as_deref().or(only));
        // The output of passed tests holds the reasons of skipped ones and the measured times.
        command.args(["--show-output", "--test-threads"]);
        command.arg(match tests {
            Tests::Stories => "1",
            Tests::Beside => "2",
        });
        if self.long {
            command.env("METALLB_LONG", "1");
        }
        let started = Instant::now();
        let (mut stories, failures) = (Vec::new(), &mut self.failures);
        let counted = self.steps.time(what, || {
            let mut child = command
                .stdout(Stdio::piped())
                .spawn()
                .context("cannot run cargo")?;
            let mut counted = Counts::default();
            for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines()
            {
                let line = line?;
                counted.read(&line);
                failures.read(&line);
                stories.extend(line.strip_prefix("story ").map(str::to_owned));
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
        let row = Row::Stage(what.to_owned(), started.elapsed(), counted);
        self.rows.push(row);
        self.rows.extend(stories.into_iter().map(Row::Story));
        Ok(())
    }

    /// What was counted in all.
    pub(super) fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for row in &self.rows {
            if let Row::Stage(_, _, counts) = row {
                all.add(*counts);
            }
        }
        all
    }

    /// Whether a story ended well; none if it was not told.
    pub(super) fn told(&self, story: &str) -> Option<bool> {
        self.rows.iter().find_map(|row| match row {
            Row::Story(told) => {
                let end = told.strip_prefix(story)?.strip_prefix(':')?;
                Some(!end.ends_with("FAILED"))
            }
            Row::Stage(..) => None,
        })
    }

    /// Everything that ran, with its counts and time, and why what failed did.
    pub(super) fn print(&self) {
        self.steps.print_summary();
        println!("\n passed  failed  skipped      time");
        for row in &self.rows {
            match row {
                Row::Stage(what, taken, counts) => println!(
                    "{:>7} {:>7} {:>8}  {:>8}  {what}",
                    counts.passed(),
                    counts.failed,
                    counts.skipped(),
                    seconds(*taken)
                ),
                Row::Story(story) => println!("{:>34}    {story}", ""),
            }
        }
        for line in self.failures.lines() {
            println!("{line}");
        }
    }
}

/// A test program without tests says so in five lines; nobody needs them.
fn worth_showing(line: &str) -> bool {
    !line.is_empty() && line != "running 0 tests" && !line.contains("0 passed; 0 failed; 0 ignored")
}
