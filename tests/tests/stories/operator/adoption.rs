//! MetalLB's own operator was here before, with FRR-K8s and kube-rbac-proxies.
//!
//! Its images are not to be had, so no pod of it runs: this is about objects. How long nobody
//! answers in a change over is measured with MetalLB's own programs, among the migrations.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
    upstream::operator::{MANAGER, manifest, operands},
};
use serde_json::{Value, json};

use crate::world::{Installed, SOON};

/// Our manifest is applied over that of the other: what has a name that ours has is the same object
/// afterwards, and has nothing in it that we do not want; what has none is gone.
pub(crate) fn taken_over(world: &Installed) -> Result<()> {
    let kubectl = &world.kubectl;
    let (key, left) = install(world)?;
    let identities = |of: &[Value]| {
        of.iter()
            .map(|it| identity(world, it))
            .collect::<Result<Vec<_>>>()
    };
    let shared: Vec<Value> = left
        .iter()
        .filter(|it| SHARED.contains(&name(it)))
        .cloned()
        .collect();
    ensure!(shared.len() == SHARED.len(), "{shared:?}");
    let before = identities(&shared)?;

    let file = product::path("config/operator.yaml");
    kubectl.output(&["apply", "-f", file.to_str().context("a path in UTF-8")?])?;
    product::rolled_out(
        kubectl,
        NAMESPACE,
        &format!("deployment/{}", product::OPERATOR),
    )?;
    eventually("all is as asked", SOON * 8, || world.is_said("Ready", ""))?;

    ensure!(identities(&shared)? == before, "something was made anew");
    for (workload, container) in [
        ("deployment/controller", "controller"),
        ("ds/speaker", "speaker"),
    ] {
        let seen = kubectl.json(&["-n", NAMESPACE, "get", workload, "--show-managed-fields"])?;
        let containers = seen["spec"]["template"]["spec"]["containers"].as_array();
        let containers: Vec<_> = containers.into_iter().flatten().map(name).collect();
        ensure!(containers == [container], "{workload} has {containers:?}");
        let managers = seen["metadata"]["managedFields"].as_array();
        let mut managers = managers.into_iter().flatten();
        ensure!(managers.all(|it| it["manager"] != MANAGER), "{seen}");
        let labels = &seen["metadata"]["labels"];
        ensure!(labels["helm.sh/chart"].is_null(), "{labels}");
    }
    let gone = || -> Result<Vec<String>> {
        let all = left.iter().filter(|it| !SHARED.contains(&name(it)));
        let others = all.filter(|it| !identity(world, it).is_ok_and(|uid| uid.is_empty()));
        Ok(others
            .map(|it| format!("{} {}", it["kind"], name(it)))
            .collect())
    };
    eventually("what it left is gone", SOON * 2, || {
        let still = gone()?;
        Ok(if still.is_empty() {
            Ok(())
        } else {
            Err(format!("{still:?}"))
        })
    })?;
    let secret = ["-n", NAMESPACE, "get", "secret", "metallb-memberlist"];
    let secret = kubectl.json(&secret)?;
    ensure!(
        secret["data"]["secretkey"] == key,
        "the speakers have another key"
    );
    as_documented(world)?;
    for object in ["pool", "l2advertisement"] {
        let object = product::demo_object(object)?;
        eventually("the configuration is taken", SOON, || {
            Ok(kubectl.apply(&object).map_err(|it| it.to_string()))
        })?;
    }
    world.page_answers()
}

/// What else it left goes as docs/migrate.md says, and is all there is.
fn as_documented(world: &Installed) -> Result<()> {
    let page = std::fs::read_to_string(product::path("docs/migrate.md"))?;
    let (_, after) = page
        .split_once("can go when you see fit:")
        .context("no such place")?;
    let block = after.split("```").nth(1).context("no commands there")?;
    for command in block.trim().lines() {
        let arguments: Vec<&str> = command.split(' ').skip(1).collect();
        world.kubectl.output(&arguments)?;
    }
    let kinds = "deployments,daemonsets,services,configmaps,secrets,serviceaccounts,roles,\
                 rolebindings,clusterroles,clusterrolebindings,customresourcedefinitions,\
                 validatingwebhookconfigurations";
    let left = world.kubectl.output(&["get", kinds, "-A", "-o", "name"])?;
    let theirs = [
        "frr",
        "kube-rbac-proxy",
        "webhook-server",
        "pod-lister",
        "monitor-service",
    ];
    let left: Vec<_> = left
        .lines()
        .filter(|it| theirs.iter().any(|part| it.contains(part)) && !it.ends_with("-server-cert"))
        .collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}

/// The other operator's manifest, a `MetalLB` object, and what it made of that; gives the key of
/// the speakers and everything that is to be gone or taken over.
fn install(world: &Installed) -> Result<(Value, Vec<Value>)> {
    let kubectl = &world.kubectl;
    let (first, rest): (Vec<_>, Vec<_>) = manifest(kubectl)?
        .into_iter()
        .partition(|it| it["kind"] == "CustomResourceDefinition" || it["kind"] == "Namespace");
    kubectl.apply_as_client(&first)?;
    let wait = [
        "wait",
        "crd/metallbs.metallb.io",
        "--for=condition=Established",
    ];
    kubectl.output(&wait)?;
    let metallb = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": { "name": "metallb", "namespace": NAMESPACE },
        "spec": { "bgpBackend": "frr-k8s" },
    });
    kubectl.apply_as_client(&[metallb])?;
    let uid = kubectl.json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
    let uid = uid["metadata"]["uid"]
        .as_str()
        .context("no uid")?
        .to_owned();
    // As its controller makes it.
    let key = json!("bWFkZSBieSBtZXRhbGxi");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "metallb-memberlist", "namespace": NAMESPACE },
        "data": { "secretkey": key },
    });
    kubectl.create_as("controller", &[secret])?;
    kubectl.apply_as_client(&rest)?;
    let mut left = operands(kubectl, &uid, "frr-k8s")?;
    kubectl.create_as(MANAGER, &left)?;
    let server = rest
        .into_iter()
        .filter(|it| name(it) == "metallb-operator-webhook-server");
    left.extend(server);
    Ok((key, left))
}

fn name(object: &Value) -> &str {
    let name = object["metadata"]["name"].as_str();
    name.or_else(|| object["name"].as_str()).unwrap_or_default()
}

/// Its uid, or nothing.
fn identity(world: &Installed, object: &Value) -> Result<String> {
    let kind = object["kind"].as_str().context("no kind")?;
    let get = [
        "-n",
        NAMESPACE,
        "get",
        kind,
        name(object),
        "--ignore-not-found",
    ];
    let uid = ["-o", "jsonpath={.metadata.uid}"];
    world.kubectl.output(&[&get[..], &uid[..]].concat())
}

/// What both operators have.
const SHARED: [&str; 3] = ["metallb-excludel2", "controller", "speaker"];
