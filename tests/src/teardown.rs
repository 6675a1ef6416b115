//! Ending a cluster, whole or what is left of one, and leaving nothing of it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::{
    cgroup,
    cluster::Cluster,
    interrupt, machine,
    options::Name,
    place::Place,
    process::{self, Process},
    state::Files,
    wait::eventually,
};

impl Cluster {
    /// Ends every process of the cluster and removes its mounts, cgroups, namespaces and files.
    ///
    /// Works for what a crash left too, and when there is nothing.
    pub fn down(name: &Name) -> Result<()> {
        ensure!(
            machine::is_root(),
            "taking a cluster down needs root, as bringing it up did"
        );
        // The signal that asked for the end shall not end the clearing.
        interrupt::clear();
        let _busy = Files::of(name).lock()?;
        clear(name).map(drop)
    }
}

/// As [`Cluster::down`], for a caller who holds the lock; whether there was anything.
pub(crate) fn clear(name: &Name) -> Result<bool> {
    let files = Files::of(name);
    let cgroups = cgroup::names(|found| is_ours(name, found))?;
    let namespaces = namespaces(name)?;
    let existed = files.root().exists() || !cgroups.is_empty() || !namespaces.is_empty();

    // Nodes first and each at one moment, so that nothing starts anew what has just ended.
    for cgroup in &cgroups {
        cgroup::kill(cgroup)?;
    }
    end_processes(name, &files, &namespaces)?;
    unmount_below(files.root())?;
    for namespace in &namespaces {
        process::run(Command::new("ip").args(["netns", "delete", namespace]))?;
    }
    for cgroup in &cgroups {
        cgroup::remove(cgroup)?;
    }
    match fs::remove_dir_all(files.root()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", files.root().display()))
        }
        _ => Ok(existed),
    }
}

/// Whether a namespace or cgroup of that name is a place of this cluster: `NAME-n1` is, and
/// `NAME-2-n1` is another cluster's.
fn is_ours(name: &Name, found: &str) -> bool {
    found
        .strip_prefix(name.as_str())
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|place| place.parse::<Place>().is_ok())
}

fn namespaces(name: &Name) -> Result<BTreeSet<String>> {
    let entries = match fs::read_dir("/run/netns") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.context("cannot read /run/netns")?,
    };
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|found| is_ours(name, found))
        .collect())
}

/// Ends what the pid files name and whatever else is in the namespaces.
fn end_processes(name: &Name, files: &Files, namespaces: &BTreeSet<String>) -> Result<()> {
    eventually(
        &format!("the end of all processes of {name}"),
        Duration::from_secs(10),
        || {
            let mut left: BTreeSet<Process> = fs::read_dir(files.pids())
                .into_iter()
                .flatten()
                .filter_map(|entry| Process::from_file(&entry.ok()?.path()))
                .collect();
            for namespace in namespaces {
                // The entry of a crashed `ip netns add` is no namespace; it has no processes either.
                let pids = process::run(Command::new("ip").args(["netns", "pids", namespace]));
                let pids = pids.unwrap_or_default();
                left.extend(
                    pids.lines()
                        .filter_map(|line| Process::of(line.trim().parse().ok()?)),
                );
            }
            for process in &left {
                process.signal(Signal::KILL);
            }
            Ok(if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{} processes", left.len()))
            })
        },
    )
}

/// Unmounts what is mounted below `root`, the innermost first.
fn unmount_below(root: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(root));
    for mount in below.collect::<Vec<_>>().iter().rev() {
        process::run(Command::new("umount").arg("--lazy").arg(mount))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_clusters_places_are_not_ours() {
        let name: Name = "demo".parse().unwrap();
        for ours in [
            "demo-n1",
            "demo-client",
            "demo-r2",
            "demo-cp",
            "demo-fabric",
        ] {
            assert!(is_ours(&name, ours), "{ours}");
        }
        for other in [
            "demo",
            "demo-",
            "demo-2-n1",
            "demo2-n1",
            "cni-1234",
            "demo-nothing",
        ] {
            assert!(!is_ours(&name, other), "{other}");
        }
    }
}
