//! `cargo xtask soak`: the tests that run once for each of many seeds, with very many of them.
//!
//! Every part prints its seeds; a failure prints the one to see it again with. What the tests
//! said, and a line for each part, stay under `target/soak`.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::{steps, workspace};

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct SoakArgs {
    /// Which parts; all if none is given.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How many seeds each part runs, instead of its own number.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of these seeds: the same numbers are the same courses of events.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// How long each fuzz target runs.
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    fuzz_time: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The allocator beside a naive one.
    Model,
    /// Two controllers beside an API server where everything goes wrong.
    Controllers,
    /// Three electors on a failing API.
    Election,
    /// Speakers on a failing network.
    Membership,
    /// Thousands of speakers at once: what one sends, and how long news takes. Wants 12 GiB.
    Crowd,
    /// Speakers on a failing network, and who owns an address.
    Ownership,
    /// BGP speakers and routers whose connections break.
    Bgp,
    /// What reads bytes from routers, with messages that are nearly right.
    Mutations,
    /// Property tests of all cores.
    Properties,
    /// Fuzz targets, where `cargo fuzz` can be had.
    Fuzz,
}

/// A test program, and how much of it.
struct LongTest {
    part: Part,
    scale: Scale,
    /// What it takes after `cargo test`.
    arguments: &'static str,
}

#[derive(Clone, Copy)]
enum Scale {
    /// So many courses of events.
    Seeds(u64),
    /// One, of so many nodes.
    Nodes(u64),
}

/// Named in every run; the numbers are some minutes to an hour each, on two processors.
const LONG_TESTS: [LongTest; 9] = [
    LongTest {
        part: Part::Model,
        scale: Scale::Seeds(1_000_000),
        arguments: "--package metallb-ipam --test model",
    },
    LongTest {
        part: Part::Controllers,
        scale: Scale::Seeds(1_000_000),
        arguments: "--package metallb-controller no_address_is_lost",
    },
    LongTest {
        part: Part::Election,
        scale: Scale::Seeds(100_000),
        arguments: "--package metallb-lease",
    },
    LongTest {
        part: Part::Membership,
        scale: Scale::Seeds(100_000),
        arguments: "--package metallb-membership --test simulation in_the_end",
    },
    LongTest {
        part: Part::Crowd,
        scale: Scale::Nodes(5_000),
        arguments: "--package metallb-membership --test simulation the_load_of_one",
    },
    LongTest {
        part: Part::Ownership,
        scale: Scale::Seeds(100_000),
        arguments: "--package metallb-speaker an_address_has_one_owner",
    },
    LongTest {
        part: Part::Bgp,
        scale: Scale::Seeds(100_000),
        arguments: "--package metallb-bgp in_the_end",
    },
    LongTest {
        part: Part::Mutations,
        scale: Scale::Seeds(1_000_000),
        arguments: "--package metallb-bgp --package metallb-bfd --test wire --test fuzz nearly",
    },
    LongTest {
        part: Part::Properties,
        scale: Scale::Seeds(100_000),
        arguments: "--package metallb-config --package metallb-admission --package metallb-ipam \
                    --package metallb-l2 --package metallb-membership --package metallb-bgp \
                    --lib --test rules --test conversion --test wire",
    },
];

pub(crate) fn run(args: &SoakArgs) -> Result<()> {
    let folder = workspace::target().join("soak");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut results = File::options()
        .create(true)
        .append(true)
        .open(folder.join("results.jsonl"))?;
    let mut failed = Vec::new();
    for mut job in jobs(args)? {
        println!("==> {}: {}", job.name, job.scale);
        let started = Instant::now();
        let log = folder.join(format!("{}.log", job.name));
        let ok = tee(&mut job.command, &mut File::create(&log)?)?;
        let took = started.elapsed();
        let word = if ok { "no failure" } else { "FAILED" };
        println!(
            "    {word} after {}: {}",
            steps::seconds(took),
            log.display()
        );
        writeln!(
            results,
            r#"{{"part":"{}","scale":"{}","ok":{ok},"seconds":{:.1},"commit":"{}"}}"#,
            job.name,
            job.scale,
            took.as_secs_f64(),
            workspace::commit()?,
        )?;
        if !ok {
            failed.push(job.name);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// A command to run, and what people are told of it.
struct Job {
    name: String,
    scale: String,
    command: Command,
}

fn jobs(args: &SoakArgs) -> Result<Vec<Job>> {
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    let mut jobs = Vec::new();
    for test in LONG_TESTS.iter().filter(|test| wanted(test.part)) {
        jobs.push(test.job(args));
    }
    if wanted(Part::Fuzz) {
        jobs.extend(fuzz_jobs(args)?);
    }
    Ok(jobs)
}

impl LongTest {
    fn job(&self, args: &SoakArgs) -> Job {
        let mut command = cargo("test --locked --profile soak");
        command
            .args(self.arguments.split_whitespace())
            .args(["--", "--nocapture"]);
        let scale = match self.scale {
            Scale::Seeds(usual) => {
                let seeds = args.seeds.unwrap_or(usual);
                command
                    .env("METALLB_SEEDS", seeds.to_string())
                    .env("METALLB_FIRST_SEED", args.first_seed.to_string())
                    // Property tests choose their own cases.
                    .env("PROPTEST_CASES", seeds.min(u32::MAX.into()).to_string());
                format!("{seeds} seeds from {} on", args.first_seed)
            }
            Scale::Nodes(nodes) => {
                command.env("METALLB_NODES", nodes.to_string());
                format!("{nodes} nodes")
            }
        };
        Job {
            name: format!("{:?}", self.part).to_lowercase(),
            scale,
            command,
        }
    }
}

/// One for each file of `fuzz/fuzz_targets`; none, with the reason, where they cannot run.
fn fuzz_jobs(args: &SoakArgs) -> Result<Vec<Job>> {
    let targets = workspace::root().join("fuzz/fuzz_targets");
    if !targets.is_dir() {
        println!("skipped: fuzz: there are no fuzz targets");
        return Ok(Vec::new());
    }
    let is_there = cargo("+nightly fuzz --version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_there {
        println!("skipped: fuzz: needs a nightly toolchain and `cargo install cargo-fuzz`");
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&targets).context("cannot list the fuzz targets")? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names
        .into_iter()
        .map(|name| Job {
            command: fuzz_command(&name, args.fuzz_time),
            scale: format!("{} seconds", args.fuzz_time),
            name: format!("fuzz-{name}"),
        })
        .collect())
}

/// What it found before and what is worth beginning with are where it begins.
fn fuzz_command(name: &str, seconds: u32) -> Command {
    let fuzz = workspace::root().join("fuzz");
    let (corpus, seeds) = (
        fuzz.join("corpus").join(name),
        fuzz.join("seeds").join(name),
    );
    // Without it, cargo fuzz says so itself.
    let _ = fs::create_dir_all(&corpus);
    let mut command = cargo(&format!("+nightly fuzz run {name}"));
    command.arg(corpus);
    command.args(Some(seeds).filter(|seeds| seeds.is_dir()));
    command.arg("--");
    command.arg(format!("-max_total_time={seconds}"));
    command.arg("-print_final_stats=1");
    command
}

/// Runs a command; shows the lines that say how it goes, and keeps all of them.
fn tee(command: &mut Command, log: &mut File) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .spawn()
        .context("cannot run cargo")?;
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
        let line = line?;
        writeln!(log, "{line}")?;
        if line.contains("seeds") || line.contains("lives") || line.starts_with("test result: F") {
            println!("    {}", line.trim_start());
        }
    }
    let ok = child.wait()?.success();
    if !ok {
        println!("    what failed, and how to see it again, is in the log");
    }
    Ok(ok)
}

/// `cargo …` in this workspace; the arguments as one would type them.
fn cargo(arguments: &str) -> Command {
    // Not this build's own cargo: `+nightly` is for the one of rustup.
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(workspace::root())
        .args(arguments.split_whitespace());
    cargo
}
