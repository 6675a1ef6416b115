//! Frames for the tests: what a Linux client at 02:00:00:00:00:0a sent, as captured on its link,
//! and answers computed apart from this crate.

use std::net::{IpAddr, Ipv6Addr};

use pnet::util::MacAddr;

pub(crate) const CLIENT: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0a);
pub(crate) const OWN: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0b);
pub(crate) const OWN_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x0b);

/// `ping 192.0.2.10` from 192.0.2.1.
pub(crate) const ARP_REQUEST: &str = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001
    02000000000a c0000201 000000000000 c000020a";

/// `ping 2001:db8::10` from `2001:db8::1`.
pub(crate) const SOLICITATION: &str = "3333ff000010 02000000000a 86dd 60000000 0020 3a ff
    20010db8000000000000000000000001 ff0200000000000000000001ff000010
    8700 1c02 00000000 20010db8000000000000000000000010 0101 02000000000a";

/// The kernel looks for duplicates of `2001:db8::77`, with a nonce (RFC 7527).
pub(crate) const DUPLICATE_CHECK: &str = "3333ff000077 02000000000a 86dd 60000000 0020 3a ff
    00000000000000000000000000000000 ff0200000000000000000001ff000077
    8700 e72c 00000000 20010db8000000000000000000000077 0e01 70cdb0a2355b";

/// A neighbour that knows `2001:db8::10` checks whether it is still there: unicast, no options.
pub(crate) const UNICAST_PROBE: &str = "02000000000b 02000000000a 86dd 60000000 0018 3a ff
    fe80000000000000000000000000000a 20010db8000000000000000000000010
    8700 1e90 00000000 20010db8000000000000000000000010";

/// FRR 8.4 is a router on the link of an unnumbered neighbour, for 30 s from then on.
pub(crate) const ROUTER_ADVERTISEMENT: &str = "333300000001 8220bc6d140f 86dd 600c0dba 0018 3a ff
    fe800000000000008020bcfffe6d140f ff020000000000000000000000000001
    8600 98ce 40 00 001e 00000000 00000000 0101 8220bc6d140f";

/// A host that has just come up asks which routers there are.
pub(crate) const ROUTER_SOLICITATION: &str = "333300000002 da59c2683e6f 86dd 60000000 0010 3a ff
    fe80000000000000d859c2fffe683e6f ff020000000000000000000000000002
    8500 c8ca 00000000 0101 da59c2683e6f";

/// Reads a frame from hexadecimal text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| u8::try_from(d).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// `SOLICITATION` after `edit`.
pub(crate) fn solicitation(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    edited(SOLICITATION, edit)
}

/// A frame after `edit`, with its payload length and checksum made right again.
pub(crate) fn edited(frame: &str, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = bytes(frame);
    edit(&mut frame);
    let length = u16::try_from(frame.len() - 54).unwrap();
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame[56..58].fill(0);
    // RFC 8200 section 8.1: addresses, length, next header, message.
    let mut sum = u32::from(length) + 58;
    for pair in frame[22..].chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    frame[56..58].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    frame
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
