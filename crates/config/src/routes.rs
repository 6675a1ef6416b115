//! Advertisements by BGP beside the pools, the peers and one another.
//!
//! An advertisement that must not announce some pool leaves out that pool and announces the
//! others: so neither a new pool nor an edited one takes routes from the rest.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::bgp::{BgpAdvertisement, BgpAdvertisementError};
use crate::labels::Labels;
use crate::peer::Peer;
use crate::pool::Pool;
use crate::range::Family;

/// What an advertisement is held against.
#[derive(Debug)]
pub(crate) struct Routes<'a> {
    pools: &'a BTreeMap<String, Pool>,
    nodes: &'a [&'a Labels],
    /// The peers, by name, that are sent BFD echo packets.
    echo: Vec<&'a str>,
    /// The advertisements so far, without those for some Services only: which of them meet on one
    /// Service is not known here.
    older: Vec<Older>,
}

#[derive(Debug)]
struct Older {
    advertisement: BgpAdvertisement,
    /// Which of `nodes` it selects.
    nodes: Vec<bool>,
}

impl<'a> Routes<'a> {
    pub(crate) fn new(
        pools: &'a BTreeMap<String, Pool>,
        nodes: &'a [&'a Labels],
        peers: &'a BTreeMap<String, Peer>,
    ) -> Self {
        let has_echo = |peer: &&Peer| {
            let settings = peer.bfd.as_ref().and_then(|bfd| bfd.settings.as_ref());
            settings.is_some_and(|it| it.echo)
        };
        Self {
            pools,
            nodes,
            echo: peers
                .values()
                .filter(has_echo)
                .map(|it| &*it.name)
                .collect(),
            older: Vec::new(),
        }
    }

    /// Says to an advertisement which pools it must not announce, and returns why not the first of
    /// them. The next ones are held against this one too.
    pub(crate) fn add(
        &mut self,
        advertisement: &mut BgpAdvertisement,
    ) -> Option<BgpAdvertisementError> {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|labels| advertisement.scope.selects_node(*labels))
            .collect();
        let rivals: Vec<_> = self
            .older
            .iter()
            .filter(|older| older.is_rival(advertisement, &nodes))
            .collect();
        let refused: Vec<_> = self
            .selected(advertisement)
            .into_iter()
            .filter_map(|pool| Some((pool, self.refusal(advertisement, &rivals, pool)?)))
            .collect();
        advertisement.left_out = refused.iter().map(|(pool, _)| pool.name.clone()).collect();
        if advertisement.scope.service_selectors.is_empty() {
            let advertisement = advertisement.clone();
            self.older.push(Older {
                advertisement,
                nodes,
            });
        }
        refused.into_iter().next().map(|(_, error)| error)
    }

    /// The pools in the scope of an advertisement, by name. When it but names them, the others cost
    /// nothing.
    fn selected(&self, advertisement: &BgpAdvertisement) -> Vec<&'a Pool> {
        let scope = &advertisement.scope;
        if scope.selects_all_pools() || !scope.pool_selectors.is_empty() {
            let all = self.pools.values();
            return all.filter(|pool| scope.selects_pool(pool)).collect();
        }
        let named = scope.pools.iter();
        named.filter_map(|name| self.pools.get(name)).collect()
    }

    fn refusal(
        &self,
        advertisement: &BgpAdvertisement,
        rivals: &[&Older],
        pool: &Pool,
    ) -> Option<BgpAdvertisementError> {
        aggregation(advertisement, pool)
            .or_else(|| local_pref(advertisement, rivals, pool))
            .or_else(|| self.echo(advertisement, pool))
    }

    fn echo(&self, advertisement: &BgpAdvertisement, pool: &Pool) -> Option<BgpAdvertisementError> {
        let told = |peer: &&&str| advertisement.selects_peer(peer);
        let peer = self.echo.iter().find(told)?;
        pool.has(Family::V6).then(|| BgpAdvertisementError::Echo {
            pool: pool.name.clone(),
            name: advertisement.name.clone(),
            peer: (*peer).to_owned(),
        })
    }
}

impl Older {
    /// Whether the same route of both would have two local preferences: some node tells some peer
    /// of both.
    fn is_rival(&self, advertisement: &BgpAdvertisement, nodes: &[bool]) -> bool {
        let (older, newer) = (&self.advertisement, advertisement);
        let all_peers = older.peers.is_empty() || newer.peers.is_empty();
        newer.scope.service_selectors.is_empty()
            && older.local_pref != newer.local_pref
            && (all_peers || !older.peers.is_disjoint(&newer.peers))
            && self.nodes.iter().zip(nodes).any(|(a, b)| *a && *b)
    }
}

/// A route for more addresses than a pool has would draw in traffic for the others.
fn aggregation(advertisement: &BgpAdvertisement, pool: &Pool) -> Option<BgpAdvertisementError> {
    [Family::V4, Family::V6].into_iter().find_map(|family| {
        let length = advertisement.aggregation(family);
        let (prefix, addresses) = pool.finest(family)?;
        (length < prefix).then_some(BgpAdvertisementError::Aggregation {
            length,
            prefix,
            addresses,
        })
    })
}

fn local_pref(
    advertisement: &BgpAdvertisement,
    rivals: &[&Older],
    pool: &Pool,
) -> Option<BgpAdvertisementError> {
    let clashes = |older: &&BgpAdvertisement| {
        older.announces(pool) && !has_other_routes(older, advertisement, pool)
    };
    let older = rivals
        .iter()
        .map(|older| &older.advertisement)
        .find(clashes)?;
    let number = |it: &BgpAdvertisement| it.local_pref.map_or(0, NonZeroU32::get);
    Some(BgpAdvertisementError::LocalPref {
        preference: number(advertisement),
        with: number(older),
    })
}

/// Whether no route of one is a route of the other, as the prefixes differ in length. Upstream asks
/// of a pool with both families that both differ.
fn has_other_routes(a: &BgpAdvertisement, b: &BgpAdvertisement, pool: &Pool) -> bool {
    [Family::V4, Family::V6]
        .into_iter()
        .filter(|family| pool.has(*family))
        .all(|family| a.aggregation(family) != b.aggregation(family))
}
