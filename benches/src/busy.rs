//! Cores with other things to do.

use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A process that takes all of a core that it can get. It ends with this value.
#[derive(Debug)]
pub struct Burner(Child);

/// Makes every core busy twice over, for at most about so long.
///
/// # Errors
/// There is no sh(1).
pub fn every_core_twice(limit: Duration) -> Result<Vec<Burner>> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    (0..2 * cores).map(|_| Burner::start(limit)).collect()
}

impl Burner {
    fn start(limit: Duration) -> Result<Self> {
        // However this process ends, it ends too, by its limit of processor time.
        let limit = (limit.as_secs() + 60).to_string();
        let script = ["-c", "ulimit -t $0; while :; do :; done", &limit];
        let child = Command::new("sh").args(script).spawn();
        Ok(Self(child.context("cannot run sh")?))
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
