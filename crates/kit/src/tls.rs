//! TLS for what we serve: options as upstream names them, certificates that may change on disk,
//! and a listener for `axum::serve` in which a slow handshake holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::shutdown::CancellationToken;

/// Makes ring the process's cryptography. Later calls do nothing.
pub fn install_provider() {
    // An error says that one is installed already.
    let _ = ring::default_provider().install_default();
}

/// What upstream's `--tls-*` flags say, checked.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    provider: CryptoProvider,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl TlsOptions {
    /// Reads `--tls-min-version` (`VersionTLS12` or `VersionTLS13`, empty for 1.3),
    /// `--tls-cipher-suites` (comma-separated names, TLS 1.2 only) and `--tls-curve-preferences`
    /// (comma-separated numbers of the IANA registry). Empty means the default.
    ///
    /// # Errors
    /// A name that is unknown or that our TLS library does not have, a repeated curve, cipher
    /// suites together with TLS 1.3.
    pub fn parse(min_version: &str, cipher_suites: &str, curves: &str) -> Result<Self, Error> {
        let mut provider = ring::default_provider();
        let versions: Vec<_> = match min_version {
            "" | "VersionTLS13" => vec![&version::TLS13],
            "VersionTLS12" => vec![&version::TLS13, &version::TLS12],
            other => return Err(Error::MinVersion(other.to_owned())),
        };
        let names = list(cipher_suites);
        if !names.is_empty() {
            if !versions.contains(&&version::TLS12) {
                return Err(Error::CipherSuitesWithTls13);
            }
            restrict_cipher_suites(&mut provider, &names)?;
        }
        let ids = list(curves);
        if !ids.is_empty() {
            prefer_curves(&mut provider, &ids)?;
        }
        Ok(Self { provider, versions })
    }

    /// A server configuration with these options that speaks HTTP/1.1.
    ///
    /// # Errors
    /// The options leave no suite for a version.
    pub fn server_config(&self, certificate: &Certificate) -> Result<Arc<ServerConfig>, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&self.versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self::parse("", "", "").expect("no option is no mistake")
    }
}

/// A certificate with its key; what is presented may be replaced while connections come in. Cheap
/// to clone, all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    current: Arc<RwLock<Option<Arc<CertifiedKey>>>>,
}

impl Certificate {
    /// One that is yet to come; until then handshakes fail.
    pub fn pending() -> Self {
        Self::default()
    }

    /// Presents this from now on: PEM texts.
    ///
    /// # Errors
    /// They are not PEM, or the key does not fit the certificate; what was presented still is.
    pub fn present(&self, chain: &[u8], key: &[u8]) -> Result<(), Error> {
        self.replace(certified(chain, "certificate", key, "key")?);
        Ok(())
    }

    /// A new self-signed one for these DNS names or addresses.
    ///
    /// # Errors
    /// A name that cannot be in a certificate.
    pub fn self_signed(names: &[String]) -> Result<Self, Error> {
        let made = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| Error::Pem("the new key".into(), error.to_owned()))?;
        let key = CertifiedKey::from_der(
            vec![made.cert.der().clone()],
            key,
            &ring::default_provider(),
        )?;
        Ok(Self::new(key))
    }

    /// From PEM texts.
    ///
    /// # Errors
    /// They are not PEM, or the key does not fit the certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let this = Self::pending();
        this.present(chain, key)?;
        Ok(this)
    }

    /// From `tls.crt` and `tls.key` in `dir`, read again every 10 s until `shutdown`. Files that
    /// are no good at a later reading leave the last good ones in use.
    ///
    /// # Errors
    /// The files cannot be read or are no good now.
    pub fn watch(dir: &Path, shutdown: CancellationToken) -> Result<Self, Error> {
        let mut files = Files::read(dir)?;
        let certificate = Self::new(files.certified(dir)?);
        let (dir, this) = (dir.to_owned(), certificate.clone());
        tokio::spawn(async move {
            // By polling: the kubelet swaps a symbolic link beside the files, which file
            // notification does not see.
            while shutdown
                .run_until_cancelled(tokio::time::sleep(POLL))
                .await
                .is_some()
            {
                match Files::read(&dir) {
                    Ok(new) if new == files => {}
                    Ok(new) => {
                        match new.certified(&dir) {
                            Ok(key) => {
                                this.replace(key);
                                tracing::info!(dir = %dir.display(), "certificate read anew");
                            }
                            Err(error) => tracing::warn!(%error, "new certificate not used"),
                        }
                        files = new;
                    }
                    Err(error) => tracing::warn!(%error, "cannot read the certificate again"),
                }
            }
        });
        Ok(certificate)
    }

    fn new(key: CertifiedKey) -> Self {
        let this = Self::pending();
        this.replace(key);
        this
    }

    fn replace(&self, key: CertifiedKey) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(key));
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

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
        loop {
            tokio::select! {
                accepted = self.tcp.accept(), if self.handshakes.len() < MAX_HANDSHAKES => {
                    match accepted {
                        Ok((stream, peer)) => {
                            self.handshakes.spawn(handshake(self.config.clone(), stream, peer));
                        }
                        Err(error) => {
                            // Out of file descriptors, mostly; trying at once would only spin.
                            tracing::warn!(%error, "cannot accept a connection");
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    }
                }
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

/// Why TLS cannot be served as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--tls-min-version`.
    #[error("unknown --tls-min-version {0:?}; use VersionTLS12 or VersionTLS13")]
    MinVersion(String),
    /// `--tls-cipher-suites` with TLS 1.3 alone.
    #[error(
        "--tls-cipher-suites has no effect on TLS 1.3; add --tls-min-version=VersionTLS12 or remove it"
    )]
    CipherSuitesWithTls13,
    /// A name in `--tls-cipher-suites`.
    #[error("unknown or unsupported cipher suite {name:?}; available: {available}")]
    CipherSuite {
        /// As given.
        name: String,
        /// What could be given.
        available: String,
    },
    /// A number in `--tls-curve-preferences`.
    #[error(
        "--tls-curve-preferences: {0:?} is {1}; available: 29 (X25519), 23 (P-256), 24 (P-384)"
    )]
    Curve(String, &'static str),
    /// A certificate file.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// What is in a certificate file.
    #[error("{0} holds no usable PEM: {1}")]
    Pem(String, String),
    /// A self-signed certificate.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Key and certificate do not fit, or options do not.
    #[error("tls: {0}")]
    Rustls(#[from] rustls::Error),
    /// The listener.
    #[error("cannot listen: {0}")]
    Bind(#[source] io::Error),
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

/// The two files of a certificate, as read.
#[derive(PartialEq)]
struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(dir: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map_err(|error| Error::File(path, error))
        };
        Ok(Self {
            chain: read("tls.crt")?,
            key: read("tls.key")?,
        })
    }

    fn certified(&self, dir: &Path) -> Result<CertifiedKey, Error> {
        let name = |file: &str| dir.join(file).display().to_string();
        certified(&self.chain, &name("tls.crt"), &self.key, &name("tls.key"))
    }
}

fn certified(
    chain: &[u8],
    chain_name: &str,
    key: &[u8],
    key_name: &str,
) -> Result<CertifiedKey, Error> {
    let bad = |name: &str, error: String| Error::Pem(name.to_owned(), error);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(chain_name, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(chain_name, "no certificate in it".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|error| bad(key_name, error.to_string()))?;
    Ok(CertifiedKey::from_der(
        chain,
        key,
        &ring::default_provider(),
    )?)
}

fn list(text: &str) -> Vec<&str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

/// Keeps the named TLS 1.2 suites, in the order given, and all of TLS 1.3, as Go does.
fn restrict_cipher_suites(provider: &mut CryptoProvider, names: &[&str]) -> Result<(), Error> {
    let (tls12, tls13): (Vec<_>, Vec<_>) = provider
        .cipher_suites
        .iter()
        .copied()
        .partition(|suite| suite.version() == &version::TLS12);
    let name_of = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
    let mut chosen = tls13;
    for name in names {
        let suite = tls12.iter().find(|suite| {
            let known = name_of(suite);
            // Go still takes its old names for the ChaCha suites, which end earlier.
            known == *name
                || known.strip_suffix("_SHA256") == Some(name) && known.contains("CHACHA")
        });
        let suite = suite.ok_or_else(|| Error::CipherSuite {
            name: (*name).to_owned(),
            available: tls12.iter().map(name_of).collect::<Vec<_>>().join(", "),
        })?;
        chosen.push(*suite);
    }
    provider.cipher_suites = chosen;
    Ok(())
}

fn prefer_curves(provider: &mut CryptoProvider, ids: &[&str]) -> Result<(), Error> {
    let mut chosen: Vec<&'static dyn rustls::crypto::SupportedKxGroup> = Vec::new();
    for text in ids {
        let bad = |why| Error::Curve((*text).to_owned(), why);
        let id: u16 = text.parse().map_err(|_| bad("not a number"))?;
        let group = provider
            .kx_groups
            .iter()
            .find(|group| u16::from(group.name()) == id);
        let group = *group.ok_or_else(|| bad("not supported"))?;
        if chosen.iter().any(|other| other.name() == group.name()) {
            return Err(bad("given twice"));
        }
        chosen.push(group);
    }
    provider.kx_groups = chosen;
    Ok(())
}

/// How long one handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many handshakes may be under way.
const MAX_HANDSHAKES: usize = 64;

/// How often certificate files are looked at.
const POLL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn options_are_read_as_upstream_names_them() {
        for (min, suites, curves) in [
            ("", "", ""),
            ("VersionTLS13", "", "29,23"),
            ("VersionTLS12", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ""),
            ("VersionTLS12", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "24"),
        ] {
            let options = TlsOptions::parse(min, suites, curves).unwrap();
            let certificate = Certificate::self_signed(&["localhost".to_owned()]).unwrap();
            options.server_config(&certificate).unwrap();
        }
    }

    #[test]
    fn bad_options_say_what_would_do() {
        for (min, suites, curves, word) in [
            ("VersionTLS11", "", "", "VersionTLS12"),
            (
                "",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "",
                "--tls-min-version",
            ),
            (
                "VersionTLS12",
                "TLS_RSA_WITH_RC4_128_SHA",
                "",
                "available: TLS_ECDHE",
            ),
            ("", "", "25", "X25519"),
            ("", "", "29,29", "twice"),
            ("", "", "P256", "not a number"),
        ] {
            let error = TlsOptions::parse(min, suites, curves)
                .unwrap_err()
                .to_string();
            assert!(error.contains(word), "{min} {suites} {curves}: {error}");
        }
    }

    #[test]
    fn a_certificate_folder_without_files_names_the_file() {
        let error = Files::read(Path::new("/nonexistent"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("/nonexistent/tls.crt"), "{error}");
        let error = Certificate::from_pem(b"hello", b"world")
            .unwrap_err()
            .to_string();
        assert!(error.contains("certificate"), "{error}");
    }

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
