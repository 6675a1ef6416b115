//! `cargo xtask bench`: the claims about speed, measured as users build the programs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

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
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    match &args.what {
        None => bars(),
        Some(What::Alloc { out, arguments }) => alloc(out, arguments),
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
    let packages = ["controller", "benches"].map(|name| format!("metallb-{name}"));
    let programs = steps.time(
        "building the controller and the benches as in the image (minutes when cold)",
        || image::compile("image", &packages),
    )?;
    let metallb = steps.time("looking for MetalLB's controller", metallb)?;
    let out = workspace::root().join(out);
    let mut bench = Command::new(programs.join("alloc"));
    bench
        .arg("--controller")
        .arg(programs.join("controller"))
        .arg("--null-controller")
        .arg(programs.join("null-controller"))
        .arg("--metallb")
        .arg(metallb)
        .arg("--out")
        .arg(&out)
        .args(["--commit", &workspace::commit()?])
        .args(arguments);
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

/// MetalLB's own controller, built by Go once and kept outside every clone.
fn metallb() -> Result<PathBuf> {
    let folder = metallb_tests::cache()?.join(format!("metallb-{METALLB}"));
    let controller = folder.join("controller");
    if controller.exists() {
        return Ok(controller);
    }
    let package = format!("go.universe.tf/metallb/controller@{METALLB}");
    println!("    not there; three minutes or more: go install {package}");
    let status = Command::new("go")
        .args(["install", "-trimpath", &package])
        .env("GOBIN", &folder)
        .env("CGO_ENABLED", "0")
        .status()
        .context(
            "cannot run go, which builds MetalLB's controller; get it from https://go.dev/dl",
        )?;
    ensure!(status.success(), "go install {package} ended with {status}");
    Ok(controller)
}

/// The release that ours is measured beside.
const METALLB: &str = "v0.15.2";
