//! Processes that outlive this program: started in a place, found again by pid file, ended.

use std::{
    fs,
    io::{self, Write as _},
    iter,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

/// A running process, told from a later one with the same number by the time of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pid: u32,
    /// In clock ticks since boot, field 22 of /proc/PID/stat.
    started: u64,
}

impl Process {
    /// The process that now has this number, unless it is gone or a zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in the parentheses may hold anything, so count from its end.
        let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = rest.next()?;
        let started = rest.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, started })
    }

    /// The process that a pid file names, if it still runs.
    pub(crate) fn from_file(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let noted = Self {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        noted.alive().then_some(noted)
    }

    /// Its number.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Whether it still runs.
    pub fn alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Sends a signal; a process that is gone already is no error.
    pub fn signal(self, signal: Signal) {
        if self.alive()
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            // It may end between the look and the signal; then there is nothing to do.
            let _ = kill_process(pid, signal);
        }
    }

    /// Resident memory in bytes, 0 when it is gone.
    pub fn resident(self) -> u64 {
        self.kibibytes("status", "VmRSS:") * 1024
    }

    /// Memory in bytes of which pages shared with others count in part, so that it can be summed.
    pub fn proportional(self) -> u64 {
        self.kibibytes("smaps_rollup", "Pss:") * 1024
    }

    /// The processor time of all its threads so far; of those that have ended it tells nothing.
    pub fn processor_time(self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid));
        let times = tasks.into_iter().flatten().filter_map(|task| {
            // A thread may end between the two.
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    }

    fn kibibytes(self, file: &str, key: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0)
    }
}

/// Starts `command` so that it lives on without us: own process group, output to `log`, number and
/// start time in `pid_file`.
pub(crate) fn launch(mut command: Command, log: &Path, pid_file: &Path) -> Result<Process> {
    let shown = shown(&command);
    let out = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let child = command
        .stdout(out.try_clone()?)
        .stderr(out)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let process = Process::of(child.id()).with_context(|| format!("{shown} ended at once"))?;
    fs::write(pid_file, format!("{} {}\n", process.pid, process.started))
        .with_context(|| format!("cannot write {}", pid_file.display()))?;
    // Reaps the child when it ends while we still run; afterwards init does.
    std::thread::spawn(move || {
        let mut child = child;
        let _ = child.wait();
    });
    Ok(process)
}

/// Runs a command and gives what it printed; what it complained about is the error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    outcome(command, Command::output)
}

/// The same for a command that reads `input`.
pub(crate) fn feed(command: &mut Command, input: &str) -> Result<String> {
    outcome(command, |command| {
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn()?;
        let stdin = child.stdin.take();
        // Beside, since a command may print much before it has read all. One that ends early says
        // why, which is more than that the pipe is broken.
        std::thread::scope(|beside| {
            beside.spawn(|| stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
            child.wait_with_output()
        })
    })
}

fn outcome(
    command: &mut Command,
    run: impl FnOnce(&mut Command) -> io::Result<Output>,
) -> Result<String> {
    let shown = shown(command);
    let output = run(command).with_context(|| format!("cannot run {shown}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{shown} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("{shown} printed no UTF-8"))
}

/// A command as one would type it, without its environment.
fn shown(command: &Command) -> String {
    let words = iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let me = Process::of(std::process::id()).unwrap();
        assert!(me.alive());
        assert!(me.resident() > 100_000);
        assert!(
            !Process {
                started: me.started + 1,
                ..me
            }
            .alive()
        );
    }

    #[test]
    fn what_a_failed_command_said_is_in_the_error() {
        let error = run(Command::new("sh").args(["-c", "echo no such cable >&2; exit 3"]));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("exit status: 3: no such cable"), "{error}");
    }
}
