use super::*;

const MS: Duration = Duration::from_millis(1);

fn settings() -> Settings {
    Settings {
        transmit: 50 * MS,
        receive: 50 * MS,
        detect_multiplier: 3,
        passive: false,
        echo_receive: None,
        echo_transmit: None,
    }
}

/// A packet of a peer in this state, at our pace.
fn packet(state: State) -> Control {
    Control {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 9,
        your_discriminator: 7,
        desired_min_tx: 50 * MS,
        required_min_rx: 50 * MS,
        required_min_echo_rx: Duration::ZERO,
    }
}

fn at(state: State) -> (Session, Instant) {
    let now = Instant::now();
    let mut session = Session::new(now, settings(), 7);
    match state {
        State::AdminDown => session.switch_off(now),
        State::Down => {}
        State::Init => drop(session.receive(now, &packet(State::Down))),
        State::Up => drop(session.receive(now, &packet(State::Init))),
    }
    assert_eq!(session.state(), state);
    (session, now)
}

/// Lets time pass; the packets sent meanwhile, by when.
fn pass(session: &mut Session, now: &mut Instant, time: Duration) -> Vec<(Instant, Control)> {
    let (end, mut sent) = (*now + time, Vec::new());
    while let Some(due) = session.poll_timeout().filter(|due| *due <= end) {
        *now = due.max(*now);
        if session.timeout(*now).packet {
            sent.push((*now, session.packet(false)));
        }
    }
    *now = end;
    sent
}

#[test]
fn each_state_heard_in_each_state() {
    use State::{AdminDown, Down, Init, Up};
    // RFC 5880 section 6.2; the columns are what the peer says.
    let columns = [AdminDown, Down, Init, Up];
    for (ours, expected) in [
        (AdminDown, [AdminDown; 4]),
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ] {
        for (theirs, expected) in columns.into_iter().zip(expected) {
            let (mut session, now) = at(ours);
            let (change, _) = session.receive(now, &packet(theirs));
            assert_eq!(session.state(), expected, "{theirs} in {ours}");
            let signaled = Change::Down(Diagnostic::NEIGHBOR_SIGNALED_DOWN);
            assert_eq!(
                change,
                match (ours == Up, expected == Up) {
                    (false, true) => Some(Change::Up),
                    (true, false) => Some(signaled),
                    _ => None,
                },
                "{theirs} in {ours}"
            );
        }
    }
}

#[test]
fn who_is_not_up_speaks_once_in_a_second_and_who_is_at_the_agreed_pace() {
    let (mut session, mut now) = at(State::Down);
    let sent = pass(&mut session, &mut now, Duration::from_mins(1));
    assert!((60..=80).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|(_, it)| it.desired_min_tx == 1000 * MS));

    let (mut session, mut now) = at(State::Up);
    session.receive(
        now,
        &Control {
            is_final: true,
            ..packet(State::Up)
        },
    );
    let mut times = Vec::new();
    for _ in 0..100 {
        session.receive(now, &packet(State::Up));
        let sent = pass(&mut session, &mut now, 40 * MS);
        assert!(sent.iter().all(|(_, it)| it.desired_min_tx == 50 * MS));
        times.extend(sent.into_iter().map(|(at, _)| at));
    }
    let gaps: Vec<_> = times.windows(2).map(|it| it[1] - it[0]).collect();
    let jittered = |gap: &Duration| (37 * MS..=50 * MS).contains(gap);
    assert!(gaps.iter().all(jittered), "{gaps:?}");
    assert!(gaps.iter().collect::<std::collections::BTreeSet<_>>().len() > 20);
}

#[test]
fn with_a_multiplier_of_one_a_packet_is_never_as_late_as_the_peer_waits() {
    let (mut session, mut now) = at(State::Up);
    session.change(
        now,
        Settings {
            detect_multiplier: 1,
            ..settings()
        },
    );
    let mut times = Vec::new();
    for _ in 0..100 {
        session.receive(now, &packet(State::Up));
        times.extend(
            pass(&mut session, &mut now, 40 * MS)
                .into_iter()
                .map(|(at, _)| at),
        );
    }
    let gaps = times.windows(2).map(|it| it[1] - it[0]);
    assert!(gaps.skip(1).all(|gap| gap <= 45 * MS));
}

#[test]
fn the_slower_side_sets_the_pace() {
    for (tx, rx, expected) in [(10, 10, 50), (300, 10, 50), (10, 300, 300)] {
        let (mut session, now) = at(State::Up);
        let slow = Control {
            desired_min_tx: tx * MS,
            required_min_rx: rx * MS,
            ..packet(State::Up)
        };
        session.receive(now, &slow);
        assert_eq!(session.transmit_interval(), expected * MS);
        assert_eq!(session.detect_time(), 3 * (tx * MS).max(50 * MS));
    }
}

#[test]
fn silence_brings_it_down_after_the_detection_time_and_not_before() {
    let (mut session, start) = at(State::Up);
    let mut now = start;
    pass(&mut session, &mut now, 149 * MS);
    assert_eq!(session.state(), State::Up);
    let sent = pass(&mut session, &mut now, 2 * MS);
    assert_eq!(session.state(), State::Down);
    assert_eq!(session.diagnostic(), Diagnostic::DETECTION_TIME_EXPIRED);
    // The peer is told at once, and that it is unknown again.
    let (at, last) = sent.last().expect("it is told");
    assert_eq!((*at, last.state), (start + 150 * MS, State::Down));
    assert_eq!(last.diagnostic, Diagnostic::DETECTION_TIME_EXPIRED);
    assert_eq!(last.your_discriminator, 0);
    assert_eq!(session.counts().downs, 1);
}

#[test]
fn a_question_is_answered_and_an_answer_ends_asking() {
    let (mut session, mut now) = at(State::Up);
    // Its new pace is asked about until it is acknowledged (section 6.5).
    let asked = pass(&mut session, &mut now, 100 * MS);
    assert!(!asked.is_empty() && asked.iter().all(|(_, it)| it.poll));
    let (_, answer) = session.receive(
        now,
        &Control {
            is_final: true,
            ..packet(State::Up)
        },
    );
    assert!(!answer);
    let quiet = pass(&mut session, &mut now, 100 * MS);
    assert!(!quiet.is_empty() && quiet.iter().all(|(_, it)| !it.poll));
    let (_, answer) = session.receive(
        now,
        &Control {
            poll: true,
            ..packet(State::Up)
        },
    );
    assert!(answer);
    let answer = session.packet(true);
    assert!(answer.is_final && !answer.poll);
}

#[test]
fn a_new_pace_counts_when_the_peer_knows_and_brings_nothing_down() {
    let (mut session, now) = at(State::Up);
    let acknowledged = Control {
        is_final: true,
        ..packet(State::Up)
    };
    session.receive(now, &acknowledged);
    // Slower: we go on as before until the peer knows (section 6.8.3).
    session.change(
        now,
        Settings {
            transmit: 500 * MS,
            receive: 10 * MS,
            ..settings()
        },
    );
    assert_eq!(session.state(), State::Up);
    assert_eq!(session.transmit_interval(), 50 * MS);
    assert_eq!(session.detect_time(), 150 * MS);
    let told = session.packet(false);
    assert!(told.poll);
    assert_eq!(
        (told.desired_min_tx, told.required_min_rx),
        (500 * MS, 10 * MS)
    );
    session.receive(now, &acknowledged);
    assert_eq!(session.transmit_interval(), 500 * MS);
    // Quicker: at once.
    session.change(
        now,
        Settings {
            transmit: 20 * MS,
            receive: 200 * MS,
            ..settings()
        },
    );
    assert_eq!(session.transmit_interval(), 50 * MS);
    session.receive(
        now,
        &Control {
            required_min_rx: 10 * MS,
            ..packet(State::Up)
        },
    );
    assert_eq!(session.transmit_interval(), 20 * MS);
    assert_eq!(session.detect_time(), 600 * MS);
}

#[test]
fn what_changes_while_the_peer_is_asked_is_asked_about_anew() {
    let (mut session, now) = at(State::Up);
    let acknowledged = Control {
        is_final: true,
        ..packet(State::Up)
    };
    assert!(session.packet(false).poll);
    let slower = Settings {
        transmit: 500 * MS,
        ..settings()
    };
    session.change(now, slower);
    // The answer is to the question before.
    session.receive(now, &acknowledged);
    assert_eq!(session.transmit_interval(), 50 * MS);
    let told = session.packet(false);
    assert!(told.poll && told.desired_min_tx == 500 * MS);
    session.receive(now, &acknowledged);
    assert_eq!(session.transmit_interval(), 500 * MS);
    assert!(!session.packet(false).poll);
}

#[test]
fn the_passive_side_waits_to_be_spoken_to() {
    let mut now = Instant::now();
    let mut session = Session::new(
        now,
        Settings {
            passive: true,
            ..settings()
        },
        7,
    );
    assert!(pass(&mut session, &mut now, Duration::from_mins(1)).is_empty());
    session.receive(now, &packet(State::Down));
    let sent = pass(&mut session, &mut now, MS);
    assert_eq!(sent[0].1.state, State::Init);
    // And again after it was lost (section 6.1).
    pass(&mut session, &mut now, Duration::from_secs(10));
    assert!(pass(&mut session, &mut now, Duration::from_mins(1)).is_empty());
}

#[test]
fn a_peer_that_wants_no_packets_gets_none() {
    let (mut session, mut now) = at(State::Up);
    let none = Control {
        required_min_rx: Duration::ZERO,
        desired_min_tx: 1000 * MS,
        ..packet(State::Up)
    };
    session.receive(now, &none);
    assert!(pass(&mut session, &mut now, 1000 * MS).is_empty());
    // But answers (section 6.8.7).
    assert!(session.receive(now, &Control { poll: true, ..none }).1);
    session.receive(now, &packet(State::Up));
    assert!(!pass(&mut session, &mut now, 100 * MS).is_empty());
    // Demand mode, once both are up and nothing is asked.
    let demand = Control {
        demand: true,
        is_final: true,
        desired_min_tx: 1000 * MS,
        ..packet(State::Up)
    };
    session.receive(now, &demand);
    pass(&mut session, &mut now, 50 * MS);
    assert!(pass(&mut session, &mut now, 1000 * MS).is_empty());
}

#[test]
fn who_is_switched_off_says_so_and_stays_off() {
    let (mut session, mut now) = at(State::Up);
    session.switch_off(now);
    let sent = pass(&mut session, &mut now, MS);
    assert_eq!(sent[0].1.state, State::AdminDown);
    assert_eq!(sent[0].1.diagnostic, Diagnostic::ADMINISTRATIVELY_DOWN);
    session.receive(now, &packet(State::Up));
    assert_eq!(session.state(), State::AdminDown);
}
