//! What the configuration is made of.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use metallb_crds::{v1beta1, v1beta2};

use crate::community::{Community, CommunityError};
use crate::labels::Labels;

/// The objects that make up the configuration, as the API server has them, in any order, and what
/// else there is to know of the cluster. What is left out is not there, and asks nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Objects<'a> {
    /// The pools.
    pub pools: &'a [v1beta1::IPAddressPool],
    /// The advertisements by layer 2.
    pub l2_advertisements: &'a [v1beta1::L2Advertisement],
    /// The advertisements by BGP.
    pub bgp_advertisements: &'a [v1beta1::BGPAdvertisement],
    /// The routers.
    pub bgp_peers: &'a [v1beta2::BGPPeer],
    /// How to watch sessions.
    pub bfd_profiles: &'a [v1beta1::BFDProfile],
    /// Names for communities.
    pub communities: &'a [v1beta1::Community],
    /// The labels of each node, for what clashes on a node that two objects select. When there are
    /// none, nothing does.
    pub nodes: &'a [&'a Labels],
    /// Whether what an object names must be there.
    pub references: References<'a>,
}

/// Whether what an object names must be there: BFD profiles, names of communities, Secrets.
///
/// Pools and peers that an advertisement names never have to.
#[derive(Debug, Clone, Copy, Default)]
pub enum References<'a> {
    /// It may be made later, as far as admission is concerned.
    #[default]
    MayFollow,
    /// An object that names what is not there is unusable.
    MustExist {
        /// The Secrets in the namespace of the objects; nothing says that somebody else looks
        /// after passwords.
        secrets: Option<&'a [Secret]>,
    },
}

/// A kind of object that the configuration is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IPAddressPool.
    IPAddressPool,
    /// L2Advertisement.
    L2Advertisement,
    /// BGPAdvertisement.
    BGPAdvertisement,
    /// BGPPeer.
    BGPPeer,
    /// BFDProfile.
    BFDProfile,
    /// Community.
    Community,
}

impl<'a> References<'a> {
    pub(crate) fn must_exist(self) -> bool {
        matches!(self, Self::MustExist { .. })
    }

    /// The Secrets to take passwords from, if they are to be taken here.
    pub(crate) fn secrets_by_name(self) -> Option<BTreeMap<String, &'a Secret>> {
        let Self::MustExist { secrets } = self else {
            return None;
        };
        let named = |secret: &'a Secret| (secret.name_any(), secret);
        secrets.map(|secrets| secrets.iter().map(named).collect())
    }

    /// Reads an entry of `communities`: a name, or else a community. A name that may follow is
    /// passed over, and is anything without a colon.
    pub(crate) fn community(
        self,
        text: &str,
        names: &BTreeMap<String, Community>,
    ) -> Result<Option<Community>, CommunityError> {
        match names.get(text) {
            Some(community) => Ok(Some(*community)),
            None if !self.must_exist() && !text.contains(':') => Ok(None),
            None => text.parse().map(Some),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IPAddressPool => "IPAddressPool",
            Self::L2Advertisement => "L2Advertisement",
            Self::BGPAdvertisement => "BGPAdvertisement",
            Self::BGPPeer => "BGPPeer",
            Self::BFDProfile => "BFDProfile",
            Self::Community => "Community",
        })
    }
}
