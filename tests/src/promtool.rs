//! Prometheus' own judge of metrics, from Debian's package, without the server that comes with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{go, process};

/// `promtool`, ready to be run.
#[derive(Debug, Clone)]
pub struct Promtool(PathBuf);

/// The `promtool` of the PATH, or that of Debian's package `prometheus`: taken out of it, so that no
/// Prometheus is installed, and kept outside every clone.
pub fn promtool() -> Result<Promtool> {
    if let Some(there) = crate::machine::find("promtool") {
        return Ok(Promtool(there));
    }
    let folder = go::cache()?.join("promtool");
    let program = folder.join("usr/bin/promtool");
    if !program.exists() {
        take_out(&folder).context("there is no promtool; on Debian: apt-get install prometheus")?;
    }
    Ok(Promtool(program))
}

fn take_out(folder: &Path) -> Result<()> {
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    let run = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        process::run(command.args(&words[1..]).current_dir(&partial))
    };
    if run(&["apt-get", "download", "prometheus"]).is_err() {
        run(&["apt-get", "update"])?;
        run(&["apt-get", "download", "prometheus"])?;
    }
    run(&[
        "sh",
        "-c",
        "dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb",
    ])?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(&partial, folder).with_context(|| format!("cannot make {}", folder.display()))
}

impl Promtool {
    /// What `promtool check metrics` has to say of a scrape, a line for each finding; nothing when
    /// all is well. It is an error when the metrics cannot be read at all.
    pub fn check_metrics(&self, metrics: &str) -> Result<String> {
        let mut command = Command::new(&self.0);
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run promtool")?;
        let mut input = child.stdin.take().context("promtool has no input")?;
        // It reads all before it says anything.
        std::io::Write::write_all(&mut input, metrics.as_bytes())?;
        drop(input);
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stderr)?;
        // 3 is its word for findings; 1 for what is no metrics.
        ensure!(
            matches!(output.status.code(), Some(0 | 3)),
            "promtool ended with {}: {said}",
            output.status
        );
        Ok(said)
    }

    /// Whether Prometheus takes these rules; the error has what `promtool check rules` says.
    pub fn check_rules(&self, file: &Path) -> Result<()> {
        process::run(Command::new(&self.0).args(["check", "rules"]).arg(file)).map(drop)
    }

    /// Whether rules do what a file of tests for them says.
    pub fn test_rules(&self, file: &Path) -> Result<()> {
        process::run(Command::new(&self.0).args(["test", "rules"]).arg(file)).map(drop)
    }
}
