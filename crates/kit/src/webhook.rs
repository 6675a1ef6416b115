//! HTTPS for the API server's questions: paths, and who answers at each.
//!
//! Knows nothing of what is asked. A question is JSON in, an answer JSON out; one that cannot be read
//! is told so with status 400, as `controller-runtime` does.

mod certificates;
mod farewell;
mod place;

use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

pub use self::certificates::{Settings, keep};
pub use self::place::{Place, Registration, Service};
use crate::metrics::Metrics;
use crate::shutdown::CancellationToken;
use crate::tls::{self, Certificate, TlsListener, TlsOptions};

/// Paths and who answers at each.
#[derive(Debug)]
pub struct Webhooks {
    router: Router,
    figures: Figures,
}

/// What is counted, under the names that upstream's library has for it.
#[derive(Clone, Debug)]
struct Figures {
    requests: IntCounterVec,
    latency: HistogramVec,
}

impl Webhooks {
    /// Nobody answers yet.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            router: Router::new(),
            figures: Figures::register(metrics),
        }
    }

    /// Has `answer` answer what is posted to `path`.
    #[must_use]
    pub fn at<Question, Answer, Fut>(
        self,
        path: &str,
        answer: impl Fn(Question) -> Fut + Clone + Send + Sync + 'static,
    ) -> Self
    where
        Question: DeserializeOwned + Send + 'static,
        Answer: Serialize,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let (figures, webhook) = (self.figures.clone(), path.to_owned());
        let asked = async move |body: Bytes| -> Response {
            let started = Instant::now();
            let response = match serde_json::from_slice::<Question>(&body) {
                Ok(question) => json(&answer(question).await),
                Err(error) => refused(StatusCode::BAD_REQUEST, &error),
            };
            figures.answered(&webhook, response.status(), started);
            response
        };
        Self {
            router: self.router.route(path, post(asked)),
            figures: self.figures,
        }
    }

    /// Serves in the background until `shutdown` and a little longer, since it takes a moment until
    /// nobody is sent here any more: the process should last until [`Served::ended`].
    ///
    /// # Errors
    /// The address cannot be bound, or the TLS options are no good.
    pub async fn serve(
        self,
        addr: SocketAddr,
        certificate: &Certificate,
        tls: &TlsOptions,
        shutdown: CancellationToken,
    ) -> Result<Served, tls::Error> {
        let listener = TlsListener::bind(addr, tls.server_config(certificate)?).await?;
        let router = self.router.layer(DefaultBodyLimit::max(LARGEST));
        let task = tokio::spawn(async move {
            if let Err(error) = farewell::serve(listener, router, shutdown).await {
                tracing::error!(%error, "webhooks stopped");
            }
        });
        Ok(Served { task })
    }
}

/// A webhook server at work in the background.
#[derive(Debug)]
pub struct Served {
    task: JoinHandle<()>,
}

impl Served {
    /// Waits for its end, after the shutdown that it was told of.
    pub async fn ended(self) {
        // Whoever is still connected has had its answer by then, or gets none. A panic is in the
        // log already.
        let _ = tokio::time::timeout(farewell::TIME * 2, self.task).await;
    }
}

impl Figures {
    fn register(metrics: &Metrics) -> Self {
        let name = |name| format!("controller_runtime_webhook_{name}");
        let requests = Opts::new(
            name("requests_total"),
            "Total number of admission requests by HTTP status code.",
        );
        let latency = HistogramOpts::new(
            name("latency_seconds"),
            "Histogram of the latency of processing admission requests",
        );
        Self {
            requests: metrics.add(IntCounterVec::new(requests, &["webhook", "code"])),
            latency: metrics.add(HistogramVec::new(latency, &["webhook"])),
        }
    }

    fn answered(&self, webhook: &str, status: StatusCode, started: Instant) {
        let latency = self.latency.with_label_values(&[webhook]);
        latency.observe(started.elapsed().as_secs_f64());
        let requests = self.requests.with_label_values(&[webhook, status.as_str()]);
        requests.inc();
    }
}

fn json(answer: &impl Serialize) -> Response {
    match serde_json::to_vec(answer) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

fn refused(status: StatusCode, why: &dyn Display) -> Response {
    tracing::warn!(%status, %why, "a webhook could not answer");
    (status, format!("{why}\n")).into_response()
}

/// The API server's objects are at most 1.5 MB (etcd's limit), and a question has two of them.
const LARGEST: usize = 7 << 20;

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, body: &str) -> (u16, String) {
        let webhooks = Webhooks::new(&Metrics::new()).at(
            "/echo",
            async |question: Value| json!({ "asked": question }),
        );
        let request = Request::post(path).body(Body::from(body.to_owned()));
        let response = webhooks.router.oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), LARGEST).await;
        (status, String::from_utf8(body.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_question_is_answered_and_anything_else_is_refused() {
        assert_eq!(
            ask("/echo", "{\"a\":1}").await,
            (200, "{\"asked\":{\"a\":1}}".to_owned())
        );
        let (status, why) = ask("/echo", "{\"a\":").await;
        assert_eq!(status, 400);
        assert!(why.contains("EOF"), "{why}");
        assert_eq!(ask("/nowhere", "{}").await.0, 404);
    }
}
