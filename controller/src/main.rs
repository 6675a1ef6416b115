//! The controller: gives Services of type `LoadBalancer` their addresses.

mod apply;
mod args;
mod condition;
mod control;
mod decide;
#[cfg(test)]
mod fixtures;
mod index;
mod memberlist;
mod metrics;
mod program;
mod run;
mod service;
#[cfg(test)]
mod simulation;
mod watched;
mod webhook;
mod wish;
#[cfg(test)]
mod world;

fn main() {
    let args: args::Args = metallb_kit::args::parse();
    metallb_kit::log::init(args.log_level);
    if let Err(error) = run::run(&args) {
        eprintln!("controller: {error:#}");
        std::process::exit(1);
    }
}
