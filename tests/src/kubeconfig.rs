//! How each program reaches the API server.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::{
    options::{Name, Options},
    place::Place,
    plan,
};

/// Writes `pki/NAME.kubeconfig` for every program of the cluster.
pub(crate) fn write_all(pki: &Path, options: &Options) -> Result<()> {
    let local = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), plan::API_PORT);
    for user in ["admin", "kube-controller-manager", "kube-scheduler"] {
        write(
            &pki.join(format!("{user}.kubeconfig")),
            pki,
            user,
            &options.name,
            local,
        )?;
    }
    let api = plan::first_address(Place::ControlPlane, options.family);
    let remote = SocketAddr::new(api, plan::API_PORT);
    for node in (1..=options.nodes).map(Place::Node) {
        let user = format!("kubelet-{node}");
        write(
            &pki.join(format!("{user}.kubeconfig")),
            pki,
            &user,
            &options.name,
            remote,
        )?;
    }
    write(
        &pki.join("kube-proxy.kubeconfig"),
        pki,
        "kube-proxy",
        &options.name,
        remote,
    )
}

/// Writes a kubeconfig (YAML that is also JSON) for the owner of the certificate `user`.
pub(crate) fn write(
    file: &Path,
    pki: &Path,
    user: &str,
    cluster: &Name,
    server: SocketAddr,
) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.as_str(), "cluster": {
            "server": format!("https://{server}"),
            "certificate-authority": pki.join("ca.crt"),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate": pki.join(format!("{user}.crt")),
            "client-key": pki.join(format!("{user}.key")),
        }}],
        "contexts": [{"name": cluster.as_str(), "context": {
            "cluster": cluster.as_str(), "user": user,
        }}],
        "current-context": cluster.as_str(),
    });
    fs::write(file, serde_json::to_vec_pretty(&config)?)
        .with_context(|| format!("cannot write {}", file.display()))
}
