//! `cargo xtask bench`: the claims about speed, measured as users build the programs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use metallb_tests::upstream;

use crate::{image, steps::Steps, workspace};

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Addresses: ours beside a null controller and MetalLB's on one API server; needs root.
    Alloc {
        /// Where the raw numbers go.
        #[arg(long, default_value = "benches/results/alloc.json")]
        out: PathBuf,
        /// For the bench itself, such as `--services 1000 --rounds 3 --only burst`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// BGP: from an endpoint to the route in a router, many routes, many routers; needs root.
    Bgp {
        /// Where the raw numbers go.
        #[arg(long, default_value = "benches/results/bgp.json")]
        out: PathBuf,
        /// For the bench itself, such as `--rounds 20 --only ready`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// The operator: an installation, a repair, and its memory beside a thousand nodes; needs root.
    Operator {
        /// Where the raw numbers go.
        #[arg(long, default_value = "benches/results/operator.json")]
        out: PathBuf,
        /// For the bench itself, such as `--nodes 100 --only memory`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Layer 2: how long nobody answers, ours beside MetalLB's speakers on one cluster; needs root.
    L2 {
        /// Where the raw numbers go.
        #[arg(long, default_value = "benches/results/l2.json")]
        out: PathBuf,
        /// Where the distribution is drawn.
        #[arg(long, default_value = "docs/pictures/failover.svg")]
        picture: PathBuf,
        /// For the bench itself, such as `--trials 5 --only hard,planned`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        None => bars(),
        Some(What::Bgp { out, arguments }) => bgp(out, arguments),
        Some(What::Alloc { out, arguments }) => alloc(out, arguments),
        Some(What::Operator { out, arguments }) => operator(out, arguments),
        Some(What::L2 {
            out,
            picture,
            arguments,
        }) => l2(out, picture, arguments),
    }
}

/// What needs neither cluster nor peers.
fn bars() -> Result<()> {
    let raw = workspace::target().join("bench.jsonl");
    let status = Command::new(env!("CARGO"))
        .current_dir(workspace::root())
        .args([
            "run",
            "--quiet",
            "--locked",
            "--profile",
            "image",
            "--package",
            "metallb-benches",
        ])
        .args(["--bin", "bars", "--"])
        .arg(&raw)
        .status()
        .context("cannot run cargo")?;
    println!("raw numbers: {}", raw.display());
    ensure!(status.success(), "a bar was missed");
    Ok(())
}

fn alloc(out: &Path, arguments: &[String]) -> Result<()> {
    let mut steps = Steps::start();
    let programs = programs(&mut steps, "controller")?;
    let metallb = steps.time("looking for MetalLB's controller", || {
        upstream::program("controller")
    })?;
    let mut bench = Command::new(programs.join("alloc"));
    bench
        .arg("--controller")
        .arg(programs.join("controller"))
        .arg("--null-controller")
        .arg(programs.join("null-controller"))
        .arg("--metallb")
        .arg(metallb)
        .args(arguments);
    measure(&mut steps, bench, out)
}

fn bgp(out: &Path, arguments: &[String]) -> Result<()> {
    let mut steps = Steps::start();
    let programs = programs(&mut steps, "speaker")?;
    let metallb = steps.time("looking for MetalLB's speaker", || {
        upstream::program("speaker")
    })?;
    let mut bench = Command::new(programs.join("bgp"));
    bench
        .arg("--speaker")
        .arg(programs.join("speaker"))
        .arg("--metallb")
        .arg(metallb)
        .args(arguments);
    measure(&mut steps, bench, out)
}

fn operator(out: &Path, arguments: &[String]) -> Result<()> {
    let mut steps = Steps::start();
    let image = image::ImageArgs {
        release: true,
        ..image::ImageArgs::default()
    };
    let image = image::build(&image, &mut steps)?;
    // The bench itself is not what is measured.
    let programs = steps.time("building the bench", || {
        image::compile("image", &["metallb-benches".to_owned()])
    })?;
    let mut bench = Command::new(programs.join("operator-bench"));
    bench.arg("--image").arg(image.archive).args(arguments);
    measure(&mut steps, bench, out)
}

fn l2(out: &Path, picture: &Path, arguments: &[String]) -> Result<()> {
    let mut steps = Steps::start();
    let programs = programs(&mut steps, "speaker")?;
    let metallb = steps.time("looking for MetalLB's speaker", || {
        upstream::program("speaker")
    })?;
    let mut bench = Command::new(programs.join("l2"));
    bench
        .arg("--speaker")
        .arg(programs.join("speaker"))
        .arg("--metallb")
        .arg(metallb)
        .arg("--picture")
        .arg(workspace::root().join(picture))
        .args(arguments);
    measure(&mut steps, bench, out)
}

/// The program under measurement and the benches, built as in a released image; the folder that
/// they are in.
fn programs(steps: &mut Steps, program: &str) -> Result<PathBuf> {
    let packages = [program, "benches"].map(|name| format!("metallb-{name}"));
    steps.time(
        &format!("building the {program} and the benches as users get them (minutes when cold)"),
        || image::compile("release", &packages),
    )
}

fn measure(steps: &mut Steps, mut bench: Command, out: &Path) -> Result<()> {
    let out = workspace::root().join(out);
    bench.arg("--out").arg(&out);
    bench.args(["--commit", &workspace::commit()?]);
    let status = steps.time("measuring", || {
        bench.status().context("cannot run the bench")
    })?;
    println!("raw numbers: {}", out.display());
    ensure!(
        status.success(),
        "a bar was missed, or it could not be measured"
    );
    Ok(())
}
