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
        state: Arc::default(),
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

/// The first that a speaker says.
fn greeting(node: u8, incarnation: u64, secret: &[u8]) -> Arc<[u8]> {
    let mut m = speaker(Instant::now(), node, incarnation, secret);
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

fn is_heard(m: &Membership, name: &str) -> bool {
    m.roster.get(name).is_some_and(|it| it.heard.is_some())
}

/// Lets two talk until neither has more to say.
fn talk(now: Instant, one: &mut Membership, two: &mut Membership) {
    let number = |m: &Membership| m.roster.own_name()[1..].parse().unwrap();
    let (first, second) = (number(one), number(two));
    loop {
        let (to_two, to_one) = (sent(one, second), sent(two, first));
        if to_one.is_empty() && to_two.is_empty() {
            return;
        }
        for bytes in to_two {
            hear(two, now, first, &bytes);
        }
        for bytes in to_one {
            hear(one, now, second, &bytes);
        }
    }
}

#[test]
fn what_is_not_a_fresh_datagram_of_a_listed_speaker_is_dropped_and_counted() {
    let now = Instant::now();
    let good = greeting(2, 1, KEY);
    let cases: [Case<'_>; 9] = [
        ("a greeting", KEY, &good, 2, None),
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
            &greeting(2, 1, b"other"),
            2,
            Some(Dropped::Forged),
        ),
        (
            "open, where all is sealed",
            KEY,
            &greeting(2, 1, b""),
            2,
            Some(Dropped::Unsealed),
        ),
        (
            "a stranger",
            KEY,
            &greeting(9, 1, KEY),
            9,
            Some(Dropped::Foreign),
        ),
        (
            "ourselves",
            KEY,
            &greeting(1, 1, KEY),
            1,
            Some(Dropped::Foreign),
        ),
        (
            "open, from elsewhere",
            b"",
            &greeting(2, 1, b""),
            77,
            Some(Dropped::Foreign),
        ),
    ];
    for (what, secret, bytes, from, reason) in cases {
        let mut m = speaker(now, 1, 1, secret);
        assert_eq!(hear(&mut m, now, from, bytes), reason, "{what}");
        assert_eq!(is_heard(&m, "n2"), reason.is_none(), "{what}");
    }
}

#[test]
fn nobody_is_foreign_before_the_list_has_come() {
    let now = Instant::now();
    let mut m = Membership::new(now, own(1, 1, KEY), Settings::default());
    assert_eq!(hear(&mut m, now, 2, &greeting(2, 1, KEY)), None);
    assert!(!is_heard(&m, "n2"));
}

#[test]
fn a_datagram_counts_once() {
    let now = Instant::now();
    let mut m = speaker(now, 1, 1, KEY);
    let bytes = greeting(2, 1, KEY);
    assert_eq!(hear(&mut m, now, 2, &bytes), None);
    assert_eq!(hear(&mut m, now, 2, &bytes), Some(Dropped::Replayed));
    assert_eq!(
        hear(&mut m, now, 2, &greeting(2, 2, KEY)),
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
    let mut two = speaker(now, 2, 100, KEY);
    talk(now, &mut one, &mut two);
    let mut again = speaker(now, 2, 7, KEY);
    talk(now, &mut one, &mut again);
    again.handle_timeout(now + Duration::from_millis(20));
    talk(now, &mut one, &mut again);
    let record = one.roster.get("n2").unwrap().record.clone().unwrap();
    assert!(record.incarnation > 100, "{record:?}");
    assert_eq!(again.roster.own().incarnation, record.incarnation);
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
    assert_eq!(said, 3);
    assert!(m.has_left());
}

#[test]
fn nobody_starts_beside_one_that_has_another_key() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut m = speaker(start, 1, 1, KEY);
    for ms in (0..2000).step_by(100) {
        assert_eq!(
            hear(&mut m, at(ms), 2, &greeting(2, 1, b"x")),
            Some(Dropped::Forged)
        );
        m.handle_timeout(at(ms));
        assert_eq!(
            m.settle,
            Settle::Until(at(ms) + Settings::default().dead_after)
        );
    }
    // A stranger can keep nobody from starting.
    for ms in (1900..=2400).step_by(20) {
        hear(&mut m, at(ms), 9, &greeting(2, 1, b"x"));
        m.handle_timeout(at(ms));
    }
    assert_eq!(m.settle, Settle::Settled);
}

#[test]
fn what_one_says_of_itself_reaches_the_others() {
    let now = Instant::now();
    let [mut one, mut two] = [1, 2].map(|node| {
        let mut m = speaker(now, node, 1, KEY);
        m.handle_input(
            now,
            Input::Peers([("n1".into(), address(1)), ("n2".into(), address(2))].into()),
        );
        m
    });
    talk(now, &mut one, &mut two);
    let now = now + Duration::from_millis(1);
    one.handle_input(now, Input::State(b"eth0".as_slice().into()));
    talk(now, &mut one, &mut two);
    let members = two.told.clone().unwrap();
    assert_eq!(&*members["n1"].state, b"eth0");
    assert_eq!(&*members["n2"].state, b"");
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
        prop_assert!(!sealed || !is_heard(&m, "n2"));
    }
}
