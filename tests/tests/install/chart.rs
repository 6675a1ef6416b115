//! A release of the chart from its installation to its end, with a client that never stops.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::{Helm, helm};
use serde_json::json;

use crate::world::{SOON, World};

/// Installed, upgraded to the next version with another value, rolled back, and uninstalled: nobody
/// who uses the Service notices an upgrade, and pools outlive the release.
pub(crate) fn upgraded_and_rolled_back(world: &World) -> Result<()> {
    let release = Release::prepare(world)?;
    let (old, new) = (release.package("1.0.0")?, release.package("1.1.0")?);
    release.run(&["install", "metallb", &old, "--create-namespace"])?;
    world.rolled_out("metallb-")?;
    world.configure()?;

    let address = product::assigned(&world.kubectl, "web", 2)?[0];
    let change = |what: &str, arguments: &[&str], (version, level): (&str, &str)| {
        let used = world.cluster.use_while(address, |watch| {
            let owner = watch.settled(SOON)?;
            release.run(arguments)?;
            world.rolled_out("metallb-")?;
            // Each node has its turn, and the one that had the address takes it back.
            watch.settled_at(owner, SOON * 2)
        })?;
        println!("  helm {what}:");
        used.without_a_gap(MOVES)?;
        release.runs(version, level)
    };
    let debug = ["--set", "speaker.logLevel=debug"];
    let upgrade = [&["upgrade", "metallb", &new][..], &debug].concat();
    change("upgrade", &upgrade, ("1.1.0", "debug"))?;
    change("rollback", &["rollback", "metallb"], ("1.0.0", "info"))?;

    release.run(&["uninstall", "metallb"])?;
    world.no_pods()?;
    let pool = ["-n", NAMESPACE, "get", "ipaddresspool", "demo"];
    world.kubectl.output(&pool)?;
    ensure!(
        product::addresses(&world.kubectl, "web")?.contains(&address),
        "the Service's status changed"
    );
    // What stayed is found.
    release.run(&["install", "metallb", &new])?;
    world.rolled_out("metallb-")?;
    product::page(&world.cluster, address)?;
    release.run(&["uninstall", "metallb"])?;
    world.no_pods()
}

/// Helm, and the packages of two versions of the chart.
struct Release<'a> {
    world: &'a World,
    helm: Helm,
    folder: PathBuf,
}

impl<'a> Release<'a> {
    /// Both versions of the image can be pulled, as from anybody's registry.
    fn prepare(world: &'a World) -> Result<Self> {
        for version in ["1.0.0", "1.1.0"] {
            let name = format!("metallb:{version}");
            world.cluster.push(&world.image, &name)?;
        }
        let folder = world.cluster.directory().join("chart");
        fs::create_dir_all(&folder)?;
        Ok(Self {
            world,
            helm: helm()?.on(world.cluster.kubeconfig()),
            folder,
        })
    }

    /// The chart as one version of it has it; the file.
    fn package(&self, version: &str) -> Result<String> {
        let chart = product::path("charts/metallb");
        let arguments = [
            "package",
            text(&chart)?,
            "--version",
            version,
            "--app-version",
            version,
            "--destination",
            text(&self.folder)?,
        ];
        self.helm.output(&arguments, "")?;
        let file = self.folder.join(format!("metallb-{version}.tgz"));
        text(&file).map(str::to_owned)
    }

    /// Does something with the release, in its namespace and with its values, and waits for the end.
    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut arguments = arguments.to_vec();
        arguments.extend(["-n", NAMESPACE, "--wait", "--timeout", "2m"]);
        let image = json!({ "repository": "192.0.2.2:5000/metallb" });
        let values = json!({ "controller": { "image": image }, "speaker": { "image": image } });
        if ["install", "upgrade"].contains(&arguments[0]) {
            arguments.extend(["-f", "-"]);
        }
        self.helm.output(&arguments, &values.to_string()).map(drop)
    }

    /// The speakers are of this version, and log as much.
    fn runs(&self, version: &str, level: &str) -> Result<()> {
        let get = ["-n", NAMESPACE, "get", "daemonset", "metallb-speaker"];
        let speaker = self.world.kubectl.json(&get)?;
        let container = &speaker["spec"]["template"]["spec"]["containers"][0];
        let image = container["image"].as_str().unwrap_or_default();
        ensure!(image.ends_with(version), "{image} runs, not {version}");
        let args = container["args"].to_string();
        ensure!(args.contains(&format!("--log-level={level}")), "{args}");
        Ok(())
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// An address moves at most so often while each of three speakers is replaced.
const MOVES: usize = 4;
