//! Saying what is being done, for the person who waits.

use std::time::{Duration, Instant};

/// Told what [`Cluster::up`](crate::Cluster::up) does.
pub trait Progress {
    /// A step begins; the one before it is done.
    fn step(&mut self, what: &str);

    /// Something worth knowing within a step.
    fn note(&mut self, what: &str);
}

/// Prints steps with the time since the start, to standard error.
#[derive(Debug)]
pub struct Terminal {
    started: Instant,
}

/// Says nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Terminal {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    fn stamp(&self) -> String {
        stamp(self.started.elapsed())
    }
}

impl Progress for Terminal {
    fn step(&mut self, what: &str) {
        eprintln!("[{}] {what}", self.stamp());
    }

    fn note(&mut self, what: &str) {
        eprintln!("[{}]   {what}", self.stamp());
    }
}

impl Progress for Silent {
    fn step(&mut self, _: &str) {}

    fn note(&mut self, _: &str) {}
}

fn stamp(elapsed: Duration) -> String {
    format!("{:6.1} s", elapsed.as_secs_f32())
}
