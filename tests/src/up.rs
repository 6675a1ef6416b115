//! Bringing a cluster up.

use std::{fmt::Write as _, fs, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use crate::{
    cluster::Cluster,
    control_plane, interrupt, kube, kubeconfig, machine, node,
    options::Options,
    pki,
    place::Place,
    progress::Progress,
    state::{Files, State},
    teardown, topology,
    wait::eventually,
};

impl Cluster {
    /// Builds what is not built, clears what an earlier run of that name left, and starts the
    /// cluster; all nodes are Ready when it returns.
    ///
    /// On failure and on Ctrl-C it takes down what it had started. Where something is missing that
    /// it may not install, or the kernel or the rights do not do, the error says what to do.
    pub fn up(options: &Options, progress: &mut dyn Progress) -> Result<Self> {
        options.check()?;
        interrupt::watch();
        machine::prepare(options, progress)?;
        let kube = kube::ensure_built(options.kubernetes.release(), progress)?;

        let files = Files::of(&options.name);
        let _busy = files.lock()?;
        if let Ok(running) = Self::open(&options.name)
            && running.complete()
            && running.process("kube-apiserver").is_ok()
        {
            let name = &options.name;
            bail!(
                "cluster {name} is running already; `cargo xtask cluster down --name {name}` ends it"
            );
        }
        if teardown::clear(&options.name)? {
            progress.note("cleared what an earlier run left");
        }
        for dir in [files.pki(), files.pids(), files.logs()] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let state = State {
            options: options.clone(),
            kube,
            api_port: 0,
            complete: false,
        };
        let mut cluster = Self { state, files };
        if let Err(error) = cluster.start(progress) {
            interrupt::clear();
            progress.step("taking down what had been started");
            let tails = cluster.last_words();
            teardown::clear(&options.name).context("and then it could not be taken down whole")?;
            return Err(anyhow!("{error:#}{tails}"));
        }
        Ok(cluster)
    }

    fn start(&mut self, progress: &mut dyn Progress) -> Result<()> {
        self.state.write(&self.files)?;
        progress.step("making namespaces, bridges and cables");
        topology::build(self)?;
        for place in self.places() {
            fs::create_dir_all(self.files.of_place(place))?;
        }
        progress.step("making certificates");
        pki::write(&self.files.pki(), self.options())?;
        kubeconfig::write_all(&self.files.pki(), self.options())?;

        progress.step("starting etcd and kube-apiserver, and containerd on every node");
        control_plane::start(self)?;
        self.state.api_port = control_plane::open_to_host(self)?;
        self.state.write(&self.files)?;
        self.on_all_nodes(node::start_containerd, |cluster| {
            control_plane::wait_until_serving(cluster)?;
            if cluster.options().nodes == 0 {
                return Ok(());
            }
            progress.step("starting kube-controller-manager and kube-scheduler, and the kubelets");
            control_plane::start_controllers(cluster)
        })?;
        self.on_all_nodes(node::start_kubelet, |_| Ok(()))?;

        progress.step("waiting until all nodes are Ready");
        self.start_routers()?;
        self.wait_until_ready(Duration::from_mins(1))?;
        self.state.complete = true;
        self.state.write(&self.files)?;
        progress.step("all nodes are Ready");
        Ok(())
    }

    /// Waits until every node is Ready, which takes the API server, the kubelets and the pod
    /// network, and takes pods: its taints go a moment later, and one node alone would get them all.
    pub fn wait_until_ready(&self, timeout: Duration) -> Result<()> {
        eventually("all nodes to be Ready", timeout, || {
            let nodes = self.get("/api/v1/nodes")?;
            let nodes = nodes["items"]
                .as_array()
                .context("the API server lists no nodes")?;
            let ready = nodes
                .iter()
                .filter(|node| is_ready(node) && takes_pods(node));
            let ready = ready.count();
            if ready == usize::from(self.options().nodes) {
                return Ok(Ok(()));
            }
            Ok(Err(format!("{} registered, {ready} Ready", nodes.len())))
        })
    }

    /// Runs `each` for all nodes side by side, and `meanwhile` beside them.
    pub(crate) fn on_all_nodes(
        &self,
        each: impl Fn(&Self, Place) -> Result<()> + Sync,
        meanwhile: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let each = &each;
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .nodes()
                .into_iter()
                .map(|node| scope.spawn(move || each(self, node)))
                .collect();
            let mut result = meanwhile(self);
            for thread in threads {
                let ended = thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a thread panicked")));
                result = result.and(ended);
            }
            result
        })
    }

    /// The ends of the logs, which a teardown is about to remove.
    fn last_words(&self) -> String {
        let mut text = String::new();
        for program in self.programs() {
            if self.process(&program).is_ok() {
                continue;
            }
            let Ok(log) = self
                .logs(&program)
                .and_then(|path| Ok(fs::read_to_string(path)?))
            else {
                continue;
            };
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines
                .get(lines.len().saturating_sub(5)..)
                .unwrap_or_default()
                .join("\n  ");
            let _ = write!(text, "\n{program} had ended, its last words:\n  {tail}");
        }
        text
    }
}

/// Whether Kubernetes itself keeps no pods away, as it does from nodes that are not Ready.
fn takes_pods(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let mut keys = taints.filter_map(|taint| taint["key"].as_str());
    !keys.any(|key| key.starts_with("node.kubernetes.io/"))
}

fn is_ready(node: &Value) -> bool {
    node["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        })
}
