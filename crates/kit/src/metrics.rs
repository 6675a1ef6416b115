//! The metrics registry and its HTTPS endpoint.
//!
//! As upstream, `/metrics` is HTTPS only, and a caller needs a bearer token whose user may `get`
//! the non-resource URL `/metrics`. `/livez`, which upstream's FRR exporter has beside it, tells
//! everybody that the process turns.

mod client;

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

pub use self::client::ClientMetrics;
use crate::process::Process;
use crate::review::{Reviewer, Verdict};
use crate::shutdown::CancellationToken;
use crate::tls::{self, Certificate, TlsListener, TlsOptions};
use crate::words::in_words;

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
        .route("/livez", get(async || "ok\n"))
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
            tracing::warn!(
                error = in_words(&error),
                "cannot check who asks for /metrics; needs the right to create tokenreviews and subjectaccessreviews"
            );
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the caller could not be checked\n",
            )
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::json;
    use tower::ServiceExt as _;

    use super::*;
    use crate::mock;

    /// An API server that knows the tokens `scraper` and `stranger`, and trusts the first.
    fn reviewing() -> (Client, Arc<std::sync::Mutex<Vec<String>>>) {
        mock::api(|asked| {
            let mut body = asked.body;
            if asked.line.contains("tokenreviews") {
                let user = body["spec"]["token"].clone();
                let known = user != "unknown";
                body["status"] = json!({ "authenticated": known, "user": { "username": user } });
            } else {
                let spec = &body["spec"];
                assert_eq!(
                    spec["nonResourceAttributes"],
                    json!({ "path": "/metrics", "verb": "get" })
                );
                body["status"] = json!({ "allowed": spec["user"] == "scraper" });
            }
            (201, body.to_string())
        })
    }

    async fn ask(router: &Router, path: &str, token: Option<&str>) -> u16 {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        response.status().as_u16()
    }

    #[tokio::test]
    async fn only_who_may_get_metrics_gets_them() {
        let (client, lines) = reviewing();
        let router = router(Metrics::new(), Reviewer::new(client));
        for (token, status) in [
            (None, 401),
            (Some("unknown"), 401),
            (Some("stranger"), 403),
            (Some("scraper"), 200),
        ] {
            assert_eq!(ask(&router, "/metrics", token).await, status, "{token:?}");
        }
        let asked = lines.lock().unwrap().len();
        assert_eq!(ask(&router, "/metrics", Some("scraper")).await, 200);
        assert_eq!(
            lines.lock().unwrap().len(),
            asked,
            "the answer is remembered"
        );
        assert_eq!(ask(&router, "/livez", None).await, 200);
    }

    #[test]
    fn names_are_printed_as_given() {
        let metrics = Metrics::new();
        metrics
            .add(prometheus::IntCounter::new("metallb_test_total", "A test."))
            .inc();
        let text = metrics.text();
        assert!(text.contains("\nmetallb_test_total 1\n"), "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
    }
}
