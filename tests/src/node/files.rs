//! What a node's programs read: their configuration.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{cluster::Cluster, images, place::Place, plan};

/// Writes them all.
pub(super) fn write(cluster: &Cluster, node: Place) -> Result<()> {
    let dir = cluster.files.of_place(node);
    let registry = dir.join("registries").join(plan::REGISTRY);
    for wanted in [
        dir.join("cni-conf"),
        dir.join("volume-plugins"),
        registry.clone(),
    ] {
        fs::create_dir_all(&wanted).with_context(|| format!("cannot make {}", wanted.display()))?;
    }
    fs::write(dir.join("containerd.toml"), containerd(cluster, node))?;
    fs::write(registry.join("hosts.toml"), registry_hosts())?;
    fs::write(dir.join("hosts"), etc_hosts(cluster)?)?;
    fs::write(
        dir.join("cni-conf/10-pods.conflist"),
        cni(cluster, node).to_string(),
    )?;
    fs::write(dir.join("kubelet.json"), kubelet(cluster, node).to_string())?;
    fs::write(
        dir.join("kube-proxy.json"),
        kube_proxy(cluster, node).to_string(),
    )?;
    let [v4, v6] = plan::DNS_SERVICE;
    let dns = if cluster.options().family.ipv4() {
        v4
    } else {
        v6
    };
    fs::write(dir.join("resolv.conf"), format!("nameserver {dns}\n"))?;
    Ok(())
}

fn containerd(cluster: &Cluster, node: Place) -> String {
    let dir = cluster.files.of_place(node);
    let dir = dir.display();
    let pause = images::PAUSE;
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# A container may not be given a lower score than containerd has without CAP_SYS_RESOURCE.
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{dir}/cni-conf"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{dir}/registries"
"#
    )
}

/// The registry by its host name, which has whatever addresses the cluster has: containerd 1.6
/// cannot read a key with the brackets of an IPv6 address.
fn registry_hosts() -> String {
    let server = format!("http://{}:{}", Place::Fabric, plan::REGISTRY_PORT);
    format!("server = \"{server}\"\n[host.\"{server}\"]\ncapabilities = [\"pull\", \"resolve\"]\n")
}

/// The node's `/etc/hosts`.
fn etc_hosts(cluster: &Cluster) -> Result<String> {
    let mut lines = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for place in cluster.places() {
        let address = place.address();
        for ip in cluster
            .options()
            .family
            .of(address.v4.into(), address.v6.into())
        {
            writeln!(lines, "{ip} {place}")?;
        }
    }
    Ok(lines)
}

fn cni(cluster: &Cluster, node: Place) -> Value {
    let family = cluster.options().family;
    let (v4, v6) = plan::pods_of(node);
    let mut ranges = Vec::new();
    let mut routes = Vec::new();
    if family.ipv4() {
        ranges.push(json!([{"subnet": v4}]));
        routes.push(json!({"dst": "0.0.0.0/0"}));
    }
    if family.ipv6() {
        ranges.push(json!([{"subnet": v6}]));
        routes.push(json!({"dst": "::/0"}));
    }
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
                "ipam": {"type": "host-local", "ranges": ranges, "routes": routes},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn kubelet(cluster: &Cluster, node: Place) -> Value {
    let [dns_v4, dns_v6] = plan::DNS_SERVICE;
    let dns = if cluster.options().family.ipv4() {
        dns_v4
    } else {
        dns_v6
    };
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "::",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki(cluster, "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki(cluster, &format!("kubelet-{node}-server.crt")),
        "tlsPrivateKeyFile": pki(cluster, &format!("kubelet-{node}-server.key")),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDomain": "cluster.local",
        "clusterDNS": [dns],
        "resolvConf": file(cluster, node, "resolv.conf"),
        "volumePluginDir": file(cluster, node, "volume-plugins"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", cluster.cgroup(node)),
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        // The machine's disk is shared, and a full one shall not evict pods.
        "localStorageCapacityIsolation": false,
        "evictionHard": {
            "memory.available": "50Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%",
        },
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": false,
        // A container that ends again and again is started anew after 10 s, 20 s and so on up to
        // five minutes by a user's kubelet. What is told here is not its patience.
        "featureGates": {"KubeletCrashLoopBackOffMax": true},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "4s"},
    })
}

fn kube_proxy(cluster: &Cluster, node: Place) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node.to_string(),
        "clientConnection": {"kubeconfig": pki(cluster, "kube-proxy.kubeconfig")},
        "clusterCIDR": plan::pods(cluster.options().family),
        // The limit is the machine's and not ours to change.
        "conntrack": {"maxPerCore": 0},
        "oomScoreAdj": 0,
    })
}

/// The path of one of the node's files.
pub(super) fn file(cluster: &Cluster, node: Place, name: &str) -> String {
    cluster
        .files
        .of_place(node)
        .join(name)
        .display()
        .to_string()
}

/// The path of a certificate, key or kubeconfig.
pub(super) fn pki(cluster: &Cluster, name: &str) -> String {
    cluster.files.pki().join(name).display().to_string()
}

/// Where Debian puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";
