//! Three nodes, a client, one Service with an address, and what speakers need to find each other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use metallb_netio::NetworkNamespace;
use metallb_tests::{Cluster, Options, Place, Terminal, WEB, product};
use serde_json::{Value, json};

use super::Kind;

/// The namespace of the speakers and of the configuration.
pub const SYSTEM: &str = "metallb-system";
/// By which the speakers find each other's pods.
pub const LABELS: &str = "app=metallb,component=speaker";

/// The cluster, and what is measured on it.
#[derive(Debug)]
pub struct Rig {
    /// The cluster.
    pub cluster: Cluster,
    /// Our speaker.
    pub speaker: PathBuf,
    /// MetalLB's, if it is measured, too.
    pub metallb: Option<PathBuf>,
    /// The card on which addresses are announced.
    pub nic: u8,
}

impl Rig {
    /// Makes it. With two cards, addresses are on the second one's network and heartbeats on the
    /// first.
    pub fn up(name: &str, speaker: &Path, metallb: Option<&Path>, nics: u8) -> Result<Self> {
        let options = Options {
            name: name.parse()?,
            nodes: 3,
            nics,
            ..Options::default()
        };
        Cluster::down(&options.name)?;
        let rig = Self {
            cluster: Cluster::up(&options, &mut Terminal::start())?,
            speaker: speaker.to_owned(),
            metallb: metallb.map(Path::to_owned),
            nic: nics - 1,
        };
        rig.configure()?;
        Ok(rig)
    }

    /// Removes it.
    pub fn down(self) -> Result<()> {
        Cluster::down(self.cluster.name())
    }

    /// Whose speakers are measured.
    pub fn kinds(&self) -> Vec<Kind> {
        let peer = self.metallb.is_some().then_some(Kind::Metallb);
        [Kind::Ours].into_iter().chain(peer).collect()
    }

    /// The address that is asked for.
    pub fn address(&self) -> Ipv4Addr {
        if self.nic == 0 {
            Ipv4Addr::new(192, 0, 2, 200)
        } else {
            Ipv4Addr::new(198, 51, 100, 200)
        }
    }

    /// Where datagrams are said back.
    pub fn echo(&self) -> SocketAddr {
        (self.address(), ECHO).into()
    }

    /// The key under which heartbeats are sealed: a folder, as a Secret is mounted.
    pub fn key(&self) -> PathBuf {
        self.cluster.directory().join("memberlist")
    }

    /// An administrator's kubeconfig that works on the nodes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster.directory().join("nodes.kubeconfig")
    }

    /// Runs inside the control plane's network, beside the API server.
    pub fn beside_the_server<T: Send>(
        &self,
        work: impl AsyncFnOnce(kube::Client) -> Result<T> + Send,
    ) -> Result<T> {
        let inside = format!("/run/netns/{}", self.cluster.netns(Place::ControlPlane));
        let namespace = NetworkNamespace::open(inside.as_ref())?;
        namespace.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async { work(crate::load::connect(&self.cluster).await?).await })
        })?
    }

    /// Makes objects.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        self.cluster.apply(&list.to_string())
    }

    /// Makes a Service with this address in its status, as the controller would.
    pub fn assign(&self, service: &str, ip: Ipv4Addr) -> Result<()> {
        let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": ip }] } } });
        self.cluster.kubectl_output(&[
            "patch",
            "service",
            service,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status.to_string(),
        ])?;
        Ok(())
    }

    fn configure(&self) -> Result<()> {
        let crds = product::path("crds").display().to_string();
        self.cluster
            .kubectl_output(&["apply", "--server-side", "-f", &crds])?;
        self.cluster
            .kubectl_output(&["wait", "--for=condition=Established", "crd", "--all"])?;
        self.cluster
            .kubectl_output(&["create", "namespace", SYSTEM])?;
        // Pods are refused until their account is there.
        let account = [
            "-n",
            SYSTEM,
            "wait",
            "serviceaccount/default",
            "--for=create",
        ];
        self.cluster.kubectl_output(&account)?;
        self.let_metallb_read()?;
        fs::create_dir_all(self.key())?;
        fs::write(self.key().join("secretkey"), "a secret of these benches")?;
        let local = fs::read_to_string(self.cluster.local_kubeconfig())?;
        let server = Place::ControlPlane.address().v4.to_string();
        fs::write(self.kubeconfig(), local.replace("127.0.0.1", &server))?;
        let nodes = self.cluster.nodes().into_iter();
        let mut objects: Vec<_> = nodes.map(|node| pod(node, Kind::Metallb)).collect();
        objects.extend(configuration(self.nic));
        objects.extend(web());
        self.apply(&objects)?;
        self.assign("web", self.address())?;
        for node in self.cluster.nodes() {
            let node = node.to_string();
            self.cluster
                .kubectl_output(&["label", "node", &node, ANNOUNCES])?;
        }
        product::rolled_out(&self.cluster.admin(), "default", "deployment/web")?;
        self.wait_for_pods()
    }

    /// Has another pod stand for a node's speaker.
    pub fn replace_pod(&self, node: Place, kind: Kind) -> Result<()> {
        let name = speaker_pod(node);
        self.cluster
            .kubectl_output(&["-n", SYSTEM, "delete", "pod", &name])?;
        self.apply(&[pod(node, kind)])?;
        self.wait_for_pods()
    }

    fn wait_for_pods(&self) -> Result<()> {
        let ready = [
            "-n",
            SYSTEM,
            "wait",
            "pods",
            "--all",
            "--for=condition=Ready",
        ];
        self.cluster
            .kubectl_output(&ready)
            .context("the pods that stand for speakers")?;
        Ok(())
    }

    /// MetalLB's programs do not start without the old version of this kind.
    fn let_metallb_read(&self) -> Result<()> {
        let served = |version| json!({ "op": "replace", "path": format!("/spec/versions/{version}/served"), "value": true });
        let patch = json!([served(0), served(1)]).to_string();
        let crd = "bgppeers.metallb.io";
        self.cluster
            .kubectl_output(&["patch", "crd", crd, "--type=json", "-p", &patch])?;
        Ok(())
    }
}

/// A pod that only waits, in the place of a speaker's: the speakers find each other by these. Ours
/// tell each other from MetalLB's where their pods say so.
fn pod(node: Place, kind: Kind) -> Value {
    let annotations = match kind {
        Kind::Ours => json!({ HEARTBEATS: "ring" }),
        Kind::Metallb => json!({}),
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": speaker_pod(node), "namespace": SYSTEM, "annotations": annotations,
            "labels": { "app": "metallb", "component": "speaker" },
        },
        "spec": {
            "nodeName": node.to_string(), "hostNetwork": true,
            "tolerations": [{ "operator": "Exists" }],
            "containers": [{
                "name": "speaker", "image": WEB, "imagePullPolicy": "IfNotPresent", "args": ["pause"],
            }],
        },
    })
}

/// The name of the pod that stands for a node's speaker.
pub fn speaker_pod(node: Place) -> String {
    format!("speaker-{node}")
}

/// What is announced, and on which card: addresses of one network mean nothing on the other.
fn configuration(nic: u8) -> [Value; 2] {
    let object = |kind: &str, spec: Value| {
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": kind,
            "metadata": { "name": "bench", "namespace": SYSTEM }, "spec": spec,
        })
    };
    let (label, value) = ANNOUNCES.split_once('=').expect("a label has a value");
    let addresses = ["192.0.2.200/32", "198.51.100.200/32", "10.0.0.0/16"];
    let advertisement = json!({
        "interfaces": [format!("eth{nic}")],
        "nodeSelectors": [{ "matchLabels": { label: value } }],
    });
    [
        object("IPAddressPool", json!({ "addresses": addresses })),
        object("L2Advertisement", advertisement),
    ]
}

fn web() -> [Value; 2] {
    let labels = json!({ "app": "web" });
    let container = json!({
        "name": "web", "image": WEB, "imagePullPolicy": "IfNotPresent",
        "args": ["netexec", "--http-port=8080", "--udp-port=8081"],
        // Without, it is the last that a busy machine lets run.
        "resources": { "requests": { "cpu": "100m" } },
    });
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "default" },
            "spec": {
                "replicas": 2, "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" },
            "spec": {
                "type": "LoadBalancer", "selector": labels, "ipFamilyPolicy": "SingleStack",
                "ports": [{ "name": "echo", "protocol": "UDP", "port": ECHO, "targetPort": 8081 }],
            },
        }),
    ]
}

/// The label of nodes that may announce.
pub const ANNOUNCES: &str = "bench/announces=yes";
/// The mark of our pods.
const HEARTBEATS: &str = "metallb.io/heartbeats";
/// The Service's port.
const ECHO: u16 = 81;
