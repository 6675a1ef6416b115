//! What is fuzzed: here by `cargo test`, in `fuzz/fuzz_targets` by libFuzzer.

use std::time::{Duration, Instant};

use metallb_bgp::rib::Rib;
use metallb_bgp::session::{Input, Link, Output, RemoteAs, Session, Settings, Way};
use metallb_bgp::wire::{Codec, Family, Message};

/// A message from a peer, after a byte of what was agreed on: none is a panic, and what was
/// understood can be said.
pub(crate) fn message(bytes: &[u8]) {
    let Some((agreed, bytes)) = bytes.split_first() else {
        return;
    };
    let codec = Codec {
        four_octet: agreed & 1 != 0,
        extended: agreed & 2 != 0,
        internal: agreed & 4 != 0,
    };
    if let Ok(received) = Message::decode(bytes, codec) {
        let again = received.message.encode(codec);
        if received.faults.is_empty() {
            let understood = Message::decode(&again, codec).expect("we wrote it");
            assert_eq!(understood.message, received.message);
        }
    }
}

/// Whatever a peer sends, and whenever, cut at each `PAUSE`: a session ends at most, and goes on
/// from there.
pub(crate) fn session(bytes: &[u8]) {
    let mut now = Instant::now();
    let rib = Rib::<u8>::default();
    let mut session = Session::new(now, settings(), 1);
    session.handle_input(now, Input::Start);
    for part in bytes.split(|byte| *byte == PAUSE) {
        while let Some(output) = session.poll_output(&rib) {
            if output == Output::Connect {
                session.handle_input(now, Input::Connected(Way::Out, Link::default()));
            }
        }
        let way = if part.len() % 7 == 0 {
            Way::In
        } else {
            Way::Out
        };
        session.handle_input(now, Input::Received(way, part));
        now += Duration::from_millis(part.len() as u64 * 100);
        if session.poll_timeout().is_some_and(|due| due <= now) {
            session.handle_timeout(now);
        }
    }
}

fn settings() -> Settings {
    Settings {
        peer: "router".into(),
        local_as: 64512,
        remote_as: RemoteAs::External,
        identifier: [10, 0, 0, 2].into(),
        hold_time: 90,
        keepalive: 30,
        connect_retry: Duration::from_secs(4),
        families: Family::ALL.into(),
        v6_next_hops: true,
        graceful_restart: None,
        hostname: "node".into(),
        connects: true,
        local_pref: 100,
    }
}

/// Between what comes at once and what comes later.
pub(crate) const PAUSE: u8 = b'|';
