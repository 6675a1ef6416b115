//! Go programs that tests need, built once from a module of ours and kept by what they are built
//! from.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{interrupt, oci, progress::Progress};

/// A Go module of ours and what is built of it.
#[derive(Debug)]
pub(crate) struct Module {
    /// For the person who waits, such as `Kubernetes 1.34.4`.
    pub(crate) what: String,
    /// The folder of the cache.
    pub(crate) cache: &'static str,
    /// Where the module is.
    pub(crate) sources: PathBuf,
    /// The module file in there, its `.sum` beside it.
    pub(crate) modules: &'static str,
    /// The source files, on which the result depends as well.
    pub(crate) files: &'static [&'static str],
    /// The oldest Go that builds it.
    pub(crate) go: (u32, u32),
    /// More arguments of `go build`.
    pub(crate) flags: Vec<String>,
    /// What is built, one after the other.
    pub(crate) programs: &'static [Program],
    /// Changes when what is made of the programs changes.
    pub(crate) format: &'static str,
}

/// One program, or a few from one place.
#[derive(Debug)]
pub(crate) struct Program {
    /// For the person who waits.
    pub(crate) what: &'static str,
    pub(crate) packages: &'static [&'static str],
}

impl Module {
    /// The directory that holds the programs and what `finish` puts beside them; built if it is
    /// not there.
    pub(crate) fn ensure_built(
        &self,
        finish: impl FnOnce(&Path) -> Result<()>,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf> {
        let cache = cache()?.join(self.cache);
        let built = cache.join(self.key()?);
        if built.exists() {
            return Ok(built);
        }
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        // Another command may be at the same build; then its result is ours too.
        let lock = fs::File::create(cache.join(".lock"))?;
        if lock.try_lock().is_err() {
            progress.step(&format!(
                "waiting for another command that is building {}",
                self.what
            ));
            lock.lock()?;
        }
        if built.exists() {
            return Ok(built);
        }
        let go = self.go()?;
        let partial = cache.join(".partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        for program in self.programs {
            progress.step(&format!("building {}: {}", self.what, program.what));
            self.build(&go, program, &partial, progress)?;
        }
        finish(&partial)?;
        fs::rename(&partial, &built)
            .with_context(|| format!("cannot move the build to {}", built.display()))?;
        Ok(built)
    }

    fn build(
        &self,
        go: &Path,
        program: &Program,
        out: &Path,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let mut child = Command::new(go)
            .current_dir(&self.sources)
            .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
            .arg(format!("-modfile={}", self.modules))
            .args(&self.flags)
            .arg("-o")
            .arg(format!("{}/", out.display()))
            .args(program.packages)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", go.display()))?;
        wait(&mut child, progress)
    }

    /// A Go that is new enough, on the PATH or where its archive is usually unpacked.
    fn go(&self) -> Result<PathBuf> {
        let mut seen = Vec::new();
        for candidate in ["go", "/usr/local/go/bin/go", "/usr/lib/go-1.24/bin/go"] {
            let Ok(output) = Command::new(candidate).arg("version").output() else {
                continue;
            };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if go_version(&text).is_some_and(|version| version >= self.go) {
                return Ok(candidate.into());
            }
            seen.push(format!("{candidate} is {:?}", text.trim()));
        }
        let found = if seen.is_empty() {
            "there is none".to_owned()
        } else {
            seen.join(", ")
        };
        let (major, minor) = self.go;
        bail!(
            "building {} needs Go {major}.{minor} or newer and {found}; \
             get it from https://go.dev/dl and run: tar -C /usr/local -xzf go1.*.linux-*.tar.gz",
            self.what
        )
    }

    /// What the result depends on: all sources, the module file and its sums, what is made of them.
    fn key(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(self.format);
        let sums = self.modules.replace(".mod", ".sum");
        for name in [self.modules, &sums].iter().chain(self.files) {
            let path = self.sources.join(name);
            let content =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hash.update(name);
            hash.update(content.len().to_be_bytes());
            hash.update(content);
        }
        Ok(oci::hex(&hash.finalize()[..8]))
    }
}

/// Waits for the compiler, with a sign of life now and then.
fn wait(child: &mut Child, progress: &mut dyn Progress) -> Result<()> {
    let started = Instant::now();
    let mut said = started;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                // Ctrl-C reaches the compiler too.
                interrupt::check()?;
                bail!("go build ended with {status}; its own words are above");
            }
            return Ok(());
        }
        if let Err(interrupted) = interrupt::check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(interrupted);
        }
        if said.elapsed() >= Duration::from_secs(30) {
            said = Instant::now();
            progress.note(&format!(
                "still building, {} s",
                started.elapsed().as_secs()
            ));
        }
        // The pace of looking whether it has ended or somebody wants it to.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `go version go1.26.8 linux/amd64` is (1, 26).
fn go_version(text: &str) -> Option<(u32, u32)> {
    let number = text.split(' ').nth(2)?.strip_prefix("go")?;
    let mut parts = number.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Where what takes minutes to build is kept, outside every clone, so that a fresh one finds it:
/// `$XDG_CACHE_HOME/metallb-rs`.
pub fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(base.join("metallb-rs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_calls_itself() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(
            go_version("go version go1.24rc1 linux/arm64"),
            Some((1, 24))
        );
        assert_eq!(go_version("go: not found"), None);
    }
}
