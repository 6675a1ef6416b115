//! One datagram on the wire.
//!
//! ```text
//!   0        1      2              18                26
//!   +--------+------+--------------+-----------------+------------------------------+
//!   | version| mode | session (16) | sequence (8)    | body, sealed when mode is 1  |
//!   +--------+------+--------------+-----------------+------------------------------+
//!   body: kind (1) incarnation (8) argument (8) name length (1) name
//! ```
//!
//! Numbers are big-endian. Bytes after the name are ignored, so that a later release may add to
//! the body while older speakers still run.
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
#[derive(Clone)]
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
        let mut bytes = Vec::with_capacity(128);
        bytes.extend([VERSION, if self.sealed { SEALED } else { OPEN }]);
        bytes.extend(self.session);
        bytes.extend(self.sequence.to_be_bytes());
        bytes
    }
}

/// What a datagram says. Every kind also proves that its sender is alive, except `Leave`; one
/// that says `Starting` does not announce anything yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Here I am.
    Heartbeat,
    /// Here I am, and you? Answered by a heartbeat at once.
    Ask,
    /// I stop now.
    Leave,
    /// I am here but do not know yet who else is. Answered by a heartbeat at once.
    Starting,
    /// Your incarnation is below one I have heard of you: go above this.
    Outdated(u64),
}

/// The part that is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) kind: Kind,
    pub(crate) incarnation: u64,
    pub(crate) name: String,
}

impl Body {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Dropped> {
        let (fixed, rest) = bytes.split_at_checked(18).ok_or(Dropped::Malformed)?;
        let number = |at: usize| {
            u64::from_be_bytes(fixed[at..at + 8].try_into().expect("the slice has 8 bytes"))
        };
        let kind = match fixed[0] {
            1 => Kind::Heartbeat,
            2 => Kind::Ask,
            3 => Kind::Leave,
            4 => Kind::Outdated(number(9)),
            5 => Kind::Starting,
            _ => return Err(Dropped::Malformed),
        };
        let name = rest
            .get(..usize::from(fixed[17]))
            .ok_or(Dropped::Malformed)?;
        let name = std::str::from_utf8(name).map_err(|_| Dropped::Malformed)?;
        if name.is_empty() {
            return Err(Dropped::Malformed);
        }
        Ok(Self {
            kind,
            incarnation: number(1),
            name: name.to_owned(),
        })
    }

    fn encode(&self) -> Vec<u8> {
        let (kind, argument) = match self.kind {
            Kind::Heartbeat => (1, 0),
            Kind::Ask => (2, 0),
            Kind::Leave => (3, 0),
            Kind::Outdated(known) => (4, known),
            Kind::Starting => (5, 0),
        };
        let name = &self.name.as_bytes()[..self.name.len().min(255)];
        let mut bytes = Vec::with_capacity(18 + name.len());
        bytes.push(kind);
        bytes.extend(self.incarnation.to_be_bytes());
        bytes.extend(u64::to_be_bytes(argument));
        bytes.push(u8::try_from(name.len()).expect("cut to 255 above"));
        bytes.extend(name);
        bytes
    }
}

/// The whole datagram; sealed when there is a cipher.
pub(crate) fn seal(
    cipher: Option<&Aes256Gcm>,
    session: SessionId,
    sequence: u64,
    body: &Body,
) -> Vec<u8> {
    let mut bytes = Header {
        sealed: cipher.is_some(),
        session,
        sequence,
    }
    .encode();
    let plain = body.encode();
    match cipher {
        None => bytes.extend(plain),
        Some(cipher) => {
            let payload = Payload {
                msg: &plain,
                aad: &bytes,
            };
            let sealed = cipher
                .encrypt(&nonce(sequence), payload)
                .expect("a body of 273 bytes is below the limit of the cipher");
            bytes.extend(sealed);
        }
    }
    bytes
}

/// Opens the body of a sealed datagram; `bytes` is all of it.
pub(crate) fn open(cipher: &Aes256Gcm, sequence: u64, bytes: &[u8]) -> Result<Body, Dropped> {
    let (aad, msg) = bytes.split_at_checked(HEADER).ok_or(Dropped::Malformed)?;
    let plain = cipher
        .decrypt(&nonce(sequence), Payload { msg, aad })
        .map_err(|_| Dropped::Forged)?;
    Body::decode(&plain)
}

fn nonce(sequence: u64) -> Nonce<aes_gcm::aes::cipher::consts::U12> {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&sequence.to_be_bytes());
    bytes.into()
}

const VERSION: u8 = 1;
const OPEN: u8 = 0;
const SEALED: u8 = 1;
const HEADER: usize = 26;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body() -> Body {
        Body {
            kind: Kind::Heartbeat,
            incarnation: 7,
            name: "node-1".into(),
        }
    }

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
        let bytes = seal(Some(&ours), session, 9, &body());
        assert_eq!(open(&ours, 9, &bytes), Ok(body()));
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
        let bytes = seal(Some(&key.session(&session)), session, 9, &body());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Header::decode(&changed).and_then(|(header, _)| {
                open(&key.session(&header.session), header.sequence, &changed)
            });
            assert!(opened.is_err(), "byte {at} was changed unnoticed");
        }
    }

    #[test]
    fn bytes_after_the_name_are_left_to_later_releases() {
        let mut bytes = body().encode();
        bytes.extend([1, 2, 3]);
        assert_eq!(Body::decode(&bytes), Ok(body()));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            let _ = Header::decode(&bytes);
            let _ = Body::decode(&bytes);
            let key = Key::derive(b"secret").unwrap();
            let _ = open(&key.session(&[0; 16]), 0, &bytes);
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(
            incarnation: u64, known: u64, kind in 0..5usize, name in "[a-z0-9.-]{1,253}"
        ) {
            let kind = [Kind::Heartbeat, Kind::Ask, Kind::Leave, Kind::Outdated(known), Kind::Starting][kind];
            let body = Body { kind, incarnation, name };
            prop_assert_eq!(Body::decode(&body.encode()), Ok(body));
        }
    }
}
