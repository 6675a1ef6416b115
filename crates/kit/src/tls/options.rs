//! The `--tls-*` flags.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::{Certificate, Error};

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

#[cfg(test)]
mod tests {
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
}
