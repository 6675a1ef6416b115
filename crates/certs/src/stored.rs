//! What the Secret holds.

use std::fmt;

/// The four texts, PEM each, in upstream's form. Empty where the Secret has none.
///
/// `ca_crt` may hold several authorities, all of which are trusted. The first is the one whose key
/// is `ca_key`, and which signs; upstream reads only that.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The authorities.
    pub ca_crt: Vec<u8>,
    /// The first authority's private key.
    pub ca_key: Vec<u8>,
    /// The server's certificate.
    pub tls_crt: Vec<u8>,
    /// The server's private key.
    pub tls_key: Vec<u8>,
}

impl Stored {
    /// Reads the texts by their keys in the Secret.
    pub fn read<'a>(text: impl Fn(&str) -> Option<&'a [u8]>) -> Self {
        let text = |key| text(key).unwrap_or_default().to_vec();
        Self {
            ca_crt: text(CA_CRT),
            ca_key: text(CA_KEY),
            tls_crt: text(TLS_CRT),
            tls_key: text(TLS_KEY),
        }
    }

    /// The texts with their keys in the Secret.
    pub fn texts(&self) -> [(&'static str, &[u8]); 4] {
        [
            (CA_CRT, &self.ca_crt),
            (CA_KEY, &self.ca_key),
            (TLS_CRT, &self.tls_crt),
            (TLS_KEY, &self.tls_key),
        ]
    }
}

impl fmt::Debug for Stored {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("ca_crt", &String::from_utf8_lossy(&self.ca_crt))
            .field("tls_crt", &String::from_utf8_lossy(&self.tls_crt))
            .finish_non_exhaustive()
    }
}

const CA_CRT: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const TLS_CRT: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";
