//! BFD packets from anybody.
#![no_main]

#[path = "../../crates/bfd/tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::packets(bytes));
