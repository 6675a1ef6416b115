//! The speaker: announces the addresses of Services from its node.

mod addresses;
mod api;
mod apply;
mod args;
mod bgp;
mod brain;
mod checksum;
mod decide;
mod drain;
mod exclude;
mod exporter;
mod hold_down;
mod index;
mod memberlist_file;
mod metrics;
mod protocol;
mod reason;
mod run;
#[cfg(test)]
mod simulation;
mod statuses;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::main()
}
