//! Many speakers in one process under a virtual clock and a network that loses, cuts and delays.
//! Every run is a function of its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use metallb_membership::{Input, Key, Membership, Output, Own, Settings};
use metallb_seeds::for_each_seed;

// What the stories are told in.

struct Node {
    membership: Option<Membership>,
    view: BTreeSet<usize>,
    /// Does nothing until then; what comes in waits, and its timers are late.
    frozen: Option<Instant>,
    waiting: Vec<(usize, Vec<u8>)>,
    starts: u64,
    /// When it wants to be woken.
    due: Option<Instant>,
}

struct Network {
    start: Instant,
    now: Instant,
    seed: u64,
    loss_percent: u64,
    secret: &'static [u8],
    nodes: Vec<Node>,
    /// Nodes hear each other when they are on the same side.
    side: Vec<u8>,
    flying: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    sent: u64,
    /// Every change of a view: when, whose, who went missing.
    losses: Vec<(Duration, usize, usize)>,
}

impl Network {
    fn of(nodes: usize) -> Self {
        let start = Instant::now();
        let mut network = Self {
            start,
            now: start,
            seed: 1,
            loss_percent: 0,
            secret: b"",
            nodes: Vec::new(),
            side: vec![0; nodes],
            flying: BTreeMap::new(),
            sent: 0,
            losses: Vec::new(),
        };
        network.nodes.resize_with(nodes, || Node {
            membership: None,
            view: BTreeSet::new(),
            frozen: None,
            waiting: Vec::new(),
            starts: 0,
            due: None,
        });
        network
    }

    fn seed(mut self, seed: u64) -> Self {
        self.seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        self
    }

    fn loss(mut self, percent: u64) -> Self {
        self.loss_percent = percent;
        self
    }

    fn sealed(mut self) -> Self {
        self.secret = b"a secret of the cluster";
        self
    }

    fn started(mut self) -> Self {
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        self.run(ms(2000));
        self.assert_all_see(&(0..self.nodes.len()).collect());
        self.losses.clear();
        self
    }

    fn start(&mut self, node: usize) {
        self.start_as(node, 1_000_000 * (self.nodes[node].starts + 1));
    }

    fn start_as(&mut self, node: usize, incarnation: u64) {
        self.nodes[node].starts += 1;
        let mut session = [0; 16];
        session[..8].copy_from_slice(&(node as u64).to_be_bytes());
        session[8..].copy_from_slice(&self.nodes[node].starts.to_be_bytes());
        let own = Own {
            name: name(node),
            incarnation,
            session,
            key: Key::derive(self.secret),
        };
        let mut membership = Membership::new(self.now, own, Settings::default());
        let peers = (0..self.nodes.len())
            .map(|n| (name(n), address(n)))
            .collect();
        membership.handle_input(self.now, Input::Peers(peers));
        self.nodes[node].membership = Some(membership);
        self.drain(node);
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].membership = None;
        self.nodes[node].view.clear();
        self.nodes[node].waiting.clear();
    }

    fn leave(&mut self, node: usize) {
        let now = self.now;
        let membership = self.nodes[node].membership.as_mut().expect("the node runs");
        membership.handle_input(now, Input::Leave);
        self.drain(node);
    }

    fn freeze(&mut self, node: usize, time: Duration) {
        self.nodes[node].frozen = Some(self.now + time);
    }

    /// Lets the virtual time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
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
                    self.now = due.max(self.now);
                    self.wake(node);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Runs until `done`; says how long it took.
    fn until(&mut self, done: impl Fn(&Self) -> bool) -> Duration {
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
            self.nodes[from].due = membership.poll_timeout();
        }
        for output in outputs {
            match output {
                Output::Alive(alive) => {
                    let alive: BTreeSet<_> = alive.iter().map(|name| index(name)).collect();
                    let at = self.now - self.start;
                    let gone = self.nodes[from].view.difference(&alive);
                    self.losses.extend(gone.map(|gone| (at, from, *gone)));
                    self.nodes[from].view = alive;
                }
                Output::Send { to, bytes } => {
                    let to = usize::from(u16::from_be_bytes(match to {
                        SocketAddr::V4(to) => [to.ip().octets()[2], to.ip().octets()[3]],
                        SocketAddr::V6(_) => unreachable!("all addresses here are IPv4"),
                    }));
                    self.sent += 1;
                    let lost = self.random(100) < self.loss_percent;
                    if !lost && self.side[from] == self.side[to] {
                        let latency = Duration::from_micros(100 + self.random(2000));
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

    fn all_see(&self, expected: &BTreeSet<usize>) -> bool {
        expected
            .iter()
            .all(|node| self.nodes[*node].view == *expected)
    }

    fn assert_all_see(&self, expected: &BTreeSet<usize>) {
        for node in expected {
            assert_eq!(self.nodes[*node].view, *expected, "the view of node {node}");
        }
    }
}

fn ms(ms: u64) -> Duration {
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

// The stories.

#[test]
fn a_cluster_that_starts_agrees_within_a_heartbeat_or_two() {
    for nodes in [1, 2, 3, 10, 50] {
        let mut network = Network::of(nodes);
        (0..nodes).for_each(|node| network.start(node));
        let all = (0..nodes).collect();
        let took = network.until(|network| network.all_see(&all));
        let bound = if nodes == 1 { ms(501) } else { ms(210) };
        assert!(took < bound, "{nodes} nodes took {took:?}");
    }
}

#[test]
fn a_starting_speaker_never_believes_that_it_is_alone() {
    let mut network = Network::of(3).sealed().started();
    network.kill(2);
    network.run(ms(2000));
    network.start(2);
    let took = network.until(|network| !network.nodes[2].view.is_empty());
    assert_eq!(
        network.nodes[2].view,
        BTreeSet::from([0, 1, 2]),
        "its first view"
    );
    assert!(took < ms(210), "it took {took:?}");
}

#[test]
fn a_restarted_speaker_gets_its_share_only_once_it_knows_its_share() {
    for (dead, seed) in [(false, 1), (true, 2)] {
        let mut network = Network::of(4).seed(seed).loss(5).started();
        network.kill(1);
        if dead {
            // It stays on the list, and the one that starts has to wait for it in vain.
            network.kill(3);
        }
        network.run(ms(2000));
        network.start(1);
        let mut waited = 0;
        while network.nodes[1].view.is_empty() {
            assert!(
                !network.nodes[0].view.contains(&1),
                "counted after {waited} ms, knows nobody"
            );
            network.run(ms(1));
            waited += 1;
        }
        assert_eq!(waited > 400, dead, "it took {waited} ms");
        let running = if dead {
            BTreeSet::from([0, 1, 2])
        } else {
            (0..4).collect()
        };
        let took = network.until(|network| network.all_see(&running));
        assert!(took < ms(110), "it took {took:?}");
    }
}

#[test]
fn a_dead_node_is_noticed_by_all_within_the_bound() {
    for (nodes, seed) in [(3, 1), (3, 2), (10, 3), (50, 4)] {
        let mut network = Network::of(nodes).seed(seed).started();
        network.kill(1);
        let rest = (0..nodes).filter(|node| *node != 1).collect();
        let took = network.until(|network| network.all_see(&rest));
        assert!(
            took >= ms(390) && took <= ms(505),
            "{nodes} nodes took {took:?}"
        );
    }
}

#[test]
fn five_percent_loss_kills_nobody_and_the_dead_are_still_noticed() {
    for (nodes, seed, time) in [
        (5, 1, 120_000),
        (5, 2, 120_000),
        (20, 3, 20_000),
        (50, 4, 5000),
    ] {
        let mut network = Network::of(nodes).seed(seed).loss(5).started();
        network.run(ms(time));
        assert_eq!(network.losses, [], "with {nodes} nodes, seed {seed}");
        network.kill(0);
        let rest = (1..nodes).collect();
        let took = network.until(|network| network.all_see(&rest));
        assert!(took <= ms(505), "{nodes} nodes took {took:?}");
    }
}

#[test]
fn the_sides_of_a_partition_agree_among_themselves_and_rejoin() {
    let mut network = Network::of(50).seed(7).loss(2).started();
    network.side = (0..50).map(|node| u8::from(node >= 20)).collect();
    let (left, right) = ((0..20).collect(), (20..50).collect());
    let took = network.until(|network| network.all_see(&left) && network.all_see(&right));
    assert!(took <= ms(505), "the cut took {took:?}");
    network.side.fill(0);
    let all = (0..50).collect();
    let took = network.until(|network| network.all_see(&all));
    assert!(took <= ms(310), "the healing took {took:?}");
}

#[test]
fn a_leave_is_known_at_once_even_when_datagrams_are_lost() {
    let test = "cargo test -p metallb-membership --test simulation a_leave_is_known";
    for_each_seed(test, 20, |seed| {
        let mut network = Network::of(5).seed(seed).loss(5).started();
        network.leave(3);
        let rest = BTreeSet::from([0, 1, 2, 4]);
        let took = network.until(|network| network.all_see(&rest));
        assert!(took <= ms(65), "it took {took:?}");
        network.kill(3);
        network.start(3);
        let took = network.until(|network| network.all_see(&(0..5).collect()));
        assert!(took <= ms(410), "coming back took {took:?}");
    });
}

#[test]
fn a_starved_watcher_condemns_nobody() {
    let mut network = Network::of(5).seed(3).started();
    for freeze in [200, 700, 3000, 20_000] {
        network.freeze(2, ms(freeze));
        network.run(ms(freeze + 1000));
        let blamed: Vec<_> = network
            .losses
            .iter()
            .filter(|(_, by, _)| *by == 2)
            .collect();
        assert!(
            blamed.is_empty(),
            "frozen for {freeze} ms it condemned {blamed:?}"
        );
        network.assert_all_see(&(0..5).collect());
    }
}

#[test]
fn a_watcher_that_gets_little_time_condemns_nobody_and_still_sees_a_death() {
    let mut network = Network::of(3).seed(5).started();
    // It runs for an instant every 450 ms; the others bear that.
    let slow = |network: &mut Network, rounds: u32| {
        for _ in 0..rounds {
            network.freeze(0, ms(450));
            network.run(ms(451));
        }
    };
    slow(&mut network, 40);
    let blamed: Vec<_> = network
        .losses
        .iter()
        .filter(|(_, by, _)| *by == 0)
        .collect();
    assert!(blamed.is_empty(), "{blamed:?}");
    network.kill(1);
    slow(&mut network, 20);
    assert_eq!(network.nodes[0].view, BTreeSet::from([0, 2]));
}

#[test]
fn a_frozen_node_is_replaced_and_welcomed_back() {
    let mut network = Network::of(4).seed(9).sealed().started();
    network.freeze(1, ms(5000));
    let rest = BTreeSet::from([0, 2, 3]);
    let took = network.until(|n| [0, 2, 3].iter().all(|node| n.nodes[*node].view == rest));
    assert!(took <= ms(505), "it took {took:?}");
    network.run(ms(5100).saturating_sub(took));
    network.assert_all_see(&(0..4).collect());
}

#[test]
fn a_restart_with_a_clock_that_went_back_is_welcome_all_the_same() {
    let mut network = Network::of(3).sealed().started();
    network.kill(1);
    network.run(ms(1000));
    network.start_as(1, 5);
    let took = network.until(|network| network.all_see(&(0..3).collect()));
    assert!(took <= ms(210), "it took {took:?}");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let run = || {
        let mut network = Network::of(10).seed(42).loss(40).started_or_not();
        network.run(ms(20_000));
        (network.sent, network.losses)
    };
    assert_eq!(run(), run());
}

impl Network {
    /// Starts all, and does not expect them to agree.
    fn started_or_not(mut self) -> Self {
        (0..self.nodes.len()).for_each(|node| self.start(node));
        self
    }
}
