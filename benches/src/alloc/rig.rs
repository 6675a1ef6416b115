//! etcd and the API server alone, with our kinds, one pool and room for many Services.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kube::{Api, Client};
use metallb_benches::load;
use metallb_benches::service::{self, ADDRESS, Service};
use metallb_tests::{Cluster, Options, Terminal, product};
use serde_json::{Value, json};

use crate::Args;
use crate::board::Board;
use crate::program::{Kind, Program};

/// The namespace of the configuration.
pub(crate) const SYSTEM: &str = "metallb-system";
/// The pool of whoever asks for nothing else.
const POOL: &str = "bench";
/// The namespace of the Services.
pub(crate) const NAMESPACE: &str = "bench";

/// The rig, ready for measurements. Between two of them no controller runs.
pub(crate) struct Rig {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) services: Api<Service>,
    pub(crate) board: Board,
    pub(crate) controller: PathBuf,
    pub(crate) null_controller: PathBuf,
    pub(crate) metallb: Option<PathBuf>,
    pub(crate) rounds: usize,
    pub(crate) patience: Duration,
    pub(crate) beside: u32,
    pub(crate) nodes: u32,
    pub(crate) busy_for: Duration,
}

impl Rig {
    /// Starts the API server and tells it our kinds.
    pub(crate) fn up() -> Result<Cluster> {
        let options = Options {
            name: "bench".parse()?,
            nodes: 0,
            ..Options::default()
        };
        Cluster::down(&options.name)?;
        let cluster = Cluster::up(&options, &mut Terminal::start())?;
        let kubectl = cluster.admin();
        kubectl.output(&[
            "apply",
            "--server-side",
            "-f",
            &product::path("crds").display().to_string(),
        ])?;
        kubectl.output(&["wait", "--for=condition=Established", "crd", "--all"])?;
        // MetalLB's controller does not start without the old version of this kind.
        let served = |version| json!({ "op": "replace", "path": format!("/spec/versions/{version}/served"), "value": true });
        let patch = json!([served(0), served(1)]).to_string();
        kubectl.output(&[
            "patch",
            "crd",
            "bgppeers.metallb.io",
            "--type=json",
            "-p",
            &patch,
        ])?;
        for namespace in [SYSTEM, NAMESPACE] {
            kubectl.output(&["create", "namespace", namespace])?;
        }
        Ok(cluster)
    }

    /// Makes the other things that all measurements share. To be called inside the control plane's namespace.
    pub(crate) async fn start(args: &Args, cluster: Cluster) -> Result<Self> {
        let client = load::connect(&cluster).await?;
        let rig = Self {
            services: Api::namespaced(client.clone(), NAMESPACE),
            board: Board::start(client.clone(), NAMESPACE).await?,
            client,
            cluster,
            controller: args.controller.clone(),
            null_controller: args.null_controller.clone(),
            metallb: args.metallb.clone(),
            rounds: args.rounds,
            patience: Duration::from_secs(args.patience),
            beside: args.beside,
            nodes: args.nodes,
            busy_for: Duration::from_mins(args.minutes),
        };
        rig.pool(POOL, &[&format!("{}/16", service::FIRST)], true)
            .await?;
        rig.learn_what_to_write().await?;
        Ok(rig)
    }

    /// Makes an `IPAddressPool`.
    pub(crate) async fn pool(
        &self,
        name: &str,
        addresses: &[&str],
        auto_assign: bool,
    ) -> Result<()> {
        let path = format!("/apis/metallb.io/v1beta1/namespaces/{SYSTEM}/ipaddresspools");
        let pool = json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": { "name": name },
            "spec": { "addresses": addresses, "autoAssign": auto_assign },
        });
        load::post(&self.client, &path, &pool).await
    }

    /// Brings the number of Services to `count`, all with their addresses, by our controller.
    pub(crate) async fn fill(&self, count: u32) -> Result<()> {
        let controller = Program::start(self, Kind::Ours(1)).await?;
        let known = self.board.addresses();
        let missing: Vec<_> = (0..count)
            .map(service::name)
            .filter(|name| !known.contains_key(name.as_str()))
            .map(|name| load::service(&name, &[]))
            .collect();
        load::create(&self.services, missing).await?;
        let count = usize::try_from(count)?;
        self.board
            .until("all have an address", MANY, |seen| {
                (seen.assigned == count && seen.services_count == count).then_some(())
            })
            .await?;
        self.counted(count).await?;
        controller.stop().await
    }

    /// Waits until the pool's status tells of this many Services: it follows behind theirs.
    async fn counted(&self, count: usize) -> Result<()> {
        let path = format!("/apis/metallb.io/v1beta1/namespaces/{SYSTEM}/ipaddresspools/{POOL}");
        let started = Instant::now();
        loop {
            let pool = self.get(&path).await?;
            if pool["status"]["assignedIPv4"] == count {
                return Ok(());
            }
            ensure!(
                started.elapsed() < MANY,
                "{path} still says {}",
                pool["status"]
            );
            // The pace of looking for the condition above, five times in the second between two
            // writes of the status.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deletes all Services. No controller should run.
    pub(crate) async fn clear(&self) -> Result<()> {
        let names: Vec<_> = self.board.names();
        load::delete(&self.services, names).await?;
        self.board
            .until("all are gone", MANY, |seen| {
                (seen.services_count == 0).then_some(())
            })
            .await
    }

    /// Where the null controller finds what to write.
    pub(crate) fn template(&self) -> PathBuf {
        self.cluster.directory().join("template.json")
    }

    /// One Service is served by our controller, and what that wrote is what the null controller
    /// writes.
    async fn learn_what_to_write(&self) -> Result<()> {
        let controller = Program::start(self, Kind::Ours(1)).await?;
        let name = service::name(0);
        load::create(&self.services, vec![load::service(&name, &[])]).await?;
        let (_, address) = self.board.assigned(&name, MANY).await?;
        controller.stop().await?;
        let written = self.services.get(&name).await?;
        let template = json!({
            "annotations": written.metadata.annotations,
            "status": written.status,
        });
        let template = template.to_string().replace(&address, ADDRESS);
        std::fs::write(self.template(), template)?;
        self.clear().await
    }

    /// The GET of any path.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let request = http::Request::get(path).body(Vec::new())?;
        self.client
            .request(request)
            .await
            .with_context(|| format!("GET {path}"))
    }
}

/// Long enough for thousands of writes on a busy machine.
pub(crate) const MANY: Duration = Duration::from_mins(10);
