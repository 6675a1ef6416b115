//! Peers beside one another, on the nodes that they share.
//!
//! An FRR has one router ID, and for each VRF one AS number and each neighbour once. So may the
//! peers of a node, for as long as [`Mode::Frr`] asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::mode::{Feature, Mode};
use crate::peer::{Asn, Peer, PeerAddress, PeerError};
use crate::selector::Labels;

/// The peers so far, node by node.
#[derive(Debug)]
pub(crate) struct Neighbours<'a> {
    mode: Mode,
    /// Without labels: some node, nobody knows which. Every peer is there.
    nodes: Vec<(Option<&'a Labels>, Node)>,
}

/// What the peers of a node have in common, each with the peer that said so first.
#[derive(Debug, Default)]
struct Node {
    router_id: Option<(Option<IpAddr>, String)>,
    neighbours: BTreeSet<(PeerAddress, Option<String>)>,
    my_asns: BTreeMap<Option<String>, (Asn, String)>,
}

impl<'a> Neighbours<'a> {
    pub(crate) fn new(mode: Mode, nodes: &'a [&'a Labels]) -> Self {
        let any = [None];
        let known = nodes.iter().copied().map(Some);
        let unknown = any.into_iter().filter(|_| nodes.is_empty());
        Self {
            mode,
            nodes: known
                .chain(unknown)
                .map(|it| (it, Node::default()))
                .collect(),
        }
    }

    /// Adds a peer, or refuses it beside those that are there.
    pub(crate) fn add(&mut self, peer: &Peer) -> Result<(), PeerError> {
        let is_there = |labels: Option<&Labels>| labels.is_none_or(|it| peer.selects_node(it));
        let mode = self.mode;
        let nodes = self.nodes.iter().filter(|(labels, _)| is_there(*labels));
        let clashes = nodes.filter_map(|(_, node)| node.clash(mode, peer));
        // Nodes come in no order, and the same objects are refused in the same words.
        if let Some(clash) = clashes.min_by_key(ToString::to_string) {
            return Err(clash);
        }
        let nodes = self
            .nodes
            .iter_mut()
            .filter(|(labels, _)| is_there(*labels));
        nodes.for_each(|(_, node)| node.add(peer));
        Ok(())
    }
}

impl Node {
    fn clash(&self, mode: Mode, peer: &Peer) -> Option<PeerError> {
        let name = || peer.identifier();
        if let Some((id, with)) = &self.router_id
            && mode.lacks(Feature::RouterIds)
            && *id != peer.router_id
        {
            let with = with.clone();
            return Some(PeerError::RouterIds { peer: name(), with });
        }
        let key = (peer.address.clone(), peer.vrf.clone());
        if mode.lacks(Feature::SamePeer) && self.neighbours.contains(&key) {
            return Some(PeerError::SamePeer(name()));
        }
        if let Some((asn, with)) = self.my_asns.get(&peer.vrf)
            && mode.lacks(Feature::MyAsns)
            && *asn != peer.my_asn
        {
            let with = with.clone();
            return Some(PeerError::MyAsns { peer: name(), with });
        }
        None
    }

    fn add(&mut self, peer: &Peer) {
        let name = || peer.identifier();
        self.router_id
            .get_or_insert_with(|| (peer.router_id, name()));
        self.neighbours
            .insert((peer.address.clone(), peer.vrf.clone()));
        let asn = self.my_asns.entry(peer.vrf.clone());
        asn.or_insert_with(|| (peer.my_asn, name()));
    }
}
