//! What routers are told of routes.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use metallb_bgp::rib::{Audience, RouteAttributes};
use metallb_bgp::wire::LargeCommunity;
use metallb_config::{BgpAdvertisement, Community};

/// To whom routes are told by one advertisement, and what. There are thousands of them, which all
/// share it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) audience: Audience,
    pub(crate) attributes: Arc<RouteAttributes>,
}

impl From<&BgpAdvertisement> for Told {
    fn from(advertisement: &BgpAdvertisement) -> Self {
        let (mut communities, mut large_communities) = (BTreeSet::new(), BTreeSet::new());
        for community in &advertisement.communities {
            match *community {
                Community::Standard(high, low) => {
                    communities.insert(u32::from(high) << 16 | u32::from(low));
                }
                Community::Large(global, one, two) => {
                    large_communities.insert(LargeCommunity(global, one, two));
                }
            }
        }
        Self {
            audience: Audience(Arc::new(advertisement.peers.clone())),
            attributes: Arc::new(RouteAttributes {
                local_pref: advertisement.local_pref.map(NonZeroU32::get),
                communities,
                large_communities,
            }),
        }
    }
}
