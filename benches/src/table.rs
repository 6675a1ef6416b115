//! What was measured, beside its bar: for people as a table, for machines as JSON.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// It may be so much.
    AtMost(f64),
    /// It is told for comparison.
    None,
}

/// All rows so far.
#[derive(Debug)]
pub struct Table {
    commit: String,
    rows: Vec<Row>,
    raw: Map<String, Value>,
}

#[derive(Debug)]
struct Row {
    what: String,
    unit: &'static str,
    value: f64,
    bar: Bar,
}

impl Row {
    fn missed(&self) -> bool {
        matches!(self.bar, Bar::AtMost(most) if self.value > most)
    }
}

impl Table {
    /// Of what is measured on this commit.
    pub fn new(commit: &str) -> Self {
        Self {
            commit: commit.to_owned(),
            rows: Vec::new(),
            raw: Map::new(),
        }
    }

    /// Adds a figure, and prints it for whoever waits.
    pub fn row(&mut self, what: &str, unit: &'static str, value: f64, bar: Bar) {
        let row = Row {
            what: what.to_owned(),
            unit,
            value,
            bar,
        };
        println!("{}", line(&row));
        self.rows.push(row);
    }

    /// Adds the numbers from which figures were made.
    pub fn raw(&mut self, what: &str, numbers: impl serde::Serialize) {
        self.raw.insert(what.to_owned(), json!(numbers));
    }

    /// Prints all rows.
    pub fn print(&self) {
        println!("\n{:<80} {:>16}   bar", "", "measured");
        for row in &self.rows {
            println!("{}", line(row));
        }
    }

    /// How many bars were missed.
    pub fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.missed()).count()
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let bar = match row.bar {
                    Bar::AtMost(most) => json!(most),
                    Bar::None => Value::Null,
                };
                json!({ "what": row.what, "unit": row.unit, "value": row.value, "at_most": bar })
            })
            .collect();
        let all = json!({
            "commit": self.commit,
            "machine": machine(),
            "figures": rows,
            "samples": self.raw,
        });
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, format!("{all:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn line(row: &Row) -> String {
    // What has no unit is a count.
    let value = if row.unit.is_empty() {
        format!("{:.0}", row.value)
    } else {
        format!("{:.2}", row.value)
    };
    let bar = match row.bar {
        Bar::AtMost(most) if row.missed() => format!("at most {most} {}  MISSED", row.unit),
        Bar::AtMost(most) => format!("at most {most} {}  kept", row.unit),
        Bar::None => String::new(),
    };
    format!("{:<80} {:>10} {:<5}   {bar}", row.what, value, row.unit)
}

/// What it was measured on.
fn machine() -> Value {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_before": read("/proc/loadavg").trim(),
    })
}

/// The middle of some numbers.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// The largest of some numbers.
pub fn worst(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(0.0, f64::max)
}

/// The number below which `percent` of some numbers are, or which it is: the nearest rank.
pub fn percentile(numbers: &[f64], percent: usize) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numbers_that_were_measured() {
        let numbers: Vec<_> = (1..=20).rev().map(f64::from).collect();
        let same = |a: f64, b: f64| assert!((a - b).abs() < f64::EPSILON, "{a} is not {b}");
        same(percentile(&numbers, 50), 10.0);
        same(percentile(&numbers, 99), 20.0);
        same(percentile(&[7.0], 50), 7.0);
        same(median(&[1.0, 2.0]), 1.5);
    }
}
