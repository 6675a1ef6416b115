//! `cargo xtask manifests`: the manifests to `kubectl apply`, as the operator itself prints them.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, io};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

/// Writes `config/operator.yaml`; with `check`, only fails if it is not what the operator prints.
pub fn run(check: bool) -> Result<()> {
    let path = workspace::root().join("config/operator.yaml");
    let wanted = format!("{HEADER}{}", printed()?);
    let shown = path.strip_prefix(workspace::root()).unwrap_or(&path).display();
    let current = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("reading {shown}")),
    };
    if current == wanted {
        println!("{shown} is up to date");
    } else if check {
        bail!("{shown} is not what the operator prints; run `cargo xtask manifests`");
    } else {
        fs::write(&path, wanted).with_context(|| format!("writing {shown}"))?;
        println!("wrote {shown}");
    }
    Ok(())
}

/// What `operator manifests` prints. The task must not link the operator, so it runs it.
fn printed() -> Result<String> {
    let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "metallb-operator", "--", "manifests"])
        .current_dir(workspace::root())
        .output()
        .context("running cargo")?;
    ensure!(
        output.status.success(),
        "`operator manifests`: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).context("`operator manifests` prints UTF-8")
}

const HEADER: &str = "# Made by `cargo xtask manifests`; change operator/src/render instead.\n";
