//! The `MetalLB` object is deleted.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::{
    eventually,
    product::{self, NAMESPACE},
};

use crate::{
    bad_input,
    world::{Installed, SOON, within},
};

/// Whoever deletes it is refused while addresses are in use and the object says so.
pub(crate) fn protected(world: &Installed) -> Result<()> {
    let annotate = |value: &str| {
        let annotation = format!("metallb.io/protect-addresses{value}");
        let arguments = [
            "-n",
            NAMESPACE,
            "annotate",
            "metallb",
            "metallb",
            &annotation,
        ];
        world.kubectl.output(&arguments)
    };
    annotate("=true")?;
    let delete = [
        "-n",
        NAMESPACE,
        "delete",
        "metallb",
        "metallb",
        "--wait=false",
    ];
    let refused = world
        .kubectl
        .output(&delete)
        .err()
        .context("it was deleted")?;
    let refusal = format!("{refused:#}");
    println!("  {refusal}");
    ensure!(refusal.contains("addresses in use: 2. "), "{refusal}");
    annotate("-")?;
    world.page_answers()
}

/// Nothing of ours is left but what the user made; the Service keeps its status; and it can all
/// be had again, whatever the user has written meanwhile.
pub(crate) fn metallb_deleted(world: &Installed) -> Result<()> {
    let addresses = world.addresses()?;
    // Somebody else holds on to something of ours.
    let finalizer = |value: &str| {
        let patch = format!(r#"{{"metadata":{{"finalizers":{value}}}}}"#);
        let config = ["-n", NAMESPACE, "patch", "configmap", "metallb-excludel2"];
        let merge = ["--type=merge", "-p", &patch];
        world.kubectl.output(&[&config[..], &merge[..]].concat())
    };
    finalizer(r#"["example.com/keep"]"#)?;
    // Where upstream's leaves a webhook with nobody behind.
    let backend = r#"{"spec":{"bgpBackend":"frr-k8s"}}"#;
    let backend = [
        "-n",
        NAMESPACE,
        "patch",
        "metallb",
        "metallb",
        "--type=merge",
        "-p",
        backend,
    ];
    world.kubectl.output(&backend)?;
    let delete = [
        "-n",
        NAMESPACE,
        "delete",
        "metallb",
        "metallb",
        "--wait=false",
    ];
    world.kubectl.output(&delete)?;
    let words = "ConfigMap metallb-excludel2 waits for finalizers of others: example.com/keep";
    world.says("Progressing", words, SOON * 4)?;
    world.show("deleting")?;
    world.event(
        "MetalLB/metallb",
        "AddressesInUse",
        "while addresses are in use: 2",
    )?;
    finalizer("null")?;
    let wait = [
        "-n",
        NAMESPACE,
        "wait",
        "metallb/metallb",
        "--for=delete",
        "--timeout=60s",
    ];
    world.kubectl.output(&wait)?;
    let left = product::operands(&world.kubectl)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let hooks = ["get", "validatingwebhookconfigurations", "-o", "name"];
    let hooks = world.kubectl.output(&hooks)?;
    let hooks: Vec<&str> = hooks
        .lines()
        .filter(|it| !it.ends_with(OPERATORS))
        .collect();
    ensure!(hooks.is_empty(), "left behind: {hooks:?}");
    for component in ["controller", "speaker"] {
        eventually(
            &format!("no pod of the {component} is left"),
            SOON * 3,
            || {
                let pods = product::pods(&world.kubectl, component)?;
                Ok(if pods.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{pods:?}"))
                })
            },
        )?;
    }
    let crds = world.kubectl.output(&["get", "crd", "-o", "name"])?;
    ensure!(
        crds.contains("ipaddresspools.metallb.io"),
        "the CRDs are gone:\n{crds}"
    );
    world
        .kubectl
        .output(&["-n", NAMESPACE, "get", "ipaddresspool", "demo"])?;
    ensure!(
        product::addresses(&world.kubectl, "web")? == addresses,
        "the status changed"
    );

    // No webhook is left to refuse them.
    bad_input::write_bad_pools(world)?;
    world.kubectl.apply(&product::demo_object("metallb")?)?;
    product::available(&world.kubectl)?;
    ensure!(world.addresses()? == addresses, "an address moved");
    bad_input::bad_pools_stop_only_themselves(world)
}

/// After its `MetalLB` object the operator's manifest is deleted: nothing of either is left, with or
/// without a namespace.
pub(crate) fn operator_deleted(world: &Installed) -> Result<()> {
    world.delete(NAMESPACE, "metallb", "metallb")?;
    let manifest = product::operator_manifest(product::IMAGE)?;
    world.kubectl.delete(&manifest)?;
    let kinds = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,\
                 validatingwebhookconfigurations";
    let left = || {
        let all = world.kubectl.output(&["get", kinds, "-o", "name"])?;
        let ours = all.lines().filter(|name| name.contains("metallb"));
        Ok::<Vec<_>, anyhow::Error>(ours.map(str::to_owned).collect())
    };
    // An operator on its way out could put something back.
    eventually("no operator runs", SOON, || {
        let memory = product::memory(&world.cluster)?;
        let still = memory.into_iter().filter(|it| it.1 == "/operator").count();
        Ok(if still == 0 { Ok(()) } else { Err(still) })
    })?;
    let left = left()?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

/// The operator's own, for the `MetalLB` object.
const OPERATORS: &str = "/metallb-operator-webhook-configuration";

/// Somebody deletes the namespace with everything in it, the operator too: it goes, and leaves
/// nothing of the cluster's behind that was made for the `MetalLB` object.
pub(crate) fn namespace_deleted(world: &Installed) -> Result<()> {
    let delete = ["delete", "namespace", NAMESPACE, "--timeout=120s"];
    let taken = within("the namespace is gone", SOON * 8, || {
        world.kubectl.output(&delete).map(drop)
    })?;
    println!("  gone after {taken:.1?}");
    let left = product::operands(&world.kubectl)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let hooks = ["get", "validatingwebhookconfigurations", "-o", "name"];
    let hooks = world.kubectl.output(&hooks)?;
    ensure!(!hooks.contains("metallb"), "{hooks}");
    Ok(())
}
