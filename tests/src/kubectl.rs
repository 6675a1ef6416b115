//! `kubectl` against one cluster: an embedded one, or the context of somebody's kubeconfig.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::process;

/// How to reach one cluster's API server as its administrator.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    first: Vec<OsString>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Kubectl {
    /// The `kubectl` built into the embedded cluster's program. What it keeps to remember of the
    /// API server goes with the cluster, not into the user's home.
    pub(crate) fn embedded(kube: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self {
            program: kube,
            first: vec!["kubectl".into()],
            environment: vec![("KUBECONFIG", kubeconfig), ("KUBECACHEDIR", cache)],
        }
    }

    /// The user's own `kubectl` with one of the contexts of the user's kubeconfig.
    pub fn context(context: &str) -> Self {
        Self {
            program: "kubectl".into(),
            first: vec!["--context".into(), context.into()],
            environment: Vec::new(),
        }
    }

    /// `kubectl …`, ready to be run.
    pub fn command<S: AsRef<str>>(&self, arguments: &[S]) -> Command {
        let mut kubectl = Command::new(&self.program);
        kubectl
            .args(&self.first)
            .args(arguments.iter().map(AsRef::as_ref))
            .envs(self.environment.iter().map(|(name, path)| (name, path)));
        kubectl
    }

    /// What `kubectl …` printed; what it complained about is the error.
    pub fn output<S: AsRef<str>>(&self, arguments: &[S]) -> Result<String> {
        process::run(&mut self.command(arguments))
    }

    /// What `kubectl … -o json` printed.
    pub fn json<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Value> {
        let mut kubectl = self.command(arguments);
        let text = process::run(kubectl.args(["-o", "json"]))?;
        serde_json::from_str(&text).with_context(|| format!("{kubectl:?} printed no JSON"))
    }

    /// Server-side apply of YAML, under kubectl's own field manager.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        self.feed(&["apply", "--server-side", "-f", "-"], yaml)
    }

    /// The objects in YAML of kinds that the cluster knows.
    pub fn parse(&self, yaml: &str) -> Result<Vec<Value>> {
        let create = ["create", "--dry-run=client", "-o", "json", "-f", "-"];
        let printed = process::feed(&mut self.command(&create), yaml)?;
        let objects = serde_json::Deserializer::from_str(&printed).into_iter();
        let objects: Result<_, _> = objects.collect();
        objects.context("kubectl printed no JSON")
    }

    /// Applies objects as users do: the client compares with what it applied last.
    pub fn apply_as_client(&self, objects: &[Value]) -> Result<()> {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.feed(&["apply", "-f", "-"], &list.to_string())
    }

    /// Creates objects as a program would whose field manager this is.
    pub fn create_as(&self, manager: &str, objects: &[Value]) -> Result<()> {
        let manager = format!("--field-manager={manager}");
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.feed(&["create", &manager, "-f", "-"], &list.to_string())
    }

    /// Creates what the YAML says. Without a copy of it in an annotation and without a list of who
    /// owns which field of it, so that it can be as large as the API server takes.
    pub fn create(&self, yaml: &str) -> Result<()> {
        self.feed(&["create", "-f", "-"], yaml)
    }

    /// Deletes what the YAML names; what is gone already is no error.
    pub fn delete(&self, yaml: &str) -> Result<()> {
        self.feed(&["delete", "--ignore-not-found", "-f", "-"], yaml)
    }

    fn feed(&self, arguments: &[&str], yaml: &str) -> Result<()> {
        process::feed(&mut self.command(arguments), yaml).map(drop)
    }
}
