//! Helm, built from its Go module, as a user has it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{go, oci, process};

/// `helm`, ready to be run.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
}

/// Builds it, which takes minutes, unless it is in the cache, outside every clone.
pub fn helm() -> Result<Helm> {
    let sums = Path::new(SOURCES).join("go.sum");
    let sums = fs::read(&sums).with_context(|| format!("cannot read {}", sums.display()))?;
    let key = oci::hex(&Sha256::digest(sums)[..8]);
    let folder = go::cache()?.join(format!("helm-{key}"));
    let program = folder.join("helm");
    if !program.exists() {
        println!("    helm is not there; two minutes or more: go build {PACKAGE}");
        build(&folder)?;
    }
    Ok(Helm {
        program,
        kubeconfig: None,
    })
}

fn build(folder: &Path) -> Result<()> {
    let partial = folder.with_extension(format!("partial-{}", std::process::id()));
    let status = Command::new("go")
        .current_dir(SOURCES)
        .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
        .args(["-ldflags", "-s -w", "-o"])
        .arg(format!("{}/", partial.display()))
        .arg(PACKAGE)
        .env("CGO_ENABLED", "0")
        .status()
        .context("cannot run go, which builds helm; get it from https://go.dev/dl")?;
    ensure!(
        status.success(),
        "go build ended with {status}; helm needs Go 1.26 or newer"
    );
    if fs::rename(&partial, folder).is_err() {
        // Another command was faster.
        fs::remove_dir_all(&partial)?;
    }
    Ok(())
}

impl Helm {
    /// The same, for releases in a cluster.
    #[must_use]
    pub fn on(&self, kubeconfig: PathBuf) -> Self {
        Self {
            kubeconfig: Some(kubeconfig),
            ..self.clone()
        }
    }

    /// What `helm …` printed; what it complained about is the error. `input` is what it reads as
    /// `-f -`.
    pub fn output(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        process::feed(&mut command, input)
    }
}

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/helm");
const PACKAGE: &str = "helm.sh/helm/v3/cmd/helm";
