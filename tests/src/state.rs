//! What a cluster leaves on disk for the next command: one directory per cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    options::{Name, Options},
    place::Place,
};

/// The directory that holds every cluster's.
const ROOT: &str = "/var/lib/metallb-rs";

/// Written by `up` as its first act, so that `down` knows what to look for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) options: Options,
    /// Where the binaries and images of this Kubernetes are.
    pub(crate) kube: PathBuf,
    /// On 127.0.0.1 of the host, in front of the API server; 0 until it is known.
    pub(crate) api_port: u16,
    /// Set once all nodes are Ready.
    pub(crate) complete: bool,
}

/// Where a cluster's files are.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    root: PathBuf,
}

impl State {
    pub(crate) fn read(files: &Files) -> Result<Self> {
        let path = files.state();
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("cannot parse {}", path.display()))
    }

    pub(crate) fn write(&self, files: &Files) -> Result<()> {
        let path = files.state();
        fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Files {
    pub(crate) fn of(name: &Name) -> Self {
        Self {
            root: Path::new(ROOT).join(name.as_str()),
        }
    }

    /// The names of all clusters that have a directory.
    pub(crate) fn names() -> Vec<Name> {
        let mut names: Vec<Name> = fs::read_dir(ROOT)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        names
    }

    /// Keeps other commands from bringing up or taking down the same cluster at the same time.
    pub(crate) fn lock(&self) -> Result<fs::File> {
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        fs::create_dir_all(ROOT).with_context(|| format!("cannot make {ROOT}"))?;
        let path = Path::new(ROOT).join(format!(".{name}.lock"));
        let file =
            fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        file.try_lock().with_context(|| {
            format!("another command is bringing cluster {name} up or taking it down")
        })?;
        Ok(file)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    pub(crate) fn kubectl_cache(&self) -> PathBuf {
        self.root.join("kubectl-cache")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    pub(crate) fn pids(&self) -> PathBuf {
        self.root.join("pids")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The pid file of one program in one place.
    pub(crate) fn pid(&self, place: Place, program: &str) -> PathBuf {
        self.pids().join(format!("{place}.{program}"))
    }

    /// The log of one program in one place.
    pub(crate) fn log(&self, place: Place, program: &str) -> PathBuf {
        self.logs().join(format!("{place}.{program}.log"))
    }

    /// The directory of one place's own files.
    pub(crate) fn of_place(&self, place: Place) -> PathBuf {
        self.root.join(place.to_string())
    }
}
