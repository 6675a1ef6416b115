//! Looking for what a cluster left on the machine, without asking the code that removes it.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use metallb_tests::{Cluster, Name, Process};

/// The processes of a running cluster, which can be told from all later ones when every file and
/// namespace is gone.
pub(crate) struct Traces {
    processes: BTreeSet<Process>,
}

impl Traces {
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let mut processes = BTreeSet::new();
        for place in cluster.places() {
            processes.extend(cluster.processes(place)?);
        }
        Ok(Self { processes })
    }

    /// Those that still run.
    pub(crate) fn left(&self) -> Vec<String> {
        let alive = self.processes.iter().filter(|process| process.alive());
        alive
            .map(|process| format!("process {}", process.pid()))
            .collect()
    }
}

/// What of a cluster of that name is on the machine: processes, mounts, cgroups, namespaces, files.
pub(crate) fn remains(name: &Name) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let ours = |text: &str| is_place(name, text);
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let file = entry.file_name().display().to_string();
        if ours(&file) || file.starts_with("cni-") {
            left.push(format!("network namespace {file}"));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let directory = format!("/var/lib/metallb-rs/{name}/");
    for line in mounts.lines() {
        if line.contains(&directory) || line.contains(&format!("/run/netns/{name}-")) {
            let place = line.split(' ').nth(4).unwrap_or_default();
            if place.starts_with(&directory) || place.rsplit('/').next().is_some_and(ours) {
                left.push(format!("mount {line}"));
            }
        }
    }
    for hierarchy in fs::read_dir("/sys/fs/cgroup")?.flatten() {
        for group in fs::read_dir(hierarchy.path())
            .into_iter()
            .flatten()
            .flatten()
        {
            if group.file_name().to_str().is_some_and(ours) {
                left.push(format!("cgroup {}", group.path().display()));
            }
        }
    }
    // What has ended and waits for init to take note of it is left out.
    for pid in pids()?
        .into_iter()
        .filter(|pid| Process::of(*pid).is_some())
    {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if command.contains(&directory) || groups.split(['/', '\n']).any(ours) {
            left.push(format!("process {pid} {command}"));
        }
    }
    if Path::new(&directory).exists() {
        left.push(directory);
    }
    Ok(left)
}

/// `NAME-n1`, `NAME-client`, …: the name, then what is no further part of a name.
fn is_place(name: &Name, text: &str) -> bool {
    let Some(place) = text.strip_prefix(&format!("{name}-")) else {
        return false;
    };
    let numbered = |letter| {
        place
            .strip_prefix(letter)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    ["client", "cp", "fabric"].contains(&place) || numbered('n') || numbered('r')
}

fn pids() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}
