//! A running cluster and what one does with it.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    cgroup,
    kubectl::Kubectl,
    options::{Name, Options, Router},
    place::Place,
    process::{self, Process},
    state::{Files, State},
};

/// A Kubernetes cluster in network namespaces of this machine.
///
/// Dropping it leaves it running; [`Cluster::down`] ends it.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(crate) state: State,
    pub(crate) files: Files,
}

impl Cluster {
    /// The running cluster of that name.
    pub fn open(name: &Name) -> Result<Self> {
        let files = Files::of(name);
        ensure!(
            files.state().exists(),
            "there is no cluster {name}; `cargo xtask cluster up --name {name}` makes one"
        );
        Ok(Self {
            state: State::read(&files)?,
            files,
        })
    }

    /// All clusters of this machine, also those that did not come up whole.
    pub fn list() -> Vec<Self> {
        Files::names()
            .iter()
            .filter_map(|name| Self::open(name).ok())
            .collect()
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.state.options.name
    }

    /// What it was asked to be.
    pub fn options(&self) -> &Options {
        &self.state.options
    }

    /// Whether `up` ended well, with all nodes Ready.
    pub fn complete(&self) -> bool {
        self.state.complete
    }

    /// Its directory: logs, certificates (`pki/`), pid files, the nodes' file systems.
    pub fn directory(&self) -> &Path {
        self.files.root()
    }

    /// The administrator's kubeconfig; it works from the host, outside all namespaces.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig()
    }

    /// The same for programs beside the API server, in [`Place::ControlPlane`].
    pub fn local_kubeconfig(&self) -> PathBuf {
        self.files.pki().join("admin.kubeconfig")
    }

    /// The nodes, `n1` first.
    pub fn nodes(&self) -> Vec<Place> {
        (1..=self.options().nodes).map(Place::Node).collect()
    }

    /// The routers with what they run, `r1` first.
    pub fn routers(&self) -> Vec<(Place, Router)> {
        (1..)
            .map(Place::Router)
            .zip(self.options().routers.iter().copied())
            .collect()
    }

    /// Every place of this cluster.
    pub fn places(&self) -> Vec<Place> {
        let mut places = vec![Place::Fabric, Place::ControlPlane, Place::Client];
        places.extend(self.nodes());
        places.extend(self.routers().into_iter().map(|(place, _)| place));
        places
    }

    /// The network namespace of a place, as `ip netns` lists it.
    pub fn netns(&self, place: Place) -> String {
        format!("{}-{place}", self.name())
    }

    /// A command that runs in a place: in its network namespace, and for a node also among its
    /// mounts and under its host name.
    pub fn exec<S: AsRef<str>>(&self, place: Place, command: &[S]) -> Command {
        let mut nsenter = Command::new("nsenter");
        // A release may bring its own containerd; iptables and others are not on everybody's PATH.
        let path = env::var("PATH").unwrap_or_default();
        nsenter.env(
            "PATH",
            format!("{}:{path}:/usr/sbin:/sbin", self.state.kube.display()),
        );
        nsenter.arg(format!("--net=/run/netns/{}", self.netns(place)));
        if let Some(holder) = self.holder(place) {
            nsenter.arg(format!("--mount=/proc/{}/ns/mnt", holder.pid()));
            nsenter.arg(format!("--uts=/proc/{}/ns/uts", holder.pid()));
        }
        nsenter.arg("--").args(command.iter().map(AsRef::as_ref));
        nsenter
    }

    /// Runs a command in a place and gives what it printed; a failure's error output is the error.
    pub fn output<S: AsRef<str>>(&self, place: Place, command: &[S]) -> Result<String> {
        process::run(&mut self.exec(place, command))
    }

    /// `kubectl` of this cluster's release, as administrator.
    pub fn admin(&self) -> Kubectl {
        let kube = self.state.kube.join("kube");
        Kubectl::embedded(kube, self.kubeconfig(), self.files.kubectl_cache())
    }

    /// `kubectl …`, ready to be run.
    pub fn kubectl<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        self.admin().command(arguments)
    }

    /// What `kubectl …` printed.
    pub fn kubectl_output<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        self.admin().output(arguments)
    }

    /// What `kubectl … -o json` printed.
    pub fn kubectl_json<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Value> {
        self.admin().json(arguments)
    }

    /// Server-side apply of YAML, under kubectl's own field manager.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        self.admin().apply(yaml)
    }

    /// Deletes what the YAML names; what is gone already is no error.
    pub fn delete(&self, yaml: &str) -> Result<()> {
        self.admin().delete(yaml)
    }

    /// The log of a program, such as `kube-apiserver` or `n1/kubelet`.
    pub fn logs(&self, program: &str) -> Result<PathBuf> {
        let (place, program) = parse_program(program)?;
        let path = self.files.log(place, program);
        ensure!(
            path.exists(),
            "{place} has no log of {program}; there are: {}",
            self.programs().join(", ")
        );
        Ok(path)
    }

    /// The programs that were started, each as [`Cluster::logs`] and [`Cluster::process`] take it.
    pub fn programs(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.files.pids())
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                let (place, program) = name.split_once('.')?;
                Some(format!("{place}/{program}"))
            })
            .collect();
        names.sort();
        names
    }

    /// A running program of the cluster, such as `kube-apiserver` or `n1/kubelet`.
    pub fn process(&self, program: &str) -> Result<Process> {
        let (place, program) = parse_program(program)?;
        Process::from_file(&self.files.pid(place, program))
            .with_context(|| format!("{program} does not run in {place}"))
    }

    /// Starts a program in a place, to run until it ends or [`Cluster::down`]; its output goes to
    /// [`Cluster::logs`]. A node's programs also join the node's cgroups.
    pub fn spawn(&self, place: Place, program: &str, command: &[String]) -> Result<Process> {
        let command = match place {
            Place::Node(_) => cgroup::join(&self.cgroup(place), &self.exec(place, command))?,
            _ => self.exec(place, command),
        };
        self.launch(place, program, command)
    }

    /// Every process of a node's pods.
    pub fn pod_processes(&self, node: Place) -> Result<BTreeSet<Process>> {
        cgroup::processes(&format!("{}/kubepods", self.cgroup(node)))
    }

    /// The memory of all processes of the cluster, in bytes; a page that several share counts once.
    pub fn memory(&self) -> Result<u64> {
        let mut all = BTreeSet::new();
        for place in self.places() {
            all.extend(self.processes(place)?);
        }
        Ok(all.into_iter().map(Process::proportional).sum())
    }

    /// The cgroup of a node, below each hierarchy's root; every process of the node, pods
    /// included, is in it or below it.
    pub fn cgroup(&self, node: Place) -> String {
        self.netns(node)
    }

    /// Starts what is already a command, with the place's log and pid file.
    pub(crate) fn launch(&self, place: Place, program: &str, command: Command) -> Result<Process> {
        process::launch(
            command,
            &self.files.log(place, program),
            &self.files.pid(place, program),
        )
    }

    /// The process that holds a node's mount and UTS namespaces.
    fn holder(&self, place: Place) -> Option<Process> {
        Process::from_file(&self.files.pid(place, HOLDER))
    }

    /// The command line of one of the programs in the Kubernetes binary.
    pub(crate) fn kube_program(&self, program: &str, arguments: &[String]) -> Vec<String> {
        let kube = self.state.kube.join("kube").display().to_string();
        [kube, program.to_owned()]
            .into_iter()
            .chain(arguments.iter().cloned())
            .collect()
    }

    /// Starts one of the programs in the Kubernetes binary.
    pub(crate) fn kube(&self, place: Place, program: &str, arguments: &[String]) -> Result<()> {
        self.spawn(place, program, &self.kube_program(program, arguments))
            .map(drop)
    }
}

/// `n1/kubelet` is a node's; a bare name is the control plane's.
fn parse_program(text: &str) -> Result<(Place, &str)> {
    Ok(match text.split_once('/') {
        Some((place, program)) => (place.parse()?, program),
        None if text == "registry" => (Place::Fabric, text),
        None => (Place::ControlPlane, text),
    })
}

/// The program whose namespaces are the node's.
pub(crate) const HOLDER: &str = "pause";
