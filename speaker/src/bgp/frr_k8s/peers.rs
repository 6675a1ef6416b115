//! From BGPPeers to what FRR can be told of them on this node. Two that it cannot have together
//! would have FRR-K8s refuse the whole node, so that the older one stays and the younger is left
//! out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_config::{Asn, Password, Peer, PeerAddress};
use metallb_crds::names::HOSTNAME_LABEL;

use super::FrrPeers;
use crate::decide::Own;
use crate::index::Index;

/// The routers for FRR to speak with, and why not with some that select this node.
pub(crate) fn peers(index: &Index, own: &Own) -> (FrrPeers, BTreeMap<String, String>) {
    let (mut wanted, mut problems) = (FrrPeers::default(), BTreeMap::new());
    let Some(here) = index.nodes.get(own.node.as_str()) else {
        return (wanted, problems);
    };
    // Upstream assumes that the label has the node's name, which some clouds have otherwise.
    let hostname = here.labels.get(HOSTNAME_LABEL).unwrap_or(&own.node);
    wanted.hostname.clone_from(hostname);
    let configuration = &index.configuration;
    wanted.profiles = configuration.config().bfd_profiles().clone();
    let peers = configuration.config().peers().values();
    let mut selected: Vec<_> = peers.filter(|it| it.selects_node(&here.labels)).collect();
    selected.sort_by_cached_key(|it| configuration.age_of_peer(&it.name));
    let mut taken = Taken::default();
    for peer in selected {
        match taken.add(peer) {
            Ok(()) => drop(wanted.peers.insert(peer.name.clone(), peer.clone())),
            Err(problem) => drop(problems.insert(peer.name.clone(), problem)),
        }
    }
    (wanted, problems)
}

/// What older peers have settled, each with the name of the first that did.
#[derive(Debug, Default)]
struct Taken<'a> {
    asns: BTreeMap<Vrf<'a>, (Asn, &'a str)>,
    ids: BTreeMap<Vrf<'a>, (IpAddr, &'a str)>,
    addresses: BTreeMap<(Vrf<'a>, &'a PeerAddress), &'a str>,
}

type Vrf<'a> = Option<&'a str>;

impl<'a> Taken<'a> {
    /// Takes what a peer needs, or says why it cannot be had.
    fn add(&mut self, peer: &'a Peer) -> Result<(), String> {
        if let Some(IpAddr::V6(id)) = peer.router_id {
            return Err(format!("routerID {id} is no IPv4 address"));
        }
        if let Some(
            Password::Plain(text)
            | Password::Secret {
                value: Some(text), ..
            },
        ) = &peer.password
            && std::str::from_utf8(text.reveal()).is_err()
        {
            return Err("the password is no text, which FRR-K8s cannot be told".to_owned());
        }
        let vrf = peer.vrf.as_deref();
        match self.asns.get(&vrf) {
            Some((asn, other)) if *asn != peer.my_asn => {
                return Err(format!(
                    "myASN is {}, and FRR has one for all routers of a VRF: {asn}, from BGPPeer \
                     {other}. Use that, and localASN for the other number",
                    peer.my_asn
                ));
            }
            _ => {}
        }
        match (self.ids.get(&vrf), peer.router_id) {
            (Some((id, other)), Some(own)) if *id != own => {
                return Err(format!(
                    "routerID is {own}, and FRR has one for all routers of a VRF: {id}, from \
                     BGPPeer {other}"
                ));
            }
            _ => {}
        }
        if let Some(other) = self.addresses.get(&(vrf, &peer.address)) {
            return Err(format!(
                "FRR speaks with {} once, as BGPPeer {other} says",
                peer.address
            ));
        }
        let name = peer.name.as_str();
        self.asns.entry(vrf).or_insert((peer.my_asn, name));
        if let Some(id) = peer.router_id {
            self.ids.entry(vrf).or_insert((id, name));
        }
        self.addresses.insert((vrf, &peer.address), name);
        Ok(())
    }
}
