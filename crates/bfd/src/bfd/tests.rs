//! Nodes that watch each other, on a network that loses, and is cut.

mod echo;

use metallb_seeds::{Dice, Network, Station, To, for_each_seed};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn settings(interval: u32, detect_multiplier: u8) -> Settings {
    Settings {
        transmit: interval * MS,
        receive: interval * MS,
        detect_multiplier,
        passive: false,
        echo_receive: None,
        echo_transmit: None,
    }
}

fn address(place: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(place).expect("a few")])
}

fn path(place: usize) -> Path {
    Path {
        peer: address(place),
        interface: None,
        minimum_ttl: None,
    }
}

fn arrival(from: usize) -> Arrival {
    Arrival {
        from: address(from),
        interface: 1,
        ttl: 255,
        multihop: false,
    }
}

/// A node that watches others.
struct Node {
    bfd: Bfd,
    /// What its kernel does with packets that are for others.
    forwards: bool,
    /// It knows where its peers are on the link.
    knows_neighbours: bool,
    sends: VecDeque<(To, Vec<u8>)>,
    ups: u32,
    downs: Vec<(Instant, Path, Diagnostic)>,
}

impl Node {
    fn new(now: Instant, seed: u64, sessions: BTreeMap<Path, Settings>) -> Self {
        let mut node = Self {
            bfd: Bfd::new(now, seed),
            forwards: true,
            knows_neighbours: true,
            sends: VecDeque::new(),
            ups: 0,
            downs: Vec::new(),
        };
        node.input(now, Input::Sessions(sessions));
        node
    }

    fn input(&mut self, now: Instant, input: Input<'_>) {
        self.bfd.handle_input(now, input);
        self.work(now);
    }

    fn work(&mut self, now: Instant) {
        while let Some(output) = self.bfd.poll_output() {
            match output {
                Output::Send(path, packet) => {
                    self.sends.push_back((place_of(path), packet.to_vec()));
                }
                Output::Echo(path, ..) if !self.knows_neighbours => {
                    self.bfd.handle_input(now, Input::EchoNotSent(path));
                }
                Output::Echo(path, interface, echo) => {
                    assert_eq!(interface, 1, "where the peer was heard");
                    let packet = echo.encode(OWN);
                    self.sends.push_back((place_of(path), packet.to_vec()));
                }
                Output::Up(_) => self.ups += 1,
                Output::Down(path, why) => self.downs.push((now, path, why)),
            }
        }
    }

    fn is_up(&self, peer: usize) -> bool {
        let session = self.bfd.session(&path(peer));
        session.is_some_and(|it| it.state() == State::Up)
    }
}

impl Station for Node {
    fn receive(&mut self, now: Instant, from: usize, bytes: &[u8]) {
        match bytes {
            // An IPv4 packet: it was at the other side, or is to go back there.
            [0x45, _, _, _, _, _, _, _, 255, ..] if self.forwards => {
                let mut back = bytes.to_vec();
                back[8] -= 1;
                self.sends.push_back((To::One(from), back));
            }
            [0x45, ..] => self.input(now, Input::Echo(bytes)),
            _ => self.input(now, Input::Datagram(arrival(from), bytes)),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.bfd.handle_timeout(now);
        self.work(now);
    }

    fn poll_send(&mut self) -> Option<(To, Vec<u8>)> {
        self.sends.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.bfd.poll_timeout()
    }
}

/// Whose address a packet is sent to.
fn place_of(path: Path) -> To {
    let IpAddr::V4(peer) = path.peer else {
        unreachable!("all addresses here are IPv4");
    };
    To::One(peer.octets()[3].into())
}

const OWN: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 1);

/// Two nodes that watch each other.
fn pair(dice: Dice, interval: u32) -> Network<Node> {
    pair_of(dice, [settings(interval, 3); 2])
}

/// Two nodes that watch each other, each by settings of its own.
fn pair_of(dice: Dice, settings: [Settings; 2]) -> Network<Node> {
    let mut network = Network::new(2, dice);
    // On a link, packets keep their order: one that is overtaken is news from the past.
    network.latency = Duration::ZERO;
    for (place, settings) in settings.into_iter().enumerate() {
        let sessions = [(path(1 - place), settings)].into();
        let node = Node::new(network.now(), place as u64, sessions);
        network.put(place, node);
    }
    network.run(4000 * MS);
    network
}

fn node(network: &Network<Node>, place: usize) -> &Node {
    network.station(place).expect("it runs")
}

#[test]
fn a_cut_is_noticed_within_the_detection_time() {
    for_each_seed("cargo test -p metallb-bfd a_cut_is_noticed", 500, |seed| {
        let interval = [10, 50, 300][usize::try_from(seed % 3).expect("one of three")];
        let mut network = pair(Dice::new(seed), interval);
        assert!(node(&network, 0).is_up(1) && node(&network, 1).is_up(0));
        let some = interval * u32::try_from(seed % 7).expect("a few") * MS / 7;
        network.run(some);
        let cut = network.now();
        network.side[1] = 1;
        network.run(4 * interval * MS);
        for place in 0..2 {
            let downs = &node(&network, place).downs;
            let [(at, _, why)] = downs[..] else {
                panic!("{downs:?}");
            };
            assert_eq!(why, Diagnostic::DETECTION_TIME_EXPIRED);
            // At most three intervals, and how late a timer and a packet may be.
            let took = at.saturating_duration_since(cut);
            assert!(
                took <= 3 * interval * MS + 5 * MS,
                "{took:?} of {interval} ms"
            );
        }
        network.side[1] = 0;
        network.run(4000 * MS);
        assert!(node(&network, 0).is_up(1) && node(&network, 1).is_up(0));
    });
}

#[test]
fn a_cut_in_one_direction_brings_down_both() {
    let mut network = pair(Dice::new(1), 50);
    network.deaf.insert((0, 1));
    network.run(400 * MS);
    let [(_, _, here)] = node(&network, 0).downs[..] else {
        panic!("it is told");
    };
    assert_eq!(here, Diagnostic::NEIGHBOR_SIGNALED_DOWN);
    let [(_, _, there)] = node(&network, 1).downs[..] else {
        panic!("it is noticed");
    };
    assert_eq!(there, Diagnostic::DETECTION_TIME_EXPIRED);
    // It does not come back by half.
    network.run(10_000 * MS);
    assert!(!node(&network, 0).is_up(1) && !node(&network, 1).is_up(0));
}

#[test]
fn in_an_hour_at_fifty_milliseconds_nobody_is_taken_for_gone() {
    let mut network = pair(Dice::new(1), 50);
    // As late as a busy machine is now and then, which both sides see of each other.
    for _ in 0..3600 {
        network.run(1000 * MS);
        network.freeze(0, 20 * MS);
    }
    for place in 0..2 {
        assert_eq!(node(&network, place).downs, [], "{place}");
        assert_eq!(node(&network, place).ups, 1);
    }
}

#[test]
fn who_was_not_awake_blames_nobody() {
    let mut network = pair(Dice::new(1), 50);
    network.freeze(0, 2000 * MS);
    network.run(3000 * MS);
    // It was gone for the other one, which says so.
    let whys = node(&network, 0).downs.iter().map(|(_, _, why)| *why);
    assert_eq!(
        whys.collect::<Vec<_>>(),
        [Diagnostic::NEIGHBOR_SIGNALED_DOWN]
    );
}

#[test]
fn who_stops_says_so() {
    let mut network = pair(Dice::new(1), 50);
    network.tell(0, |it, now| it.input(now, Input::Leave));
    network.run(20 * MS);
    let [(_, _, why)] = node(&network, 1).downs[..] else {
        panic!("it is told");
    };
    assert_eq!(why, Diagnostic::NEIGHBOR_SIGNALED_DOWN);
    let session = node(&network, 1)
        .bfd
        .session(&path(0))
        .expect("it is configured");
    assert_eq!(
        session.remote_diagnostic(),
        Diagnostic::ADMINISTRATIVELY_DOWN
    );
    network.run(5000 * MS);
    assert!(node(&network, 0).bfd.has_left());
    assert_eq!(node(&network, 0).bfd.poll_timeout(), None);
    // And may come back.
    network.tell(0, |it, now| {
        it.input(now, Input::Sessions([(path(1), settings(50, 3))].into()));
    });
    network.run(4000 * MS);
    assert!(node(&network, 0).is_up(1));
}

fn packet(state: State, your_discriminator: u32) -> Control {
    Control {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 9,
        your_discriminator,
        desired_min_tx: 50 * MS,
        required_min_rx: 50 * MS,
        required_min_echo_rx: Duration::ZERO,
    }
}

#[test]
fn a_packet_counts_for_its_own_session_alone() {
    let now = Instant::now();
    let far = Path {
        peer: address(3),
        interface: None,
        minimum_ttl: Some(250),
    };
    let on_link = Path {
        interface: Some(7),
        ..path(4)
    };
    let sessions = [path(2), far, on_link].map(|it| (it, settings(50, 3)));
    let mut node = Node::new(now, 1, sessions.into());
    let known =
        |node: &Node, path: &Path| node.bfd.session(path).expect("it is there").discriminator();
    let two = known(&node, &path(2));
    let cases = [
        // From the wrong place, farther away than it may, to the wrong port, of nobody.
        (arrival(9), packet(State::Down, 0), Some(Dropped::NoSession)),
        (arrival(9), packet(State::Up, two), Some(Dropped::NoSession)),
        (
            arrival(2),
            packet(State::Up, two ^ 1),
            Some(Dropped::NoSession),
        ),
        (
            Arrival {
                ttl: 254,
                ..arrival(2)
            },
            packet(State::Down, 0),
            Some(Dropped::Ttl),
        ),
        (
            Arrival {
                multihop: true,
                ..arrival(2)
            },
            packet(State::Down, 0),
            Some(Dropped::NoSession),
        ),
        (arrival(3), packet(State::Down, 0), Some(Dropped::NoSession)),
        (
            Arrival {
                multihop: true,
                ttl: 249,
                ..arrival(3)
            },
            packet(State::Down, 0),
            Some(Dropped::Ttl),
        ),
        (
            Arrival {
                interface: 8,
                ..arrival(4)
            },
            packet(State::Down, 0),
            Some(Dropped::NoSession),
        ),
        // Whoever is up knows our discriminator.
        (arrival(2), packet(State::Up, 0), Some(Dropped::NoSession)),
        (arrival(2), packet(State::Init, 0), Some(Dropped::NoSession)),
        // And those that are right.
        (arrival(2), packet(State::Down, 0), None),
        (
            Arrival {
                multihop: true,
                ttl: 250,
                ..arrival(3)
            },
            packet(State::Down, 0),
            None,
        ),
        (
            Arrival {
                interface: 7,
                ..arrival(4)
            },
            packet(State::Down, 0),
            None,
        ),
    ];
    for (arrival, packet, expected) in cases {
        let before = node.bfd.dropped().clone();
        node.input(now, Input::Datagram(arrival, &packet.encode()));
        let dropped = node.bfd.dropped();
        let reason = dropped
            .iter()
            .find(|(it, count)| before.get(it) != Some(count));
        assert_eq!(reason.map(|it| *it.0), expected, "{arrival:?} {packet:?}");
    }
    for path in [path(2), far, on_link] {
        assert_eq!(
            node.bfd.session(&path).map(Session::state),
            Some(State::Init)
        );
    }
}

#[test]
fn a_flood_of_what_belongs_to_nobody_changes_nothing() {
    let mut network = pair(Dice::new(1), 50);
    let mut dice = Dice::new(2);
    for n in 0..100_000_u32 {
        let mut bytes = packet(State::AdminDown, n).encode();
        let at = dice.below(LEN);
        bytes[at] = u8::try_from(dice.below(256)).expect("a byte");
        let from = arrival(dice.below(200) + 2);
        network.tell(0, |it, now| it.input(now, Input::Datagram(from, &bytes)));
    }
    network.run(1000 * MS);
    assert!(node(&network, 0).is_up(1) && node(&network, 1).is_up(0));
    let dropped: u64 = node(&network, 0).bfd.dropped().values().sum();
    assert_eq!(dropped, 100_000);
}

/// Whoever knows our address and the peer's can send this, from anywhere.
#[test]
fn a_flood_in_the_name_of_the_peer_changes_nothing() {
    let mut network = pair(Dice::new(1), 50);
    let ours = node(&network, 0)
        .bfd
        .session(&path(1))
        .map(Session::discriminator);
    let ours = ours.expect("it is there");
    let near = arrival(1);
    let far = Arrival { ttl: 254, ..near };
    let authenticated = {
        let mut bytes = packet(State::AdminDown, ours).encode();
        bytes[1] |= 0x04;
        bytes
    };
    for n in 0..100_000_u32 {
        let (arrival, bytes) = match n % 3 {
            0 => (far, packet(State::AdminDown, ours).encode()),
            1 => (near, packet(State::Down, ours.wrapping_add(1 + n)).encode()),
            _ => (near, authenticated),
        };
        network.tell(0, |it, now| it.input(now, Input::Datagram(arrival, &bytes)));
    }
    network.run(1000 * MS);
    assert!(node(&network, 0).is_up(1) && node(&network, 1).is_up(0));
    let dropped = node(&network, 0).bfd.dropped();
    for reason in [
        Dropped::Ttl,
        Dropped::NoSession,
        Dropped::Malformed(Malformed::Authenticated),
    ] {
        assert!(dropped[&reason] >= 33_333, "{reason:?}: {dropped:?}");
    }
}
