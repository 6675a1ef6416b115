//! `cargo xtask bench`: the claims about speed, measured as users build the programs.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::workspace;

pub(crate) fn run() -> Result<()> {
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
