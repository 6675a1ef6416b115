//! Who the client is, carried to the real API server.
//!
//! A token travels in its header untouched. A client certificate cannot, since TLS ends at the
//! proxy; but the harness made every certificate of the cluster and still has their keys, so the
//! proxy shows the very same one to the API server.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Where the proxy finds the cluster's certificates.
#[derive(Debug, Clone, clap::Args)]
pub struct Certificates {
    /// The cluster's CA.
    #[arg(long)]
    pub ca: PathBuf,
    /// The API server's own serving certificate, which the proxy shows as well.
    #[arg(long)]
    pub cert: PathBuf,
    /// The key of `cert`.
    #[arg(long)]
    pub key: PathBuf,
    /// A directory with the clients' certificates: `NAME.crt` beside `NAME.key`.
    #[arg(long)]
    pub clients: PathBuf,
}

/// How to talk to the API server as each client that has a certificate, or as none.
#[derive(Debug)]
pub(crate) struct Identities {
    anonymous: Arc<ClientConfig>,
    by_certificate: HashMap<CertificateDer<'static>, Arc<ClientConfig>>,
}

impl Certificates {
    /// The proxy's own side of TLS: HTTP/1.1 alone, a client certificate if the client has one.
    pub(crate) fn server(&self) -> Result<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.roots()?))
            .allow_unauthenticated()
            .build()
            .context("the cluster's CA cannot check clients")?;
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain(&self.cert)?, key(&self.key)?)
            .context("the API server's certificate and key do not fit")?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The side towards the API server, for every certificate in the directory.
    pub(crate) fn identities(&self) -> Result<Identities> {
        let roots = self.roots()?;
        let client = || ClientConfig::builder().with_root_certificates(roots.clone());
        let anonymous = Arc::new(http1(client().with_no_client_auth()));
        let mut by_certificate = HashMap::new();
        let directory = fs::read_dir(&self.clients)
            .with_context(|| format!("cannot list {}", self.clients.display()))?;
        for entry in directory {
            let path = entry?.path();
            let key_path = path.with_extension("key");
            if path.extension() != Some(OsStr::new("crt")) || !key_path.exists() {
                continue;
            }
            let certificates = chain(&path)?;
            let leaf = certificates[0].clone();
            let config = client()
                .with_client_auth_cert(certificates, key(&key_path)?)
                .with_context(|| format!("{} does not fit its key", path.display()))?;
            by_certificate.insert(leaf, Arc::new(http1(config)));
        }
        Ok(Identities {
            anonymous,
            by_certificate,
        })
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in chain(&self.ca)? {
            roots.add(certificate).context("the CA is not one")?;
        }
        Ok(roots)
    }
}

impl Identities {
    /// The configuration that shows the API server what the client showed us; none for a
    /// certificate whose key the harness does not have.
    pub(crate) fn of(&self, shown: Option<&CertificateDer<'_>>) -> Option<Arc<ClientConfig>> {
        match shown {
            None => Some(self.anonymous.clone()),
            Some(certificate) => self.by_certificate.get(certificate).cloned(),
        }
    }
}

fn http1(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificates from {}", path.display()))?;
    ensure!(!chain.is_empty(), "{} has no certificate", path.display());
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .with_context(|| format!("cannot read a key from {}", path.display()))
}
