//! Why a BGPPeer is unusable.

use std::fmt;

use kube::ResourceExt;

use crate::selector::SelectorError;
use crate::timers::TimersError;

/// Why a BGPPeer is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// `myASN` is 0.
    #[error("missing local ASN")]
    NoMyAsn,
    /// Neither `peerASN` nor `dynamicASN`.
    #[error("missing peer ASN and dynamicASN")]
    NoRemoteAsn,
    /// Both `peerASN` and `dynamicASN`.
    #[error("both peer ASN and dynamicASN specified")]
    TwoRemoteAsns,
    /// `ebgpMultiHop` for a router of the same AS.
    #[error("invalid ebgp-multihop parameter set for an ibgp peer")]
    IbgpMultiHop,
    /// Neither `peerAddress` nor `interface`.
    #[error("peer has no Address or Interface specified")]
    NoAddress,
    /// Both `peerAddress` and `interface`.
    #[error("peer has both Address and Interface specified")]
    TwoAddresses,
    /// `peerAddress` is no address.
    #[error("invalid BGPPeer address {0:?}")]
    Address(String),
    /// `routerID` is no address.
    #[error("invalid router ID {0:?}")]
    RouterId(String),
    /// `sourceAddress` is no address.
    #[error("invalid source IP {0:?}")]
    SourceAddress(String),
    /// Bad `holdTime`, `keepaliveTime` or `connectTime`.
    #[error("invalid BGPPeer timers: {0}")]
    Timers(#[from] TimersError),
    /// A bad entry of `nodeSelectors`.
    #[error("{error}\nfailed to convert peer {peer} node selector")]
    NodeSelector {
        /// The peer's name.
        peer: String,
        /// What is wrong with it.
        error: SelectorError,
    },
    /// Both `password` and `passwordSecret`.
    #[error("can not have both password and secret ref set in peer config {0}")]
    TwoPasswords(ObjectName),
    /// A line break in a text that has one line.
    #[error("{what} for peer {peer} contains invalid characters")]
    LineBreak {
        /// The text.
        what: &'static str,
        /// The peer.
        peer: ObjectName,
    },
    /// There is an older peer of the same name.
    #[error("peer {0} already exists")]
    Name(String),
    /// The BFDProfile is not there.
    #[error("peer {peer} referencing non existing bfd profile {}", profile.escape_debug())]
    NoBfdProfile {
        /// The peer's name.
        peer: String,
        /// The BFDProfile's name.
        profile: String,
    },
    /// The Secret is not there, or holds no password.
    #[error("{error}\nfailed to parse peer {peer} password secret")]
    Secret {
        /// The peer's name.
        peer: String,
        /// What is wrong with the Secret.
        error: SecretError,
    },
}

/// Why a Secret holds no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not there.
    #[error("secret ref not found for peer config {0}")]
    NotFound(ObjectName),
    /// It holds something else.
    #[error("secret type mismatch on {0}, type \"kubernetes.io/basic-auth\" is expected ")]
    Type(ObjectName),
    /// It lacks the key.
    #[error("password not specified in the secret {0}")]
    NoPassword(ObjectName),
    /// A line break in the password.
    #[error("password secret for peer {0} contains invalid characters")]
    LineBreak(ObjectName),
}

/// A namespace and a name, shown as Go programs do, each in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectName {
    pub(crate) fn of(object: &impl ResourceExt) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}", self.namespace, self.name)
    }
}
