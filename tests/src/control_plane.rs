//! etcd, the API server, the controller manager, the scheduler, and the image registry.

use std::{fs, net::TcpListener, os::fd::OwnedFd, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};

use crate::{audit, cluster::Cluster, kubeconfig, place::Place, plan, wait::eventually};

/// Starts etcd, the API server and the registry.
pub(crate) fn start(cluster: &Cluster) -> Result<()> {
    let blobs = cluster.files.of_place(Place::Fabric).join("blobs");
    fs::create_dir_all(&blobs)?;
    let address = format!(":{}", plan::REGISTRY_PORT);
    cluster.kube(
        Place::Fabric,
        "registry",
        &[address, blobs.display().to_string()],
    )?;
    cluster.kube(Place::ControlPlane, "etcd", &etcd(cluster))?;
    let mut flags = api_server(cluster);
    if cluster.options().audit {
        flags.extend(audit::flags(cluster)?);
    }
    cluster.kube(Place::ControlPlane, "kube-apiserver", &flags)
}

/// Makes the API server reachable at a port of the host's 127.0.0.1, which it returns, and writes
/// the administrator's kubeconfig for it.
pub(crate) fn open_to_host(cluster: &Cluster) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    let address = listener.local_addr()?;
    let target = format!("127.0.0.1:{}", plan::API_PORT);
    let program = cluster.kube_program("forward", &[target]);
    let mut command = cluster.exec(Place::ControlPlane, &program);
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    cluster.launch(Place::ControlPlane, "forward", command)?;
    let name = cluster.name();
    kubeconfig::write(
        &cluster.kubeconfig(),
        &cluster.files.pki(),
        "admin",
        name,
        address,
    )?;
    Ok(address.port())
}

/// Waits until the API server takes requests.
pub(crate) fn wait_until_serving(cluster: &Cluster) -> Result<()> {
    eventually(
        "the API server to answer /readyz",
        Duration::from_mins(1),
        || {
            for program in ["etcd", "kube-apiserver"] {
                let log = cluster.files.log(Place::ControlPlane, program);
                cluster
                    .process(program)
                    .with_context(|| format!("it ended; see {}", log.display()))?;
            }
            let answer = cluster.get_text("/readyz")?;
            Ok(if answer == "ok" { Ok(()) } else { Err(answer) })
        },
    )
}

/// Starts what turns objects into other objects.
pub(crate) fn start_controllers(cluster: &Cluster) -> Result<()> {
    let pki = cluster.files.pki();
    let file = |name: &str| pki.join(name).display().to_string();
    let common = |program: &str| {
        let kubeconfig = file(&format!("{program}.kubeconfig"));
        vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--leader-elect=false".to_owned(),
        ]
    };
    let mut manager = common("kube-controller-manager");
    manager.extend([
        "--use-service-account-credentials=true".to_owned(),
        format!("--root-ca-file={}", file("ca.crt")),
        format!(
            "--service-account-private-key-file={}",
            file("service-account.key")
        ),
        format!("--cluster-signing-cert-file={}", file("ca.crt")),
        format!("--cluster-signing-key-file={}", file("ca.key")),
        format!(
            "--service-cluster-ip-range={}",
            plan::services(cluster.options().family)
        ),
        format!("--node-monitor-grace-period={}s", GRACE.as_secs()),
    ]);
    cluster.kube(Place::ControlPlane, "kube-controller-manager", &manager)?;
    cluster.kube(
        Place::ControlPlane,
        "kube-scheduler",
        &common("kube-scheduler"),
    )
}

/// How long the controller manager takes nodes that it hears nothing of for well. Elsewhere it ends
/// when it loses the API server, with its Lease, and begins to count when it is started again. This
/// one is alone, so it goes on, and would take all nodes for lost when the API server was.
const GRACE: Duration = Duration::from_mins(3);

fn etcd(cluster: &Cluster) -> Vec<String> {
    let data = cluster.files.of_place(Place::ControlPlane).join("etcd");
    [
        &format!("--data-dir={}", data.display()),
        "--unsafe-no-fsync",
        "--name=cp",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=cp=http://127.0.0.1:2380",
        // Alone it elects itself; waiting for others would only cost time.
        "--heartbeat-interval=50",
        "--election-timeout=500",
    ]
    .map(str::to_owned)
    .into()
}

fn api_server(cluster: &Cluster) -> Vec<String> {
    let family = cluster.options().family;
    let pki = cluster.files.pki();
    let file = |flag: &str, name: &str| format!("--{flag}={}", pki.join(name).display());
    let mut flags = vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!(
            "--advertise-address={}",
            plan::first_address(Place::ControlPlane, family)
        ),
        "--bind-address=::".to_owned(),
        format!("--secure-port={}", plan::API_PORT),
        format!("--service-cluster-ip-range={}", plan::services(family)),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("client-ca-file", "ca.crt"),
        file("service-account-key-file", "service-account.pub"),
        file("service-account-signing-key-file", "service-account.key"),
        file("kubelet-client-certificate", "apiserver-kubelet.crt"),
        file("kubelet-client-key", "apiserver-kubelet.key"),
        file("kubelet-certificate-authority", "ca.crt"),
        file("requestheader-client-ca-file", "front-proxy-ca.crt"),
        file("proxy-client-cert-file", "front-proxy.crt"),
        file("proxy-client-key-file", "front-proxy.key"),
    ];
    flags.extend(
        [
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            // Webhooks are called at pod addresses: no kube-proxy runs beside the API server.
            "--enable-aggregator-routing=true",
        ]
        .map(str::to_owned),
    );
    flags
}
