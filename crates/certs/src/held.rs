//! What the texts of the Secret mean.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{Issuer, KeyPair, PublicKeyData as _};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::stored::Stored;

/// One certificate.
pub(crate) type Der = CertificateDer<'static>;

/// The texts of the Secret, read. What cannot be read is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// In the order of `ca.crt`.
    pub(crate) authorities: Vec<Authority>,
    /// Whether `ca.key` is the first authority's key, and one that we can sign with.
    pub(crate) can_sign: bool,
    /// There when certificate and key fit each other.
    pub(crate) server: Option<Server>,
}

#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) der: Der,
    pub(crate) valid: Validity,
    /// Whether a client that trusts it accepts the server, while both are valid.
    pub(crate) vouches: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) valid: Validity,
}

/// From when until when, both included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl Validity {
    pub(crate) fn is_at(self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            until: self.until.min(other.until),
        }
    }

    fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let time = |at: i64| Timestamp::from_second(at).ok();
        Some(Self {
            from: time(certificate.validity.not_before.timestamp())?,
            until: time(certificate.validity.not_after.timestamp())?,
        })
    }
}

impl Held {
    /// Reads `stored` as the certificates of a server called `dns_name`.
    pub(crate) fn read(stored: &Stored, dns_name: &str) -> Self {
        let chain = certificates(&stored.tls_crt);
        let server = Server::read(&chain, &stored.tls_key);
        let mut authorities: Vec<Authority> = certificates(&stored.ca_crt)
            .into_iter()
            .filter_map(Authority::read)
            .collect();
        if let Some(server) = &server {
            for authority in &mut authorities {
                authority.vouches = authority.accepts(&chain, dns_name, server.valid.from);
            }
        }
        let can_sign = authorities
            .first()
            .is_some_and(|first| issuer(&first.der, &stored.ca_key).is_some());
        Self {
            authorities,
            can_sign,
            server,
        }
    }

    /// Until when a client that trusts all the authorities accepts the server; `None` when it does
    /// not do so now.
    pub(crate) fn served_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.authorities
            .iter()
            .filter_map(|authority| self.vouched_until(authority, now))
            .max()
    }

    /// Until when a client that trusts the first authority alone accepts the server; `None` when it
    /// does not do so now.
    pub(crate) fn signed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.vouched_until(self.authorities.first()?, now)
    }

    /// The authorities that are valid.
    pub(crate) fn trusted(&self, now: Timestamp) -> Vec<Der> {
        let valid = self.authorities.iter().filter(|it| it.valid.is_at(now));
        valid.map(|it| it.der.clone()).collect()
    }

    fn vouched_until(&self, authority: &Authority, now: Timestamp) -> Option<Timestamp> {
        let both = authority.valid.and(self.server.as_ref()?.valid);
        (authority.vouches && both.is_at(now)).then_some(both.until)
    }
}

impl Authority {
    fn read(der: Der) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        if !certificate.is_ca() {
            return None;
        }
        let valid = Validity::of(&certificate)?;
        Some(Self {
            der,
            valid,
            vouches: false,
        })
    }

    /// Whether a client that trusts this alone takes `chain` for the server `name`.
    fn accepts(&self, chain: &[Der], name: &str, at: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        let (Some((server, others)), Ok(name), Ok(()), Ok(at)) = (
            chain.split_first(),
            ServerName::try_from(name),
            roots.add(self.der.clone()),
            u64::try_from(at.as_second()),
        ) else {
            return false;
        };
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        verifier.build().is_ok_and(|verifier| {
            verifier
                .verify_server_cert(server, others, &name, &[], at)
                .is_ok()
        })
    }
}

impl Server {
    fn read(chain: &[Der], key: &[u8]) -> Option<Self> {
        let key = PrivateKeyDer::from_pem_slice(key).ok()?;
        CertifiedKey::from_der(chain.to_vec(), key, &ring::default_provider()).ok()?;
        let mut valid: Option<Validity> = None;
        for der in chain {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let this = Validity::of(&certificate)?;
            valid = Some(valid.map_or(this, |valid| valid.and(this)));
        }
        valid.map(|valid| Self { valid })
    }
}

/// The certificates in a PEM text; other things in it are passed over.
pub(crate) fn certificates(text: &[u8]) -> Vec<Der> {
    let blocks = pem::parse_many(text).unwrap_or_default();
    let certificates = blocks.into_iter().filter(|it| it.tag() == CERTIFICATE);
    certificates.map(|it| it.into_contents().into()).collect()
}

/// The certificates as a PEM text, written as Go writes it.
pub(crate) fn text(certificates: &[Der]) -> Vec<u8> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let blocks: Vec<_> = certificates
        .iter()
        .map(|der| pem::Pem::new(CERTIFICATE, der.to_vec()))
        .collect();
    let texts = blocks.iter().map(|it| pem::encode_config(it, config));
    texts.collect::<String>().into_bytes()
}

/// Who signs as `authority` with the key in the PEM text `key`, when that is its key and of a form
/// that we can use: PKCS #8. Upstream writes PKCS #1.
pub(crate) fn issuer(authority: &Der, key: &[u8]) -> Option<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(std::str::from_utf8(key).ok()?).ok()?;
    let (_, certificate) = X509Certificate::from_der(authority).ok()?;
    if certificate.public_key().raw != key.subject_public_key_info() {
        return None;
    }
    Issuer::from_ca_cert_der(authority, key).ok()
}

const CERTIFICATE: &str = "CERTIFICATE";
