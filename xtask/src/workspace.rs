//! Where things are in this checkout, and which one it is.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// The directory of the top-level `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask/ is a folder of the workspace")
        .to_owned()
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The commit that is checked out, with a mark when files differ from it.
pub(crate) fn commit() -> Result<String> {
    let git = Command::new("git")
        .current_dir(root())
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=40",
            "--exclude=*",
        ])
        .output()
        .context("cannot run git")?;
    ensure!(
        git.status.success(),
        "git does not say which commit this is"
    );
    Ok(String::from_utf8(git.stdout)?.trim().to_owned())
}
