//! Peers that are known by an interface: where they are now, and what becomes of their sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Instant;

use metallb_bfd as bfd;
use metallb_bgp::session::{Input, Way};
use metallb_config::PeerAddress;
use metallb_l2::router_discovery::Input as Discovered;
use metallb_netio::TcpOptions;

use super::Shell;
use super::echoes::node_forwards;
use super::interfaces::{Arrival, Notice};
use crate::bgp::{Peer, SessionNews, Taken};

impl Shell {
    pub(super) fn follow_interfaces(&mut self, now: Instant) {
        let names = self
            .peers
            .values()
            .filter_map(|it| match &it.setup.address {
                PeerAddress::Interface(name) => Some(name.clone()),
                PeerAddress::Ip(_) => None,
            });
        let names: BTreeSet<_> = names.collect();
        self.interfaces.watch(now, &names);
    }

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        let now = Instant::now();
        self.interfaces.take(now, arrival);
        self.due.soon(now);
    }

    /// Does what follows from what has become of an interface.
    pub(super) fn heed(&mut self, now: Instant, interface: &str, notice: &Notice) {
        for peer in self.peers_on(interface) {
            match notice {
                Notice::Found if self.give_up(&peer) => self.dial(peer),
                Notice::Found => self.speaker.handle_input(now, &peer, Input::Reachable),
                Notice::Cut(why) => self.cut_off(now, &peer, why),
                Notice::Several(one, other) => {
                    tracing::warn!(
                        op = "bgp", peer, interface, %one, %other,
                        "several routers on the interface"
                    );
                    self.tell(peer, SessionNews::Several(*one, *other));
                }
            }
        }
    }

    fn peers_on(&self, interface: &str) -> Vec<String> {
        let on = PeerAddress::Interface(interface.to_owned());
        let peers = self.peers.iter().filter(|(_, it)| it.setup.address == on);
        peers.map(|(name, _)| name.clone()).collect()
    }

    /// Nothing gets through to a peer any more.
    fn cut_off(&mut self, now: Instant, peer: &str, why: &str) {
        if let Some(it) = self.peers.get_mut(peer) {
            it.at = Err(why.to_owned());
        }
        self.peers_have_moved(now);
        if self.give_up(peer) {
            let failed = Input::ConnectFailed(why.to_owned());
            self.speaker.handle_input(now, &peer.to_owned(), failed);
        }
        for way in [Way::Out, Way::In] {
            if let Some(connection) = self.connections.remove(&(peer.to_owned(), way)) {
                self.numbers.remove(&connection.number);
                let closed = Input::Closed(way, why.to_owned());
                self.speaker.handle_input(now, &peer.to_owned(), closed);
            }
        }
    }

    /// Finds where a peer is, if it is anywhere, and how to connect. If not, that is done as soon as
    /// it is, or its session is told that it cannot be.
    pub(super) fn locate(&mut self, now: Instant, name: &str) -> Option<(SocketAddr, TcpOptions)> {
        let peer = self.peers.get_mut(name)?;
        let mut options = peer.setup.tcp.clone();
        let PeerAddress::Interface(interface) = &peer.setup.address else {
            return Some((peer.at.clone().ok()?, options));
        };
        let at = match (
            self.interfaces.router(interface),
            self.interfaces.cut(interface),
        ) {
            (Some(router), _) => {
                options.source = Some(router.ours.into());
                Ok(router.socket_address(peer.setup.port).into())
            }
            (None, Some(why)) => {
                let failed = Input::ConnectFailed(why.to_owned());
                self.speaker.handle_input(now, &name.to_owned(), failed);
                Err(why.to_owned())
            }
            (None, None) => {
                self.waiting.insert(name.to_owned());
                Err(format!(
                    "no router has advertised itself on {interface}: does it send router \
                     advertisements there, as FRR does for \"neighbor … interface\"?"
                ))
            }
        };
        if peer.at != at {
            peer.at.clone_from(&at);
            self.peers_have_moved(now);
        }
        Some((at.ok()?, options))
    }

    /// The peer could not be spoken with, or not any more: is it elsewhere, or another one there?
    pub(super) fn look_elsewhere(
        &mut self,
        now: Instant,
        peer: &str,
        what: fn(Ipv6Addr) -> Discovered<'static>,
    ) {
        let Some(it) = self.peers.get(peer) else {
            return;
        };
        if let (PeerAddress::Interface(interface), Ok(SocketAddr::V6(at))) =
            (&it.setup.address, &it.at)
        {
            self.interfaces.handle_input(now, interface, what(*at.ip()));
        }
    }

    /// BFD watches all peers where they are now, and there they have to know their passwords.
    pub(super) fn peers_have_moved(&mut self, now: Instant) {
        let free = self.peers.values().filter(|it| it.taken == Taken::No);
        let sessions = free.filter_map(Peer::bfd);
        let mut sessions: BTreeMap<_, _> = sessions.collect();
        if !node_forwards() {
            // Peers are not to wait for what does not go back to them.
            for it in sessions.values_mut() {
                it.echo_receive = None;
            }
        }
        self.datagrams.listen_for(&sessions);
        self.echoes.prepare_for(&sessions);
        self.bfd.handle_input(now, bfd::Input::Sessions(sessions));
        let devices = self.peers.values();
        let devices = devices.filter_map(|it| it.setup.tcp.device.as_deref());
        self.listeners.listen_in(&devices.collect());
        let passwords = self.peers.values().filter_map(|it| {
            let (at, tcp) = (it.at.as_ref().ok()?, &it.setup.tcp);
            Some(((tcp.device.clone(), at.ip()), tcp.password.clone()?))
        });
        self.listeners.expect(passwords.collect());
    }
}
