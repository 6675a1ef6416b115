//! What the operator says of the cluster around it, of its own rights, and by its commands.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE, OPERATOR},
};
use serde_json::Value;

use super::status::{self, annotate};
use crate::world::{Installed, SOON};

/// A pool with a node's own address, and IPVS without strictARP: the object warns of both, runs on,
/// and stops warning.
pub(crate) fn warned(world: &Installed) -> Result<()> {
    let nodes = world.kubectl.json(&["get", "nodes"])?;
    let addresses = nodes["items"][0]["status"]["addresses"].as_array();
    let mut addresses = addresses.into_iter().flatten();
    let own = addresses.find(|it| it["type"] == "InternalIP");
    let own = own.and_then(|it| it["address"].as_str());
    let own = own.context("a node has no address")?;
    let prefix = if own.contains(':') { 128 } else { 32 };
    world.apply_pool("clash", &[&format!("{own}/{prefix}")])?;
    let words = format!("IPAddressPool clash: {own} is the address of node");
    world.says("Warning", &words, SOON)?;
    world.event("MetalLB/metallb", "PoolOverlapsNode", &words)?;
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;
    world.show("warned")?;
    world.delete(NAMESPACE, "ipaddresspool", "clash")?;
    no_warning(world)?;
    world.kubectl.apply(KUBE_PROXY)?;
    world.says("Warning", "strictARP off", SOON)?;
    world.delete("kube-system", "configmap", "kube-proxy")?;
    no_warning(world)
}

fn no_warning(world: &Installed) -> Result<()> {
    eventually("nothing is warned of", SOON, || {
        let metallb = ["-n", NAMESPACE, "get", "metallb", "metallb"];
        let status = world.kubectl.json(&metallb)?["status"].take();
        let conditions = status["conditions"].as_array();
        let warns = conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Warning"));
        Ok(if warns { Err(status) } else { Ok(()) })
    })
}

/// A class that there is not is named, and what runs goes on.
pub(crate) fn no_such_class(world: &Installed) -> Result<()> {
    let set = |value: &str| world.want(&format!(r#"{{"controllerConfig":{value}}}"#));
    set(r#"{"priorityClassName":"nobody"}"#)?;
    let words = "controllerConfig.priorityClassName is nobody";
    world.says("Degraded", words, SOON)?;
    world.page_answers()?;
    set("null")?;
    product::rolled_out(&world.kubectl, NAMESPACE, "deployment/controller")?;
    world
        .condition(NAMESPACE, "metallb", "Ready", "True")
        .map(drop)
}

/// The operator starts without the right to see or change the speakers: its object names verbs and
/// resource, and all goes on when the right is back.
pub(crate) fn right_withdrawn(world: &Installed) -> Result<()> {
    let role = ["-n", NAMESPACE, "get", "role", ROLE];
    let rules = world.kubectl.json(&role)?["rules"].take();
    let rules = rules.as_array().context("a Role has rules")?;
    let set = |rules: &[Value]| {
        let patch = serde_json::json!({ "rules": rules }).to_string();
        let role = ["-n", NAMESPACE, "patch", "role", ROLE];
        let merge = ["--type=merge", "-p", &patch];
        world.kubectl.output(&[&role[..], &merge[..]].concat())
    };
    let has_speakers = |rule: &&Value| rule["apiGroups"][0] != "apps";
    let fewer: Vec<Value> = rules.iter().filter(has_speakers).cloned().collect();
    ensure!(fewer.len() < rules.len(), "no rule is about workloads");
    set(&fewer)?;
    let operators = "control-plane=controller-manager";
    let delete = ["-n", NAMESPACE, "delete", "pods", "-l", operators];
    world.kubectl.output(&delete)?;
    let words = "create, delete, get, list, patch, watch daemonsets.apps in namespace";
    world.says("Degraded", words, SOON * 3)?;
    world.condition(NAMESPACE, "metallb", "Available", "True")?;
    world.show("forbidden")?;
    status::keep_revisions(world, 4)?;
    set(rules)?;
    status::repaired(world)?;
    product::rolled_out(&world.kubectl, NAMESPACE, &format!("deployment/{OPERATOR}"))?;
    product::rolled_out(&world.kubectl, NAMESPACE, "daemonset/speaker")?;
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;
    world.page_answers()
}

/// `operator diff` says nothing where nothing would be done, and what would be where it is held
/// back; `operator export` gives a file that changes nothing.
pub(crate) fn commands(world: &Installed) -> Result<()> {
    product::available(&world.kubectl)?;
    let (code, text) = run(world, &["diff"])?;
    ensure!(code == Some(0) && text.is_empty(), "{code:?}: {text}");
    annotate(world, "metallb", "metallb", "metallb.io/paused=true")?;
    world.says("Paused", "", SOON)?;
    status::keep_revisions(world, 4)?;
    let (code, text) = run(world, &["diff"])?;
    ensure!(
        code == Some(1) && text.contains("-  revisionHistoryLimit: 4"),
        "{code:?}: {text}"
    );
    print!("{text}");
    annotate(world, "metallb", "metallb", "metallb.io/paused-")?;
    product::available(&world.kubectl)?;
    world.condition(NAMESPACE, "metallb", "Ready", "True")?;

    let (code, file) = run(world, &["export"])?;
    let kinds = ["IPAddressPool", "L2Advertisement", "MetalLB"];
    let has = |kind: &str| file.contains(&format!("kind: {kind}\n"));
    ensure!(code == Some(0) && kinds.into_iter().all(has), "{file}");
    let versions = || {
        let get = ["-n", NAMESPACE, "get", "ipaddresspools,l2advertisements"];
        let all = world.kubectl.json(&get)?;
        let items = all["items"].as_array().cloned().unwrap_or_default();
        let generations = items.iter().map(|it| it["metadata"]["generation"].clone());
        Ok::<Vec<Value>, anyhow::Error>(generations.collect())
    };
    let before = versions()?;
    world.kubectl.apply(&file)?;
    ensure!(versions()? == before, "the file changes something: {file}");
    world.page_answers()
}

/// One of the operator's commands, where it runs: how it ended, and what it printed.
fn run(world: &Installed, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let deployment = format!("deployment/{OPERATOR}");
    let exec = ["-n", NAMESPACE, "exec", &deployment, "--", "/operator"];
    let mut command = world.kubectl.command(&[&exec[..], arguments].concat());
    let output = command.output()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

const ROLE: &str = "metallb-manager-role";
/// As kubeadm makes it for a cluster whose kube-proxy balances by IPVS.
const KUBE_PROXY: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: { name: kube-proxy, namespace: kube-system }
data:
  config.conf: |
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: ipvs
    ipvs:
      strictARP: false
";
