//! `cargo xtask image`: the three static programs in one OCI image.
//!
//! The same sources give the same digest: file order, times, owners and modes are fixed, and the
//! compiler is told to forget the paths of the machine. What comes out is an OCI layout in a tar
//! file, which containerd, skopeo and podman read as it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{oci, product};

use crate::{steps::Steps, workspace};

/// What `cargo xtask image` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ImageArgs {
    /// The reference that the image answers to after an import.
    #[arg(long, default_value = product::IMAGE)]
    pub(crate) reference: String,
    /// Build as for a release: smaller, with minutes of link-time optimisation.
    #[arg(long)]
    pub(crate) release: bool,
    /// Where to write the archive [default: target/image/metallb.tar].
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
}

impl Default for ImageArgs {
    fn default() -> Self {
        Self {
            reference: product::IMAGE.to_owned(),
            release: false,
            output: None,
        }
    }
}

/// An image on disk.
#[derive(Debug)]
pub(crate) struct Image {
    /// The OCI layout, as a tar file.
    pub(crate) archive: PathBuf,
    /// The manifest's digest, `sha256:…`.
    pub(crate) digest: String,
    /// Bytes that the programs take when unpacked.
    pub(crate) unpacked: u64,
}

/// Builds the programs and the image around them.
pub(crate) fn build(args: &ImageArgs, steps: &mut Steps) -> Result<Image> {
    let profile = if args.release { "release" } else { "image" };
    let programs = steps.time(
        &format!("building the three static programs (profile {profile}, minutes when cold)"),
        || {
            compile(
                profile,
                &PROGRAMS.map(|program| format!("metallb-{program}")),
            )
        },
    )?;
    let programs = PROGRAMS.map(|name| (name, programs.join(name)));
    let archive = args
        .output
        .clone()
        .unwrap_or_else(|| workspace::target().join("image/metallb.tar"));
    steps.time("packing the image", || {
        pack(&programs, &args.reference, &archive)
    })
}

/// The programs of these packages as static binaries; the folder that they are in.
pub(crate) fn compile(profile: &str, packages: &[String]) -> Result<PathBuf> {
    let root = workspace::root();
    let cargo_home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    // Without --target, crt-static would reach proc-macros and break them (they are loaded
    // dynamically). A static program finds no getrandom symbol at run time, so rand is told to
    // make the system call. A fixed address saves the relocated pages of a static-pie, and
    // functions that are the same to the last byte are there once: what is generic is copied for
    // each of some forty kinds of objects, and all of it that is near what runs is in memory.
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Crelocation-model=static".to_owned(),
        "--cfg=getrandom_backend=\"linux_getrandom\"".to_owned(),
        "-Clink-arg=-Wl,--icf=all".to_owned(),
        format!("--remap-path-prefix={cargo_home}=/cargo"),
        format!("--remap-path-prefix={}=/metallb", root.display()),
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(&root)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            profile,
            "--target",
            TARGET,
        ])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    for package in packages {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(
        status.success(),
        "cargo build of the programs ended with {status}"
    );

    Ok(workspace::target().join(TARGET).join(profile))
}

/// The image around the programs.
fn pack(programs: &[(&str, PathBuf)], reference: &str, archive: &Path) -> Result<Image> {
    let mut files = Vec::new();
    for (name, path) in programs {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push((*name, bytes));
    }
    let digest = oci::pack(
        &oci::Image {
            reference,
            files: &files,
            // Numeric, so that runAsNonRoot can be checked; the speaker's pod asks for root, since
            // only root gets NET_RAW into its effective set.
            user: Some("65534:65534"),
            labels: &[
                ("org.opencontainers.image.title", "metallb"),
                ("org.opencontainers.image.licenses", "Apache-2.0"),
                ("org.opencontainers.image.version", VERSION),
            ],
            ..oci::Image::default()
        },
        archive,
    )?;
    let unpacked = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    ensure!(
        unpacked <= UNPACKED_BAR,
        "the programs take {unpacked} bytes, more than {UNPACKED_BAR}"
    );
    Ok(Image {
        archive: archive.to_owned(),
        digest,
        unpacked,
    })
}

/// What the image may take on a node, in bytes.
const UNPACKED_BAR: u64 = 40_000_000;
const PROGRAMS: [&str; 3] = ["controller", "operator", "speaker"];
const TARGET: &str = "x86_64-unknown-linux-gnu";
const VERSION: &str = env!("CARGO_PKG_VERSION");
