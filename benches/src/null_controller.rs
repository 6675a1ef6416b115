//! The floor under the controller: the same client, the same watch, the same number of writes at a
//! time, and nothing to decide. It knows every address from the Service's name and writes the
//! status that the controller would write.
//!
//! What it writes is given as a file with `annotations` and `status`, in which `$ADDRESS` stands
//! for the address: taken from what the controller wrote, so both write the same.

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};
use metallb_benches::service::{self, ADDRESS, Service};
use metallb_kit::ready::Ready;
use metallb_kit::watch::{Change, watch};
use metallb_kit::{client, probes, shutdown};
use serde::Deserialize;
use serde_json::Value;

/// Writes statuses that are known beforehand.
#[derive(Parser)]
struct Args {
    /// What to write.
    #[arg(long)]
    template: PathBuf,
    /// How many statuses are written at once.
    #[arg(long)]
    at_once: usize,
    /// Port of /readyz.
    #[arg(long)]
    health_probe_port: u16,
}

#[derive(Deserialize)]
struct Template {
    annotations: Value,
    status: Value,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let template = std::fs::read_to_string(&args.template)
        .with_context(|| format!("cannot read {}", args.template.display()))?;
    // One thread, as the controller.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(&args, &template))
}

async fn run(args: &Args, template: &str) -> Result<()> {
    let shutdown = shutdown::on_signal()?;
    let client = client::connect("metallb-null-controller", env!("CARGO_PKG_VERSION")).await?;
    let ready = Ready::new();
    let synced = ready.condition("services in sync");
    let probes = SocketAddr::from((Ipv6Addr::UNSPECIFIED, args.health_probe_port));
    probes::serve(probes, ready, None, shutdown.clone()).await?;
    let work = async {
        let mut services = watch::<Service>(Api::all(client.clone()));
        let mut waiting = VecDeque::new();
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(written) = running.next() => written?,
                Some(change) = services.next() => match change {
                    Change::Apply(service) if service.address().is_none()
                        && service::address(&service.name_any()).is_ok() => waiting.push_back(service),
                    Change::Synced => synced.set(true),
                    Change::Listing | Change::Apply(_) | Change::Delete(_) => {}
                }
            }
            while running.len() < args.at_once
                && let Some(service) = waiting.pop_front()
            {
                running.push(write(client.clone(), service, template));
            }
        }
    };
    shutdown
        .run_until_cancelled(work)
        .await
        .unwrap_or(Ok::<(), anyhow::Error>(()))
}

async fn write(client: Client, mut service: Service, template: &str) -> Result<()> {
    let (namespace, name) = (service.namespace().unwrap_or_default(), service.name_any());
    let address = service::address(&name)?.to_string();
    let filled: Template = serde_json::from_str(&template.replace(ADDRESS, &address))?;
    service.metadata.annotations = serde_json::from_value(filled.annotations)?;
    service.status = filled.status;
    let api: Api<Service> = Api::namespaced(client, &namespace);
    api.replace_status(&name, &PostParams::default(), &service)
        .await
        .with_context(|| format!("the status of {name}"))
        .map(drop)
}
