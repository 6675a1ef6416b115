//! The proxy before the real API server.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_tests::api_faults::{ApiFaults, Flow, Rule};
use metallb_tests::{Cluster, Place, eventually};

use crate::machines::{pod, start_pod};

pub(crate) fn statuses(cluster: &Cluster) -> Result<()> {
    let faults = engage(cluster)?;
    for (status, words) in [
        (409, "the object has been modified"),
        (410, "too old resource version"),
        (500, "Internal error occurred"),
    ] {
        faults.set(
            Rule::status(status)
                .path("/namespaces/default/configmaps")
                .user_agent("kubectl")
                .count(1),
        )?;
        let refused = cluster.kubectl_output(&LIST);
        let error = refused
            .err()
            .with_context(|| format!("no {status}"))?
            .to_string();
        ensure!(error.contains(words), "{status}: {error}");
        cluster
            .kubectl_output(&LIST)
            .with_context(|| format!("after {status}"))?;
    }
    // The client itself obeys Retry-After, so nobody sees the refusals but the clock.
    faults.set(
        Rule::status(429)
            .path("/namespaces/default/configmaps")
            .user_agent("kubectl")
            .count(2),
    )?;
    let started = Instant::now();
    cluster.kubectl_output(&LIST)?;
    let taken = started.elapsed();
    ensure!(taken >= Duration::from_secs(2), "it waited only {taken:?}");
    let state = faults.status()?;
    ensure!(
        state
            .rules
            .iter()
            .all(|tally| Some(tally.answered) == tally.rule.count),
        "{state}"
    );
    println!("  {state}");

    // Only what the rule names is hit.
    faults.clear()?;
    faults.set(Rule::status(500).method("PUT").path("/configmaps"))?;
    cluster.kubectl_output(&LIST)?;
    faults.clear()?;
    Ok(())
}

/// A watch from before the proxy is reset when it comes, and one through it when it is told to.
pub(crate) fn watch_is_cut(cluster: &Cluster) -> Result<()> {
    if let Some(faults) = ApiFaults::engaged(cluster) {
        faults.disengage()?;
    }
    let (mut watch, mut lines) = watch(cluster)?;
    let faults = engage(cluster)?;
    ensure!(
        lines.next().is_none(),
        "a watch from before lived on past the proxy"
    );
    watch.wait()?;

    let (mut watch, mut lines) = self::watch(cluster)?;
    faults.cut()?;
    ensure!(
        lines.next().is_none(),
        "a watch through the proxy was not cut"
    );
    watch.wait()?;
    // The cluster's own programs come again, each after the pause it has learnt to make.
    eventually(
        "the cluster's own connections",
        Duration::from_mins(1),
        || {
            let state = faults.status()?;
            Ok(if state.connections > 0 {
                Ok(())
            } else {
                Err(state)
            })
        },
    )?;

    let state = faults.refuse()?;
    ensure!(state.flow == Flow::Refusing, "{state}");
    // Not kubectl, which tries again for a minute.
    let url = format!("https://{}:6443/healthz", Place::ControlPlane.address().v4);
    let taken = cluster.output(Place::Client, &["curl", "-sSk", "-m", "5", &url]);
    let error = taken.err().context("a connection was taken")?.to_string();
    let refused = ["reset", "Couldn't connect"]
        .iter()
        .any(|word| error.contains(word));
    ensure!(refused, "{error}");
    faults.clear()?;
    cluster.kubectl_output(&LIST).map(drop)
}

pub(crate) fn stall(cluster: &Cluster) -> Result<()> {
    let faults = engage(cluster)?;
    faults.stall()?;
    let mut patient = cluster.kubectl(&LIST).stdout(Stdio::null()).spawn()?;
    let hasty = cluster.kubectl_output(&["get", "--raw", "/healthz", "--request-timeout=1s"]);
    ensure!(hasty.is_err(), "a stalled API server answered");
    ensure!(
        patient.try_wait()?.is_none(),
        "the stall was not waited for"
    );
    faults.clear()?;
    let status = patient.wait()?;
    ensure!(status.success(), "what had waited failed with {status}");
    cluster.wait_until_ready(Duration::from_mins(1))
}

/// Behind the proxy the API server still knows who asks, by token and by certificate.
pub(crate) fn identity(cluster: &Cluster) -> Result<()> {
    let faults = engage(cluster)?;
    let before = faults.status()?.requests;
    let who = cluster.kubectl_output(&[
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username}",
    ])?;
    ensure!(who == "admin", "the administrator became {who:?}");

    // As a pod would: a token, and the API server's Service address.
    let token = cluster.kubectl_output(&["create", "token", "default"])?;
    let header = format!("Authorization: Bearer {}", token.trim());
    let url = "https://10.96.0.1/api/v1/secrets";
    let ca = cluster.directory().join("pki/ca.crt").display().to_string();
    let curl = ["curl", "-s", "-m", "5", "--cacert", &ca, "-H", &header, url];
    let answer = cluster.output(Place::Node(1), &curl)?;
    ensure!(
        answer.contains("system:serviceaccount:default:default"),
        "{answer}"
    );
    let state = faults.status()?;
    ensure!(
        state.requests >= before + 3,
        "they went past the proxy: {state}"
    );
    Ok(())
}

/// `exec` leaves HTTP behind: the connection becomes a pipe, through the proxy as well.
pub(crate) fn exec(cluster: &Cluster) -> Result<()> {
    let node = Place::Node(1);
    start_pod(cluster, node)?;
    let faults = engage(cluster)?;
    let before = faults.status()?.requests;
    let exec = [
        "-n",
        "default",
        "exec",
        &pod(node),
        "--",
        "/agnhost",
        "help",
    ];
    // The kubelet asks the API server whether it may, over a connection that may have been reset.
    let said = eventually("an answer of exec", Duration::from_mins(1), || {
        cluster.kubectl_output(&exec).map(Ok::<_, String>)
    })?;
    ensure!(said.contains("netexec"), "{said}");
    ensure!(faults.status()?.requests > before, "it went past the proxy");
    Ok(())
}

pub(crate) fn disengage(cluster: &Cluster) -> Result<()> {
    engage(cluster)?.disengage()?;
    ensure!(ApiFaults::engaged(cluster).is_none(), "it takes orders");
    let rules = cluster.output(Place::ControlPlane, &["nft", "list", "ruleset"])?;
    ensure!(!rules.contains("6444"), "{rules}");
    cluster.kubectl_output(&LIST)?;
    cluster.wait_until_ready(Duration::from_mins(1))
}

fn engage(cluster: &Cluster) -> Result<ApiFaults<'_>> {
    ApiFaults::engage(
        cluster,
        &[env!("CARGO_BIN_EXE_metallb-api-faults").to_owned()],
    )
}

/// A watch that has seen its first object; the lines after that.
fn watch(
    cluster: &Cluster,
) -> Result<(
    std::process::Child,
    impl Iterator<Item = std::io::Result<String>> + use<>,
)> {
    // Raw, since `get --watch` lists first, and its first line says nothing of the watch.
    let mut child = cluster
        .kubectl(&[
            "get",
            "--raw",
            "/api/v1/namespaces/default/services?watch=true",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let first = lines.next().context("the watch ended at once")??;
    ensure!(first.contains("\"ADDED\""), "{first}");
    Ok((child, lines))
}

const LIST: [&str; 4] = ["-n", "default", "get", "configmaps"];
