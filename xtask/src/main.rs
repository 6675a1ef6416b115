//! The tasks of this repository: `cargo xtask --help`.

mod bench;
mod cluster;
mod crds;
mod demo;
mod image;
mod steps;
mod test;
mod workspace;

use clap::{Parser, Subcommand};

use crate::steps::Steps;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Builds, runs, tests and generates what this repository holds."
)]
struct Tasks {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// The main job: install, one object, and a page through the Service's address.
    Demo(demo::DemoArgs),
    /// Everything that is tested; ends with one line of counts.
    Test(test::TestArgs),
    /// A real Kubernetes in network namespaces of this machine.
    Cluster(cluster::ClusterArgs),
    /// Build the OCI image with the three static programs.
    Image(image::ImageArgs),
    /// What is claimed about speed, measured beside its bar; fails when one is missed.
    Bench,
    /// Write the CustomResourceDefinitions from their types.
    Crds(Generated),
}

#[derive(Debug, clap::Args)]
struct Generated {
    /// Write nothing; fail when the files are not what would be written.
    #[arg(long)]
    check: bool,
}

fn main() -> std::process::ExitCode {
    match run(Tasks::parse().task) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Cluster(args) => cluster::run(args),
        Task::Bench => bench::run(),
        Task::Crds(args) => crds::run(args.check),
        Task::Image(args) => {
            let image = image::build(&args, &mut Steps::start())?;
            println!("image:    {}", image.archive.display());
            println!("digest:   {}", image.digest);
            println!("unpacked: {} kB", image.unpacked / 1000);
            Ok(())
        }
    }
}
