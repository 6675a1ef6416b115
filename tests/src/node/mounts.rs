//! A node's own mounts and host name.

use std::{fmt::Write as _, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cgroup,
    cluster::{Cluster, HOLDER},
    place::Place,
    wait::eventually,
};

/// Starts the process that keeps the node's mount and UTS namespaces.
///
/// The mounts make the node look like a machine of its own: the directories that container
/// programs have by name are bound to the cluster's, and they all vanish with the last process.
pub(super) fn hold(cluster: &Cluster, node: Place) -> Result<()> {
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
