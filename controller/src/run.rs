//! Starts everything, and ends it.

use anyhow::Context as _;
use metallb_crds::names::CONTROLLER_LEASE;
use metallb_kit::leader::{Campaign, Settings};
use metallb_kit::metrics::{Endpoint, Metrics};
use metallb_kit::ready::Ready;
use metallb_kit::tls::TlsOptions;
use metallb_kit::{client, leader, namespace, probes, shutdown};

use crate::args::Args;
use crate::memberlist;
use crate::program::Program;

/// Runs until a signal ends it.
///
/// # Errors
/// Something that it cannot start without: no cluster, a taken port, bad TLS options.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    // One thread: an allocation takes microseconds, and a thread costs memory.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(start(args))
}

async fn start(args: &Args) -> anyhow::Result<()> {
    let tls = TlsOptions::parse(
        &args.tls_min_version,
        &args.tls_cipher_suites,
        &args.tls_curve_preferences,
    )?;
    let namespace = namespace::resolve(args.namespace.as_deref())?;
    let shutdown = shutdown::on_signal()?;
    let client = client::connect("metallb-controller", env!("CARGO_PKG_VERSION")).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace,
        "MetalLB controller starting"
    );
    let ineffective: Vec<_> = args
        .ineffective
        .given()
        .chain(args.webhooks.ineffective())
        .collect();
    if !ineffective.is_empty() {
        tracing::info!(
            flags = ineffective.join(", "),
            "these flags have no effect yet"
        );
    }

    let ready = Ready::new();
    let metrics = Metrics::new();
    let program = (!args.webhooks.only_webhooks())
        .then(|| Program::new(args, &namespace, client.clone(), &ready, &metrics));
    let webhooks = args
        .webhooks
        .serve(&client, &namespace, &tls, (&ready, &metrics, &shutdown))
        .await?;
    probes::serve(args.probes_addr(), ready, None, shutdown.clone())
        .await
        .with_context(|| format!("cannot serve probes on port {}", args.health_probe_port))?;
    let endpoint = Endpoint {
        addr: args.metrics_addr(),
        cert_dir: args.metrics_cert_dir.clone(),
        tls,
    };
    metallb_kit::metrics::serve(metrics, endpoint, client.clone(), shutdown.clone())
        .await
        .with_context(|| format!("cannot serve metrics on port {}", args.port))?;
    let ended = async {
        if let Some(webhooks) = webhooks {
            webhooks.ended().await;
        }
    };
    let Some(program) = program else {
        shutdown.cancelled().await;
        ended.await;
        return Ok(());
    };
    if !args.ml_secret_name.is_empty() {
        let (name, owner) = (&args.ml_secret_name, &args.deployment);
        memberlist::ensure(client.clone(), &namespace, name, owner, rand::random())
            .await
            .with_context(|| format!("cannot create the memberlist secret {name:?}"))?;
    }

    let pod = if args.pod_name.is_empty() {
        "metallb-controller"
    } else {
        &args.pod_name
    };
    let campaign = Campaign::start(
        client,
        &namespace,
        CONTROLLER_LEASE,
        Settings::prompt(leader::identity(pod)),
    );
    shutdown
        .run_until_cancelled(program.run(campaign.leadership()))
        .await;
    // The program and its writes are gone now; another may lead.
    campaign.release().await;
    ended.await;
    Ok(())
}
