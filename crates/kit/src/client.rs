//! The Kubernetes client.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use kube::{Client, Config};

/// A client for the cluster the pod runs in, or the one that KUBECONFIG names. It tells the API
/// server `name/version` as its user agent, and sets up TLS for the process.
///
/// # Errors
/// There is no usable configuration, or its certificates cannot be read.
pub async fn connect(name: &str, version: &str) -> Result<Client, Error> {
    crate::tls::install_provider();
    let mut config = Config::infer()
        .await
        .map_err(|error| Error::Config(error.to_string()))?;
    // A dead API server or a cut cable must not hold a request for ever.
    config.connect_timeout = Some(Duration::from_secs(5));
    let agent = format!("{name}/{version}");
    let agent = HeaderValue::from_str(&agent).map_err(|_| Error::UserAgent(agent))?;
    config.headers.push((header::USER_AGENT, agent));
    Ok(Client::try_from(config)?)
}

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
