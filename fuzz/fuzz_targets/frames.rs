//! Frames from the wire: none is a panic, and no answer is for an address that is not announced.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metallb_l2::{MacAddr, Responder};

fuzz_target!(|frame: &[u8]| {
    let mac = MacAddr::new(2, 0, 0, 0, 0, 1);
    let mut responder = Responder::new(mac, "fe80::1".parse().ok());
    for ip in ["192.0.2.1", "2001:db8::1"] {
        responder.announce(ip.parse().expect("an address"));
    }
    if let Ok(answer) = responder.answer(frame) {
        assert!(responder.announces(answer.ip));
    }
});
