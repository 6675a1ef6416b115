//! From MetalLB's own installation to ours, in place, while a client asks for the address.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::upstream::{self, operator};
use metallb_tests::{eventually, helm};
use serde_json::json;

use crate::world::{SOON, World};

/// The manifests are applied over MetalLB's.
pub(crate) fn from_manifests(world: &World) -> Result<()> {
    let kubectl = &world.kubectl;
    load(world)?;
    let theirs = upstream::file("config/manifests/metallb-native.yaml")?;
    let theirs = theirs.to_str().context("a path in UTF-8")?;
    kubectl.output(&["apply", "-f", theirs])?;
    world.rolled_out("")?;
    world.configure()?;

    let ours = product::path("config/manifests/metallb-native.yaml");
    let ours = ours.to_str().context("a path in UTF-8")?;
    changed_over(world, "kubectl apply", || {
        kubectl.output(&["apply", "-f", ours])?;
        world.rolled_out("")
    })?;
    kubectl.output(&["delete", "-f", ours])?;
    Ok(())
}

/// The release of MetalLB's chart is upgraded to ours.
pub(crate) fn from_a_release(world: &World) -> Result<()> {
    load(world)?;
    let helm = helm()?.on(world.cluster.kubeconfig());
    let (theirs, ours) = (
        upstream::file("charts/metallb")?,
        product::path("charts/metallb"),
    );
    let run = |verb: &str, chart: &std::path::Path, values: &serde_json::Value| {
        let chart = chart.to_str().context("a path in UTF-8")?;
        let arguments = [verb, "metallb", chart, "-n", NAMESPACE, "-f", "-"];
        let wait = ["--create-namespace", "--wait", "--timeout", "2m"];
        let arguments = [&arguments[..], &wait[usize::from(verb != "install")..]].concat();
        helm.output(&arguments, &values.to_string()).map(drop)
    };
    // FRR is not to be had here: the backend is native.
    let native =
        json!({ "frrk8s": { "enabled": false }, "speaker": { "frr": { "enabled": false } } });
    run("install", &theirs, &native)?;
    world.rolled_out("metallb-")?;
    world.configure()?;

    let image = json!({ "repository": "metallb.io/metallb", "tag": "dev" });
    let values = json!({
        "frrk8s": { "enabled": false },
        "controller": { "image": image }, "speaker": { "image": image },
    });
    changed_over(world, "helm upgrade", || {
        run("upgrade", &ours, &values)?;
        world.rolled_out("metallb-")
    })?;
    helm.output(&["uninstall", "metallb", "-n", NAMESPACE, "--wait"], "")?;
    world.no_pods()
}

/// The manifest of our operator is applied over MetalLB's own, whose speakers have kube-rbac-proxies
/// beside them.
pub(crate) fn from_the_operator(world: &World) -> Result<()> {
    let kubectl = &world.kubectl;
    load(world)?;
    // The definitions and rights of the programs' version; its workloads are the operator's to make.
    let theirs = upstream::file("config/manifests/metallb-native.yaml")?;
    let theirs = std::fs::read_to_string(theirs)?;
    let mut base = kubectl.parse(&theirs)?;
    let made = ["Deployment", "DaemonSet", "ValidatingWebhookConfiguration"];
    base.retain(|it| {
        !made.iter().any(|kind| it["kind"] == *kind)
            && it["metadata"]["name"] != "metallb-excludel2"
    });
    let of_the_operator = operator::manifest(kubectl)?.into_iter();
    base.extend(of_the_operator.filter(|it| it["metadata"]["name"] == "metallbs.metallb.io"));
    kubectl.apply_as_client(&base)?;
    let wait = ["wait", "crd", "--all", "--for=condition=Established"];
    kubectl.output(&wait)?;
    kubectl.output(&["apply", "-f", &metallb_object()?])?;
    let uid = kubectl.json(&["-n", NAMESPACE, "get", "metallb", "metallb"])?;
    let uid = uid["metadata"]["uid"].as_str().context("no uid")?;
    let made = json!(operator::operands(kubectl, uid, "native")?).to_string();
    // The proxy's image is not to be had; what matters is that a container is there.
    let made = made.replace("gcr.io/kubebuilder/kube-rbac-proxy:v0.12.0", PAUSE);
    let mut made: Vec<serde_json::Value> = serde_json::from_str(&made)?;
    // The programs are a release newer than the charts, and ask for one name more.
    let name = json!({
        "name": "METALLB_POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } },
    });
    for workload in made
        .iter_mut()
        .filter(|it| it["spec"]["template"].is_object())
    {
        let containers = workload["spec"]["template"]["spec"]["containers"].as_array_mut();
        let environments = containers
            .into_iter()
            .flatten()
            .filter_map(|it| it["env"].as_array_mut());
        environments.for_each(|it| it.push(name.clone()));
    }
    kubectl.create_as(operator::MANAGER, &made)?;
    world.rolled_out("")?;
    world.configure()?;

    let ours = product::path("config/operator.yaml");
    let ours = ours.to_str().context("a path in UTF-8")?;
    changed_over(world, "the operator", || {
        kubectl.output(&["apply", "-f", ours])?;
        eventually("no speaker of theirs is left", SOON * 10, || {
            let speaker = ["-n", NAMESPACE, "get", "daemonset", "speaker"];
            let speaker = kubectl.json(&speaker)?;
            let containers = speaker["spec"]["template"]["spec"]["containers"].as_array();
            let images: Vec<_> = containers
                .into_iter()
                .flatten()
                .map(|it| it["image"].to_string())
                .collect();
            Ok(if images == [json!(product::IMAGE).to_string()] {
                Ok(())
            } else {
                Err(images.join(" "))
            })
        })?;
        world.rolled_out("")
    })?;
    product::available(kubectl)?;
    kubectl.output(&["-n", NAMESPACE, "delete", "metallb", "metallb"])?;
    kubectl.output(&["delete", "-f", ours])?;
    world.no_pods()
}

/// What was installed without an operator becomes the operator's, in place.
pub(crate) fn to_the_operator(world: &World) -> Result<()> {
    let kubectl = &world.kubectl;
    let manifest = product::path("config/manifests/metallb-native.yaml");
    let manifest = manifest.to_str().context("a path in UTF-8")?;
    kubectl.output(&["apply", "-f", manifest])?;
    world.rolled_out("")?;
    world.configure()?;
    let speaker = ["-n", NAMESPACE, "get", "daemonset", "speaker"];
    let before = kubectl.json(&speaker)?;

    let operator = product::path("config/operator.yaml");
    let operator = operator.to_str().context("a path in UTF-8")?;
    changed_over(world, "the operator, over manifests,", || {
        kubectl.output(&["apply", "-f", operator])?;
        let known = [
            "wait",
            "crd/metallbs.metallb.io",
            "--for=condition=Established",
        ];
        kubectl.output(&known)?;
        kubectl.output(&["apply", "-f", &metallb_object()?])?;
        let ready = [
            "wait",
            "metallb/metallb",
            "--for=condition=Ready",
            "--timeout=120s",
        ];
        kubectl.output(&[&["-n", NAMESPACE][..], &ready[..]].concat())?;
        world.rolled_out("")
    })?;
    let after = kubectl.json(&speaker)?;
    ensure!(
        after["metadata"]["uid"] == before["metadata"]["uid"],
        "the speakers were made anew"
    );
    let key = |secret: &str| -> Result<serde_json::Value> {
        let secret = kubectl.json(&["-n", NAMESPACE, "get", "secret", secret])?;
        Ok(secret["data"]["secretkey"].clone())
    };
    ensure!(
        key("memberlist")? == key("metallb-memberlist")?,
        "the speakers had two keys"
    );
    kubectl.output(&["-n", NAMESPACE, "delete", "metallb", "metallb"])?;
    kubectl.output(&[
        "delete",
        "--ignore-not-found",
        "-f",
        operator,
        "-f",
        manifest,
    ])?;
    world.no_pods()
}

fn metallb_object() -> Result<String> {
    let path = product::path("config/samples/demo/metallb.yaml");
    Ok(path.to_str().context("a path in UTF-8")?.to_owned())
}

/// MetalLB's programs as the images that its manifests name.
fn load(world: &World) -> Result<()> {
    for program in ["controller", "speaker"] {
        let archive = upstream::image(program, world.cluster.directory())?;
        world.cluster.load(&archive)?;
    }
    Ok(())
}

/// How long nobody answers for the address while `change` is made; the address stays.
fn changed_over(world: &World, what: &str, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = product::assigned(&world.kubectl, "web", 2)?;
    let address: IpAddr = before[0];
    let watch = world.cluster.watch_owner(address)?;
    watch.settled(SOON)?;
    let started = Instant::now();
    change()?;
    watch.settled(SOON * 2)?;
    let times = watch.sightings().into_iter().map(|it| it.at);
    let times: Vec<_> = times.filter(|at| *at >= started).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.max().context("nobody answered")?;
    println!(
        "  {what} over MetalLB {}: {:.0?} in all, nobody answered for {longest:.2?} at most",
        upstream::VERSION,
        started.elapsed()
    );
    ensure!(longest < GAP, "nobody answered for {longest:.1?}");
    ensure!(
        product::addresses(&world.kubectl, "web")? == before,
        "an address changed"
    );
    product::page(&world.cluster, address).map(drop)
}

/// MetalLB's own speakers take so long to miss one of theirs that is gone.
const GAP: Duration = Duration::from_secs(6);
/// A container that does nothing.
const PAUSE: &str = "metallb.test/pause:1";
