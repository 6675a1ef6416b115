//! What a task is doing and how long each step took, for the person who waits.

use std::time::{Duration, Instant};

/// Prints each step as it starts and its time when it is done.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    taken: Vec<(String, Duration)>,
}

impl Steps {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            taken: Vec::new(),
        }
    }

    /// Runs `work` under the name `what`.
    pub(crate) fn time<T>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        println!("==> {what}");
        let started = Instant::now();
        let result = work();
        let taken = started.elapsed();
        let end = if result.is_ok() { "done" } else { "failed" };
        println!("    {end} after {}", seconds(taken));
        self.taken.push((what.to_owned(), taken));
        result
    }

    /// Every step with its time, the slowest marked.
    pub(crate) fn print_summary(&self) {
        println!(
            "\nwhere the time went ({} in all):",
            seconds(self.started.elapsed())
        );
        let slowest = self.taken.iter().map(|(_, taken)| *taken).max();
        for (what, taken) in &self.taken {
            let mark = if Some(*taken) == slowest {
                "  <- most"
            } else {
                ""
            };
            println!("  {:>8}  {what}{mark}", seconds(*taken));
        }
    }
}

/// `12.3 s`, or minutes and seconds when it is more than two minutes.
pub(crate) fn seconds(time: Duration) -> String {
    if time >= Duration::from_mins(2) {
        format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
