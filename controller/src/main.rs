//! The controller: gives Services of type `LoadBalancer` their addresses.

mod apply;
mod args;
mod control;
mod decide;
#[cfg(test)]
mod fixtures;
mod index;
mod memberlist;
mod metrics;
mod run;
mod service;
#[cfg(test)]
mod simulation;

fn main() {
    let args: args::Args = metallb_kit::args::parse();
    metallb_kit::log::init(args.log_level);
    if let Err(error) = run::run(&args) {
        eprintln!("controller: {error:#}");
        std::process::exit(1);
    }
}
