//! What the machine has to have, found out before anything is started.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    options::{Options, Router},
    process,
    progress::Progress,
};

/// Refuses with a reason, or installs what is missing and may be installed.
pub(crate) fn prepare(options: &Options, progress: &mut dyn Progress) -> Result<()> {
    ensure!(
        is_root(),
        "a cluster needs root, for network namespaces, mounts and cgroups; run this as root or with sudo -E"
    );
    install_programs(&options.routers, progress)?;
    check_kernel()
}

/// Whether this process may do all that a cluster needs.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a test that needs a cluster has to be skipped; it says so, which `cargo xtask test`
/// counts, and takes for a failure under CI.
pub fn needs_root() -> bool {
    if !is_root() {
        println!("skipped: a cluster needs root");
    }
    !is_root()
}

/// A program or file, and the Debian package that has it.
pub type Needed = (&'static str, &'static str);

const ALWAYS: [Needed; 14] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("ethtool", "ethtool"),
    ("arping", "arping"),
    ("ndisc6", "ndisc6"),
    ("tcpdump", "tcpdump"),
    ("ping", "iputils-ping"),
    ("curl", "curl"),
    ("nsenter", "util-linux"),
];

fn needed_by(router: Router) -> Needed {
    match router {
        Router::Frr => ("/usr/lib/frr/bgpd", "frr"),
        Router::Bird => ("bird", "bird2"),
        Router::Gobgp => ("gobgpd", "gobgpd"),
    }
}

/// Installs what a cluster and the tests on a wire of their own run and is not there, the programs
/// of these routers too; says how, where it may not.
pub fn install_programs(routers: &[Router], progress: &mut dyn Progress) -> Result<()> {
    let routers = routers.iter().copied().map(needed_by);
    install(ALWAYS.into_iter().chain(routers), progress)
}

/// Installs what is not there of these; says how, where it may not.
pub fn install(
    needed: impl IntoIterator<Item = Needed>,
    progress: &mut dyn Progress,
) -> Result<()> {
    let mut packages: Vec<&str> = needed
        .into_iter()
        .filter(|(file, _)| find(file).is_none())
        .map(|(_, package)| package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    ensure!(
        Path::new("/etc/debian_version").exists() && find("apt-get").is_some(),
        "missing here: {}; on Debian this gets it: {line}",
        packages.join(" ")
    );
    progress.step(&format!("installing {}", packages.join(" ")));
    // Only the programs are wanted, not their services.
    let _no_services = NoServices::start()?;
    let install = || {
        let mut words = line.split(' ');
        let mut apt = Command::new(words.next().expect("the line names a program"));
        process::run(apt.args(words).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    if install().is_err() {
        process::run(Command::new("apt-get").arg("update")).with_context(|| advice(&line))?;
        install().with_context(|| advice(&line))?;
    }
    Ok(())
}

fn advice(line: &str) -> String {
    format!("programs are missing; run: apt-get update && {line}")
}

/// While it lives, packages that are installed start no services.
struct NoServices {
    made: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn start() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let made = !Path::new(Self::POLICY).exists();
        if made {
            fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { made })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.made {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}

/// Tries what every cluster does, in namespaces that end with the trial.
fn check_kernel() -> Result<()> {
    for (what, script) in [
        ("network namespaces", "true"),
        ("network bridges", "ip link add name br0 type bridge"),
        ("veth pairs", "ip link add name v0 type veth peer name v1"),
        ("nf_tables", "nft list tables"),
        ("tmpfs mounts", "mount -t tmpfs tmpfs /mnt"),
        (
            "overlay mounts",
            "mount -t tmpfs tmpfs /mnt && mkdir /mnt/a /mnt/b /mnt/c /mnt/d && \
             mount -t overlay overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c /mnt/d",
        ),
    ] {
        process::run(Command::new("unshare").args(["--net", "--mount", "sh", "-c", script]))
            .with_context(|| format!("this machine gives no {what}, and a cluster needs them"))?;
    }
    let cgroups = fs::read_dir("/sys/fs/cgroup")
        .map(Iterator::count)
        .unwrap_or_default();
    ensure!(
        cgroups > 0,
        "no cgroups are mounted at /sys/fs/cgroup, and the kubelet needs them"
    );
    Ok(())
}

/// A program on the PATH or in the directories of system programs, or a file by its full path.
pub(crate) fn find(file: &str) -> Option<PathBuf> {
    if file.starts_with('/') {
        return Some(PathBuf::from(file)).filter(|path| path.exists());
    }
    let path = env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|dir| Path::new(dir).join(file))
        .find(|path| path.exists())
}
