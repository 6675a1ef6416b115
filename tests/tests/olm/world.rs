//! A cluster with OLM, and what is installed through it.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use metallb_tests::olm::{self, Olm, Publisher};
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::{Cluster, Kubectl, Options, Terminal, asking, eventually};
use serde_json::{Value, json};

use crate::timeline::Timeline;

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) kubectl: Kubectl,
    pub(crate) publisher: Publisher,
}

/// A speaker's pod.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) image: String,
    pub(crate) is_ready: bool,
}

impl World {
    /// OLM is there, the product is not.
    pub(crate) fn up() -> Result<Self> {
        let image = std::env::var_os("METALLB_IMAGE").map(PathBuf::from);
        let image = image.context("METALLB_IMAGE names no image; `cargo xtask test` builds one")?;
        let olm = Olm::build(&mut Terminal::start())?;
        let options = Options {
            name: "olm".parse()?,
            ..Options::default()
        };
        Cluster::down(&options.name)?;
        let cluster = Cluster::up(&options, &mut Terminal::start())?;
        let world = Self {
            kubectl: cluster.admin(),
            publisher: Publisher::new(&olm, &cluster, &image)?,
            cluster,
        };
        olm.install(&world.cluster).inspect_err(|_| {
            world.print_what_happened();
            // The error that brought us here says more.
            let _ = Cluster::down(world.cluster.name());
        })?;
        Ok(world)
    }

    /// What a user applies to have OLM install the package.
    pub(crate) fn subscribe(&self) -> Result<()> {
        olm::subscribe(&self.kubectl)
    }

    /// Waits until a version is installed and its operator runs.
    pub(crate) fn succeeded(&self, version: &str) -> Result<()> {
        olm::succeeded(&self.kubectl, version)
    }

    /// The demo's objects, and a Service that is asked by UDP.
    pub(crate) fn configure(&self) -> Result<()> {
        for object in ["metallb", "pool", "l2advertisement", "web"] {
            self.kubectl.apply(&product::demo_object(object)?)?;
        }
        self.kubectl.apply(&asked_service().to_string())?;
        product::rolled_out(&self.kubectl, "default", "deployment/web")?;
        product::available(&self.kubectl)
    }

    /// Waits until controllers and speakers run from that image, all of them.
    pub(crate) fn runs(&self, image: &str) -> Result<()> {
        olm::runs(&self.kubectl, image)
    }

    /// The addresses of the Service that is asked by UDP, once it answers.
    pub(crate) fn asked(&self) -> Result<Vec<IpAddr>> {
        let addresses = product::assigned(&self.kubectl, ASKED, 2)?;
        for address in &addresses {
            eventually(&format!("{address} is answered for"), SOON, || {
                Ok(self.cluster.who_answers(*address)?.ok_or("nobody answers"))
            })?;
        }
        Ok(addresses)
    }

    pub(crate) fn timeline(&self, asked: &[IpAddr]) -> Result<Timeline> {
        Timeline::start(&self.cluster, asked)
    }

    pub(crate) fn condition(&self, condition: &str, status: &str) -> Result<Value> {
        eventually(&format!("{condition} is {status}"), SOON * 4, || {
            let object = self
                .kubectl
                .json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
            let all = object["status"]["conditions"].as_array().cloned();
            let all = all.unwrap_or_default();
            let wanted = all
                .iter()
                .find(|it| it["type"] == condition && it["status"] == status);
            Ok(wanted.cloned().ok_or_else(|| format!("{all:?}")))
        })
    }

    pub(crate) fn speakers(&self) -> Result<Vec<Speaker>> {
        let pods = ["-n", NAMESPACE, "get", "pods", "-l", "component=speaker"];
        let pods = self.kubectl.json(&pods)?;
        let speaker = |pod: &Value| Speaker {
            image: pod["spec"]["containers"][0]["image"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            is_ready: pod["status"]["containerStatuses"][0]["ready"] == true,
        };
        let items = pods["items"].as_array();
        Ok(items.into_iter().flatten().map(speaker).collect())
    }

    pub(crate) fn subscription(&self) -> Result<Value> {
        let get = ["-n", NAMESPACE, "get", "subscription", "metallb-operator"];
        self.kubectl.json(&get)
    }

    /// Waits until OLM has looked for a newer catalogue once more.
    pub(crate) fn looked_at_the_catalogue(&self) -> Result<()> {
        let looked = || {
            let source = ["-n", olm::NAMESPACE, "get", "catalogsource", "metallb"];
            let source = self.kubectl.json(&source)?;
            Ok::<_, anyhow::Error>(source["status"]["latestImageRegistryPoll"].clone())
        };
        let before = looked()?;
        eventually("OLM looks at the catalogue", SOON * 2, || {
            let now = looked()?;
            Ok(if now == before { Err(now) } else { Ok(()) })
        })
    }

    /// What is the cluster's and comes from the package, but definitions and the roles that OLM
    /// makes of them.
    pub(crate) fn cluster_scoped(&self) -> Result<Vec<String>> {
        let kinds = "clusterroles,clusterrolebindings,validatingwebhookconfigurations,\
                     mutatingwebhookconfigurations,apiservices,priorityclasses";
        let all = self.kubectl.json(&["get", kinds])?;
        let items = all["items"].as_array().cloned().unwrap_or_default();
        let mut left = Vec::new();
        for item in &items {
            let name = item["metadata"]["name"].as_str().unwrap_or_default();
            let labels = item["metadata"]["labels"].to_string();
            let is_ours = name.contains("metallb") || labels.contains("metallb");
            let of_definitions = ["-admin", "-edit", "-view", "-crdview"]
                .iter()
                .any(|end| name.contains("metallb.io-v1beta") && name.ends_with(end));
            // Those of the OperatorGroup stay as long as it does.
            let of_group = name.starts_with("olm.og.");
            let of_api = item["kind"] == "APIService";
            // The operators' own, which waits for nobody's answer: docs/install.md has how it goes.
            let of_operator = name == "metallb-operator-webhook-configuration";
            if is_ours && !of_definitions && !of_group && !of_api && !of_operator {
                left.push(format!("{} {name}", item["kind"]));
            }
        }
        Ok(left)
    }

    pub(crate) fn print_what_happened(&self) {
        for arguments in [
            &["get", "pods", "--all-namespaces", "-o", "wide"][..],
            &[
                "-n",
                NAMESPACE,
                "get",
                "csv,subscription,installplan",
                "-o",
                "wide",
            ],
            &["-n", NAMESPACE, "describe", "subscription"],
            &["-n", NAMESPACE, "describe", "metallb"],
            &["-n", NAMESPACE, "get", "events", "--sort-by=.lastTimestamp"],
            &[
                "-n",
                NAMESPACE,
                "logs",
                "-l",
                "control-plane=controller-manager",
                "--tail=40",
            ],
            &[
                "-n",
                olm::NAMESPACE,
                "logs",
                "-l",
                "app=catalog-operator",
                "--tail=60",
            ],
            &[
                "-n",
                olm::NAMESPACE,
                "logs",
                "-l",
                "app=olm-operator",
                "--tail=40",
            ],
        ] {
            println!("--- kubectl {}", arguments.join(" "));
            match self.kubectl.output(arguments) {
                Ok(text) => println!("{text}"),
                Err(error) => println!("{error:#}"),
            }
        }
    }
}

fn asked_service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": ASKED, "namespace": "default" },
        "spec": {
            "type": "LoadBalancer",
            "ipFamilyPolicy": "RequireDualStack",
            "selector": { "app": "web" },
            "ports": [{ "port": asking::PORT, "protocol": "UDP" }],
        },
    })
}

const ASKED: &str = "asked";
/// Long enough for anything that is decided by a watch, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
