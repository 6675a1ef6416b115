//! Whatever a BGP peer sends, and whenever: a session ends at most, and goes on from there.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use metallb_bgp::rib::Rib;
use metallb_bgp::session::{Input, Link, Output, RemoteAs, Session, Settings, Way};
use metallb_bgp::wire::Family;

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let rib = Rib::<u8>::default();
    let mut session = Session::new(now, settings(), 1);
    session.handle_input(now, Input::Start);
    for part in bytes.split(|byte| *byte == b'|') {
        while let Some(output) = session.poll_output(&rib) {
            if output == Output::Connect {
                session.handle_input(now, Input::Connected(Way::Out, Link::default()));
            }
        }
        let way = if part.len() % 7 == 0 { Way::In } else { Way::Out };
        session.handle_input(now, Input::Received(way, part));
        now += Duration::from_millis(part.len() as u64 * 100);
        if session.poll_timeout().is_some_and(|due| due <= now) {
            session.handle_timeout(now);
        }
    }
});

fn settings() -> Settings {
    Settings {
        peer: "router".into(),
        local_as: 64512,
        remote_as: RemoteAs::External,
        identifier: [10, 0, 0, 1].into(),
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
