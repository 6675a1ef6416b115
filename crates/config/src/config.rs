//! The configuration that is in effect.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::bfd::BfdProfile;
use crate::bgp::BgpAdvertisement;
use crate::community::CommunityNames;
use crate::l2::L2Advertisement;
use crate::peer::Peer;
use crate::pool::{Pool, PoolError, Taken};

/// A sound configuration: no address is in two pools, and no two objects are at odds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) taken: Taken,
    pub(crate) l2_advertisements: BTreeMap<String, L2Advertisement>,
    pub(crate) bgp_advertisements: BTreeMap<String, BgpAdvertisement>,
    pub(crate) peers: BTreeMap<String, Peer>,
    pub(crate) bfd_profiles: BTreeMap<String, BfdProfile>,
    pub(crate) communities: BTreeMap<String, CommunityNames>,
}

impl Config {
    /// The pools, by name.
    pub fn pools(&self) -> &BTreeMap<String, Pool> {
        &self.pools
    }

    /// The advertisements by layer 2, by name.
    pub fn l2_advertisements(&self) -> &BTreeMap<String, L2Advertisement> {
        &self.l2_advertisements
    }

    /// The advertisements by BGP, by name.
    pub fn bgp_advertisements(&self) -> &BTreeMap<String, BgpAdvertisement> {
        &self.bgp_advertisements
    }

    /// The routers, by name.
    pub fn peers(&self) -> &BTreeMap<String, Peer> {
        &self.peers
    }

    /// The BFD profiles, by name.
    pub fn bfd_profiles(&self) -> &BTreeMap<String, BfdProfile> {
        &self.bfd_profiles
    }

    /// The names for communities, by the name of their object.
    pub fn communities(&self) -> &BTreeMap<String, CommunityNames> {
        &self.communities
    }

    /// The advertisements by layer 2 that announce addresses of `pool`, ordered by name, without
    /// those that say what another has said.
    pub fn l2_advertisements_of(&self, pool: &Pool) -> impl Iterator<Item = &L2Advertisement> {
        let mut said = BTreeSet::new();
        self.l2_advertisements
            .values()
            .filter(|it| it.scope.selects_pool(pool))
            // Preferences add up, so an advertisement that has some always says something.
            .filter(move |it| !it.preferred_nodes.is_empty() || said.insert(it.beside_pools()))
    }

    /// The advertisements by BGP that announce addresses of `pool`, ordered by name.
    pub fn bgp_advertisements_of(&self, pool: &Pool) -> impl Iterator<Item = &BgpAdvertisement> {
        self.bgp_advertisements
            .values()
            .filter(|it| it.announces(pool))
    }

    /// The pool that has all of these addresses, whether or not it gives them out; nothing for no
    /// addresses.
    pub fn pool_of(&self, ips: &[IpAddr]) -> Option<&Pool> {
        let (first, others) = ips.split_first()?;
        let owner = self.taken.owner(*first)?;
        let same = others.iter().all(|ip| self.taken.owner(*ip) == Some(owner));
        same.then(|| self.pools.get(owner)).flatten()
    }

    /// Adds a pool, or refuses it when its name or one of its addresses is there already.
    pub fn add_pool(&mut self, pool: Pool) -> Result<(), PoolError> {
        if self.pools.contains_key(&pool.name) {
            return Err(PoolError::Name(pool.name));
        }
        self.taken.claim_all(&pool)?;
        self.pools.insert(pool.name.clone(), pool);
        Ok(())
    }
}
