//! What all stories share: a cluster with the product on it, and the words to talk about it.

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Cluster, Kubectl, Options, Place, Terminal, api_faults::ApiFaults, eventually, product,
};
use serde_json::Value;

/// A cluster on which one `MetalLB` object, a pool, an advertisement and a web Service live.
pub(crate) struct Installed {
    pub(crate) cluster: Cluster,
    pub(crate) kubectl: Kubectl,
}

impl Installed {
    /// Starts the cluster and installs the product.
    pub(crate) fn up() -> Result<Self> {
        let name = std::env::var("METALLB_CLUSTER").unwrap_or_else(|_| "stories".to_owned());
        let options = Options {
            name: name.parse()?,
            audit: true,
            ..Options::default()
        };
        if let (true, Ok(cluster)) = (keeps(), Cluster::open(&options.name)) {
            println!("cluster {name} is used as it is");
            return Ok(Self {
                kubectl: cluster.admin(),
                cluster,
            });
        }
        let image = std::env::var_os("METALLB_IMAGE")
            .map(PathBuf::from)
            .context("METALLB_IMAGE names no image; `cargo xtask test cluster` builds one")?;
        Cluster::down(&options.name)?;
        let cluster = Cluster::up(&options, &mut Terminal::start())?;
        let world = Self {
            kubectl: cluster.admin(),
            cluster,
        };
        world.install(&image).inspect_err(|_| {
            world.print_what_happened();
            // The error that brought us here says more.
            let _ = world.down();
        })?;
        Ok(world)
    }

    fn install(&self, image: &std::path::Path) -> Result<()> {
        self.cluster.load(image)?;
        product::install_operator(&self.kubectl, product::IMAGE)?;
        for object in ["metallb", "pool", "l2advertisement", "web"] {
            self.kubectl.apply(&product::demo_object(object)?)?;
        }
        product::available(&self.kubectl)?;
        self.condition(product::NAMESPACE, "metallb", "Ready", "True")?;
        self.show("fresh")?;
        product::rolled_out(&self.kubectl, "default", "deployment/web")
    }

    /// The web Service's addresses; both families.
    pub(crate) fn addresses(&self) -> Result<Vec<IpAddr>> {
        product::assigned(&self.kubectl, "web", 2)
    }

    /// Waits until the page comes from every address of the web Service.
    pub(crate) fn page_answers(&self) -> Result<()> {
        for address in self.addresses()? {
            product::page(&self.cluster, address)?;
        }
        Ok(())
    }

    /// Waits until an Event on the object has this reason and these words in its message; gives
    /// the Event.
    pub(crate) fn event(&self, object: &str, reason: &str, words: &str) -> Result<Value> {
        let (kind, name) = object.split_once('/').context("an object is kind/name")?;
        let field =
            format!("--field-selector=involvedObject.kind={kind},involvedObject.name={name}");
        eventually(&format!("an Event {reason} on {object}"), SOON, || {
            let events = self
                .kubectl
                .json(&["get", "events", "--all-namespaces", &field])?;
            let all: Vec<Value> = events["items"].as_array().cloned().unwrap_or_default();
            let wanted = all.iter().find(|event| {
                event["reason"] == reason
                    && event["message"]
                        .as_str()
                        .is_some_and(|message| message.contains(words))
            });
            Ok(wanted.cloned().ok_or_else(|| {
                let said: Vec<_> = all
                    .iter()
                    .map(|e| format!("{}: {}", e["reason"], e["message"]))
                    .collect();
                format!("{said:?}, wanted {words:?}")
            }))
        })
    }

    /// Waits until the `MetalLB` object's condition has this status; gives the condition.
    pub(crate) fn condition(
        &self,
        namespace: &str,
        name: &str,
        condition: &str,
        status: &str,
    ) -> Result<Value> {
        eventually(
            &format!("{condition}={status} on MetalLB {namespace}/{name}"),
            SOON,
            || {
                let object = self
                    .kubectl
                    .json(&["-n", namespace, "get", "metallb", name])?;
                let conditions = object["status"]["conditions"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let wanted = conditions
                    .iter()
                    .find(|c| c["type"] == condition && c["status"] == status);
                Ok(wanted.cloned().ok_or_else(|| format!("{conditions:?}")))
            },
        )
    }

    /// Waits until that condition of the `MetalLB` object is true and has these words in its message.
    pub(crate) fn says(&self, condition: &str, words: &str, limit: Duration) -> Result<()> {
        let what = format!("{condition} of the MetalLB object says {words:?}");
        eventually(&what, limit, || self.is_said(condition, words))
    }

    /// Asks for this in the `MetalLB` object's spec, given as JSON.
    pub(crate) fn want(&self, spec: &str) -> Result<()> {
        let patch = format!(r#"{{"spec":{spec}}}"#);
        let metallb = ["-n", product::NAMESPACE, "patch", "metallb", "metallb"];
        let merge = ["--type=merge", "-p", &patch];
        self.kubectl
            .output(&[&metallb[..], &merge[..]].concat())
            .map(drop)
    }

    /// Whether that condition of the `MetalLB` object is true and has these words in its message.
    pub(crate) fn is_said(&self, condition: &str, words: &str) -> Result<Result<(), String>> {
        let metallb = ["-n", product::NAMESPACE, "get", "metallb", "metallb"];
        let metallb = self.kubectl.json(&metallb)?;
        let conditions = metallb["status"]["conditions"].as_array().cloned();
        let said = conditions.unwrap_or_default().into_iter().any(|it| {
            let message = it["message"].as_str().unwrap_or_default();
            it["type"] == condition && it["status"] == "True" && message.contains(words)
        });
        Ok(if said {
            Ok(())
        } else {
            Err(metallb["status"].to_string())
        })
    }

    /// Notes how the `MetalLB` object looks to somebody with kubectl, as docs/operate.md shows it: in
    /// `target/shown`.
    pub(crate) fn show(&self, state: &str) -> Result<()> {
        let commands = ["get metallb", "get metallb -o wide", "describe metallb"];
        let shown = commands.map(|command| -> Result<String> {
            let mut arguments = vec!["-n", product::NAMESPACE];
            arguments.extend(command.split(' '));
            let printed = self.kubectl.output(&arguments)?;
            Ok(format!("$ kubectl {}\n{printed}\n", arguments.join(" ")))
        });
        let shown: String = shown.into_iter().collect::<Result<_>>()?;
        let folder = product::path("target/shown");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{state}.txt")), shown)?;
        Ok(())
    }

    /// A Service of type `LoadBalancer` in front of the web pods, with annotations.
    pub(crate) fn apply_service(&self, name: &str, annotations: &[(&str, &str)]) -> Result<()> {
        let annotations: serde_json::Map<_, _> = annotations
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.into()))
            .collect();
        self.kubectl.apply(
            &serde_json::json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": "default", "annotations": annotations},
                "spec": {
                    "type": "LoadBalancer",
                    "selector": {"app": "web"},
                    "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}],
                },
            })
            .to_string(),
        )
    }

    /// An `IPAddressPool` that is only used when it is asked for.
    pub(crate) fn apply_pool(&self, name: &str, addresses: &[&str]) -> Result<()> {
        self.kubectl.apply(
            &serde_json::json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                "metadata": {"name": name, "namespace": product::NAMESPACE},
                "spec": {"addresses": addresses, "autoAssign": false},
            })
            .to_string(),
        )
    }

    /// Deletes an object and waits until it is gone.
    pub(crate) fn delete(&self, namespace: &str, kind: &str, name: &str) -> Result<()> {
        let arguments = ["-n", namespace, "delete", kind, name, "--ignore-not-found"];
        self.kubectl.output(&arguments).map(drop)
    }

    /// The node that answers for an address on the client's segment.
    pub(crate) fn owner(&self, address: IpAddr) -> Result<Place> {
        eventually(&format!("a node answers for {address}"), SOON, || {
            Ok(self.cluster.who_answers(address)?.ok_or("nobody"))
        })
    }

    /// The logs of our programs and the state of their pods, for whoever looks into a failure.
    pub(crate) fn print_what_happened(&self) {
        for arguments in [
            &["get", "pods", "--all-namespaces", "-o", "wide"][..],
            &[
                "-n",
                product::NAMESPACE,
                "get",
                "events",
                "--sort-by=.lastTimestamp",
            ],
            &[
                "-n",
                product::NAMESPACE,
                "logs",
                "-l",
                "control-plane=controller-manager",
                "--tail=40",
            ],
            &[
                "-n",
                product::NAMESPACE,
                "logs",
                "-l",
                "component=controller",
                "--tail=40",
            ],
            &[
                "-n",
                product::NAMESPACE,
                "logs",
                "-l",
                "component=speaker",
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

    pub(crate) fn down(&self) -> Result<()> {
        if keeps() {
            println!("cluster {} is kept", self.cluster.name());
            return Ok(());
        }
        Cluster::down(self.cluster.name())
    }
}

/// Whether the cluster is to be left for the next run, which then finds it installed.
fn keeps() -> bool {
    std::env::var_os("METALLB_KEEP").is_some()
}

/// Puts the proxy before the API server that lets it fail.
pub(crate) fn engage(world: &Installed) -> Result<ApiFaults<'_>> {
    let proxy = [env!("CARGO_BIN_EXE_metallb-api-faults").to_owned()];
    ApiFaults::engage(&world.cluster, &proxy).context("the proxy before the API server")
}

/// Whether stories are told at the length that users' complaints have, as `cargo xtask test
/// operator` does: ten minutes of rest, a minute without API server.
pub(crate) fn is_long() -> bool {
    std::env::var_os("METALLB_LONG").is_some()
}

/// How long it took until `done`, which must be within `limit`.
pub(crate) fn within(
    what: &str,
    limit: Duration,
    done: impl FnOnce() -> Result<()>,
) -> Result<Duration> {
    let started = Instant::now();
    done()?;
    let taken = started.elapsed();
    ensure!(
        taken <= limit,
        "{what}: took {taken:.1?}, at most {limit:.1?} is allowed"
    );
    Ok(taken)
}

/// Long enough for anything that is decided by a watch, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(15);
