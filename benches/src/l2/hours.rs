//! Hours of virtual time in which speakers hear each other badly.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_membership::{Input, Membership, Output, Own, Settings};
use metallb_seeds::{Dice, Network, Station, To};

/// How often one of five speakers takes another for dead in so many hours, when so many of a hundred
/// datagrams are lost.
pub(crate) fn false_deaths(loss_percent: u64, hours: u32) -> u32 {
    let mut network = Network::new(NODES, Dice::new(1));
    for at in 0..NODES {
        let node = Node::start(network.now(), at);
        network.put(at, node);
    }
    network.run(Duration::from_secs(2));
    network.loss_percent = loss_percent;
    for _ in 0..hours {
        network.run(Duration::from_hours(1));
    }
    network.stations().map(|(_, node)| node.deaths).sum()
}

/// A speaker that counts whom it loses.
struct Node {
    membership: Membership,
    alive: BTreeSet<Arc<str>>,
    deaths: u32,
    sends: VecDeque<(To, Vec<u8>)>,
}

impl Node {
    fn start(now: Instant, at: usize) -> Self {
        let own = Own {
            name: format!("n{at}"),
            incarnation: 1,
            session: [u8::try_from(at).unwrap_or(u8::MAX); 16],
            key: None,
            state: Arc::default(),
        };
        let mut node = Self {
            membership: Membership::new(now, own, Settings::default()),
            alive: BTreeSet::new(),
            deaths: 0,
            sends: VecDeque::new(),
        };
        let peers = (0..NODES).map(|at| (format!("n{at}"), address(at)));
        let peers = Input::Peers(peers.collect());
        node.membership.handle_input(now, peers);
        node.take_outputs();
        node
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.membership.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    let sent = (To::One(place(to)), bytes.to_vec());
                    self.sends.push_back(sent);
                }
                Output::Members(members) => {
                    let alive: BTreeSet<_> = members.keys().cloned().collect();
                    let dead = self.alive.difference(&alive).count();
                    self.deaths += u32::try_from(dead).unwrap_or(u32::MAX);
                    self.alive = alive;
                }
            }
        }
    }
}

impl Station for Node {
    fn receive(&mut self, now: Instant, from: usize, bytes: &[u8]) {
        let from = address(from);
        let input = Input::Datagram { from, bytes };
        self.membership.handle_input(now, input);
        self.take_outputs();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.membership.handle_timeout(now);
        self.take_outputs();
    }

    fn poll_send(&mut self) -> Option<(To, Vec<u8>)> {
        self.sends.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.membership.poll_timeout()
    }
}

fn address(at: usize) -> SocketAddr {
    let last = u8::try_from(at).unwrap_or(u8::MAX);
    SocketAddr::from(([10, 0, 0, last], 7946))
}

fn place(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => ip.octets()[3].into(),
        IpAddr::V6(_) => unreachable!("all addresses here are IPv4"),
    }
}

const NODES: usize = 5;
