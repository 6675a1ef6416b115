//! What is measured, as functions: the benches of this package call them for criterion, and
//! `cargo xtask bench` holds them against their bars.

pub mod allocate;
pub mod arp_echo;
pub mod busy;
pub mod flood;
pub mod load;
pub mod run;
pub mod segment;
pub mod service;
pub mod speakers;
pub mod table;
pub mod wire;

use std::process::ExitCode;

use anyhow::Result;

/// How a bench ends: with 1, and words, when bars were missed or nothing could be measured.
pub fn exit(missed: Result<usize>) -> ExitCode {
    match missed {
        Ok(0) => return ExitCode::SUCCESS,
        Ok(missed) => println!("\n{missed} bar(s) missed"),
        Err(error) => eprintln!("error: {error:#}"),
    }
    ExitCode::FAILURE
}
