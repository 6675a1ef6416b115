//! The plain manifests, applied as a user does and as GitOps does: again and again.

use anyhow::{Context as _, Result, ensure};
use metallb_tests::product::{self, NAMESPACE};
use metallb_tests::{Kubectl, eventually};

use crate::world::{SOON, World};

/// MetalLB runs, converts BGPPeers, and what the programs add to the objects is no difference to the
/// files; nothing of it is left when the files are deleted.
pub(crate) fn applied_twice(world: &World) -> Result<()> {
    let kubectl = &world.kubectl;
    let file = product::path("config/manifests/metallb-native.yaml");
    let file = file.to_str().context("a path in UTF-8")?;
    kubectl.output(&["apply", "-f", file])?;
    world.rolled_out("")?;
    world.configure()?;
    in_both_versions(kubectl)?;

    let pods = product::pods(kubectl, "speaker")?;
    let again = kubectl.output(&["apply", "-f", file])?;
    let changed: Vec<_> = again
        .lines()
        .filter(|line| !line.ends_with(" unchanged"))
        .collect();
    ensure!(changed.is_empty(), "a second apply changes {changed:#?}");
    no_difference(kubectl, &["-f", file])?;
    let folder = product::path("config/native");
    let folder = folder.to_str().context("a path in UTF-8")?;
    no_difference(kubectl, &["-k", folder])?;
    ensure!(
        product::pods(kubectl, "speaker")? == pods,
        "speakers were replaced"
    );
    kubectl.output(&["apply", "--server-side", "-f", file])?;
    no_difference(kubectl, &["--server-side", "-f", file])?;
    each_folder_is_its_file(kubectl)?;

    kubectl.output(&["delete", "-f", file])?;
    let kinds = "clusterroles,clusterrolebindings,validatingwebhookconfigurations,crds,namespaces";
    let left = kubectl.output(&["get", kinds, "-o", "name"])?;
    let ours: Vec<_> = left.lines().filter(|it| it.contains("metallb")).collect();
    ensure!(ours.is_empty(), "left behind: {ours:?}");
    Ok(())
}

/// What is in the cluster is what the files say.
fn no_difference(kubectl: &Kubectl, arguments: &[&str]) -> Result<()> {
    let diff = [&["diff"], arguments].concat();
    let output = kubectl.command(&diff).output()?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "kubectl {} ended with {}: {}{}",
        diff.join(" "),
        output.status,
        text(&output.stderr),
        text(&output.stdout)
    );
    Ok(())
}

/// A `BGPPeer` is written in the old version and read in the new one.
fn in_both_versions(kubectl: &Kubectl) -> Result<()> {
    let peer = "{apiVersion: metallb.io/v1beta1, kind: BGPPeer, \
         metadata: {name: old, namespace: metallb-system}, \
         spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.250}}";
    eventually("the controller converts", SOON, || {
        Ok(kubectl.apply(peer).map_err(|error| error.to_string()))
    })?;
    let read = ["-n", NAMESPACE, "get", "bgppeers.v1beta2.metallb.io", "old"];
    let address = &kubectl.json(&read)?["spec"]["peerAddress"];
    ensure!(address == "192.0.2.250", "it is {address}");
    kubectl.delete(peer)
}

/// `kubectl apply -k` and `-f` have the same objects.
fn each_folder_is_its_file(kubectl: &Kubectl) -> Result<()> {
    for backend in ["native", "frr", "frr-k8s"] {
        for (folder, file) in [
            (backend.to_owned(), backend.to_owned()),
            (
                format!("prometheus-{backend}"),
                format!("{backend}-prometheus"),
            ),
        ] {
            let folder = product::path("config").join(folder);
            let file = product::path(&format!("config/manifests/metallb-{file}.yaml"));
            let folder = kubectl.output(&["kustomize", folder.to_str().unwrap_or_default()])?;
            let file = std::fs::read_to_string(&file)?;
            let (folder, file) = (documents(&folder)?, documents(&file)?);
            ensure!(folder == file, "{backend}: folder and file differ");
        }
    }
    Ok(())
}

/// The objects of a stream in an order of their own.
fn documents(text: &str) -> Result<Vec<String>> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text)?;
    let mut documents: Vec<_> = documents.iter().map(ToString::to_string).collect();
    documents.sort();
    Ok(documents)
}
