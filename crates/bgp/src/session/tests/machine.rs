//! The machine of RFC 4271 section 8.2.2, each event in each state.

use super::*;
use crate::wire::{AfiSafi, GracefulRestart, RefreshKind, RouteRefresh};

const STATES: [State; 6] = [
    State::Idle,
    State::Connect,
    State::Active,
    State::OpenSent,
    State::OpenConfirm,
    State::Established,
];

type Event = fn(&mut Dialog);

/// What an event leads to in each state, from Idle to Established: the next state, and what is
/// done. `+` is a KEEPALIVE, `end` an End-of-RIB, `x` a connection closed, numbers a NOTIFICATION.
struct Row(&'static str, Event, [&'static str; 6]);

/// By the numbers of section 8.1. Not offered are the optional events 3 to 8 (automatic and
/// passive starts and stops; that a session does not connect is a setting), 12 and 20 (DelayOpen),
/// 14 and 15 (who is not configured does not get as far as here). Event 13 is in the tests of
/// timers.
const ROWS: [Row; 21] = [
    Row(
        "1 ManualStart",
        |it| it.input(Input::Start),
        [
            "Connect connect",
            "Connect",
            "Active",
            "OpenSent",
            "OpenConfirm",
            "Established",
        ],
    ),
    Row(
        "2 ManualStop",
        |it| {
            it.input(Input::Stop {
                notification: Notification::new(ErrorCode::ADMINISTRATIVE_SHUTDOWN),
                restarts: false,
            });
        },
        [
            "Idle",
            "Idle give-up",
            "Idle",
            "Idle 6/2 x",
            "Idle 6/2 x",
            "Idle 6/2 down x",
        ],
    ),
    Row(
        "9 ConnectRetryTimer_Expires",
        |it| it.at(4),
        [
            "Idle",
            "Connect failed connect",
            "Connect connect",
            "OpenSent",
            "OpenConfirm",
            "Established",
        ],
    ),
    Row(
        "10 HoldTimer_Expires",
        |it| it.at(90),
        [
            "Idle",
            "Connect failed connect",
            "Connect connect",
            "Idle 4/0 failed x",
            "Idle 4/0 failed x",
            "Idle 4/0 down x",
        ],
    ),
    Row(
        "11 KeepaliveTimer_Expires",
        |it| it.at(30),
        [
            "Idle",
            "Connect failed connect",
            "Connect connect",
            "OpenSent",
            "OpenConfirm",
            "Established +",
        ],
    ),
    Row(
        "16 Tcp_CR_Acked",
        |it| it.input(Input::Connected(Way::Out, link())),
        [
            "Idle x",
            "OpenSent open",
            "Active x",
            "OpenSent x",
            "OpenConfirm x",
            "Established x",
        ],
    ),
    Row(
        "17 TcpConnectionConfirmed",
        |it| it.input(Input::Connected(Way::In, link())),
        [
            "Idle x",
            "OpenSent open",
            "OpenSent open",
            "OpenSent open",
            "OpenConfirm open",
            "Established open",
        ],
    ),
    Row(
        "none of RFC 4271's: there is a way to the peer again",
        |it| it.input(Input::Reachable),
        [
            "Idle",
            "Connect",
            "Connect connect",
            "OpenSent",
            "OpenConfirm",
            "Established",
        ],
    ),
    Row(
        "18 TcpConnectionFails, while connecting",
        |it| it.input(Input::ConnectFailed("refused".into())),
        [
            "Idle",
            "Active failed",
            "Active",
            "OpenSent",
            "OpenConfirm",
            "Established",
        ],
    ),
    Row(
        "18 TcpConnectionFails",
        |it| it.input(Input::Closed(Way::Out, "reset".into())),
        [
            "Idle",
            "Connect",
            "Active",
            "Active failed",
            "Active failed",
            "Active down",
        ],
    ),
    Row(
        "19 BGPOpen",
        |it| it.hear(&Message::Open(their_open())),
        [
            "Idle",
            "Connect",
            "Active",
            "OpenConfirm +",
            "Idle 5/2 failed x",
            "Idle 5/3 down x",
        ],
    ),
    Row(
        "21 BGPHeaderErr",
        |it| it.input(Input::Received(Way::Out, b"GET / HTTP/1.1")),
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 1/1 failed x",
            "Idle 1/1 failed x",
            "Idle 1/1 down x",
        ],
    ),
    Row(
        "22 BGPOpenMsgErr",
        |it| {
            it.hear(&Message::Open(Open {
                hold_time: 2,
                ..their_open()
            }));
        },
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 2/6 failed x",
            "Idle 5/2 failed x",
            "Idle 5/3 down x",
        ],
    ),
    Row(
        "23 OpenCollisionDump",
        |it| {
            it.input(Input::Connected(Way::In, link()));
            it.hear_on(Way::In, &Message::Open(their_open()));
        },
        [
            "Idle x",
            "OpenConfirm open +",
            "OpenConfirm open +",
            "OpenConfirm open + 6/7 x",
            "OpenConfirm open + 6/7 x",
            "Established open + 6/7 x",
        ],
    ),
    Row(
        "24 NotifMsgVerErr",
        |it| {
            it.hear(&Message::Notification(Notification::new(
                ErrorCode::UNSUPPORTED_VERSION,
            )));
        },
        [
            "Idle",
            "Connect",
            "Active",
            "Idle failed x",
            "Idle failed x",
            "Idle down x",
        ],
    ),
    Row(
        "25 NotifMsg",
        |it| {
            it.hear(&Message::Notification(Notification::new(
                ErrorCode::ADMINISTRATIVE_RESET,
            )));
        },
        [
            "Idle",
            "Connect",
            "Active",
            "Idle failed x",
            "Idle failed x",
            "Idle down x",
        ],
    ),
    Row(
        "26 KeepAliveMsg",
        |it| it.hear(&Message::Keepalive),
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 5/1 failed x",
            "Established up end",
            "Established",
        ],
    ),
    Row(
        "27 UpdateMsg",
        |it| it.hear(&Message::Update(Update::default())),
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 5/1 failed x",
            "Idle 5/2 failed x",
            "Established",
        ],
    ),
    Row(
        "28 UpdateMsgErr",
        |it| {
            let header = [&[0xff; 16][..], &[0, 24, 2]].concat();
            let wrong = [&header[..], &[0, 0, 0, 0, 33]].concat();
            it.input(Input::Received(Way::Out, &wrong));
        },
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 3/10 failed x",
            "Idle 3/10 failed x",
            "Idle 3/10 down x",
        ],
    ),
    // Younger than the table: RFC 2918, RFC 9384.
    Row(
        "RouteRefresh",
        |it| {
            it.hear(&Message::RouteRefresh(RouteRefresh {
                family: AfiSafi(1, 1),
                kind: RefreshKind::Request,
            }));
        },
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 5/1 failed x",
            "Idle 5/2 failed x",
            "Established",
        ],
    ),
    Row(
        "BFD down",
        |it| it.input(Input::BfdDown),
        [
            "Idle",
            "Connect",
            "Active",
            "Idle 6/10 failed x",
            "Idle 6/10 failed x",
            "Idle 6/10 down x",
        ],
    ),
];

impl Dialog {
    /// So many seconds from now, with nothing done in between.
    fn at(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.session.handle_timeout(self.now);
    }
}

fn words(outputs: &[Output]) -> Vec<String> {
    let word = |it: &Output| match it {
        Output::Connect => "connect".into(),
        Output::GiveUp => "give-up".into(),
        Output::Close(_) => "x".into(),
        Output::Up => "up".into(),
        Output::Down(_) => "down".into(),
        Output::Failed(_) => "failed".into(),
        Output::Send(_, bytes) => {
            match Message::decode(bytes, Codec::default())
                .expect("it is sound")
                .message
            {
                Message::Open(_) => "open".into(),
                Message::Keepalive => "+".into(),
                Message::Update(it) if it.is_end_of_rib().is_some() => "end".into(),
                Message::Notification(it) => format!("{}/{}", it.error.0, it.error.1),
                other => format!("{other:?}"),
            }
        }
    };
    outputs.iter().map(word).collect()
}

#[test]
fn each_event_in_each_state() {
    for Row(name, event, expected) in ROWS {
        for (state, expected) in STATES.into_iter().zip(expected) {
            let mut dialog = Dialog::at_rest(state);
            event(&mut dialog);
            let mut is = words(&dialog.outputs());
            is.insert(0, dialog.session.state().to_string());
            assert_eq!(is.join(" "), expected, "{name} in {state}");
        }
    }
}

#[test]
fn nothing_is_sent_after_the_end() {
    // Whatever ended it, what comes later on that connection changes nothing.
    for Row(name, event, _) in ROWS {
        let mut dialog = Dialog::at_rest(State::Established);
        event(&mut dialog);
        let outputs = words(&dialog.outputs());
        let Some(at) = outputs.iter().position(|it| it == "x") else {
            continue;
        };
        assert_eq!(outputs.len(), at + 1, "{name}: {outputs:?}");
        if dialog.session.state() != State::Established {
            dialog.hear(&Message::Keepalive);
            dialog.input(Input::Closed(Way::Out, "late".into()));
            dialog.input(Input::Sent(Way::Out, 10));
            assert_eq!(dialog.outputs(), [], "{name}");
        }
    }
}

#[test]
fn messages_are_taken_however_they_are_cut() {
    let codec = Codec {
        four_octet: true,
        ..Codec::default()
    };
    let all = [
        Message::Open(their_open()),
        Message::Keepalive,
        Message::Update(Update::default()),
        Message::Keepalive,
    ];
    let bytes: Vec<u8> = all.iter().flat_map(|it| it.encode(codec)).collect();
    for size in [1, 2, 19, 20, 100, bytes.len()] {
        let mut dialog = Dialog::at_rest(State::OpenSent);
        for part in bytes.chunks(size) {
            dialog.input(Input::Received(Way::Out, part));
        }
        assert_eq!(dialog.session.state(), State::Established);
        let counts = dialog.session.counts();
        assert_eq!((counts.opens.received, counts.keepalives.received), (1, 2));
        assert_eq!(counts.updates.received, 1);
        assert_eq!((counts.opens.sent, counts.keepalives.sent), (1, 1));
    }
}

#[test]
fn of_two_connections_the_higher_side_keeps_its_own() {
    // (our identifier, our AS, who keeps).
    for (identifier, local_as, stays) in [
        ([10, 0, 0, 1], OURS, Way::In),
        ([10, 0, 0, 10], OURS, Way::Out),
        // RFC 6286 section 2.3.
        ([10, 0, 0, 9], OURS, Way::In),
        ([10, 0, 0, 9], THEIRS + 1, Way::Out),
    ] {
        for opened_first in [Way::Out, Way::In] {
            let mut dialog = Dialog::new(Settings {
                identifier: identifier.into(),
                local_as,
                ..settings()
            });
            dialog.input(Input::Start);
            dialog.input(Input::Connected(Way::Out, link()));
            dialog.input(Input::Connected(Way::In, link()));
            dialog.hear_on(opened_first, &Message::Open(their_open()));
            if opened_first != stays {
                dialog.hear_on(stays, &Message::Open(their_open()));
            }
            dialog.hear_on(stays, &Message::Keepalive);
            assert_eq!(dialog.session.state(), State::Established);
            let outputs = dialog.outputs();
            let closed: Vec<_> = outputs
                .iter()
                .filter(|it| matches!(it, Output::Close(_)))
                .collect();
            let other = if stays == Way::In { Way::Out } else { Way::In };
            assert_eq!(closed, [&Output::Close(other)]);
            assert_eq!(
                notifications(&outputs),
                [ErrorCode::CONNECTION_COLLISION_RESOLUTION]
            );
            assert!(!outputs.iter().any(|it| matches!(it, Output::Failed(_))));
        }
    }
}

#[test]
fn a_peer_that_has_restarted_replaces_its_old_connection() {
    let mut open = their_open();
    open.capabilities
        .push(Capability::GracefulRestart(GracefulRestart::default()));
    let mut dialog = Dialog::at_rest(State::OpenSent);
    dialog.hear(&Message::Open(open.clone()));
    dialog.hear(&Message::Keepalive);
    dialog.outputs();
    dialog.input(Input::Connected(Way::In, link()));
    dialog.hear_on(Way::In, &Message::Open(open));
    dialog.hear_on(Way::In, &Message::Keepalive);
    let outputs = dialog.outputs();
    assert_eq!(words(&outputs), ["open", "+", "down", "x", "up", "end"]);
    assert_eq!(outputs[3], Output::Close(Way::Out));
    assert_eq!(dialog.session.state(), State::Established);
}
