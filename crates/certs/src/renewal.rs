//! New certificates.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use crate::held::{Der, issuer, text};
use crate::keeper::Presented;
use crate::stored::Stored;

/// What the Secret should hold next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal(pub(crate) Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new authority, before those that are trusted already. The server keeps its certificate
    /// when there is one that is of use, until the new authority is known everywhere.
    Authority {
        trusted: Vec<Der>,
        server: Option<Presented>,
    },
    /// A new certificate for the server, by the authority that is there.
    Server { authority: Der, stored: Stored },
    /// Only the authorities that are still needed.
    Forget { needed: Vec<Der>, stored: Stored },
}

/// Why no certificate can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system or a name.
    #[error("cannot make a certificate for {0}: {1}")]
    Make(String, #[source] rcgen::Error),
    /// The authority's key.
    #[error("cannot sign with the key in the Secret")]
    Key,
    /// The date.
    #[error("cannot date a certificate: {0}")]
    Date(Timestamp),
}

impl Renewal {
    /// Makes it, for a server called `dns_name`.
    ///
    /// # Errors
    /// A name that cannot be in a certificate, no randomness, a date out of bounds.
    pub fn make(&self, now: Timestamp, dns_name: &str) -> Result<Stored, Error> {
        let failed = |error| Error::Make(dns_name.to_owned(), error);
        match &self.0 {
            Kind::Authority { trusted, server } => {
                let key = KeyPair::generate().map_err(failed)?;
                let ca_key = key.serialize_pem().into_bytes();
                let params = authority(now)?;
                let der = params.self_signed(&key).map_err(failed)?.der().clone();
                let server = match server {
                    Some(server) => server.clone(),
                    None => signed(&Issuer::new(params, key), now, dns_name)?,
                };
                let mut all = vec![der];
                all.extend(trusted.iter().cloned());
                Ok(Stored {
                    ca_crt: text(&all),
                    ca_key,
                    tls_crt: server.chain,
                    tls_key: server.key,
                })
            }
            Kind::Server { authority, stored } => {
                let issuer = issuer(authority, &stored.ca_key).ok_or(Error::Key)?;
                let server = signed(&issuer, now, dns_name)?;
                Ok(Stored {
                    tls_crt: server.chain,
                    tls_key: server.key,
                    ..stored.clone()
                })
            }
            Kind::Forget { needed, stored } => Ok(Stored {
                ca_crt: text(needed),
                ..stored.clone()
            }),
        }
    }
}

impl fmt::Display for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Authority { server: None, .. } => "a new authority and server certificate",
            Kind::Authority { .. } => "a new authority, to be trusted beside the old one at first",
            Kind::Server { .. } => "a new server certificate",
            Kind::Forget { .. } => "without authorities that have done their service",
        })
    }
}

/// A certificate for the server.
fn signed(
    issuer: &Issuer<'_, KeyPair>,
    now: Timestamp,
    dns_name: &str,
) -> Result<Presented, Error> {
    let failed = |error| Error::Make(dns_name.to_owned(), error);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new([dns_name.to_owned()]).map_err(failed)?;
    params.distinguished_name = name(dns_name);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(now, SERVER)?;
    let certificate = params.signed_by(&key, issuer).map_err(failed)?;
    Ok(Presented {
        chain: text(&[certificate.der().clone()]),
        key: key.serialize_pem().into_bytes(),
    })
}

fn authority(now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("cert");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "metallb");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    (params.not_before, params.not_after) = validity(now, AUTHORITY)?;
    Ok(params)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn validity(
    now: Timestamp,
    length: SignedDuration,
) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    let date = |at: Timestamp| {
        OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| Error::Date(now))
    };
    let until = now.checked_add(length).map_err(|_| Error::Date(now))?;
    Ok((date(now - SLOW_CLOCKS)?, date(until)?))
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long an authority is valid; upstream's ten years.
const AUTHORITY: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// How long a server's certificate is valid; upstream's year.
const SERVER: SignedDuration = SignedDuration::from_hours(24 * 365);
/// A client's clock may be this much behind ours.
pub(crate) const SLOW_CLOCKS: SignedDuration = SignedDuration::from_hours(1);
/// How long before its end a certificate is replaced; upstream's.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How long an old authority is trusted on after a server's certificate by the new one is there.
/// Every replica looks twice in that time, so none serves an old certificate any more.
pub(crate) const FAREWELL: SignedDuration = DAY;
