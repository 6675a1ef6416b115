//! BGP messages from a peer: none is a panic, and what was understood can be said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metallb_bgp::wire::{Codec, Message};

fuzz_target!(|bytes: &[u8]| {
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
});
