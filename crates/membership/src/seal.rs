//! One datagram on the wire.
//!
//! ```text
//!   0        1      2              18                26
//!   +--------+------+--------------+-----------------+------------------------------+
//!   | version| mode | session (16) | sequence (8)    | body, sealed when mode is 1  |
//!   +--------+------+--------------+-----------------+------------------------------+
//! ```
//!
//! Numbers are big-endian; the body is that of [`message`](crate::message).
//!
//! Sealing is AES-256-GCM with the header as associated data. Each process has a key of its own,
//! SHA-256 of the cluster's key and the process's random session, and numbers its datagrams; the
//! number is the nonce. So no nonce is ever used twice under one key, however long a large
//! cluster talks under one secret; random nonces under a common key would reach the limit of
//! 2^32 messages (NIST SP 800-38D §8.3) within days. Upstream's derivation (spec of hashicorp
//! memberlist) is not kept: its datagrams are not ours anyway.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use sha2::{Digest, Sha256};

/// Why a datagram was dropped. Each is counted, see [`Membership::dropped`].
///
/// [`Membership::dropped`]: crate::Membership::dropped
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// Too short, of an unknown version, or with a body that does not parse.
    Malformed,
    /// Not sealed, while we have a key.
    Unsealed,
    /// Sealed with another secret, or changed on the way.
    Forged,
    /// Well-formed, but from nobody on the list of speakers.
    Foreign,
    /// A number not above the last one heard: replayed, or overtaken on the way.
    Replayed,
}

impl Dropped {
    /// The reason in one word, for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsealed => "unsealed",
            Self::Forged => "forged",
            Self::Foreign => "foreign",
            Self::Replayed => "replayed",
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The cluster's key, from the memberlist secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key for a secret as it stands in the Secret `memberlist`. An empty secret gives none:
    /// the heartbeats then run open, as upstream's do.
    pub fn derive(secret: &[u8]) -> Option<Self> {
        if secret.is_empty() {
            return None;
        }
        let digest = Sha256::new()
            .chain_update(b"metallb membership key 1\0")
            .chain_update(secret)
            .finalize();
        Some(Self(digest.into()))
    }

    /// The cipher of one process's datagrams.
    pub(crate) fn session(&self, session: &SessionId) -> Aes256Gcm {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.0)
            .chain_update(session)
            .finalize()
            .into();
        Aes256Gcm::new(&digest.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Random bytes that tell one process's datagrams from all others'.
pub(crate) type SessionId = [u8; 16];

/// What can be read before anything is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) sealed: bool,
    pub(crate) session: SessionId,
    pub(crate) sequence: u64,
}

impl Header {
    /// Splits a datagram into its header and the rest.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Dropped> {
        let (head, body) = bytes.split_at_checked(HEADER).ok_or(Dropped::Malformed)?;
        let sealed = match (head[0], head[1]) {
            (VERSION, OPEN) => false,
            (VERSION, SEALED) => true,
            _ => return Err(Dropped::Malformed),
        };
        let session = head[2..18].try_into().expect("the header has 26 bytes");
        let sequence = u64::from_be_bytes(head[18..].try_into().expect("8 bytes are left"));
        Ok((
            Self {
                sealed,
                session,
                sequence,
            },
            body,
        ))
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 128);
        bytes.extend([VERSION, if self.sealed { SEALED } else { OPEN }]);
        bytes.extend(self.session);
        bytes.extend(self.sequence.to_be_bytes());
        bytes
    }
}

/// The whole datagram; sealed when there is a cipher.
pub(crate) fn seal(
    cipher: Option<&Aes256Gcm>,
    session: SessionId,
    sequence: u64,
    plain: &[u8],
) -> Vec<u8> {
    let mut bytes = Header {
        sealed: cipher.is_some(),
        session,
        sequence,
    }
    .encode();
    match cipher {
        None => bytes.extend(plain),
        Some(cipher) => {
            let payload = Payload {
                msg: plain,
                aad: &bytes,
            };
            let sealed = cipher
                .encrypt(&nonce(sequence), payload)
                .expect("what fits a datagram is below the limit of the cipher");
            bytes.extend(sealed);
        }
    }
    bytes
}

/// Opens the body of a sealed datagram; `bytes` is all of it.
pub(crate) fn open(cipher: &Aes256Gcm, sequence: u64, bytes: &[u8]) -> Result<Vec<u8>, Dropped> {
    let (aad, msg) = bytes.split_at_checked(HEADER).ok_or(Dropped::Malformed)?;
    cipher
        .decrypt(&nonce(sequence), Payload { msg, aad })
        .map_err(|_| Dropped::Forged)
}

fn nonce(sequence: u64) -> Nonce<aes_gcm::aes::cipher::consts::U12> {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&sequence.to_be_bytes());
    bytes.into()
}

/// 1 was that of heartbeats from everybody to everybody.
const VERSION: u8 = 2;
const OPEN: u8 = 0;
const SEALED: u8 = 1;
const HEADER: usize = 26;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &[u8] = b"node-1 is alive";

    #[test]
    fn an_empty_secret_gives_no_key() {
        assert!(Key::derive(b"").is_none());
        assert!(Key::derive(b"s").is_some());
    }

    #[test]
    fn a_sealed_datagram_opens_with_the_same_secret_only() {
        let session = [3; 16];
        let ours = Key::derive(b"secret").unwrap().session(&session);
        let theirs = Key::derive(b"Secret").unwrap().session(&session);
        let bytes = seal(Some(&ours), session, 9, BODY);
        assert_eq!(open(&ours, 9, &bytes).as_deref(), Ok(BODY));
        assert_eq!(open(&theirs, 9, &bytes), Err(Dropped::Forged));
        assert!(
            !bytes.windows(6).any(|w| w == b"node-1"),
            "the name is in the clear"
        );
    }

    #[test]
    fn no_byte_of_a_sealed_datagram_can_be_changed() {
        let session = [3; 16];
        let key = Key::derive(b"secret").unwrap();
        let bytes = seal(Some(&key.session(&session)), session, 9, BODY);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Header::decode(&changed).and_then(|(header, _)| {
                open(&key.session(&header.session), header.sequence, &changed)
            });
            assert!(opened.is_err(), "byte {at} was changed unnoticed");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_open_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = Header::decode(&bytes);
            let key = Key::derive(b"secret").unwrap();
            let _ = open(&key.session(&[0; 16]), 0, &bytes);
        }
    }
}
