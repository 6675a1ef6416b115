//! MetalLB's own programs and files, from its Go module.

pub mod frr;
pub mod operator;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{go, oci, process};

/// The release that ours is measured beside, and takes the place of.
pub const VERSION: &str = "v0.15.2";

/// A program, built by Go once and kept outside every clone.
pub fn program(name: &str) -> Result<PathBuf> {
    let folder = go::cache()?.join(format!("metallb-{VERSION}"));
    let built = folder.join(name);
    if built.exists() {
        return Ok(built);
    }
    let package = format!("go.universe.tf/metallb/{name}@{VERSION}");
    println!("    not there; three minutes or more: go install {package}");
    let status = Command::new("go")
        .args(["install", "-trimpath", &package])
        .env("GOBIN", &folder)
        .env("CGO_ENABLED", "0")
        .status()
        .context("cannot run go, which builds MetalLB's programs; get it from https://go.dev/dl")?;
    ensure!(status.success(), "go install {package} ended with {status}");
    Ok(built)
}

/// A file or folder of the module.
pub fn file(name: &str) -> Result<PathBuf> {
    Ok(module(&format!("go.universe.tf/metallb@{VERSION}"))?.join(name))
}

/// The folder of a Go module.
fn module(module: &str) -> Result<PathBuf> {
    let mut go = Command::new("go");
    let said = process::run(go.args(["mod", "download", "-json", module]))?;
    let said: Value = serde_json::from_str(&said).context("go printed no JSON")?;
    let folder = said["Dir"].as_str().context("go names no folder")?;
    Ok(PathBuf::from(folder))
}

/// The archive of an image with one program, under the reference that MetalLB's manifests have.
pub fn image(name: &str, folder: &std::path::Path) -> Result<PathBuf> {
    let archive = folder.join(format!("upstreams-{name}.tar"));
    let entrypoint = format!("/{name}");
    oci::pack(
        &oci::Image {
            reference: &format!("quay.io/metallb/{name}:{VERSION}"),
            files: &[(name, std::fs::read(program(name)?)?)],
            entrypoint: &[&entrypoint],
            ..oci::Image::default()
        },
        &archive,
    )?;
    Ok(archive)
}
