//! The process's own figures, under the names that every Prometheus client library uses.

use prometheus::{Counter, Gauge, Registry};

/// The metrics, refreshed on each scrape.
#[derive(Debug)]
pub(crate) struct Process {
    resident: Gauge,
    virtual_memory: Gauge,
    start_time: Gauge,
    cpu: Counter,
    open_fds: Gauge,
    max_fds: Gauge,
}

impl Process {
    /// Registers the metrics.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<Gauge> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let cpu = Counter::new(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        )?;
        registry.register(Box::new(cpu.clone()))?;
        Ok(Self {
            resident: gauge(
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
            )?,
            virtual_memory: gauge(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
            )?,
            start_time: gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )?,
            cpu,
            open_fds: gauge("process_open_fds", "Number of open file descriptors.")?,
            max_fds: gauge(
                "process_max_fds",
                "Maximum number of open file descriptors.",
            )?,
        })
    }

    /// Reads /proc anew. What cannot be read keeps its last value.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are floats")]
    pub(crate) fn refresh(&self) {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        for (gauge, key) in [
            (&self.resident, "VmRSS:"),
            (&self.virtual_memory, "VmSize:"),
        ] {
            if let Some(kib) = number_after(&status, key) {
                gauge.set((kib * 1024) as f64);
            }
        }
        if let Some((cpu_ticks, start_ticks)) = ticks(&read("/proc/self/stat")) {
            let cpu = cpu_ticks as f64 / TICKS_PER_SECOND;
            // A counter may only grow; a clock that stands still adds nothing.
            self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
            if let Some(boot) = number_after(&read("/proc/stat"), "btime") {
                self.start_time
                    .set(boot as f64 + start_ticks as f64 / TICKS_PER_SECOND);
            }
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.open_fds.set(entries.count().saturating_sub(1) as f64);
        }
        if let Some(max) = number_after(&read("/proc/self/limits"), "Max open files") {
            self.max_fds.set(max as f64);
        }
    }
}

/// The first number on the line that starts with `key`.
fn number_after(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// CPU time (user and system) and start time from /proc/self/stat, both in ticks. See proc(5).
fn ticks(stat: &str) -> Option<(u64, u64)> {
    // The second field is the name in brackets and may hold anything; count from its end.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = rest.next()?.parse().ok()?;
    let system: u64 = rest.next()?.parse().ok()?;
    let started: u64 = rest.nth(6)?.parse().ok()?;
    Some((user + system, started))
}

/// `USER_HZ`, which is 100 on every architecture Kubernetes runs on.
const TICKS_PER_SECOND: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_by_position_after_a_name_with_brackets() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 10 0 0 0 150 50 0 0 20 0 1 0 7700 1 2";
        assert_eq!(ticks(stat), Some((200, 7700)));
        assert_eq!(ticks("garbage"), None);
    }

    #[test]
    fn this_process_has_memory_a_start_and_files() {
        let registry = Registry::new();
        let process = Process::register(&registry).unwrap();
        process.refresh();
        assert!(process.resident.get() > 100_000.0);
        assert!(process.open_fds.get() >= 3.0);
        assert!(process.start_time.get() > 1.6e9);
    }
}
