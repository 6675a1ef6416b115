//! What is presented to clients, and may be replaced meanwhile.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Error;
use crate::shutdown::CancellationToken;

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

/// How often certificate files are looked at.
const POLL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

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
}
