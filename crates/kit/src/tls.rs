//! TLS for what we serve: options as upstream names them, certificates that may change on disk,
//! and a listener for `axum::serve` in which a slow handshake holds up nobody else.

mod certificate;
mod listener;
mod options;

use std::io;
use std::path::PathBuf;

use rustls::crypto::ring;

pub use self::certificate::Certificate;
pub use self::listener::TlsListener;
pub use self::options::TlsOptions;

/// Makes ring the process's cryptography. Later calls do nothing.
pub fn install_provider() {
    // An error says that one is installed already.
    let _ = ring::default_provider().install_default();
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
