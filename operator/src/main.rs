//! The operator: turns the `MetalLB` object into everything that runs it, and keeps it so.

mod api_server;
mod apply;
mod args;
mod bundle;
mod classes;
mod commands;
mod conditions;
mod counters;
mod decide;
mod defined;
mod definitions;
mod frr_k8s;
mod index;
mod object;
mod observed;
mod olm;
mod operate;
mod platform;
mod predecessor;
mod render;
mod report;
mod rights;
mod run;
mod settings;
mod surroundings;
mod watches;
mod webhook;
mod yaml;

fn main() -> std::process::ExitCode {
    run::run()
}

/// The version of operator and operands.
const VERSION: &str = env!("CARGO_PKG_VERSION");
