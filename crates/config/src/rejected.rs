//! Objects that are left out of the configuration.

use std::fmt;

use kube::ResourceExt;

use crate::bfd::BfdProfileError;
use crate::bgp::BgpAdvertisementError;
use crate::community::CommunityNamesError;
use crate::l2::L2AdvertisementError;
use crate::objects::Kind;
use crate::peer::PeerError;
use crate::pool::PoolError;

/// An object that is left out of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its identity, when the API server gave it one.
    pub uid: Option<String>,
    /// Why.
    pub error: Error,
    /// What of it is in effect nevertheless.
    pub in_effect: InEffect,
}

/// What of a rejected object is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InEffect {
    /// Nothing.
    Nothing,
    /// Its last sound form, from before it was changed.
    LastForm,
    /// All of it but for the pools on which it is no good.
    OtherPools,
}

/// Why an object is left out of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// For a pool.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// For an advertisement by layer 2.
    #[error(transparent)]
    L2Advertisement(#[from] L2AdvertisementError),
    /// For an advertisement by BGP.
    #[error(transparent)]
    BgpAdvertisement(#[from] BgpAdvertisementError),
    /// For a router.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// For a BFD profile.
    #[error(transparent)]
    BfdProfile(#[from] BfdProfileError),
    /// For names of communities.
    #[error(transparent)]
    Communities(#[from] CommunityNamesError),
}

impl Rejected {
    pub(crate) fn new(
        kind: Kind,
        object: &impl ResourceExt,
        error: impl Into<Error>,
        in_effect: InEffect,
    ) -> Self {
        Self {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid(),
            error: error.into(),
            in_effect,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
            error,
            ..
        } = self;
        write!(f, "{kind} {namespace}/{name}: {error}")
    }
}
