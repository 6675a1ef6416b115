//! Wires it up: beside the operator's own task run the probes, the metrics, the writer of Events
//! and the candidate for the Lease.

use std::net::Ipv6Addr;
use std::process::ExitCode;

use anyhow::Context as _;
use metallb_kit::client::Refusals;
use metallb_kit::events::Events;
use metallb_kit::leader::{self, Campaign, Leadership, identity};
use metallb_kit::metrics::{Endpoint, Metrics};
use metallb_kit::ready::Ready;
use metallb_kit::tls::TlsOptions;
use metallb_kit::words::in_words;
use metallb_kit::{args, client, log, metrics, probes, shutdown};
use tokio::sync::watch;

use crate::apply::Applier;
use crate::args::{Arguments, Command, Flags};
use crate::commands::{check, collect, diff, export, print, restore};
use crate::counters::Counters;
use crate::decide::Pace;
use crate::index::Index;
use crate::operate::Operator;
use crate::platform::Platform;
use crate::render::OPERATOR_LEASE;
use crate::settings::Settings;
use crate::{VERSION, webhook};

/// Runs the program to its end.
pub(crate) fn run() -> ExitCode {
    let arguments: Arguments = args::parse();
    if let Some(Command::Diff(args)) = &arguments.command {
        return diff::diff(args);
    }
    let result = match &arguments.command {
        Some(Command::Manifests { image, namespace }) => {
            print::manifests(image, namespace);
            Ok(())
        }
        Some(Command::Check { paths }) => check::check(paths),
        Some(Command::Collect { namespace }) => collect::collect(namespace),
        Some(Command::Standalone {
            file,
            backend,
            parts,
            image,
            namespace,
        }) => print::standalone(
            file.as_deref(),
            backend.as_deref(),
            parts,
            (image, namespace),
        ),
        Some(Command::Bundle(args)) => {
            print::bundle(args);
            Ok(())
        }
        Some(Command::Export {
            namespace,
            with_secrets,
        }) => export::export(namespace, *with_secrets),
        Some(Command::Restore { paths }) => restore::restore(paths),
        Some(Command::Diff(_)) => unreachable!("it has said how it ends"),
        Some(Command::Render { file, image }) => print::operands(file, image),
        None => serve(&arguments.flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator: {}", in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn serve(flags: &Flags) -> anyhow::Result<()> {
    let mut settings = Settings::parse(|name| std::env::var(name).ok())?;
    let metrics_addr = flags.metrics_endpoint().map_err(anyhow::Error::msg)?;
    log::init(flags.log_level);
    for flag in flags.without_effect() {
        tracing::info!(flag, "flag has no effect yet");
    }
    for line in &settings.without_effect {
        tracing::info!("{line}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        let refusals = Refusals::default();
        let client = client::connect_and_tell(&refusals, "metallb-operator", VERSION).await?;
        let ready = Ready::new();
        let synced = ready.condition("watches in sync");
        let any = (Ipv6Addr::UNSPECIFIED, flags.port).into();
        probes::serve(any, ready.clone(), None, shutdown.clone())
            .await
            .with_context(|| format!("cannot serve probes on port {}", flags.port))?;
        let metrics = Metrics::new();
        let counters = Counters::register(&metrics);
        let source = flags.certificate();
        settings.webhook_service = source.service();
        let webhooks =
            webhook::serve(source, &client, &settings, &metrics, &ready, &shutdown).await?;
        let platform = shutdown.run_until_cancelled(Platform::detect(&client));
        settings.platform = platform.await.unwrap_or_default();
        settings.metrics = metrics_addr.map(|addr| addr.port());
        if let Some(addr) = metrics_addr {
            let endpoint = Endpoint {
                addr,
                cert_dir: None,
                tls: TlsOptions::default(),
            };
            metrics::serve(metrics, endpoint, client.clone(), shutdown.clone()).await?;
        }
        let campaign = flags.enable_leader_election.then(|| {
            let pod = std::env::var("METALLB_POD_NAME").unwrap_or_else(|_| "operator".to_owned());
            Campaign::start(
                client.clone(),
                &settings.namespace,
                OPERATOR_LEASE,
                leader::Settings::new(identity(&pod)),
            )
        });
        tokio::spawn(metallb_netio::stay_small());
        let operator = Operator {
            applier: Applier::new(
                client.clone(),
                &settings.namespace,
                Events::start(client.clone(), "metallb-operator", None),
            ),
            refusals,
            leadership: leadership(campaign.as_ref()),
            candidacy: campaign
                .as_ref()
                .map(Campaign::candidacy)
                .unwrap_or_default(),
            settings,
            index: Index::default(),
            counters,
            synced,
            pace: Pace::Thorough,
            told_olm: None,
        };
        operator.run(&client, &shutdown).await;
        if let Some(campaign) = campaign {
            campaign.release().await;
        }
        webhooks.ended().await;
        Ok(())
    })
}

/// Without an election, whoever runs leads.
fn leadership(campaign: Option<&Campaign>) -> Leadership {
    campaign.map_or_else(|| watch::channel(Some(0)).1, Campaign::leadership)
}
