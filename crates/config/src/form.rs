//! What objects of every kind are read into has a name, and an identity of its object.

use kube::ResourceExt;
use metallb_crds::{v1beta1, v1beta2};

use crate::bfd::{BfdProfile, BfdProfileError};
use crate::bgp::{BgpAdvertisement, BgpAdvertisementError};
use crate::community::{CommunityNames, CommunityNamesError};
use crate::l2::{L2Advertisement, L2AdvertisementError};
use crate::objects::Kind;
use crate::peer::{Peer, PeerError};
use crate::pool::{Pool, PoolError};
use crate::rejected::Error;

/// What an object of some kind is read into.
pub(crate) trait Form: Clone {
    /// The object.
    type Object: ResourceExt;
    /// Why it is not.
    type Error: Into<Error>;
    /// The kind.
    const KIND: Kind;

    fn name(&self) -> &str;

    fn uid(&self) -> Option<&String>;

    /// What to say when there is an older one of this name.
    fn duplicate(name: String) -> Self::Error;
}

macro_rules! form {
    ($form:ty, $object:ty, $error:ident, $kind:ident) => {
        impl Form for $form {
            type Object = $object;
            type Error = $error;
            const KIND: Kind = Kind::$kind;

            fn name(&self) -> &str {
                &self.name
            }

            fn uid(&self) -> Option<&String> {
                self.uid.as_ref()
            }

            fn duplicate(name: String) -> $error {
                $error::Name(name)
            }
        }
    };
}

form!(Pool, v1beta1::IPAddressPool, PoolError, IPAddressPool);
form!(
    L2Advertisement,
    v1beta1::L2Advertisement,
    L2AdvertisementError,
    L2Advertisement
);
form!(
    BgpAdvertisement,
    v1beta1::BGPAdvertisement,
    BgpAdvertisementError,
    BGPAdvertisement
);
form!(Peer, v1beta2::BGPPeer, PeerError, BGPPeer);
form!(BfdProfile, v1beta1::BFDProfile, BfdProfileError, BFDProfile);
form!(
    CommunityNames,
    v1beta1::Community,
    CommunityNamesError,
    Community
);
