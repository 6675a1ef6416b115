//! BGP messages from a peer.
#![no_main]

#[path = "../../crates/bgp/tests/wire/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::message(bytes));
