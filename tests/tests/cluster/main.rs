//! The test cluster itself: it comes up, it works, several live side by side, nothing stays.
//!
//! Each test brings up clusters of its own, so they run with root and take some seconds each.

mod remains;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    Cluster, Family, Name, Options, Place, Process, Terminal, WEB, eventually, needs_root,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::remains::{Traces, remains};

#[test]
fn a_pod_runs_and_its_service_answers_everywhere() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let options = named("t-serve");
    told(&options, |cluster| {
        // Four pods on three nodes: two are neighbours on one bridge.
        cluster.apply(&web(WEB, 4))?;
        rolled_out(cluster)?;
        let service = cluster.kubectl_json(&["get", "service", "web"])?;
        let addresses = texts(&service["spec"]["clusterIPs"]);
        ensure!(addresses.len() == 2, "not dual-stack: {addresses:?}");
        for address in &addresses {
            let page = url(address, 80, "/hostname");
            for node in cluster.nodes() {
                let pod = fetch(cluster, node, &page)?;
                ensure!(pod.starts_with("web-"), "{node} got {pod:?} from {address}");
                from_pods_of(cluster, node, &page)?;
            }
        }
        let exec = ["exec", "deployment/web", "--", "/agnhost", "--help"];
        let help = cluster.kubectl_output(&exec)?;
        ensure!(help.contains("netexec"), "exec in a pod printed {help:?}");
        println!("all nodes and pods reach {addresses:?}");

        // A pod with the host's network reaches the API server by its Service too.
        let answer = fetch(
            cluster,
            Place::Node(2),
            "--insecure https://10.96.0.1/version",
        )?;
        ensure!(answer.contains("v1.34"), "{answer}");
        let name = cluster.output(Place::Node(2), &["hostname"])?;
        ensure!(name.trim() == "n2", "the host name of n2 is {name:?}");
        let error = Cluster::up(&options, &mut Terminal::start())
            .map(drop)
            .unwrap_err();
        ensure!(error.to_string().contains("is running already"), "{error}");
        Ok(())
    })
}

#[test]
fn an_image_pushed_to_the_fabric_can_be_pulled() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    for (name, family) in [("t-push", Family::Dual), ("t-push-six", Family::Ipv6)] {
        told(
            &Options {
                nodes: 1,
                family,
                ..named(name)
            },
            |cluster| {
                let archive = cluster.image_archive("web");
                cluster.push(&archive, "tests/web:pushed")?;
                cluster.apply(&web("192.0.2.2:5000/tests/web:pushed", 1))?;
                rolled_out(cluster)
            },
        )?;
    }
    Ok(())
}

#[test]
fn two_clusters_live_side_by_side() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let four = Options {
        nodes: 1,
        nics: 2,
        family: Family::Ipv4,
        ..named("t-side")
    };
    let six = Options {
        nodes: 1,
        family: Family::Ipv6,
        ..named("t-side-n1")
    };
    told(&six, |six| {
        told(&four, |four| {
            four.apply(&namespace("only-in-four"))?;
            six.apply(&namespace("only-in-six"))?;
            let list = six.kubectl_output(&["get", "namespaces"])?;
            ensure!(
                list.contains("only-in-six") && !list.contains("only-in-four"),
                "{list}"
            );
            let names: Vec<String> = Cluster::list()
                .iter()
                .map(|cluster| cluster.name().to_string())
                .collect();
            for name in ["t-side", "t-side-n1"] {
                ensure!(
                    names.iter().any(|listed| listed == name),
                    "{name} is not in {names:?}"
                );
            }
            let lan = Place::Node(1).service_lan_address().v4.to_string();
            four.output(
                Place::Client,
                &["ping", "-c", "1", "-W", "2", "-I", "eth1", &lan],
            )?;
            Ok(())
        })?;
        six.wait_until_ready(Duration::from_secs(5))?;
        let node = Place::Node(1).address().v6.to_string();
        six.output(Place::Client, &["ping", "-c", "1", "-W", "2", &node])?;
        Ok(())
    })
}

#[test]
fn up_clears_what_a_crash_left() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let options = Options {
        nodes: 2,
        ..named("t-crash")
    };
    let crashed = Cluster::up(&options, &mut Terminal::start())?;
    crashed.apply(&web(WEB, 2))?;
    rolled_out(&crashed)?;
    let traces = Traces::of(&crashed)?;
    // A crash is not tidy: some programs are gone, containers and kubelets run on, and of the
    // files the one is missing that says what there was.
    for program in ["etcd", "n1/pause", "n2/containerd"] {
        crashed.process(program)?.signal(Signal::KILL);
    }
    fs::remove_file(crashed.directory().join("cluster.json"))?;

    told(&options, |cluster| {
        ensure!(traces.left().is_empty(), "still there: {:?}", traces.left());
        let pods = cluster.kubectl_output(&["get", "pods", "--all-namespaces"])?;
        ensure!(
            pods.is_empty(),
            "the new cluster has the old one's pods: {pods}"
        );
        Ok(())
    })
}

#[test]
fn ctrl_c_and_kill_leave_nothing() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let options = named("t-ctrl-c");
    if env::var_os(CHILD).is_some() {
        // This is the process that is interrupted, below.
        return Cluster::up(&options, &mut Terminal::start()).map(drop);
    }
    for (signal, tidies_itself) in [(Signal::INT, true), (Signal::KILL, false)] {
        let mut child = Command::new(env::current_exe()?)
            .args(["--exact", "ctrl_c_and_kill_leave_nothing", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let process = Process::of(child.id()).context("the child is gone")?;
        let lines = BufReader::new(child.stderr.take().context("the child says nothing")?).lines();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            if line.contains("starting kube-controller-manager") {
                ensure!(!remains(&options.name)?.is_empty(), "nothing was up yet");
                process.signal(signal);
            }
            said.push(line);
        }
        ensure!(
            !child.wait()?.success(),
            "up succeeded in spite of the signal: {said:#?}"
        );
        if tidies_itself {
            let said = said.join("\n");
            ensure!(
                said.contains("interrupted"),
                "it does not say why it ended:\n{said}"
            );
        } else {
            ensure!(
                !remains(&options.name)?.is_empty(),
                "there was nothing to clear"
            );
            Cluster::down(&options.name)?;
        }
        let left = remains(&options.name)?;
        ensure!(left.is_empty(), "after {signal:?} this is left: {left:#?}");
    }
    Ok(())
}

/// Brings a cluster up, tells the story on it, takes it down and looks whether anything is left.
fn told(options: &Options, story: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let cluster = Cluster::up(options, &mut Terminal::start())?;
    let ready = started.elapsed();
    let traces = Traces::of(&cluster)?;
    let result = story(&cluster);
    if result.is_err() {
        let _ = cluster
            .kubectl(&["get", "pods", "--all-namespaces", "-o", "wide"])
            .status();
        let _ = cluster
            .kubectl(&["get", "events", "--all-namespaces"])
            .status();
    }
    let memory = cluster.memory()? >> 20;
    let ending = Instant::now();
    Cluster::down(&options.name)?;
    println!(
        "{}: {} nodes Ready after {:.1} s, {memory} MiB, down in {:.1} s",
        options.name,
        options.nodes,
        ready.as_secs_f32(),
        ending.elapsed().as_secs_f32()
    );
    result?;
    let mut left = remains(&options.name)?;
    left.extend(traces.left());
    ensure!(left.is_empty(), "after down this is left: {left:#?}");
    Ok(())
}

fn named(name: &str) -> Options {
    let name: Name = name.parse().expect("the name is a good one");
    Options {
        name,
        ..Options::default()
    }
}

fn web(image: &str, replicas: u8) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers: [{{name: web, image: \"{image}\", imagePullPolicy: IfNotPresent}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"
    )
}

fn namespace(name: &str) -> String {
    format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}")
}

fn rolled_out(cluster: &Cluster) -> Result<()> {
    cluster
        .kubectl_output(&["rollout", "status", "deployment/web", "--timeout=40s"])
        .map(drop)
}

/// From inside each pod of a node, so often that some connections come back to the same pod and
/// some to its neighbour on the same bridge, which is where translation goes wrong.
fn from_pods_of(cluster: &Cluster, node: Place, page: &str) -> Result<()> {
    let script = format!(
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do \
         curl --silent --show-error --max-time 3 '{page}' >/dev/null || exit 1; done"
    );
    let mut pods = 0;
    for process in cluster.pod_processes(node)? {
        let proc = format!("/proc/{}", process.pid());
        if fs::read_link(format!("{proc}/exe"))?.ends_with("agnhost") {
            pods += 1;
            let output = Command::new("nsenter")
                .arg(format!("--net={proc}/ns/net"))
                .args(["sh", "-c", &script])
                .output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(
                output.status.success(),
                "a pod of {node} from {page}: {said}"
            );
        }
    }
    ensure!(pods > 0, "{node} has no pod");
    Ok(())
}

/// What curl in a place gets from a URL, which may have options before it.
fn fetch(cluster: &Cluster, place: Place, url: &str) -> Result<String> {
    let mut curl = vec!["curl", "--silent", "--show-error", "--max-time", "3"];
    curl.extend(url.split(' '));
    eventually(
        &format!("{place} to fetch {url}"),
        Duration::from_secs(15),
        || cluster.output(place, &curl).map(Ok::<_, String>),
    )
}

fn url(address: &str, port: u16, path: &str) -> String {
    if address.contains(':') {
        format!("http://[{address}]:{port}{path}")
    } else {
        format!("http://{address}:{port}{path}")
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Set for the copy of this program that `ctrl_c_and_kill_leave_nothing` interrupts.
const CHILD: &str = "METALLB_TESTS_CHILD";
