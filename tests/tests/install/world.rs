//! A cluster without MetalLB, and what both ways to install it have in common.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::{Cluster, Kubectl, Options, Terminal, eventually};

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) kubectl: Kubectl,
    /// The archive with our image.
    pub(crate) image: PathBuf,
}

impl World {
    pub(crate) fn up() -> Result<Self> {
        let image = std::env::var_os("METALLB_IMAGE").map(PathBuf::from);
        let image = image.context("METALLB_IMAGE names no image; `cargo xtask test` builds one")?;
        let options = Options {
            name: "install".parse()?,
            ..Options::default()
        };
        Cluster::down(&options.name)?;
        let cluster = Cluster::up(&options, &mut Terminal::start())?;
        let world = Self {
            kubectl: cluster.admin(),
            cluster,
            image,
        };
        world.cluster.load(&world.image)?;
        world.kubectl.apply(&product::demo_object("web")?)?;
        product::rolled_out(&world.kubectl, "default", "deployment/web")?;
        Ok(world)
    }

    /// Waits until both programs run.
    pub(crate) fn rolled_out(&self, prefix: &str) -> Result<()> {
        for workload in ["deployment", "daemonset"] {
            let component = match workload {
                "deployment" => "controller",
                _ => "speaker",
            };
            let workload = format!("{workload}/{prefix}{component}");
            product::rolled_out(&self.kubectl, NAMESPACE, &workload)?;
        }
        Ok(())
    }

    /// The first things that a user does: a pool, and how to announce it. The page then comes.
    pub(crate) fn configure(&self) -> Result<()> {
        for object in ["pool", "l2advertisement"] {
            let object = product::demo_object(object)?;
            eventually("the configuration is taken", SOON, || {
                Ok(self.kubectl.apply(&object).map_err(|it| it.to_string()))
            })?;
        }
        for address in product::assigned(&self.kubectl, "web", 2)? {
            product::page(&self.cluster, address)?;
        }
        Ok(())
    }

    /// Waits until no pod is left.
    pub(crate) fn no_pods(&self) -> Result<()> {
        eventually("no pod of MetalLB is left", SOON * 3, || {
            let pods = ["-n", NAMESPACE, "get", "pods", "-o", "name"];
            let pods = self.kubectl.output(&pods)?;
            Ok(if pods.is_empty() { Ok(()) } else { Err(pods) })
        })
    }

    pub(crate) fn print_what_happened(&self) {
        let logs = ["-n", NAMESPACE, "logs", "--prefix", "--tail=30", "-l"];
        for arguments in [
            &["get", "pods", "-A", "-o", "wide"][..],
            &["-n", NAMESPACE, "get", "events"],
            &[&logs[..], &["app=metallb"]].concat(),
            &[&logs[..], &["app.kubernetes.io/name=metallb"]].concat(),
        ] {
            println!("--- kubectl {}", arguments.join(" "));
            match self.kubectl.output(arguments) {
                Ok(text) => println!("{text}"),
                Err(error) => println!("{error:#}"),
            }
        }
    }
}

/// Long enough for anything that is decided by a watch, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(15);
