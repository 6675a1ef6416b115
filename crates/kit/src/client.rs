//! The Kubernetes client.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt as _;
use kube::{Client, Config};
use tokio::sync::Notify;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

/// A client for the cluster the pod runs in, or the one that KUBECONFIG names. It tells the API
/// server `name/version` as its user agent, and sets up TLS for the process.
///
/// # Errors
/// There is no usable configuration, or its certificates cannot be read.
pub async fn connect(name: &str, version: &str) -> Result<Client, Error> {
    connect_and_tell(&Refusals::default(), name, version).await
}

/// The same, and tells `refusals` when something was forbidden.
///
/// # Errors
/// As for [`connect`].
pub async fn connect_and_tell(
    refusals: &Refusals,
    name: &str,
    version: &str,
) -> Result<Client, Error> {
    crate::tls::install_provider();
    let mut config = Config::infer()
        .await
        .map_err(|error| Error::Config(error.to_string()))?;
    let agent = format!("{name}/{version}");
    let agent = HeaderValue::from_str(&agent).map_err(|_| Error::UserAgent(agent))?;
    config.headers.push((header::USER_AGENT, agent));
    Ok(prompt(config, refusals.clone())?)
}

/// Whether the API server has forbidden something: a write, or a watch, which says so to nobody
/// and only tries again.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Arc<Notify>);

impl Refusals {
    /// Returns once something was forbidden since this returned last.
    pub async fn refused(&self) {
        self.0.notified().await;
    }

    fn look<B>(&self, answer: &Response<B>) {
        if answer.status() == StatusCode::FORBIDDEN {
            self.0.notify_one();
        }
    }
}

/// A client whose requests all end: with an answer, or within [`ANSWER`]; and which notices when
/// whoever it listens to is gone.
///
/// There are no retries in it, unlike in kube's own: who asks knows whether to ask again, and with
/// what by then.
fn prompt(config: Config, refusals: Refusals) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_keepalive(Some(IDLE));
    tcp.set_keepalive_interval(Some(PROBE));
    tcp.set_keepalive_retries(Some(PROBES));
    tcp.set_tcp_user_timeout(Some(UNHEARD));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http1_max_buf_size(READ_AT_ONCE)
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(UNUSED)
        .build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(TimeoutLayer::new(ANSWER))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .map_response(move |answer| {
            refusals.look(&answer);
            answer
        })
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// In bytes: as much as a record of TLS has. A connection keeps the buffer that its first list has
/// grown, by default to more than 400 KiB, and there is one for each kind that is watched.
const READ_AT_ONCE: usize = 16 << 10;

/// How long a connection is kept that nobody uses. A burst of writes leaves some, each of which
/// takes 40 KiB here and something of an API server that has thousands of nodes.
const UNUSED: Duration = Duration::from_secs(10);

/// How long the API server may take until it begins to answer.
const ANSWER: Duration = Duration::from_secs(15);

/// An API server that is gone without a word, or cut off, ends a watch after [`IDLE`] and
/// [`PROBES`] times [`PROBE`], and at no cost to one that is well. Kubernetes' own clients notice
/// after 30 to 45 s, by pings of HTTP/2.
const IDLE: Duration = Duration::from_secs(10);
/// Between two probes of the kernel.
const PROBE: Duration = Duration::from_secs(3);
/// So many without an answer.
const PROBES: u32 = 3;
/// How long what was sent may go without an acknowledgement. Else TCP would go on for a quarter of
/// an hour, with pauses up to two minutes.
const UNHEARD: Duration = Duration::from_secs(15);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither in a cluster nor a kubeconfig.
    #[error("no cluster to talk to; run in a pod or set KUBECONFIG: {0}")]
    Config(String),
    /// The program's name or version has characters that no header may have.
    #[error("not usable as a user agent: {0:?}")]
    UserAgent(String),
    /// TLS or the kubeconfig's contents.
    #[error("cannot set up the Kubernetes client: {0}")]
    Client(#[from] kube::Error),
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use k8s_openapi::api::core::v1::Service;
    use kube::Api;
    use kube::api::WatchParams;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_watch_that_is_forbidden_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let refusals = Refusals::default();
        let client = prompt(config, refusals.clone()).unwrap();
        let answer = |code| {
            let status = kube::core::Status::failure("no", "no").with_code(code);
            let status = serde_json::to_string(&status).unwrap();
            format!(
                "HTTP/1.1 {code} no\r\ncontent-length: {}\r\n\r\n{status}",
                status.len()
            )
        };
        let mut is_told = Vec::new();
        for code in [404, 403] {
            let services: Api<Service> = Api::all(client.clone());
            let watch = tokio::spawn(async move {
                services.watch(&WatchParams::default(), "1").await.map(drop)
            });
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.write_all(answer(code).as_bytes()).await.unwrap();
            drop(connection);
            watch.await.unwrap().unwrap_err();
            is_told.push(refusals.refused().now_or_never().is_some());
        }
        assert_eq!(is_told, [false, true]);
        assert_eq!(refusals.refused().now_or_never(), None, "told once");
    }

    #[tokio::test]
    async fn a_server_that_never_answers_holds_up_no_watch() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let client = prompt(config, Refusals::default()).unwrap();
        let watch = tokio::spawn(async move {
            let services: Api<Service> = Api::all(client);
            services.watch(&WatchParams::default(), "1").await.map(drop)
        });
        let (_silent, _) = listener.accept().await.unwrap();
        tokio::time::pause();
        let answer = tokio::time::timeout(ANSWER * 2, watch).await;
        let error = answer.expect("it waits").unwrap().unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
    }
}
