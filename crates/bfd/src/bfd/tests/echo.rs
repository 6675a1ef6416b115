//! Echo packets: through the other node's forwarding, and back.

use super::*;

fn echoing(interval: u32) -> Settings {
    Settings {
        echo_transmit: Some(interval * MS),
        echo_receive: Some(20 * MS),
        ..settings(300, 3)
    }
}

fn session(network: &Network<Node>, place: usize) -> &Session {
    let session = node(network, place).bfd.session(&path(1 - place));
    session.expect("it is configured")
}

fn settle(network: &mut Network<Node>, place: usize, settings: Settings) {
    let sessions = [(path(1 - place), settings)].into();
    network.tell(place, |it, now| it.input(now, Input::Sessions(sessions)));
}

#[test]
fn a_forwarding_that_fails_is_noticed_while_control_packets_arrive() {
    for_each_seed(
        "cargo test -p metallb-bfd a_forwarding_that_fails",
        300,
        |seed| {
            let interval = [10, 50, 200][usize::try_from(seed % 3).expect("one of three")];
            let interval = interval.max(20);
            // One side echoes, the other only forwards.
            let plain = Settings {
                echo_transmit: None,
                ..echoing(interval)
            };
            let mut network = pair_of(Dice::new(seed), [echoing(interval), plain]);
            assert!(node(&network, 0).is_up(1) && node(&network, 1).is_up(0));
            let some = interval * u32::try_from(seed % 7).expect("a few") * MS / 7;
            network.run(some);
            assert_eq!(session(&network, 0).echo_interval(), Some(interval * MS));
            let cut = network.now();
            network.tell(1, |it, _| it.forwards = false);
            network.run(4 * interval * MS);
            let [(at, _, why)] = node(&network, 0).downs[..] else {
                panic!("{:?}", node(&network, 0).downs);
            };
            assert_eq!(why, Diagnostic::ECHO_FAILED);
            let took = at.saturating_duration_since(cut);
            assert!(
                took <= 3 * interval * MS + 5 * MS,
                "{took:?} of {interval} ms"
            );
            // It is told, and comes up again when it can.
            let [(_, _, there)] = node(&network, 1).downs[..] else {
                panic!("it is told");
            };
            assert_eq!(there, Diagnostic::NEIGHBOR_SIGNALED_DOWN);
            assert_eq!(
                session(&network, 1).remote_diagnostic(),
                Diagnostic::ECHO_FAILED
            );
            network.tell(1, |it, _| it.forwards = true);
            network.run(8000 * MS);
            assert!(node(&network, 0).is_up(1) && node(&network, 1).is_up(0));
        },
    );
}

#[test]
fn in_an_hour_of_echoes_nobody_is_taken_for_gone() {
    let mut network = pair_of(Dice::new(1), [echoing(50), echoing(20)]);
    for _ in 0..3600 {
        network.run(1000 * MS);
        network.freeze(0, 20 * MS);
    }
    for place in 0..2 {
        assert_eq!(node(&network, place).downs, [], "{place}");
    }
    let counts = session(&network, 0).counts();
    let expected = 3600 * 20..3600 * 27;
    assert!(expected.contains(&counts.echoes_sent), "{counts:?}");
    // But for those on their way, and those that the other could not forward in time.
    assert!(
        counts.echoes_sent - counts.echoes_returned < 5,
        "{counts:?}"
    );
    // Control packets are few: both want one a second.
    assert!(counts.received < 3600 * 2, "{counts:?}");
}

#[test]
fn a_cut_is_noticed_by_echoes_first() {
    let mut network = pair_of(Dice::new(3), [echoing(20); 2]);
    let cut = network.now();
    network.side[1] = 1;
    network.run(100 * MS);
    for place in 0..2 {
        let [(at, _, why)] = node(&network, place).downs[..] else {
            panic!("it is noticed");
        };
        assert_eq!(why, Diagnostic::ECHO_FAILED);
        assert!(at.saturating_duration_since(cut) <= 65 * MS);
    }
}

#[test]
fn who_stops_answering_for_a_moment_is_not_gone() {
    let mut network = pair_of(Dice::new(4), [echoing(50); 2]);
    for _ in 0..100 {
        network.tell(1, |it, _| it.forwards = false);
        network.run(60 * MS);
        network.tell(1, |it, _| it.forwards = true);
        network.run(140 * MS);
    }
    assert_eq!(node(&network, 0).downs, []);
}

#[test]
fn no_echo_is_sent_to_who_wants_none_and_none_returns_nothing() {
    let wants_none = Settings {
        echo_receive: None,
        ..echoing(50)
    };
    let mut network = pair_of(Dice::new(5), [echoing(50), wants_none]);
    network.run(5000 * MS);
    assert_eq!(session(&network, 0).counts().echoes_sent, 0);
    assert_eq!(session(&network, 0).echo_interval(), None);
    assert!(session(&network, 1).counts().echoes_returned > 50);
    // It changes its mind, and back: without an end of the session.
    for (settings, interval) in [
        (echoing(50), Some(50 * MS)),
        (
            Settings {
                echo_receive: Some(400 * MS),
                ..echoing(50)
            },
            Some(400 * MS),
        ),
        (echoing(50), Some(50 * MS)),
        (wants_none, None),
    ] {
        settle(&mut network, 1, settings);
        network.run(3000 * MS);
        assert_eq!(session(&network, 0).echo_interval(), interval);
    }
    let sent = session(&network, 0).counts().echoes_sent;
    network.run(3000 * MS);
    assert_eq!(session(&network, 0).counts().echoes_sent, sent);
    assert!(node(&network, 0).downs.is_empty() && node(&network, 1).downs.is_empty());
    // Without echoes, control packets are as quick as they were.
    assert_eq!(session(&network, 0).detect_time(), 900 * MS);
}

#[test]
fn echoes_that_never_came_back_bring_it_down_and_those_that_never_left_do_not() {
    let mut network = pair_of(Dice::new(6), [settings(50, 3), echoing(50)]);
    network.tell(1, |it, _| it.forwards = false);
    settle(&mut network, 0, echoing(50));
    network.run(10_000 * MS);
    let downs = &node(&network, 0).downs;
    assert!(downs.iter().all(|it| it.2 == Diagnostic::ECHO_FAILED));
    // Up and down it goes, but at a slow pace.
    assert!((3..=12).contains(&downs.len()), "{}", downs.len());

    // Where the peer is on the link is not known: control packets watch it, at their own pace.
    let mut network = pair_of(Dice::new(7), [settings(50, 3), echoing(50)]);
    network.tell(0, |it, _| it.knows_neighbours = false);
    settle(&mut network, 0, echoing(50));
    network.run(5000 * MS);
    assert!(node(&network, 0).downs.is_empty());
    assert_eq!(session(&network, 0).counts().echoes_sent, 0);
    assert_eq!(session(&network, 0).detect_time(), 900 * MS);
    // It is learnt, and forgotten, as when a cable is pulled: those are lost.
    network.tell(0, |it, _| it.knows_neighbours = true);
    network.run(1000 * MS);
    assert!(session(&network, 0).counts().echoes_returned > 10);
    network.tell(0, |it, _| it.knows_neighbours = false);
    network.run(160 * MS);
    assert_eq!(node(&network, 0).downs[0].2, Diagnostic::ECHO_FAILED);
}

#[test]
fn nobody_else_keeps_a_dead_session_up() {
    let mut network = pair_of(Dice::new(8), [echoing(50); 2]);
    let discriminator = session(&network, 0).discriminator();
    network.tell(1, |it, _| it.forwards = false);
    let sent = session(&network, 0).counts().echoes_sent;
    let mark = node(&network, 0).bfd.echo_mark();
    // Those of before come once more, and ones that a stranger makes up who knows everything but
    // what authenticates them.
    let before: Vec<_> = (1..=sent)
        .map(|it| node(&network, 0).bfd.echo(discriminator, it))
        .collect();
    for n in 0..400 {
        for echo in [
            before[n % before.len()],
            Echo {
                mark,
                discriminator,
                sequence: sent + 1 + n as u64 % 5,
                authenticator: n as u64,
            },
        ] {
            let mut packet = echo.encode(OWN);
            packet[8] = crate::echo::RETURNED_TTL;
            network.tell(0, |it, now| it.input(now, Input::Echo(&packet)));
        }
        network.run(MS / 2);
    }
    assert_eq!(node(&network, 0).downs[0].2, Diagnostic::ECHO_FAILED);
    let dropped = node(&network, 0).bfd.dropped()[&Dropped::Echo];
    assert!(dropped >= 799, "{dropped}");
}

#[test]
fn echoes_of_a_node_that_was_not_awake_are_nobodys_fault() {
    let plain = Settings {
        echo_transmit: None,
        ..echoing(50)
    };
    let mut network = pair_of(Dice::new(9), [echoing(50), plain]);
    network.run(3000 * MS);
    network.freeze(0, 500 * MS);
    network.run(2000 * MS);
    assert_eq!(node(&network, 0).downs, []);
    assert!(node(&network, 0).is_up(1));
}
