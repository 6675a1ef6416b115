//! `/convert`: `BGPPeers` of either version, for as long as an operator runs. It does not wait for
//! a `MetalLB` object, since what was stored before has to be readable without one.
//!
//! Every replica serves, whoever leads.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;
use kube::core::conversion::ConversionReview;
use metallb_admission::{CONVERT_PATH, CONVERTED, PORT, convert_review, probe};
use metallb_kit::metrics::Metrics;
use metallb_kit::ready::Ready;
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::tls::{Certificate, TlsOptions};
use metallb_kit::webhook::{Place, Registration, Served, Service, Settings, Webhooks, keep};

use crate::render::OPERATOR_SECRET;

/// Where the certificate comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// We keep it ourselves, for the Service of this name.
    Ours {
        /// The Service.
        service: String,
    },
    /// Somebody else fills this folder, and tells the API server whom to trust.
    Folder(PathBuf),
}

/// Serves in the background until `shutdown`.
///
/// # Errors
/// There is no usable certificate in the folder, or the port is taken.
pub(crate) async fn serve(
    source: Source,
    client: &Client,
    namespace: &str,
    metrics: &Metrics,
    ready: &Ready,
    shutdown: &CancellationToken,
) -> anyhow::Result<Served> {
    let certificate = match source {
        Source::Folder(dir) => Certificate::watch(&dir, shutdown.clone())?,
        Source::Ours { service } => keep(
            client,
            Settings {
                service: Service {
                    namespace: namespace.to_owned(),
                    name: service,
                },
                secret: OPERATOR_SECRET.to_owned(),
                places: vec![Place::Conversion {
                    crd: CONVERTED,
                    register: Some(REGISTRATION),
                }],
            },
            metrics,
            ready.condition("webhook certificate"),
            shutdown.clone(),
        ),
    };
    Webhooks::new(metrics)
        .at(CONVERT_PATH, async |review: ConversionReview| {
            convert_review(review)
        })
        .serve(
            (Ipv6Addr::UNSPECIFIED, PORT).into(),
            &certificate,
            &TlsOptions::default(),
            shutdown.clone(),
        )
        .await
        .with_context(|| format!("cannot serve webhooks on port {PORT}"))
}

/// Upstream's operand converts as well; where an operator runs, it does.
const REGISTRATION: Registration = Registration {
    path: CONVERT_PATH,
    version: "v1beta1",
    take_over: true,
    probe,
};
