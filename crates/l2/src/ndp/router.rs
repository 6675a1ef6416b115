//! Router Discovery (RFC 4861 section 6): routers say that they are there, and are asked whether
//! they are.

use std::net::Ipv6Addr;

use pnet::packet::icmpv6::ndp::{NdpOptionTypes, RouterAdvertPacket, RouterSolicitPacket};
use pnet::packet::icmpv6::{self, Icmpv6Packet, Icmpv6Type, Icmpv6Types};
use pnet::util::MacAddr;

use super::{
    ALL_NODES, ETHERNET_LEN, IPV6_LEN, OPTION_UNIT, Received, envelope, link_layer, multicast_mac,
    receive,
};
use crate::DropReason;

/// The group of all routers of a link, to be joined in order to be asked.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Which router says by this frame that it is there: a Router Advertisement that has passed every
/// check of RFC 4861 section 6.1.2. Whether it is anybody's default router is another matter.
///
/// # Errors
/// The reason why the frame is none.
pub fn advertised(frame: &[u8]) -> Result<Ipv6Addr, DropReason> {
    let Received {
        source, message, ..
    } = receive(frame, Icmpv6Types::RouterAdvert)?;
    let options = message.get(RouterAdvertPacket::minimum_packet_size()..);
    link_layer(
        options.ok_or(DropReason::TooShort)?,
        NdpOptionTypes::SourceLLAddr,
    )?;
    if !source.is_unicast_link_local() {
        return Err(DropReason::BadSource);
    }
    Ok(source)
}

/// Whether somebody asks by this frame which routers there are: a Router Solicitation that has
/// passed every check of RFC 4861 section 6.1.1.
///
/// # Errors
/// The reason why the frame is none.
pub fn solicited(frame: &[u8]) -> Result<(), DropReason> {
    let Received {
        source, message, ..
    } = receive(frame, Icmpv6Types::RouterSolicit)?;
    let options = message.get(RouterSolicitPacket::minimum_packet_size()..);
    let option = link_layer(
        options.ok_or(DropReason::TooShort)?,
        NdpOptionTypes::SourceLLAddr,
    )?;
    if source.is_unspecified() && option.is_some() {
        return Err(DropReason::BadSource);
    }
    Ok(())
}

/// The frame that tells everybody that a router is there, and nothing else.
///
/// Its router lifetime is 0, so that no host takes it for a way out of the network, and its other
/// fields are unspecified, so that none changes its settings. Routers that look for a BGP
/// neighbour care for the sender's address alone (FRR's zebra, which itself says 30 s).
pub fn advertisement(mac: MacAddr, link_local: Ipv6Addr) -> Vec<u8> {
    const LEN: usize = RouterAdvertPacket::minimum_packet_size();
    encode::<LEN>(Icmpv6Types::RouterAdvert, (mac, link_local), ALL_NODES)
}

/// The frame that asks which routers there are, so that they say so at once.
pub fn solicitation(mac: MacAddr, link_local: Ipv6Addr) -> Vec<u8> {
    const LEN: usize = RouterSolicitPacket::minimum_packet_size();
    encode::<LEN>(Icmpv6Types::RouterSolicit, (mac, link_local), ALL_ROUTERS)
}

/// A message of `LEN` bytes that are all 0 but for its kind, and the sender's link-layer address.
fn encode<const LEN: usize>(kind: Icmpv6Type, from: (MacAddr, Ipv6Addr), to: Ipv6Addr) -> Vec<u8> {
    let (mac, source) = from;
    let mut frame = vec![0; ETHERNET_LEN + IPV6_LEN + LEN + OPTION_UNIT];
    let message = envelope(&mut frame, from, (multicast_mac(to), to));
    message[0] = kind.0;
    let option = &mut message[LEN..];
    option[..2].copy_from_slice(&[NdpOptionTypes::SourceLLAddr.0, 1]);
    option[2..].copy_from_slice(&mac.octets());
    let icmp = Icmpv6Packet::new(message).expect("it has a header");
    let checksum = icmpv6::checksum(&icmp, &source, &to);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{
        OWN, OWN_LINK_LOCAL, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION, bytes, edited,
    };

    #[test]
    fn rfc_4861_a_captured_router_advertisement_is_read() {
        let router: Ipv6Addr = "fe80::8020:bcff:fe6d:140f".parse().unwrap();
        assert_eq!(advertised(&bytes(ROUTER_ADVERTISEMENT)), Ok(router));
        assert_eq!(
            advertised(&bytes(ROUTER_SOLICITATION)),
            Err(DropReason::NotNeighborMessage)
        );
        assert_eq!(solicited(&bytes(ROUTER_SOLICITATION)), Ok(()));
    }

    #[test]
    fn an_advertisement_of_ours_makes_nobodys_default_router() {
        let ours = "333300000001 02000000000b 86dd 60000000 0018 3a ff
            fe80000000000000000000000000000b ff020000000000000000000000000001
            8600 7911 00 00 0000 00000000 00000000 0101 02000000000b";
        assert_eq!(advertisement(OWN, OWN_LINK_LOCAL), bytes(ours));
        assert_eq!(advertised(&bytes(ours)), Ok(OWN_LINK_LOCAL));
    }

    #[test]
    fn a_solicitation_of_ours_is_one() {
        let frame = solicitation(OWN, OWN_LINK_LOCAL);
        assert_eq!(solicited(&frame), Ok(()));
        assert_eq!(frame.len(), bytes(ROUTER_SOLICITATION).len());
    }

    #[test]
    fn rfc_4861_every_check_of_sections_6_1_1_and_6_1_2_holds() {
        const UNSPECIFIED: [u8; 16] = [0; 16];
        let advertisement = |edit: fn(&mut Vec<u8>)| edited(ROUTER_ADVERTISEMENT, edit);
        for (frame, reason) in [
            (advertisement(|f| f[21] = 254), DropReason::HopLimit),
            (advertisement(|f| f[55] = 1), DropReason::Code),
            (advertisement(|f| f.truncate(69)), DropReason::TooShort),
            (advertisement(|f| f[71] = 0), DropReason::BadOption),
            (advertisement(|f| f[71] = 2), DropReason::BadOption),
            (
                advertisement(|f| f[22..24].copy_from_slice(&[0x20, 1])),
                DropReason::BadSource,
            ),
        ] {
            assert_eq!(advertised(&frame), Err(reason), "{frame:02x?}");
        }
        let solicitation = |edit: fn(&mut Vec<u8>)| edited(ROUTER_SOLICITATION, edit);
        for (frame, reason) in [
            (solicitation(|f| f[21] = 1), DropReason::HopLimit),
            (solicitation(|f| f[63] = 0), DropReason::BadOption),
            (
                solicitation(|f| f[22..38].copy_from_slice(&UNSPECIFIED)),
                DropReason::BadSource,
            ),
        ] {
            assert_eq!(solicited(&frame), Err(reason), "{frame:02x?}");
        }
        let mut broken = bytes(ROUTER_ADVERTISEMENT);
        broken[56] ^= 1;
        assert_eq!(advertised(&broken), Err(DropReason::Checksum));
    }

    #[test]
    fn who_has_no_address_yet_may_ask() {
        let frame = edited(ROUTER_SOLICITATION, |f| {
            f[22..38].fill(0);
            f.truncate(62);
        });
        assert_eq!(solicited(&frame), Ok(()));
    }
}
