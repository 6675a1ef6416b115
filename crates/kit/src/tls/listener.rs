//! Connections for `axum::serve`, of which a slow one holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Error;
use crate::sleep;

/// Accepts TLS connections for `axum::serve`. Handshakes run beside each other, each for at most
/// 10 s; failed ones are logged at debug and dropped.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    config: Arc<ServerConfig>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl TlsListener {
    /// Binds `addr`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(addr: SocketAddr, config: Arc<ServerConfig>) -> Result<Self, Error> {
        let tcp = crate::listen::bind(addr).await.map_err(Error::Bind)?;
        Ok(Self {
            tcp,
            config,
            handshakes: JoinSet::new(),
        })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let mut paused: Option<Instant> = None;
        loop {
            let accepts = paused.is_none() && self.handshakes.len() < MAX_HANDSHAKES;
            tokio::select! {
                accepted = self.tcp.accept(), if accepts => {
                    match accepted {
                        Ok((stream, peer)) => {
                            self.handshakes.spawn(handshake(self.config.clone(), stream, peer));
                        }
                        Err(error) => {
                            // Out of file descriptors, mostly; trying at once would only spin.
                            tracing::warn!(%error, "cannot accept a connection");
                            paused = Some(Instant::now() + PAUSE);
                        }
                    }
                }
                () = sleep::until(paused) => paused = None,
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = done {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn handshake(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(TlsStream<TcpStream>, SocketAddr)> {
    match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Some((stream, peer)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "TLS handshake took too long");
            None
        }
    }
}

/// How long one handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many handshakes may be under way.
const MAX_HANDSHAKES: usize = 64;

/// Before connections are accepted again after that failed; those at hand go on.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::tls::{Certificate, TlsOptions};

    #[tokio::test]
    async fn a_slow_handshake_holds_up_nobody() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let certificate = Certificate::from_pem(pem.as_bytes(), key.as_bytes()).unwrap();
        let config = TlsOptions::default().server_config(&certificate).unwrap();
        let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), config)
            .await
            .unwrap();
        let addr = axum::serve::Listener::local_addr(&listener).unwrap();
        let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });

        let _silent = TcpStream::connect(addr).await.unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(addr).await.unwrap();
        let mut stream = connector
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{answer}"
        );
        server.abort();
    }
}
