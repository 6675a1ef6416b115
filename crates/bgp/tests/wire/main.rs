//! Messages: as others write them, as they come when something is wrong, and any that there can
//! be.

#![allow(
    clippy::doc_markdown,
    reason = "the RFCs' names of attributes have underscores and are no code"
)]

mod any;
mod fuzz;
mod golden;
mod opens;
mod oracle;
mod targets;
mod updates;

use metallb_bgp::wire::{Codec, Message, Notification, Received};

/// As nearly all speakers agree.
const FOUR_OCTET: Codec = Codec {
    four_octet: true,
    extended: false,
    internal: false,
};

/// Bytes from hexadecimal digits, blanks and all.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|it| !it.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let pair: String = pair.iter().collect();
        u8::from_str_radix(&pair, 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// A message of a type, with the right header.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(19 + body.len()).expect("a message");
    [&[0xff; 16][..], &len.to_be_bytes(), &[kind], body].concat()
}

fn decode(kind: u8, body: &[u8]) -> Result<Received, Notification> {
    Message::decode(&message(kind, body), FOUR_OCTET)
}
