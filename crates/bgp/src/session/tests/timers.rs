//! What happens by itself: timers, and what no peer can make of them.

use super::*;
use crate::rib::{Audience, Route, RouteAttributes};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_session_lives_as_long_as_the_peer_is_heard() {
    let mut dialog = Dialog::at_rest(State::Established);
    for _ in 0..10 {
        dialog.pass(seconds(89));
        dialog.hear(&Message::Keepalive);
    }
    assert_eq!(dialog.session.state(), State::Established);
    dialog.outputs();
    dialog.pass(seconds(90));
    let outputs = dialog.outputs();
    assert_eq!(notifications(&outputs), [ErrorCode::HOLD_TIMER_EXPIRED]);
    let ended = |it: &Output| matches!(it, Output::Down(End::Sent(it)) if it.error == ErrorCode::HOLD_TIMER_EXPIRED);
    assert!(outputs.iter().any(ended));
}

#[test]
fn ours_is_heard_often_enough_and_not_in_step_with_others() {
    let mut dialog = Dialog::at_rest(State::Established);
    let mut gaps = BTreeSet::new();
    let mut last = dialog.now;
    for _ in 0..4000 {
        dialog.pass(Duration::from_millis(100));
        dialog.hear(&Message::Keepalive);
        for message in dialog.said() {
            assert_eq!(message, Message::Keepalive);
            gaps.insert((dialog.now - last).as_millis());
            last = dialog.now;
        }
    }
    // RFC 4271 section 10, and what a tick of the test adds.
    assert!(
        gaps.iter().all(|it| (22_400..=30_100).contains(it)),
        "{gaps:?}"
    );
    assert!(gaps.len() > 3, "{gaps:?}");
}

#[test]
fn without_a_hold_time_nobody_has_to_be_heard() {
    let mut dialog = Dialog::new(Settings {
        hold_time: 0,
        ..settings()
    });
    dialog.lead_to(State::Established);
    dialog.pass(seconds(1_000_000));
    assert_eq!(dialog.said(), []);
    assert_eq!(dialog.session.state(), State::Established);
}

#[test]
fn a_peer_that_opens_and_says_no_more_is_given_up() {
    for (state, hold) in [(State::OpenSent, 90), (State::OpenConfirm, 90)] {
        let mut dialog = Dialog::at_rest(state);
        dialog.pass(seconds(hold - 1));
        assert_eq!(dialog.session.state(), state);
        dialog.pass(seconds(1));
        assert_eq!(
            notifications(&dialog.outputs())[0],
            ErrorCode::HOLD_TIMER_EXPIRED
        );
    }
    // One byte in a second is not a message.
    let mut dialog = Dialog::at_rest(State::OpenSent);
    for byte in Message::Open(their_open())
        .encode(Codec::default())
        .repeat(3)
    {
        dialog.input(Input::Received(Way::Out, &[byte]));
        dialog.pass(seconds(1));
        if dialog.session.state() != State::OpenSent {
            break;
        }
    }
    assert_eq!(dialog.session.state(), State::OpenConfirm);
    dialog.pass(seconds(90));
    assert_ne!(dialog.session.state(), State::OpenConfirm);
}

#[test]
fn a_silent_peer_is_tried_again_and_again() {
    let mut dialog = Dialog::new(settings());
    dialog.input(Input::Start);
    let mut attempts = 0;
    for _ in 0..600 {
        dialog.pass(Duration::from_millis(100));
        let outputs = dialog.outputs();
        attempts += outputs.iter().filter(|it| **it == Output::Connect).count();
    }
    // Once in up to four seconds, for a minute.
    assert!((15..=21).contains(&attempts), "{attempts}");
}

/// Whatever it does, a peer cannot have us connect more than about once in a second, and less
/// often the more often something is wrong.
#[test]
fn no_peer_makes_us_try_in_a_loop() {
    type Trick = fn(&mut Dialog);
    let tricks: [(&str, Trick, usize); 8] = [
        (
            "refuses",
            |it| it.input(Input::ConnectFailed("refused".into())),
            21,
        ),
        (
            "closes",
            |it| it.input(Input::Closed(Way::Out, "reset".into())),
            21,
        ),
        (
            "opens and closes",
            |it| {
                it.hear(&Message::Open(their_open()));
                it.input(Input::Closed(Way::Out, "reset".into()));
            },
            81,
        ),
        (
            "is of another AS",
            |it| {
                it.hear(&Message::Open(Open {
                    my_as: 1,
                    capabilities: vec![],
                    ..their_open()
                }));
            },
            8,
        ),
        (
            "says no at once",
            |it| {
                it.hear(&Message::Notification(Notification::new(
                    ErrorCode::ADMINISTRATIVE_SHUTDOWN,
                )));
            },
            8,
        ),
        (
            "does not want it now",
            |it| {
                it.hear(&Message::Notification(Notification::new(
                    ErrorCode::CONNECTION_REJECTED,
                )));
            },
            21,
        ),
        (
            "has another session",
            |it| {
                it.hear(&Message::Open(their_open()));
                it.hear(&Message::Notification(Notification::new(
                    ErrorCode::CONNECTION_COLLISION_RESOLUTION,
                )));
            },
            21,
        ),
        (
            "is up for a moment",
            |it| {
                it.hear(&Message::Open(their_open()));
                it.hear(&Message::Keepalive);
                it.hear(&Message::Notification(Notification::new(
                    ErrorCode::ADMINISTRATIVE_RESET,
                )));
            },
            8,
        ),
    ];
    for (name, trick, most) in tricks {
        let mut dialog = Dialog::new(settings());
        dialog.input(Input::Start);
        let mut attempts = 0;
        for _ in 0..6000 {
            for output in dialog.outputs() {
                if output == Output::Connect {
                    attempts += 1;
                    if name != "refuses" {
                        dialog.input(Input::Connected(Way::Out, link()));
                    }
                    trick(&mut dialog);
                }
            }
            dialog.pass(Duration::from_millis(10));
        }
        assert!(
            (3..=most).contains(&attempts),
            "one that {name} was tried {attempts} times"
        );
    }
}

#[test]
fn a_lost_session_is_back_within_a_second_or_so() {
    let mut dialog = Dialog::at_rest(State::Established);
    dialog.pass(seconds(1));
    dialog.input(Input::Closed(Way::Out, "reset".into()));
    dialog.pass(seconds(1));
    assert!(dialog.outputs().contains(&Output::Connect));
}

/// No error is held against one that has another session with us: when that is over, ours comes up
/// as soon as the router can be asked.
#[test]
fn a_router_that_has_another_session_is_asked_again_soon_and_it_is_said() {
    let mut dialog = Dialog::new(settings());
    dialog.input(Input::Start);
    for _ in 0..20 {
        while !dialog.outputs().contains(&Output::Connect) {
            dialog.pass(Duration::from_millis(10));
        }
        dialog.input(Input::Connected(Way::Out, link()));
        dialog.hear(&Message::Open(their_open()));
        let no = Notification::new(ErrorCode::CONNECTION_COLLISION_RESOLUTION);
        dialog.hear(&Message::Notification(no.clone()));
        assert!(
            dialog
                .outputs()
                .contains(&Output::Failed(End::Received(no)))
        );
    }
    assert_eq!(dialog.session.state(), State::Active);
    dialog.input(Input::Reachable);
    assert!(dialog.outputs().contains(&Output::Connect));
}

#[test]
fn errors_of_old_are_forgotten_by_a_session_that_is_well() {
    let mut dialog = Dialog::new(settings());
    dialog.input(Input::Start);
    let reset = Message::Notification(Notification::new(ErrorCode::ADMINISTRATIVE_RESET));
    let mut waits = Vec::new();
    for well in [0, 0, 0, 61] {
        let ended = dialog.now;
        while !dialog.outputs().contains(&Output::Connect) {
            dialog.pass(Duration::from_millis(10));
        }
        waits.push((dialog.now - ended).as_millis());
        dialog.input(Input::Connected(Way::Out, link()));
        dialog.hear(&Message::Open(their_open()));
        dialog.hear(&Message::Keepalive);
        dialog.pass(seconds(well));
        dialog.hear(&reset);
    }
    let ended = dialog.now;
    while !dialog.outputs().contains(&Output::Connect) {
        dialog.pass(Duration::from_millis(10));
    }
    let last = (dialog.now - ended).as_millis();
    assert!(waits[3] > 2500 && last <= 1010, "{waits:?}, then {last}");
}

fn routes(count: u32) -> Vec<Route> {
    let route = |n: u32| Route {
        prefix: ipnet::IpNet::new((0x0a00_0000 + n).to_be_bytes().into(), 32).expect("a length"),
        audience: Audience::default(),
        attributes: RouteAttributes::default().into(),
    };
    (0..count).map(route).collect()
}

#[test]
fn a_peer_that_reads_nothing_costs_a_bounded_buffer_and_in_the_end_the_session() {
    let mut dialog = Dialog::at_rest(State::Established);
    dialog.stuck = true;
    dialog.rib.contribute(&1, routes(100_000));
    let mut sent = 0;
    let soon = dialog.now + seconds(479);
    while dialog.now < soon {
        for output in dialog.outputs() {
            if let Output::Send(_, bytes) = output {
                sent += bytes.len();
            }
        }
        dialog.hear(&Message::Keepalive);
        dialog.pass(seconds(1));
    }
    assert!((60 * 1024..80 * 1024).contains(&sent), "{sent} bytes wait");
    assert_eq!(dialog.session.state(), State::Established);
    // RFC 9687.
    dialog.pass(seconds(2));
    let ended = notifications(&dialog.outputs());
    assert!(
        ended.contains(&ErrorCode::SEND_HOLD_TIMER_EXPIRED),
        "{ended:?}"
    );
}

#[test]
fn a_peer_that_reads_slowly_gets_everything() {
    let mut dialog = Dialog::at_rest(State::Established);
    dialog.stuck = true;
    dialog.rib.contribute(&1, routes(100_000));
    let (mut sent, mut waiting) = (0, 0);
    for _ in 0..2000 {
        for output in dialog.outputs() {
            if let Output::Send(_, bytes) = output {
                waiting += bytes.len();
            }
        }
        let taken = waiting.min(1000);
        (sent, waiting) = (sent + taken, waiting - taken);
        dialog.input(Input::Sent(Way::Out, taken));
        dialog.hear(&Message::Keepalive);
        dialog.pass(seconds(1));
    }
    assert!(
        sent > 500_000 && waiting == 0,
        "{sent} sent, {waiting} wait"
    );
    assert_eq!(dialog.session.told(), 100_000);
    assert_eq!(dialog.session.left(&dialog.rib), 0);
    assert_eq!(dialog.session.state(), State::Established);
}

#[test]
fn what_a_peer_announces_is_counted_and_does_not_grow() {
    let mut dialog = Dialog::at_rest(State::Established);
    let reach = |n: u32| {
        let net = ipnet::Ipv4Net::new((0x0a00_0000 + n).into(), 32).expect("a length");
        Message::Update(Update {
            attributes: crate::wire::Attributes {
                origin: Some(crate::wire::Origin::Igp),
                as_path: Some(crate::wire::AsPath::of(THEIRS)),
                next_hop: Some([192, 0, 2, 9].into()),
                ..Default::default()
            },
            announced: vec![net],
            ..Update::default()
        })
    };
    for n in 0..5 {
        dialog.hear(&reach(n));
    }
    let withdrawn: Vec<ipnet::Ipv4Net> = vec!["10.0.0.1/32".parse().expect("a network")];
    dialog.hear(&Message::Update(Update {
        withdrawn,
        ..Update::default()
    }));
    let received = dialog.session.received();
    assert_eq!((received.count(), received.is_cut()), (4, false));
    for n in 0..5000 {
        dialog.hear(&reach(n));
    }
    let received = dialog.session.received();
    assert_eq!((received.count(), received.is_cut()), (1000, true));
    assert_eq!(dialog.session.counts().updates.received, 5006);
}

/// Says a message, a byte in a second.
fn drip(dialog: &mut Dialog, message: &Message) {
    let codec = Codec {
        four_octet: true,
        ..Codec::default()
    };
    for byte in message.encode(codec) {
        dialog.input(Input::Received(Way::Out, &[byte]));
        dialog.pass(seconds(1));
    }
}

#[test]
fn a_peer_that_says_a_byte_a_second_is_heard_or_given_up() {
    let mut dialog = Dialog::at_rest(State::OpenSent);
    drip(&mut dialog, &Message::Open(their_open()));
    for _ in 0..30 {
        drip(&mut dialog, &Message::Keepalive);
        assert_eq!(dialog.session.state(), State::Established);
    }
    dialog.outputs();
    // RFC 4271 section 6.5: it takes whole messages to be heard, and this one takes 90 s and more.
    let withdrawn = (0..20).map(|n| ipnet::Ipv4Net::new([10, 0, 0, n].into(), 32));
    let long = Message::Update(Update {
        withdrawn: withdrawn.map(|it| it.expect("a length")).collect(),
        ..Update::default()
    });
    drip(&mut dialog, &long);
    let ended = notifications(&dialog.outputs());
    assert_eq!(ended, [ErrorCode::HOLD_TIMER_EXPIRED]);
}
