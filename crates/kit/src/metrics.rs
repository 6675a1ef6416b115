//! The metrics registry and its HTTPS endpoint.
//!
//! As upstream, `/metrics` is HTTPS only, and a caller needs a bearer token whose user may `get`
//! the non-resource URL `/metrics`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kube::Client;
pub use prometheus;
use prometheus::{Encoder, TextEncoder};

use crate::process::Process;
use crate::review::{Reviewer, Verdict};
use crate::shutdown::CancellationToken;
use crate::tls::{self, Certificate, TlsListener, TlsOptions};

/// The registry that a program's metrics live in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: prometheus::Registry,
    process: Arc<Process>,
}

impl Metrics {
    /// A registry with the figures of the process in it.
    pub fn new() -> Self {
        let registry = prometheus::Registry::new();
        let process = Process::register(&registry).expect("an empty registry takes every name");
        Self {
            registry,
            process: Arc::new(process),
        }
    }

    /// Where to register more.
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    /// Adds a metric and hands it back; for start-up, where a clash of names is a bug.
    ///
    /// # Panics
    /// The name is taken or not a metric name.
    pub fn add<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<M>,
    ) -> M {
        let metric = metric.expect("a metric's name and labels are valid");
        self.registry
            .register(Box::new(metric.clone()))
            .expect("a metric is added once");
        metric
    }

    /// Everything in Prometheus' text format.
    pub fn text(&self) -> String {
        self.process.refresh();
        let mut out = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            tracing::error!(%error, "cannot encode metrics");
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Where and how `/metrics` is served.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address; port 0 serves nothing (`--port`).
    pub addr: SocketAddr,
    /// A folder with `tls.crt` and `tls.key` (`--metrics-cert-dir`); without it the certificate is
    /// self-signed.
    pub cert_dir: Option<PathBuf>,
    /// Protocol versions, cipher suites, curves.
    pub tls: TlsOptions,
}

/// Serves `/metrics` in the background until `shutdown`. Returns the bound address, or `None` when
/// the port is 0.
///
/// # Errors
/// The address cannot be bound, or the certificate or TLS options are no good.
pub async fn serve(
    metrics: Metrics,
    endpoint: Endpoint,
    client: Client,
    shutdown: CancellationToken,
) -> Result<Option<SocketAddr>, tls::Error> {
    if endpoint.addr.port() == 0 {
        return Ok(None);
    }
    let certificate = match &endpoint.cert_dir {
        Some(dir) => Certificate::watch(dir, shutdown.clone())?,
        None => Certificate::self_signed(&["localhost".to_owned()])?,
    };
    let listener =
        TlsListener::bind(endpoint.addr, endpoint.tls.server_config(&certificate)?).await?;
    let bound = axum::serve::Listener::local_addr(&listener).map_err(tls::Error::Bind)?;
    let router = router(metrics, Reviewer::new(client));
    tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "metrics endpoint stopped");
        }
    });
    Ok(Some(bound))
}

fn router(metrics: Metrics, reviewer: Reviewer) -> Router {
    Router::new()
        .route("/metrics", get(answer))
        .with_state((metrics, Arc::new(reviewer)))
}

async fn answer(
    State((metrics, reviewer)): State<(Metrics, Arc<Reviewer>)>,
    request: Request,
) -> Response {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else {
        return (StatusCode::UNAUTHORIZED, "a bearer token is needed\n").into_response();
    };
    match reviewer.review(token, "/metrics", "get").await {
        Ok(Verdict::Allowed) => (
            [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)],
            metrics.text(),
        )
            .into_response(),
        Ok(Verdict::Unknown) => {
            (StatusCode::UNAUTHORIZED, "the token is not known\n").into_response()
        }
        Ok(Verdict::Denied(user)) => (
            StatusCode::FORBIDDEN,
            format!("{user} may not get /metrics\n"),
        )
            .into_response(),
        Err(error) => {
            tracing::warn!(%error, "cannot check who asks for /metrics; it needs the right to create tokenreviews and subjectaccessreviews");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the caller could not be checked\n",
            )
                .into_response()
        }
    }
}
