//! What is fuzzed: here by `cargo test`, in `fuzz/fuzz_targets` by libFuzzer.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_bfd::{Arrival, Bfd, Control, Diagnostic, Input, LEN, Output, Path, Settings, State};

/// Datagrams, each after a byte of how it came in: none is a panic, and what comes from elsewhere
/// than the peer, or from farther away, changes nothing.
pub(crate) fn packets(bytes: &[u8]) {
    let (mut bfd, mut now, _) = up();
    for datagram in bytes.chunks(1 + LEN) {
        let Some((how, packet)) = datagram.split_first() else {
            continue;
        };
        let arrival = arrival(*how);
        bfd.handle_input(now, Input::Datagram(arrival, packet));
        let may_count = arrival == self::arrival(0);
        while let Some(output) = bfd.poll_output() {
            assert!(
                may_count || matches!(output, Output::Send(to, _) if to == far()),
                "{output:?} after {arrival:?}"
            );
        }
    }
    for _ in 0..10 {
        now = bfd.poll_timeout().map_or(now, |due| due.max(now));
        bfd.handle_timeout(now);
        while bfd.poll_output().is_some() {}
    }
}

/// A session with a peer on the link that is up, and one with a peer elsewhere that is not; the
/// time; and what we call the session that is up.
pub(crate) fn up() -> (Bfd, Instant, u32) {
    let mut now = Instant::now();
    let mut bfd = Bfd::new(now, 1);
    let sessions = [on_link(), far()].map(|path| (path, settings()));
    bfd.handle_input(now, Input::Sessions(sessions.into()));
    let ours = loop {
        match bfd.poll_output() {
            Some(Output::Send(path, bytes)) if path == on_link() => {
                break Control::decode(&bytes)
                    .expect("we wrote it")
                    .my_discriminator;
            }
            Some(_) => {}
            None => {
                now = bfd.poll_timeout().expect("it speaks").max(now);
                bfd.handle_timeout(now);
            }
        }
    };
    for (state, your_discriminator) in [(State::Down, 0), (State::Init, ours)] {
        let packet = packet(state, your_discriminator).encode();
        bfd.handle_input(now, Input::Datagram(arrival(0), &packet));
    }
    while bfd.poll_output().is_some() {}
    let session = bfd.session(&on_link()).expect("it is there");
    assert_eq!(session.state(), State::Up);
    (bfd, now, ours)
}

/// A packet of the peer.
pub(crate) fn packet(state: State, your_discriminator: u32) -> Control {
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
        desired_min_tx: Duration::from_millis(50),
        required_min_rx: Duration::from_millis(50),
        required_min_echo_rx: Duration::ZERO,
    }
}

/// 0 is how packets of the peer come.
fn arrival(how: u8) -> Arrival {
    let bit = |bit: u8| how & bit != 0;
    Arrival {
        from: if bit(1) { far().peer } else { on_link().peer },
        interface: if bit(2) { 8 } else { 7 },
        ttl: if bit(4) { 64 } else { 255 },
        multihop: bit(8),
    }
}

fn on_link() -> Path {
    Path {
        peer: IpAddr::from([192, 0, 2, 9]),
        interface: Some(7),
        minimum_ttl: None,
    }
}

fn far() -> Path {
    Path {
        peer: IpAddr::from([203, 0, 113, 9]),
        interface: None,
        minimum_ttl: Some(250),
    }
}

fn settings() -> Settings {
    Settings {
        transmit: Duration::from_millis(50),
        receive: Duration::from_millis(50),
        detect_multiplier: 3,
        passive: false,
        echo_receive: None,
        echo_transmit: None,
    }
}
