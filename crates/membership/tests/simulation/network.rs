//! Speakers on a network under a virtual clock.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_membership::{Input, Key, Members, Membership, Output, Own, Presence, Settings};
use metallb_seeds::{Dice, Station, To};

/// A speaker, and what it believes.
pub(crate) struct Node {
    membership: Membership,
    sends: VecDeque<(To, Vec<u8>)>,
    pub(crate) view: BTreeSet<usize>,
    /// Those of its view that may take over from others.
    pub(crate) ready: BTreeSet<usize>,
    /// Who went missing from its view, and when.
    losses: Vec<(Instant, usize)>,
    /// How often it saw some that may take over from others, and some that may not.
    uneven: u64,
}

impl Node {
    fn input(&mut self, now: Instant, input: Input<'_>) {
        self.membership.handle_input(now, input);
        self.take_outputs(now);
    }

    fn take_outputs(&mut self, now: Instant) {
        while let Some(output) = self.membership.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    self.sends.push_back((To::One(place(to)), bytes.to_vec()));
                }
                Output::Members(members) => self.see(now, &members),
            }
        }
    }

    fn see(&mut self, now: Instant, members: &Members) {
        let those = |is_such: fn(Presence) -> bool| {
            let such = members.iter().filter(|(_, it)| is_such(it.presence));
            such.map(|(name, _)| index(name)).collect::<BTreeSet<_>>()
        };
        let view = those(|presence| presence != Presence::Leaving);
        let gone = self.view.difference(&view);
        self.losses.extend(gone.map(|gone| (now, *gone)));
        self.ready = those(|presence| presence == Presence::Ready);
        self.uneven += u64::from(!self.ready.is_empty() && self.ready != view);
        self.view = view;
    }
}

impl Station for Node {
    fn receive(&mut self, now: Instant, from: usize, bytes: &[u8]) {
        let from = address(from);
        self.input(now, Input::Datagram { from, bytes });
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.membership.handle_timeout(now);
        self.take_outputs(now);
    }

    fn poll_send(&mut self) -> Option<(To, Vec<u8>)> {
        self.sends.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.membership.poll_timeout()
    }
}

/// The nodes of a cluster.
pub(crate) struct Network {
    pub(crate) wires: metallb_seeds::Network<Node>,
    secret: &'static [u8],
    starts: Vec<u64>,
    /// Every loss that counts: when, whose view, who went missing.
    losses: Vec<(Duration, usize, usize)>,
}

impl Network {
    pub(crate) fn of(nodes: usize) -> Self {
        Self::by_dice(nodes, Dice::new(1))
    }

    pub(crate) fn by_dice(nodes: usize, dice: Dice) -> Self {
        Self {
            wires: metallb_seeds::Network::new(nodes, dice),
            secret: b"",
            starts: vec![0; nodes],
            losses: Vec::new(),
        }
    }

    pub(crate) fn seed(self, seed: u64) -> Self {
        Self::by_dice(self.wires.places(), Dice::new(seed))
    }

    pub(crate) fn loss(mut self, percent: u64) -> Self {
        self.wires.loss_percent = percent;
        self
    }

    pub(crate) fn sealed(mut self) -> Self {
        self.secret = b"a secret of the cluster";
        self
    }

    pub(crate) fn started(self) -> Self {
        let mut network = self.started_or_not();
        network.run(ms(2000));
        network.assert_all_see(&(0..network.wires.places()).collect());
        network.forget_losses();
        network
    }

    /// Starts all, and does not expect them to agree.
    pub(crate) fn started_or_not(mut self) -> Self {
        (0..self.wires.places()).for_each(|node| self.start(node));
        self
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.start_as(node, 1_000_000 * (self.starts[node] + 1));
    }

    pub(crate) fn start_as(&mut self, node: usize, incarnation: u64) {
        self.start_named(node, name(node), incarnation);
    }

    /// Under the name of another, which runs, too.
    pub(crate) fn start_twin(&mut self, node: usize, of: usize) {
        self.start_named(node, name(of), 1_000_000);
    }

    fn start_named(&mut self, node: usize, name_of: String, incarnation: u64) {
        self.starts[node] += 1;
        let mut session = [0; 16];
        session[..8].copy_from_slice(&(node as u64).to_be_bytes());
        session[8..].copy_from_slice(&self.starts[node].to_be_bytes());
        let own = Own {
            name: name_of,
            incarnation,
            session,
            key: Key::derive(self.secret),
            state: Arc::default(),
        };
        let now = self.wires.now();
        let peers = (0..self.wires.places()).map(|n| (name(n), address(n)));
        let peers = peers.collect();
        let mut fresh = Node {
            membership: Membership::new(now, own, Settings::default()),
            sends: VecDeque::new(),
            view: BTreeSet::new(),
            ready: BTreeSet::new(),
            losses: Vec::new(),
            uneven: 0,
        };
        fresh.input(now, Input::Peers(peers));
        self.kill(node);
        self.wires.put(node, fresh);
    }

    pub(crate) fn kill(&mut self, node: usize) {
        self.losses.extend(self.losses_of(node));
        self.wires.take(node);
    }

    pub(crate) fn ready(&mut self, node: usize) {
        self.wires.tell(node, |it, now| it.input(now, Input::Ready));
    }

    pub(crate) fn leave(&mut self, node: usize) {
        self.wires.tell(node, |it, now| it.input(now, Input::Leave));
    }

    pub(crate) fn freeze(&mut self, node: usize, time: Duration) {
        self.wires.freeze(node, time);
    }

    /// Lets the virtual time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        self.wires.run(time);
    }

    /// Runs until `done`; says how long it took.
    pub(crate) fn until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
        let from = self.wires.now();
        while !done(self) {
            assert!(self.wires.now() < from + ms(60_000), "never happened");
            self.run(ms(1));
        }
        self.wires.now() - from
    }

    /// What a node that runs believes.
    pub(crate) fn node(&self, node: usize) -> &Node {
        self.wires.station(node).expect("the node runs")
    }

    pub(crate) fn all_see(&self, expected: &BTreeSet<usize>) -> bool {
        expected
            .iter()
            .all(|node| self.node(*node).view == *expected)
    }

    pub(crate) fn all_take_for_ready(&self, expected: &BTreeSet<usize>) -> bool {
        let mut nodes = self.wires.stations();
        nodes.all(|(_, it)| it.ready == *expected)
    }

    pub(crate) fn assert_all_see(&self, expected: &BTreeSet<usize>) {
        for node in expected {
            assert_eq!(self.node(*node).view, *expected, "the view of node {node}");
        }
    }

    /// How often somebody saw some that may take over from others, and some that may not.
    pub(crate) fn uneven(&self) -> u64 {
        self.wires.stations().map(|(_, it)| it.uneven).sum()
    }

    /// Every loss: when, whose view, who went missing.
    pub(crate) fn losses(&self) -> Vec<(Duration, usize, usize)> {
        let of_running = (0..self.wires.places()).flat_map(|node| self.losses_of(node));
        let mut losses: Vec<_> = self.losses.iter().copied().chain(of_running).collect();
        losses.sort_unstable();
        losses
    }

    pub(crate) fn forget_losses(&mut self) {
        self.losses.clear();
        for node in 0..self.wires.places() {
            if self.wires.station(node).is_some() {
                self.wires.tell(node, |it, _| it.losses.clear());
            }
        }
    }

    fn losses_of(&self, node: usize) -> Vec<(Duration, usize, usize)> {
        let losses = self
            .wires
            .station(node)
            .into_iter()
            .flat_map(|it| &it.losses);
        let losses = losses.map(|(at, gone)| (self.wires.age(*at), node, *gone));
        losses.collect()
    }
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn name(node: usize) -> String {
    format!("node-{node}")
}

fn index(name: &str) -> usize {
    name.trim_start_matches("node-")
        .parse()
        .expect("all are named node-N")
}

fn address(node: usize) -> SocketAddr {
    let [high, low] = u16::try_from(node).expect("a few nodes").to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 7946))
}

fn place(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(it) => {
            let [_, _, high, low] = it.ip().octets();
            u16::from_be_bytes([high, low]).into()
        }
        SocketAddr::V6(_) => unreachable!("all addresses here are IPv4"),
    }
}
