//! Datagrams from the network, sealed or not: none is a panic.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use metallb_membership::{Input, Key, Membership, Own, Settings};

fuzz_target!(|bytes: &[u8]| {
    let (key, bytes) = match bytes.split_first() {
        Some((0, bytes)) => (Key::derive(b"secret"), bytes),
        _ => (Key::derive(b""), bytes),
    };
    let now = Instant::now();
    let own = Own {
        name: "a".to_owned(),
        incarnation: 1,
        session: [1; 16],
        key,
        state: Default::default(),
    };
    let mut membership = Membership::new(now, own, Settings::default());
    let peer = ([192, 0, 2, 1], 7946).into();
    membership.handle_input(now, Input::Peers([("b".to_owned(), peer)].into()));
    membership.handle_input(now, Input::Datagram { from: peer, bytes });
    while membership.poll_output().is_some() {}
});
