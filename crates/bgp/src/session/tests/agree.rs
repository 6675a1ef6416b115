//! What two speakers agree on, and what they cannot.

use super::*;
use crate::wire::Family::{V4, V6};
use crate::wire::{AfiSafi, GracefulRestart, NextHop};

/// What is answered to an OPEN message.
fn answer(settings: Settings, open: Open) -> Result<Negotiated, Notification> {
    let mut dialog = Dialog::new(settings);
    dialog.lead_to(State::OpenSent);
    dialog.hear(&Message::Open(open));
    match dialog.session.negotiated() {
        Some(it) => Ok(it.clone()),
        None => match messages(&dialog.outputs(), Codec::default()).remove(0) {
            Message::Notification(it) => Err(it),
            other => panic!("{other:?}"),
        },
    }
}

fn with(capabilities: Vec<Capability>) -> Open {
    let mut open = their_open();
    open.capabilities.extend(capabilities);
    open
}

#[test]
fn the_peer_has_to_be_of_the_as_that_it_is_configured_with() {
    for (remote_as, asn, is_right) in [
        (RemoteAs::Number(THEIRS), THEIRS, true),
        (RemoteAs::Number(THEIRS), THEIRS + 1, false),
        (RemoteAs::Internal, OURS, true),
        (RemoteAs::Internal, THEIRS, false),
        (RemoteAs::External, THEIRS, true),
        (RemoteAs::External, 4_200_000_000, true),
        (RemoteAs::External, OURS, false),
        // RFC 7607.
        (RemoteAs::External, 0, false),
    ] {
        let settings = Settings {
            remote_as,
            ..settings()
        };
        let open = Open {
            my_as: u16::try_from(asn).unwrap_or(23456),
            capabilities: vec![Capability::FourOctetAs(asn)],
            ..their_open()
        };
        match answer(settings, open) {
            Ok(it) => assert!(is_right && it.codec.internal == (asn == OURS)),
            Err(it) => assert!(!is_right && it.error == ErrorCode::BAD_PEER_AS, "{it}"),
        }
    }
    // One that knows short numbers only.
    let old = Open {
        capabilities: Vec::new(),
        ..their_open()
    };
    assert!(
        !answer(settings(), old)
            .expect("it is right")
            .codec
            .four_octet
    );
}

#[test]
fn identifiers_are_there_and_differ_within_an_as() {
    let ours = settings().identifier;
    let internal = || Settings {
        remote_as: RemoteAs::Internal,
        ..settings()
    };
    let open = |identifier, asn: u32| Open {
        identifier,
        my_as: u16::try_from(asn).expect("a short number"),
        capabilities: vec![Capability::FourOctetAs(asn)],
        ..their_open()
    };
    let error = |settings, open| answer(settings, open).expect_err("it is wrong").error;
    let wrong = ErrorCode::BAD_BGP_IDENTIFIER;
    assert_eq!(
        error(settings(), open(Ipv4Addr::UNSPECIFIED, THEIRS)),
        wrong
    );
    assert_eq!(error(internal(), open(ours, OURS)), wrong);
    // RFC 6286: it is the AS that makes it differ.
    assert!(answer(settings(), open(ours, THEIRS)).is_ok());
}

#[test]
fn the_shorter_hold_time_counts() {
    let agreed = |ours, keepalive, theirs| {
        let settings = Settings {
            hold_time: ours,
            keepalive,
            ..settings()
        };
        let open = Open {
            hold_time: theirs,
            ..their_open()
        };
        answer(settings, open).map(|it| (it.hold_time, it.keepalive))
    };
    for (ours, keepalive, theirs, expected) in [
        (90, 30, 90, (90, 30)),
        (90, 30, 9, (9, 3)),
        (9, 3, 180, (9, 3)),
        (90, 5, 90, (90, 5)),
        (3, 1, 4, (3, 1)),
        (3, 0, 3, (3, 1)),
        (0, 30, 90, (0, 0)),
        (90, 30, 0, (0, 0)),
    ] {
        assert_eq!(agreed(ours, keepalive, theirs), Ok(expected));
    }
    for wrong in [1, 2] {
        let error = agreed(90, 30, wrong).expect_err("it is too short").error;
        assert_eq!(error, ErrorCode::UNACCEPTABLE_HOLD_TIME);
    }
}

#[test]
fn families_are_those_of_both() {
    let multi = |family: Family| Capability::Multiprotocol(family.into());
    let families = |ours: &[Family], theirs: &[Family]| {
        let settings = Settings {
            families: ours.iter().copied().collect(),
            ..settings()
        };
        let theirs = theirs.iter().map(|it| multi(*it)).collect();
        let agreed = answer(settings, with(theirs));
        agreed.map(|it| it.families.into_iter().collect::<Vec<_>>())
    };
    // Without a word, it is IPv4 (RFC 4760 section 8).
    assert_eq!(families(&[V4, V6], &[]), Ok(vec![V4]));
    assert_eq!(families(&[V4, V6], &[V6]), Ok(vec![V6]));
    assert_eq!(families(&[V4, V6], &[V6, V4]), Ok(vec![V4, V6]));
    let error = families(&[V6], &[V4]).expect_err("nothing in common");
    let needed = [1, 4, 0, 2, 0, 1];
    assert_eq!(
        error,
        Notification::with(ErrorCode::UNSUPPORTED_CAPABILITY, needed)
    );
}

#[test]
fn what_one_side_alone_can_do_is_not_done() {
    let v4 = (AfiSafi::from(V4), 2);
    let next_hop = Capability::ExtendedNextHop(vec![v4]);
    for (ours, theirs) in [(false, false), (true, false), (false, true), (true, true)] {
        let settings = Settings {
            v6_next_hops: ours,
            ..settings()
        };
        let capabilities = theirs.then(|| next_hop.clone()).into_iter().collect();
        let agreed = answer(settings, with(capabilities)).expect("it is right");
        assert_eq!(agreed.v6_next_hops, ours && theirs);
    }
    let plain = answer(settings(), their_open()).expect("it is right");
    assert!(!plain.codec.extended && !plain.marks_refreshes && !plain.graceful_restart);
    let both = vec![
        Capability::ExtendedMessage,
        Capability::EnhancedRouteRefresh,
    ];
    let able = answer(settings(), with(both)).expect("it is right");
    assert!(able.codec.extended && able.marks_refreshes);
}

#[test]
fn ours_says_what_is_configured() {
    let said = |settings: Settings| {
        let mut dialog = Dialog::new(settings);
        dialog.input(Input::Start);
        dialog.input(Input::Connected(Way::Out, link()));
        match messages(&dialog.outputs(), Codec::default()).remove(0) {
            Message::Open(open) => open,
            other => panic!("{other:?}"),
        }
    };
    let plain = said(settings());
    assert_eq!((plain.my_as, plain.hold_time), (64512, 90));
    assert_eq!(plain.identifier, Ipv4Addr::new(10, 0, 0, 1));
    assert!(plain.has_family(V4) && plain.has_family(V6));
    assert!(!plain.takes_v6_next_hops());
    let restart = plain.graceful_restart().expect("we know what it is");
    assert_eq!((restart.families.len(), restart.notification), (0, false));

    let rich = said(Settings {
        local_as: 4_200_000_000,
        families: [V6].into(),
        v6_next_hops: true,
        graceful_restart: Some(120),
        ..settings()
    });
    assert_eq!((rich.my_as, rich.asn()), (23456, 4_200_000_000));
    assert!(rich.takes_v6_next_hops() && !rich.has_family(V4));
    let expected = GracefulRestart {
        restarting: false,
        notification: true,
        time: 120,
        families: vec![(V6.into(), true)],
    };
    assert_eq!(rich.graceful_restart(), Some(&expected));
}

/// RFC 4724 section 4.1, and not for longer: a session that is lost later is no restart.
#[test]
fn a_restart_is_told_until_there_is_a_session() {
    let able = Settings {
        graceful_restart: Some(120),
        ..settings()
    };
    let mut dialog = Dialog::new(able);
    dialog.session = dialog.session.after_restart();
    dialog.input(Input::Start);
    let mut said = Vec::new();
    for comes_up in [false, true, true] {
        dialog.outputs();
        dialog.input(Input::Connected(Way::Out, link()));
        match dialog.said().remove(0) {
            Message::Open(open) => said.extend(open.graceful_restart().map(|it| it.restarting)),
            other => panic!("{other:?}"),
        }
        if comes_up {
            dialog.hear(&Message::Open(their_open()));
            dialog.hear(&Message::Keepalive);
            assert_eq!(dialog.session.state(), State::Established);
        }
        dialog.input(Input::Closed(Way::Out, "cut".into()));
        dialog.pass(Duration::from_secs(10));
    }
    assert_eq!(said, [true, true, false]);
}

#[test]
fn routes_lead_where_both_sides_can_go() {
    let ip: std::net::Ipv6Addr = "2001:db8::1".parse().expect("an address");
    let far = NextHop::V6(ip);
    let on_link = NextHop::V6WithLinkLocal(ip, "fe80::1".parse().expect("an address"));
    let v4 = Ipv4Addr::new(192, 0, 2, 1);
    for (link_v4, v6, extended, expected) in [
        (Some(v4), &far, false, Some(NextHop::V4(v4))),
        (Some(v4), &far, true, Some(NextHop::V4(v4))),
        (None, &far, true, Some(far.clone())),
        (None, &far, false, None),
        (Some(v4), &on_link, true, Some(on_link.clone())),
        (Some(v4), &on_link, false, Some(NextHop::V4(v4))),
        (None, &on_link, true, Some(on_link.clone())),
        (None, &on_link, false, None),
    ] {
        let settings = Settings {
            v6_next_hops: extended,
            ..settings()
        };
        let capabilities = vec![
            Capability::Multiprotocol(V4.into()),
            Capability::Multiprotocol(V6.into()),
            Capability::ExtendedNextHop(vec![(V4.into(), 2)]),
        ];
        let agreed = answer(settings.clone(), with(capabilities)).expect("it is right");
        let link = Link {
            next_hop_v4: link_v4,
            next_hop_v6: Some(v6.clone()),
        };
        let target = agreed.target(&settings, &link);
        assert_eq!(target.next_hop_v4, expected);
        assert_eq!(target.next_hop_v6, Some(v6.clone()));
    }
}

#[test]
fn a_stop_says_what_the_peer_is_to_do_with_the_routes() {
    let bare = Capability::GracefulRestart(GracefulRestart::default());
    let able = Capability::GracefulRestart(GracefulRestart {
        notification: true,
        ..GracefulRestart::default()
    });
    let shutdown = ErrorCode::ADMINISTRATIVE_SHUTDOWN;
    // (what the peer can do, whether we come back): what it is told.
    for (capability, restarts, expected) in [
        (None, false, vec![shutdown]),
        (None, true, vec![shutdown]),
        (Some(bare.clone()), false, vec![shutdown]),
        // As if we had crashed (RFC 4724 section 4).
        (Some(bare), true, vec![]),
        // RFC 8538 section 3.
        (Some(able.clone()), true, vec![shutdown]),
        (Some(able), false, vec![ErrorCode::HARD_RESET]),
    ] {
        let mut dialog = Dialog::new(Settings {
            graceful_restart: Some(120),
            ..settings()
        });
        dialog.lead_to(State::OpenSent);
        dialog.hear(&Message::Open(with(capability.into_iter().collect())));
        dialog.hear(&Message::Keepalive);
        dialog.outputs();
        dialog.input(Input::Stop {
            notification: Notification::with_text(shutdown, "node is drained"),
            restarts,
        });
        let outputs = dialog.outputs();
        assert_eq!(notifications(&outputs), expected);
        assert_eq!(outputs.last(), Some(&Output::Close(Way::Out)));
        assert_eq!(dialog.session.poll_timeout(), None);
    }
}
