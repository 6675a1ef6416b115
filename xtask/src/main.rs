//! The tasks of this repository: `cargo xtask --help`.

mod cluster;
mod image;
mod steps;
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
    /// A real Kubernetes in network namespaces of this machine.
    Cluster(cluster::ClusterArgs),
    /// Build the OCI image with the three static programs.
    Image(image::ImageArgs),
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
        Task::Cluster(args) => cluster::run(args),
        Task::Image(args) => {
            let image = image::build(&args, &mut Steps::start())?;
            println!("image:    {}", image.archive.display());
            println!("digest:   {}", image.digest);
            println!("unpacked: {} kB", image.unpacked / 1000);
            Ok(())
        }
    }
}
