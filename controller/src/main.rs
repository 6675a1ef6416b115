//! The controller: gives Services of type `LoadBalancer` their addresses.

mod apply;
mod args;
mod condition;
mod configmap;
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
    let ended = match &args.command {
        Some(args::Command::ConvertConfigmap(convert)) => convert.run(),
        None => {
            metallb_kit::log::init(args.log_level);
            run::run(&args)
        }
    };
    if let Err(error) = ended {
        eprintln!(
            "controller: {}",
            metallb_kit::words::in_words(error.as_ref())
        );
        std::process::exit(1);
    }
}
