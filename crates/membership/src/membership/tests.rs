use std::time::Duration;

use proptest::prelude::*;

use super::*;

const KEY: &[u8] = b"secret";

/// What it is, our secret, the datagram, where it comes from, why it is dropped.
type Case<'a> = (&'a str, &'a [u8], &'a [u8], u8, Option<Dropped>);

fn address(node: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, node], 7946))
}

fn own(node: u8, incarnation: u64, secret: &[u8]) -> Own {
    let mut session = [node; 16];
    session[0] = u8::try_from(incarnation % 256).unwrap();
    Own {
        name: format!("n{node}"),
        incarnation,
        session,
        key: Key::derive(secret),
    }
}

/// Node `node` that knows of nodes 1 to 3.
fn speaker(now: Instant, node: u8, incarnation: u64, secret: &[u8]) -> Membership {
    let mut m = Membership::new(now, own(node, incarnation, secret), Settings::default());
    let peers = (1..=3).map(|n| (format!("n{n}"), address(n))).collect();
    m.handle_input(now, Input::Peers(peers));
    m
}

/// The datagrams that go to node `to`.
fn sent(m: &mut Membership, to: u8) -> Vec<Arc<[u8]>> {
    std::iter::from_fn(|| m.poll_output())
        .filter_map(|output| match output {
            Output::Send { to: address, bytes } if address == self::address(to) => Some(bytes),
            _ => None,
        })
        .collect()
}

fn heartbeat(node: u8, incarnation: u64, secret: &[u8]) -> Arc<[u8]> {
    let now = Instant::now();
    let mut m = speaker(now, node, incarnation, secret);
    m.handle_timeout(now);
    sent(&mut m, if node == 1 { 2 } else { 1 }).remove(0)
}

fn hear(m: &mut Membership, now: Instant, from: u8, bytes: &[u8]) -> Option<Dropped> {
    let before = m.dropped().clone();
    m.handle_input(
        now,
        Input::Datagram {
            from: address(from),
            bytes,
        },
    );
    m.dropped()
        .iter()
        .find(|(r, n)| before.get(r) != Some(n))
        .map(|(reason, _)| *reason)
}

#[test]
fn what_is_not_a_fresh_heartbeat_of_a_listed_speaker_is_dropped_and_counted() {
    let now = Instant::now();
    let good = heartbeat(2, 1, KEY);
    let cases: [Case<'_>; 9] = [
        ("a heartbeat", KEY, &good, 2, None),
        (
            "sealed, from another address of the node",
            KEY,
            &good,
            77,
            None,
        ),
        ("nothing", KEY, b"", 2, Some(Dropped::Malformed)),
        (
            "text",
            KEY,
            b"hello, is there anybody on this port?",
            2,
            Some(Dropped::Malformed),
        ),
        (
            "another secret",
            KEY,
            &heartbeat(2, 1, b"other"),
            2,
            Some(Dropped::Forged),
        ),
        (
            "open, where all is sealed",
            KEY,
            &heartbeat(2, 1, b""),
            2,
            Some(Dropped::Unsealed),
        ),
        (
            "a stranger",
            KEY,
            &heartbeat(9, 1, KEY),
            9,
            Some(Dropped::Foreign),
        ),
        (
            "ourselves",
            KEY,
            &heartbeat(1, 1, KEY),
            1,
            Some(Dropped::Foreign),
        ),
        (
            "open, from elsewhere",
            b"",
            &heartbeat(2, 1, b""),
            77,
            Some(Dropped::Foreign),
        ),
    ];
    for (what, secret, bytes, from, reason) in cases {
        let mut m = speaker(now, 1, 1, secret);
        assert_eq!(hear(&mut m, now, from, bytes), reason, "{what}");
        assert_eq!(m.peers["n2"].is_heard(), reason.is_none(), "{what}");
    }
}

#[test]
fn nobody_is_foreign_before_the_list_has_come() {
    let now = Instant::now();
    let mut m = Membership::new(now, own(1, 1, KEY), Settings::default());
    assert_eq!(hear(&mut m, now, 2, &heartbeat(2, 1, KEY)), None);
    assert!(m.peers.is_empty());
}

#[test]
fn a_heartbeat_counts_once() {
    let now = Instant::now();
    let mut m = speaker(now, 1, 1, KEY);
    let bytes = heartbeat(2, 1, KEY);
    assert_eq!(hear(&mut m, now, 2, &bytes), None);
    assert_eq!(hear(&mut m, now, 2, &bytes), Some(Dropped::Replayed));
    assert_eq!(
        hear(&mut m, now, 2, &heartbeat(2, 2, KEY)),
        None,
        "a new incarnation"
    );
    assert_eq!(
        hear(&mut m, now, 2, &bytes),
        Some(Dropped::Replayed),
        "the old one again"
    );
}

#[test]
fn a_speaker_whose_clock_went_back_is_told_and_raises_its_incarnation() {
    let now = Instant::now();
    let mut one = speaker(now, 1, 5, KEY);
    assert_eq!(hear(&mut one, now, 2, &heartbeat(2, 100, KEY)), None);
    let mut two = speaker(now, 2, 7, KEY);
    two.handle_timeout(now);
    let low = sent(&mut two, 1).remove(0);
    sent(&mut one, 2);
    assert_eq!(hear(&mut one, now, 2, &low), Some(Dropped::Replayed));
    let correction = sent(&mut one, 2).remove(0);
    assert_eq!(hear(&mut two, now, 1, &correction), None);
    two.handle_timeout(now);
    assert_eq!(hear(&mut one, now, 2, &sent(&mut two, 1).remove(0)), None);
}

#[test]
fn a_leave_is_said_a_few_times_and_then_nothing_more() {
    let now = Instant::now();
    let mut m = speaker(now, 1, 1, KEY);
    sent(&mut m, 2);
    m.handle_input(now, Input::Leave);
    let mut said = sent(&mut m, 2).len();
    assert_eq!(said, 1, "it is said at once");
    for ms in 1..1000 {
        m.handle_timeout(now + Duration::from_millis(ms));
        said += sent(&mut m, 2).len();
    }
    assert_eq!(said, 4);
    assert!(m.has_left());
}

#[test]
fn the_secret_stands_in_no_debug_output() {
    assert!(
        !format!("{:?}", own(1, 1, KEY)).contains("115"),
        "a byte of the secret"
    );
    assert!(format!("{:?}", own(1, 1, KEY)).contains("Key(..)"));
}

proptest! {
    #[test]
    fn no_bytes_harm_a_speaker(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..160), 0..20),
        sealed: bool,
    ) {
        let now = Instant::now();
        let mut m = speaker(now, 1, 1, if sealed { KEY } else { b"" });
        for bytes in packets {
            m.handle_input(now, Input::Datagram { from: address(2), bytes: &bytes });
        }
        m.handle_timeout(now);
        prop_assert!(!sealed || m.peers.values().all(|peer| !peer.is_heard()));
    }
}
