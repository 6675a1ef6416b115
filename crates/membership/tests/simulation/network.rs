//! Speakers in one process under a virtual clock, and the network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_membership::{Input, Key, Member, Membership, Output, Own, Presence, Settings};

pub(crate) struct Node {
    pub(crate) membership: Option<Membership>,
    pub(crate) view: BTreeSet<usize>,
    /// Those of its view that may take over from others.
    pub(crate) ready: BTreeSet<usize>,
    /// Does nothing until then; what comes in waits, and its timers are late.
    pub(crate) frozen: Option<Instant>,
    pub(crate) waiting: Vec<(usize, Vec<u8>)>,
    pub(crate) starts: u64,
    /// When it wants to be woken.
    pub(crate) due: Option<Instant>,
}

pub(crate) struct Network {
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) seed: u64,
    pub(crate) loss_percent: u64,
    /// How long a datagram takes at most, in microseconds.
    pub(crate) latency: u64,
    pub(crate) secret: &'static [u8],
    pub(crate) nodes: Vec<Node>,
    /// Nodes hear each other when they are on the same side.
    pub(crate) side: Vec<u8>,
    /// From whom to whom nothing gets through.
    pub(crate) deaf: BTreeSet<(usize, usize)>,
    pub(crate) flying: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    pub(crate) sent: u64,
    /// How often somebody saw some that may take over from others, and some that may not.
    pub(crate) uneven: u64,
    /// Every change of a view: when, whose, who went missing.
    pub(crate) losses: Vec<(Duration, usize, usize)>,
}

impl Network {
    pub(crate) fn of(nodes: usize) -> Self {
        let start = Instant::now();
        let mut network = Self {
            start,
            now: start,
            seed: 1,
            loss_percent: 0,
            latency: 2000,
            secret: b"",
            nodes: Vec::new(),
            side: vec![0; nodes],
            deaf: BTreeSet::new(),
            flying: BTreeMap::new(),
            sent: 0,
            uneven: 0,
            losses: Vec::new(),
        };
        network.nodes.resize_with(nodes, || Node {
            membership: None,
            view: BTreeSet::new(),
            ready: BTreeSet::new(),
            frozen: None,
            waiting: Vec::new(),
            starts: 0,
            due: None,
        });
        network
    }

    pub(crate) fn seed(mut self, seed: u64) -> Self {
        self.seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        self
    }

    pub(crate) fn loss(mut self, percent: u64) -> Self {
        self.loss_percent = percent;
        self
    }

    pub(crate) fn sealed(mut self) -> Self {
        self.secret = b"a secret of the cluster";
        self
    }

    pub(crate) fn started(mut self) -> Self {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        self.run(ms(2000));
        self.assert_all_see(&(0..self.nodes.len()).collect());
        self.losses.clear();
        self
    }

    /// Starts all, and does not expect them to agree.
    pub(crate) fn started_or_not(mut self) -> Self {
        (0..self.nodes.len()).for_each(|node| self.start(node));
        self
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.start_as(node, 1_000_000 * (self.nodes[node].starts + 1));
    }

    pub(crate) fn start_as(&mut self, node: usize, incarnation: u64) {
        self.nodes[node].starts += 1;
        let mut session = [0; 16];
        session[..8].copy_from_slice(&(node as u64).to_be_bytes());
        session[8..].copy_from_slice(&self.nodes[node].starts.to_be_bytes());
        let own = Own {
            name: name(node),
            incarnation,
            session,
            key: Key::derive(self.secret),
            state: Arc::default(),
        };
        let mut membership = Membership::new(self.now, own, Settings::default());
        let peers = (0..self.nodes.len())
            .map(|n| (name(n), address(n)))
            .collect();
        membership.handle_input(self.now, Input::Peers(peers));
        self.nodes[node].membership = Some(membership);
        self.drain(node);
    }

    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].membership = None;
        self.nodes[node].view.clear();
        self.nodes[node].ready.clear();
        self.nodes[node].waiting.clear();
    }

    pub(crate) fn ready(&mut self, node: usize) {
        let now = self.now;
        let membership = self.nodes[node].membership.as_mut().expect("the node runs");
        membership.handle_input(now, Input::Ready);
        self.drain(node);
    }

    pub(crate) fn leave(&mut self, node: usize) {
        let now = self.now;
        let membership = self.nodes[node].membership.as_mut().expect("the node runs");
        membership.handle_input(now, Input::Leave);
        self.drain(node);
    }

    pub(crate) fn freeze(&mut self, node: usize, time: Duration) {
        self.nodes[node].frozen = Some(self.now + time);
    }

    /// Lets the virtual time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut at_once = 0;
        loop {
            let flight = self.flying.first_key_value().map(|((at, _), _)| *at);
            let timer = (0..self.nodes.len())
                .filter_map(|n| Some((self.due(n)?, n)))
                .min();
            match (flight, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = at.max(self.now);
                    let (_, (from, to, bytes)) =
                        self.flying.pop_first().expect("the first was seen above");
                    self.arrive(from, to, bytes);
                }
                (_, Some((due, node))) if due <= end => {
                    at_once = if due > self.now { 0 } else { at_once + 1 };
                    assert!(at_once < 1000, "node {node} spins");
                    self.now = due.max(self.now);
                    self.wake(node);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Runs until `done`; says how long it took.
    pub(crate) fn until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
        let from = self.now;
        while !done(self) {
            assert!(self.now < from + ms(60_000), "never happened");
            self.run(ms(1));
        }
        self.now - from
    }

    fn due(&self, node: usize) -> Option<Instant> {
        let node = &self.nodes[node];
        node.membership.as_ref()?;
        match node.frozen {
            Some(thaw) => Some(node.due.map_or(thaw, |due| due.max(thaw))),
            None => node.due,
        }
    }

    fn wake(&mut self, node: usize) {
        let thawed = self.nodes[node].frozen.take().is_some();
        let now = self.now;
        let membership = self.nodes[node]
            .membership
            .as_mut()
            .expect("only running nodes wake");
        membership.handle_timeout(now);
        if thawed {
            for (from, bytes) in std::mem::take(&mut self.nodes[node].waiting) {
                self.arrive(from, node, bytes);
            }
        }
        self.drain(node);
    }

    fn arrive(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let now = self.now;
        let node = &mut self.nodes[to];
        let Some(membership) = &mut node.membership else {
            return;
        };
        if node.frozen.is_some_and(|thaw| now < thaw) {
            node.waiting.push((from, bytes));
            return;
        }
        membership.handle_input(
            now,
            Input::Datagram {
                from: address(from),
                bytes: &bytes,
            },
        );
        self.drain(to);
    }

    fn drain(&mut self, from: usize) {
        let mut outputs = Vec::new();
        if let Some(membership) = &mut self.nodes[from].membership {
            outputs.extend(std::iter::from_fn(|| membership.poll_output()));
            // As late as a timer of a runtime may be.
            let due = membership.poll_timeout();
            let late = Duration::from_micros(self.random(2000));
            self.nodes[from].due = due.map(|due| due + late);
        }
        for output in outputs {
            match output {
                Output::Members(members) => {
                    let stays = |(_, it): &(_, &Member)| it.presence != Presence::Leaving;
                    let alive = members.iter().filter(stays).map(|(name, _)| index(name));
                    let alive: BTreeSet<_> = alive.collect();
                    let at = self.now - self.start;
                    let gone = self.nodes[from].view.difference(&alive);
                    self.losses.extend(gone.map(|gone| (at, from, *gone)));
                    self.nodes[from].view = alive;
                    let ready = members
                        .iter()
                        .filter(|(_, it)| it.presence == Presence::Ready);
                    let ready: BTreeSet<_> = ready.map(|(name, _)| index(name)).collect();
                    self.uneven += u64::from(!ready.is_empty() && ready != self.nodes[from].view);
                    self.nodes[from].ready = ready;
                }
                Output::Send { to, bytes } => {
                    let to = usize::from(u16::from_be_bytes(match to {
                        SocketAddr::V4(to) => [to.ip().octets()[2], to.ip().octets()[3]],
                        SocketAddr::V6(_) => unreachable!("all addresses here are IPv4"),
                    }));
                    self.sent += 1;
                    let lost = self.random(100) < self.loss_percent;
                    let cut = self.side[from] != self.side[to] || self.deaf.contains(&(from, to));
                    if !lost && !cut {
                        let latency = Duration::from_micros(20 + self.random(self.latency));
                        self.flying
                            .insert((self.now + latency, self.sent), (from, to, bytes.to_vec()));
                    }
                }
            }
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        // xorshift64: enough for dice, and the same everywhere.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    pub(crate) fn all_see(&self, expected: &BTreeSet<usize>) -> bool {
        expected
            .iter()
            .all(|node| self.nodes[*node].view == *expected)
    }

    pub(crate) fn assert_all_see(&self, expected: &BTreeSet<usize>) {
        for node in expected {
            assert_eq!(self.nodes[*node].view, *expected, "the view of node {node}");
        }
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
