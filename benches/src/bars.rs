//! The project's claims about speed, each measured beside its bar in one run.
//!
//! `cargo xtask bench` runs it; it exits with 1 when a bar is missed. The raw numbers are printed
//! as JSON lines too, to the file that the first argument names.

use std::{fs::File, io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use metallb_benches::{allocate, arp_echo, flood};

fn main() -> ExitCode {
    metallb_benches::exit(run())
}

/// Measures everything; gives how many bars were missed.
fn run() -> Result<usize> {
    let path = std::env::args()
        .nth(1)
        .context("usage: bars FILE, which gets the raw numbers")?;
    let mut raw = File::create(&path).with_context(|| format!("cannot write {path}"))?;
    let mut missed = 0;

    println!("one allocation, at most {ALLOCATION_BAR} ns:");
    for case in allocate::CASES {
        let nanoseconds = allocate::nanoseconds(case);
        let kept = nanoseconds <= ALLOCATION_BAR;
        println!("  {:>28}  {nanoseconds:>8.0} ns  {}", case.name, word(kept));
        writeln!(
            raw,
            r#"{{"bench":"allocate/{}","nanoseconds":{nanoseconds}}}"#,
            case.name
        )?;
        missed += usize::from(!kept);
    }
    Ok(missed + arp(&mut raw)? + floods(&mut raw)?)
}

/// What does not concern the speaker, and comes all the same.
fn floods(raw: &mut File) -> Result<usize> {
    println!("floods:");
    let mut missed = 0;
    let forged = flood::forged_heartbeat();
    for (name, what, value, most, unit) in [
        (
            "foreign_requests",
            "10,000 foreign ARP requests a second at 5,000 addresses",
            flood::foreign_requests()?,
            5.0,
            "% of a core",
        ),
        (
            "forged_heartbeats",
            "100,000 forged heartbeats a second",
            forged * 1e5 / 1e9 * 100.0,
            50.0,
            "% of a core",
        ),
    ] {
        let kept = value <= most;
        println!(
            "  {what}: {value:.1} {unit} (at most {most})  {}",
            word(kept)
        );
        writeln!(raw, r#"{{"bench":"{name}","percent":{value}}}"#)?;
        missed += usize::from(!kept);
    }
    Ok(missed)
}

/// An ARP answer beside an echo of a frame on the same link.
fn arp(raw: &mut File) -> Result<usize> {
    println!("an ARP answer on veth:");
    let ratio = arp_echo::run()?;
    println!("  {ratio}  {}", word(ratio.holds()));
    writeln!(
        raw,
        r#"{{"bench":"arp_answer","answer_ns":{},"echo_ns":{}}}"#,
        ratio.answer.as_nanos(),
        ratio.echo.as_nanos()
    )?;
    Ok(usize::from(!ratio.holds()))
}

fn word(kept: bool) -> &'static str {
    if kept { "kept" } else { "MISSED" }
}

/// In nanoseconds: 1 µs.
const ALLOCATION_BAR: f64 = 1000.0;
