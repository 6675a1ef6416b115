//! What a pool may list: no text is a panic, and what is read is shown and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metallb_config::AddrRange;

fuzz_target!(|text: &str| {
    if let Ok(range) = text.parse::<AddrRange>() {
        assert_eq!(range.to_string().parse(), Ok(range));
        assert!(range.contains(range.first()) && range.contains(range.last()));
    }
});
