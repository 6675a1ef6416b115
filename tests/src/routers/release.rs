//! Routers of another release of Debian than this machine's, in a root directory of their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::run;

/// The variable that names the root directory, if it is not this machine's.
pub const ROOT: &str = "METALLB_ROUTERS";

pub(super) fn root() -> Option<PathBuf> {
    env::var_os(ROOT).map(PathBuf::from)
}

/// Whether there is such a program in the root directory.
pub(super) fn has(program: &str) -> bool {
    let root = root().unwrap_or_else(|| "/".into());
    root.join(program.trim_start_matches('/')).exists()
}

/// A command in the root directory, which sees a router's `directory` by the same path, and FRR's
/// sockets in it.
pub(super) fn enter(directory: &Path, command: &[&str]) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(root) = root() {
        let (root, directory) = (root.display().to_string(), directory.display().to_string());
        words.extend(["unshare", "--mount", "sh", "-c", ENTER, "sh"].map(str::to_owned));
        words.extend([root, directory]);
    }
    words.extend(command.iter().map(ToString::to_string));
    words
}

const ENTER: &str = "root=$1 directory=$2; shift 2
mkdir -p $root$directory $root/run/frr && mount --bind $directory $root$directory && \
mount --bind $directory $root/run/frr && mount --rbind /proc $root/proc && \
mount --rbind /dev $root/dev && exec chroot $root \"$@\"";

/// A root directory with the routers of a release such as `trixie`, made the first time from the
/// mirror that this machine has its packages from.
pub fn of_release(release: &str) -> Result<PathBuf> {
    let root = crate::cache()?.join(format!("routers-{release}"));
    if root.exists() {
        return Ok(root);
    }
    let sh = |script: &str| run(Command::new("sh").args(["-ec", script]));
    sh("which debootstrap || apt-get install -y --no-install-recommends debootstrap")
        .context("debootstrap is missing")?;
    let mirrors = sh("apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages'")?;
    let mirror = mirrors.lines().next().context("apt has no mirror")?;
    let new = root.with_extension("new");
    let path = new.display();
    ensure!(
        !path.to_string().contains(char::is_whitespace),
        "{path} has a blank, which debootstrap does not take"
    );
    sh(&format!(
        "rm -rf {path}
         debootstrap --variant=minbase {release} {path} {mirror}
         printf '#!/bin/sh\\nexit 101\\n' >{path}/usr/sbin/policy-rc.d
         chmod 755 {path}/usr/sbin/policy-rc.d
         DEBIAN_FRONTEND=noninteractive chroot {path} \
             apt-get install -y --no-install-recommends frr bird3 gobgpd"
    ))
    .with_context(|| format!("{release} has no routers for us"))?;
    fs::rename(&new, &root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}
