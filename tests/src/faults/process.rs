//! Programs stopped and set going again.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::{Cluster, Place, Process, cgroup, eventually, process::run};

/// What [`Cluster::freeze`] stops: `n1`, `speaker`, `n1/speaker`, `apiserver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A node with all its pods. It is frozen by its cgroup: at one instant, and without the
    /// signals that a parent could notice.
    Node(Place),
    /// Every process of a program, stopped by SIGSTOP.
    Program {
        /// Only there; everywhere in the cluster when not given.
        place: Option<Place>,
        /// The last part of its path, or its first argument where many programs are one binary.
        name: String,
    },
}

impl Target {
    /// A program, wherever it runs.
    pub fn program(name: &str) -> Self {
        Self::Program {
            place: None,
            name: full_name(name),
        }
    }

    /// A program in one place.
    pub fn program_in(place: Place, name: &str) -> Self {
        Self::Program {
            place: Some(place),
            name: full_name(name),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        ensure!(!text.is_empty(), "an empty text names nothing to freeze");
        Ok(match (text.split_once('/'), text.parse()) {
            (Some((place, name)), _) => Self::program_in(place.parse()?, name),
            (None, Ok(node @ Place::Node(_))) => Self::Node(node),
            (None, _) => Self::program(text),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Program {
                place: Some(place),
                name,
            } => write!(f, "{place}/{name}"),
            Self::Program { place: None, name } => f.write_str(name),
        }
    }
}

impl Cluster {
    /// Every process of a place: for a node all of its cgroup, pods included, else all of the
    /// network namespace.
    pub fn processes(&self, place: Place) -> Result<BTreeSet<Process>> {
        if matches!(place, Place::Node(_)) {
            return cgroup::processes(&self.cgroup(place));
        }
        let pids =
            run(std::process::Command::new("ip").args(["netns", "pids", &self.netns(place)]))?;
        Ok(pids
            .lines()
            .filter_map(|pid| Process::of(pid.trim().parse().ok()?))
            .collect())
    }

    /// The running processes that `target` means.
    pub fn find(&self, target: &Target) -> Result<BTreeSet<Process>> {
        let (places, name) = match target {
            Target::Node(node) => return self.processes(*node),
            Target::Program {
                place: Some(place),
                name,
            } => (vec![*place], name),
            Target::Program { place: None, name } => (self.places(), name),
        };
        let mut found = BTreeSet::new();
        for place in places {
            found.extend(self.processes(place)?.into_iter().filter(|p| is(*p, name)));
        }
        Ok(found)
    }
}

/// Stops every process of a program and waits until each is stopped.
pub(super) fn stop(cluster: &Cluster, target: &Target) -> Result<()> {
    signal(cluster, target, Signal::STOP, true)
}

/// Sets them going again.
pub(super) fn go_on(cluster: &Cluster, target: &Target) -> Result<()> {
    signal(cluster, target, Signal::CONT, false)
}

fn signal(cluster: &Cluster, target: &Target, signal: Signal, stopped: bool) -> Result<()> {
    ensure!(
        !cluster.find(target)?.is_empty(),
        "no process {target} runs in cluster {}",
        cluster.name()
    );
    let what = if stopped { "stopped" } else { "going on" };
    eventually(&format!("{target} {what}"), TIMEOUT, || {
        // Looked up each time: a program may just be starting another process.
        let mut missing = cluster.find(target)?;
        missing.retain(|process| state(*process).is_some_and(|state| (state == 'T') != stopped));
        for process in &missing {
            process.signal(signal);
        }
        Ok(if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?} are not"))
        })
    })
}

/// The state letter of proc(5): `T` is stopped; none when it is gone.
fn state(process: Process) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether the process runs the program `name`.
fn is(process: Process, name: &str) -> bool {
    let command = fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap_or_default();
    is_command(&command, name)
}

fn is_command(cmdline: &[u8], name: &str) -> bool {
    let mut arguments = cmdline.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    let program = program
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    program == name.as_bytes()
        || (program == MANY_IN_ONE.as_bytes() && arguments.next() == Some(name.as_bytes()))
}

/// The short names that people say.
fn full_name(name: &str) -> String {
    match name {
        "apiserver" | "scheduler" | "controller-manager" | "proxy" => format!("kube-{name}"),
        _ => name.to_owned(),
    }
}

/// The binary that is all of Kubernetes.
const MANY_IN_ONE: &str = "kube";
const TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_back_what_it_prints() {
        for text in [
            "n1",
            "speaker",
            "n2/speaker",
            "cp/kube-apiserver",
            "containerd",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!(
            "apiserver".parse::<Target>().unwrap(),
            Target::program("kube-apiserver")
        );
        assert_eq!(
            "n1".parse::<Target>().unwrap(),
            Target::Node(Place::Node(1))
        );
        for bad in ["", "x9/speaker"] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_program_is_known_by_its_path_or_its_place_in_the_one_binary() {
        let cases = [
            (&b"/speaker\0--port=7472\0"[..], "speaker", true),
            (b"/var/lib/x/kube\0kubelet\0--v=2\0", "kubelet", true),
            (b"/var/lib/x/kube\0kubelet\0--v=2\0", "kube-proxy", false),
            (b"sh\0speaker\0", "speaker", false),
            (b"", "speaker", false),
        ];
        for (cmdline, name, expected) in cases {
            assert_eq!(is_command(cmdline, name), expected, "{name} in {cmdline:?}");
        }
    }
}
