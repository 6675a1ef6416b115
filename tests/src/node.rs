//! One node: its mounts, containerd, kubelet and kube-proxy.

mod files;
mod mounts;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    cgroup,
    cluster::Cluster,
    images,
    node::files::{file, pki},
    place::Place,
    wait::eventually,
};

/// Makes the node's cgroups and mounts, starts containerd and puts the first images into it.
pub(crate) fn start_containerd(cluster: &Cluster, node: Place) -> Result<()> {
    files::write(cluster, node)?;
    cgroup::create(&cluster.cgroup(node))?;
    mounts::hold(cluster, node)?;
    let config = file(cluster, node, "containerd.toml");
    cluster.spawn(
        node,
        "containerd",
        &["containerd".to_owned(), "--config".to_owned(), config],
    )?;
    eventually(
        &format!("containerd of {node} to answer"),
        Duration::from_secs(30),
        || {
            cluster.process(&format!("{node}/containerd"))?;
            cluster.output(node, &["ctr", "--connect-timeout", "2s", "version"])?;
            Ok(Ok::<_, String>(()))
        },
    )?;
    for archive in images::archives(&cluster.state.kube) {
        import(cluster, node, &archive)?;
    }
    Ok(())
}

/// Starts the kubelet, which registers the node, and kube-proxy.
pub(crate) fn start_kubelet(cluster: &Cluster, node: Place) -> Result<()> {
    let address = node.address();
    let kubelet = [
        format!("--config={}", file(cluster, node, "kubelet.json")),
        format!(
            "--kubeconfig={}",
            pki(cluster, &format!("kubelet-{node}.kubeconfig"))
        ),
        format!("--hostname-override={node}"),
        format!(
            "--node-ip={}",
            cluster.options().family.join(address.v4, address.v6)
        ),
    ];
    cluster.kube(node, "kubelet", &kubelet)?;
    let config = format!("--config={}", file(cluster, node, "kube-proxy.json"));
    cluster.kube(node, "kube-proxy", &[config])
}

/// Imports an image archive into the node's containerd.
pub(crate) fn import(cluster: &Cluster, node: Place, archive: &Path) -> Result<()> {
    let archive = archive.display().to_string();
    cluster
        .output(
            node,
            &["ctr", "--namespace", "k8s.io", "images", "import", &archive],
        )
        .with_context(|| format!("cannot load {archive} into {node}"))
        .map(drop)
}
