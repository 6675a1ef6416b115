//! Nodes and the programs on them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use metallb_tests::faults::Target;
use metallb_tests::{Cluster, Place, WEB, eventually};
use serde_json::json;

pub(crate) fn exec(cluster: &Cluster) -> Result<()> {
    for place in cluster.places() {
        let addresses = cluster.output(place, &["ip", "addr", "show"])?;
        let own = format!("inet {}/24", place.address().v4);
        ensure!(
            addresses.contains(&own),
            "{place} has no {own}: {addresses}"
        );
    }
    for node in cluster.nodes() {
        let name = cluster.output(node, &["hostname"])?;
        ensure!(
            name.trim() == node.to_string(),
            "{node} calls itself {name}"
        );
    }
    let failed = cluster.output(Place::Client, &["sh", "-c", "echo why >&2; exit 7"]);
    let error = failed
        .err()
        .context("a failed command was no error")?
        .to_string();
    ensure!(
        error.contains("exit status: 7") && error.contains("why"),
        "{error}"
    );
    Ok(())
}

pub(crate) fn load(cluster: &Cluster) -> Result<()> {
    let name = "verbs.example/empty:1";
    let archive = cluster.directory().join("empty.tar");
    write_image(&archive, name)?;
    for node in cluster.nodes() {
        ensure!(
            !images(cluster, node)?.contains(name),
            "{node} has the image already"
        );
    }
    cluster.load(&archive)?;
    for node in cluster.nodes() {
        let images = images(cluster, node)?;
        ensure!(images.contains(name), "{node} has {images}");
    }
    Ok(())
}

pub(crate) fn logs(cluster: &Cluster) -> Result<()> {
    for program in ["kube-apiserver", "etcd", "n1/kubelet", "n2/containerd"] {
        let log = cluster.logs(program)?;
        ensure!(fs::metadata(&log)?.len() > 0, "{} is empty", log.display());
    }
    let error = cluster
        .logs("n1/nothing")
        .err()
        .context("a log of nothing")?
        .to_string();
    ensure!(
        error.contains("n1/kubelet"),
        "{error} names no program that there is"
    );
    Ok(())
}

/// Through the command line itself, and a real shell.
pub(crate) fn env(cluster: &Cluster) -> Result<()> {
    let printed = xtask(&["cluster", "env", cluster.name().as_str()])?;
    let script = "eval \"$0\"; echo $KUBECONFIG; ip -n $NETNS_N1 addr; ip -n $NETNS_CLIENT addr";
    let output = Command::new("sh").args(["-c", script, &printed]).output()?;
    let seen = String::from_utf8(output.stdout)?;
    let kubeconfig = cluster.kubeconfig();
    for wanted in [
        kubeconfig.to_str().context("a path in UTF-8")?,
        "192.0.2.11/24",
        "192.0.2.4/24",
    ] {
        ensure!(seen.contains(wanted), "no {wanted} in {seen}");
    }
    Ok(())
}

pub(crate) fn freeze_program(cluster: &Cluster) -> Result<()> {
    let kubelets = Target::program("kubelet");
    let one = Target::program_in(Place::Node(1), "kubelet");
    ensure!(
        cluster.find(&kubelets)?.len() == 2,
        "two nodes have two kubelets"
    );
    cluster.freeze(&one)?;
    let states = states(cluster, &kubelets)?;
    ensure!(
        states.chars().filter(|state| *state == 'T').count() == 1,
        "{states}"
    );
    cluster.thaw(&one)?;
    let states = self::states(cluster, &kubelets)?;
    ensure!(!states.contains('T'), "{states}");

    let api = "apiserver".parse::<Target>()?;
    cluster.freeze(&api)?;
    let asked = cluster.kubectl_output(&["get", "--raw", "/healthz", "--request-timeout=1s"]);
    cluster.thaw(&api)?;
    ensure!(asked.is_err(), "a frozen API server answered {asked:?}");
    cluster.wait_until_ready(SOON)?;

    let nothing = cluster.freeze(&Target::program("nothing"));
    let error = nothing.err().context("nothing was frozen")?.to_string();
    ensure!(error.contains("no process nothing"), "{error}");
    Ok(())
}

pub(crate) fn freeze_node(cluster: &Cluster) -> Result<()> {
    let node = Place::Node(1);
    let n1 = Target::Node(node);
    let answers = || kubelet_answers(cluster).and_then(|_| page(cluster, node));
    start_pod(cluster, node)?;
    eventually("kubelet and pod of n1", SOON, || {
        answers().map(Ok::<_, String>)
    })?;
    cluster.freeze(&n1)?;
    let before = cpu_time(cluster, &n1)?;
    let asked = (kubelet_answers(cluster), page(cluster, node));
    let after = cpu_time(cluster, &n1)?;
    cluster.thaw(&n1)?;
    ensure!(asked.0.is_err(), "the kubelet of a frozen node answered");
    ensure!(asked.1.is_err(), "a pod of a frozen node answered");
    ensure!(
        before == after,
        "a frozen node used {} ticks",
        after - before
    );
    eventually("kubelet and pod of n1", SOON, || {
        answers().map(Ok::<_, String>)
    })?;
    cluster.wait_until_ready(SOON)
}

pub(crate) fn kill_and_revive(cluster: &Cluster) -> Result<()> {
    let n2 = Place::Node(2);
    start_pod(cluster, n2)?;
    let pods = cluster.pod_processes(n2)?;
    ensure!(!pods.is_empty(), "the pod has no process");
    let before = cluster.processes(n2)?;
    ensure!(
        before.is_superset(&pods),
        "a pod's process is none of its node's"
    );
    ensure!(cluster.revive(n2).is_err(), "a running node was revived");
    cluster.kill(n2)?;
    let left: Vec<_> = before.iter().filter(|process| process.alive()).collect();
    ensure!(
        left.is_empty() && cluster.processes(n2)?.is_empty(),
        "{left:?} live"
    );
    let kubelets = cluster.find(&Target::program("kubelet"))?;
    ensure!(kubelets.len() == 1, "the other node's kubelet went too");
    cluster.revive(n2)?;
    // Its pod starts again by itself, in the pace that the kubelet has for containers that ended.
    eventually("the page of the pod on n2", SOON * 2, || {
        page(cluster, n2).map(Ok::<_, String>)
    })?;
    cluster.wait_until_ready(SOON)
}

/// Starts the pod `web-NODE` on a node and waits for its page.
pub(crate) fn start_pod(cluster: &Cluster, node: Place) -> Result<()> {
    let name = pod(node);
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "nodeName": node.to_string(),
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "web", "image": WEB, "imagePullPolicy": "IfNotPresent" }],
        },
    });
    eventually("the pod to be taken", SOON, || {
        // The namespace's service account may still be on its way.
        cluster.apply(&manifest.to_string()).map(Ok::<_, String>)
    })?;
    eventually(&format!("a page of {name}"), SOON, || {
        page(cluster, node).map(Ok::<_, String>)
    })?;
    Ok(())
}

/// The name of the pod that [`start_pod`] starts.
pub(crate) fn pod(node: Place) -> String {
    format!("web-{node}")
}

/// What the pod of a node answers at its own address.
fn page(cluster: &Cluster, node: Place) -> Result<String> {
    let address = [
        "-n",
        "default",
        "get",
        "pod",
        &pod(node),
        "-o",
        "jsonpath={.status.podIP}",
    ];
    let address = cluster.kubectl_output(&address)?;
    let url = format!("http://{address}:8080/hostname");
    let page = cluster.output(Place::ControlPlane, &["curl", "-sS", "-m", "1", &url])?;
    ensure!(
        page.trim() == pod(node),
        "{page:?} instead of {}",
        pod(node)
    );
    Ok(page)
}

/// The kubelet of n1 says that it is well, asked by the client.
fn kubelet_answers(cluster: &Cluster) -> Result<String> {
    let url = format!("https://{}:10250/healthz", Place::Node(1).address().v4);
    let curl = [
        "curl",
        "-sk",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-m",
        "1",
        &url,
    ];
    // It answers 401 to strangers, and that is an answer.
    cluster.output(Place::Client, &curl)
}

/// The state letters of proc(5) of all processes that are meant.
fn states(cluster: &Cluster, target: &Target) -> Result<String> {
    let stats = stats(cluster, target)?;
    Ok(stats
        .iter()
        .filter_map(|stat| stat.chars().next())
        .collect())
}

/// Clock ticks that the processes have used together.
fn cpu_time(cluster: &Cluster, target: &Target) -> Result<u64> {
    let ticks = |stat: &String| {
        let mut fields = stat.split(' ').skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some(next()? + next()?)
    };
    Ok(stats(cluster, target)?.iter().filter_map(ticks).sum())
}

/// /proc/PID/stat from the state on.
fn stats(cluster: &Cluster, target: &Target) -> Result<Vec<String>> {
    let read = |pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let after_name = |stat: String| Some(stat.rsplit_once(") ")?.1.to_owned());
    let found = cluster.find(target)?;
    Ok(found
        .iter()
        .filter_map(|process| after_name(read(process.pid())?))
        .collect())
}

fn images(cluster: &Cluster, node: Place) -> Result<String> {
    cluster.output(
        node,
        &["ctr", "--namespace", "k8s.io", "images", "list", "-q"],
    )
}

/// An image with an empty layer, as `docker save` writes them.
fn write_image(archive: &std::path::Path, name: &str) -> Result<()> {
    let layer = tar::Builder::new(Vec::new()).into_inner()?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [EMPTY_TAR] },
    });
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let mut tar = tar::Builder::new(fs::File::create(archive)?);
    for (path, bytes) in [
        ("layer.tar", layer),
        ("config.json", config.to_string().into_bytes()),
        ("manifest.json", manifest.to_string().into_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len().try_into()?);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, &*bytes)?;
    }
    Ok(tar.finish()?)
}

fn xtask(arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "xtask", "--"])
        .args(arguments)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "xtask {arguments:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The digest of 1024 zero bytes, which is what an empty tar is.
const EMPTY_TAR: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
const SOON: Duration = Duration::from_mins(1);
