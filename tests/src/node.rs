//! One node: its mounts, containerd, kubelet and kube-proxy.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    cgroup,
    cluster::{Cluster, HOLDER},
    images,
    place::Place,
    plan,
    wait::eventually,
};

/// Makes the node's cgroups and mounts, starts containerd and puts the first images into it.
pub(crate) fn start_containerd(cluster: &Cluster, node: Place) -> Result<()> {
    write_files(cluster, node)?;
    cgroup::create(&cluster.cgroup(node))?;
    hold(cluster, node)?;
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
pub(crate) fn import(cluster: &Cluster, node: Place, archive: &std::path::Path) -> Result<()> {
    let archive = archive.display().to_string();
    cluster
        .output(
            node,
            &["ctr", "--namespace", "k8s.io", "images", "import", &archive],
        )
        .with_context(|| format!("cannot load {archive} into {node}"))
        .map(drop)
}

/// Starts the process that keeps the node's mount and UTS namespaces.
///
/// The mounts make the node look like a machine of its own: the directories that container
/// programs have by name are bound to the cluster's, and they all vanish with the last process.
fn hold(cluster: &Cluster, node: Place) -> Result<()> {
    let dir = cluster.files.of_place(node);
    let mut script = format!("set -e; hostname {node}\n");
    for path in BOUND {
        let own = dir.join(path.trim_start_matches('/').replace('/', "-"));
        fs::create_dir_all(&own)?;
        fs::create_dir_all(path).with_context(|| format!("cannot make {path}"))?;
        writeln!(script, "mount --bind {} {path}", own.display())?;
    }
    writeln!(
        script,
        "mount --bind {} /etc/hosts",
        dir.join("hosts").display()
    )?;
    // The kubelet wants these settings of the machine and would make them. Bound files let it find
    // them as it likes, and leave the machine alone.
    for (name, value) in KERNEL_SETTINGS {
        let own = dir.join(name.replace('/', "-"));
        fs::write(&own, format!("{value}\n"))?;
        writeln!(script, "mount --bind {} /proc/sys/{name}", own.display())?;
    }
    // The namespaces of other places would be kept alive by our copy of their mounts, and those
    // that containerd makes for pods need not be seen outside.
    script.push_str(
        "while umount --recursive --lazy /run/netns 2>/dev/null; do :; done\n\
         mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns\n\
         mount --make-rshared /\n",
    );
    let holder = cluster.state.kube.join("pause");
    writeln!(script, "exec {}", holder.display())?;

    let unshare = [
        "unshare",
        "--mount",
        "--uts",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
    ];
    let command = cgroup::join(&cluster.cgroup(node), &cluster.exec(node, &unshare))?;
    let process = cluster.launch(node, HOLDER, command)?;
    eventually(
        &format!("the mounts of {node}"),
        Duration::from_secs(10),
        || {
            let log = || fs::read_to_string(cluster.files.log(node, HOLDER)).unwrap_or_default();
            ensure!(process.alive(), "they failed: {}", log());
            let program = fs::read_link(format!("/proc/{}/exe", process.pid()))?;
            Ok(if program == holder {
                Ok(())
            } else {
                Err(program.display().to_string())
            })
        },
    )
}

fn write_files(cluster: &Cluster, node: Place) -> Result<()> {
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

fn file(cluster: &Cluster, node: Place, name: &str) -> String {
    cluster
        .files
        .of_place(node)
        .join(name)
        .display()
        .to_string()
}

fn pki(cluster: &Cluster, name: &str) -> String {
    let path: PathBuf = cluster.files.pki().join(name);
    path.display().to_string()
}

/// Where Debian puts the CNI plugins.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";
/// A node's own, under the names that everybody knows.
const BOUND: [&str; 6] = [
    "/run/containerd",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/containers",
    "/var/log/pods",
];
/// What the kubelet asks of the kernel (its `setupKernelTunables`).
const KERNEL_SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];
