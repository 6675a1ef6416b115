//! The tasks of this repository: `cargo xtask --help`.

mod bench;
mod bundle;
mod cluster;
mod demo;
mod generated;
mod image;
mod soak;
mod steps;
mod test;
mod workspace;

use clap::{Parser, Subcommand};
use metallb_tests::routers;

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
    /// Random courses of events by the million; prints the seed of one that fails.
    Soak(soak::SoakArgs),
    /// A real Kubernetes in network namespaces of this machine.
    Cluster(cluster::ClusterArgs),
    /// Fetch the routers of another release of Debian, such as `trixie`, to test with.
    Routers {
        /// The release, by its name.
        release: String,
    },
    /// Build the OCI image with the three static programs.
    Image(image::ImageArgs),
    /// What is claimed about speed, measured beside its bar; fails when one is missed.
    Bench(bench::BenchArgs),
    /// Write the definitions of our kinds (CRDs) from the API's types.
    Crds(generated::GeneratedArgs),
    /// Write the manifests to apply, and the chart's definitions, from the operator's renderer.
    Manifests(generated::GeneratedArgs),
    /// Write the OLM bundle and its catalogue from the operator's renderer.
    Bundle(bundle::BundleArgs),
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
        Task::Soak(args) => soak::run(&args),
        Task::Cluster(args) => cluster::run(args),
        Task::Routers { release } => {
            let root = routers::of_release(&release)?;
            println!("{}={} cargo xtask test bgp", routers::ROOT, root.display());
            Ok(())
        }
        Task::Bench(args) => bench::run(&args),
        Task::Crds(args) => generated::crds(&args),
        Task::Manifests(args) => generated::manifests(&args),
        Task::Bundle(args) => bundle::run(&args),
        Task::Image(args) => {
            let image = image::build(&args, &mut Steps::start())?;
            println!("image:    {}", image.archive.display());
            println!("digest:   {}", image.digest);
            println!("unpacked: {} kB", image.unpacked / 1000);
            Ok(())
        }
    }
}
