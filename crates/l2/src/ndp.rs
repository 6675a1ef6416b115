//! IPv6 Neighbor Discovery (RFC 4861): solicitations in, advertisements out.

pub mod router;

use std::net::Ipv6Addr;

use pnet::packet::Packet;
use pnet::packet::ethernet::{EtherTypes, Ethernet, EthernetPacket, MutableEthernetPacket};
use pnet::packet::icmpv6::ndp::{
    Icmpv6Codes, MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NdpOptionType,
    NdpOptionTypes, NeighborAdvertFlags, NeighborAdvertPacket, NeighborSolicitPacket,
};
use pnet::packet::icmpv6::{self, Icmpv6Packet, Icmpv6Type, Icmpv6Types};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv6::{Ipv6, Ipv6Packet, MutableIpv6Packet};
use pnet::util::MacAddr;

use crate::DropReason;

/// A Neighbor Solicitation that has passed every check of RFC 4861 section 7.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Ethernet destination: a group, or one station when a neighbour checks what it knows.
    pub destination: MacAddr,
    /// Where to send the answer: the source link-layer option, else the sender of the frame.
    pub sender_mac: MacAddr,
    /// Who asks; unspecified while the asker looks for duplicates of its own address.
    pub source: Ipv6Addr,
    /// The address that is asked for.
    pub target: Ipv6Addr,
}

/// Reads an Ethernet frame as a Neighbor Solicitation.
///
/// Solicitations behind extension headers are not read: nobody sends them, and fragments of them
/// must be ignored anyway (RFC 6980 section 5).
///
/// # Errors
/// The reason why the frame is not a solicitation that may be answered.
pub fn decode(frame: &[u8]) -> Result<Solicitation, DropReason> {
    let Received {
        sender,
        addressee,
        source,
        destination,
        message,
    } = receive(frame, Icmpv6Types::NeighborSolicit)?;
    let solicit = NeighborSolicitPacket::new(message).ok_or(DropReason::TooShort)?;
    let target = unicast(solicit.get_target_addr())?;
    let options = &message[NeighborSolicitPacket::minimum_packet_size()..];
    let option = link_layer(options, NdpOptionTypes::SourceLLAddr)?;
    let forbidden =
        source.is_unspecified() && (option.is_some() || !is_solicited_node(destination));
    let sender_mac = option.unwrap_or(sender);
    // An answer to a group would let one forged request flood the segment.
    if forbidden || source.is_multicast() || sender_mac.is_multicast() || sender_mac.is_zero() {
        return Err(DropReason::BadSource);
    }
    Ok(Solicitation {
        destination: addressee,
        sender_mac,
        source,
        target,
    })
}

/// Which station says by this frame that it has which address: a Neighbor Advertisement that has
/// passed every check of RFC 4861 section 7.1.2.
///
/// # Errors
/// The reason why the frame is none.
pub fn advertised(frame: &[u8]) -> Result<(Ipv6Addr, MacAddr), DropReason> {
    let Received {
        sender,
        destination,
        message,
        ..
    } = receive(frame, Icmpv6Types::NeighborAdvert)?;
    let advert = NeighborAdvertPacket::new(message).ok_or(DropReason::TooShort)?;
    let target = unicast(advert.get_target_addr())?;
    let solicited = advert.get_flags() & NeighborAdvertFlags::Solicited != 0;
    if destination.is_multicast() && solicited {
        return Err(DropReason::BadSource);
    }
    let options = &message[NeighborAdvertPacket::minimum_packet_size()..];
    let mac = link_layer(options, NdpOptionTypes::TargetLLAddr)?.unwrap_or(sender);
    if mac.is_multicast() || mac.is_zero() {
        return Err(DropReason::BadSource);
    }
    Ok((target, mac))
}

/// A Neighbor Discovery message, with who sent it to whom.
struct Received<'a> {
    sender: MacAddr,
    addressee: MacAddr,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: &'a [u8],
}

/// Reads a frame as a message of this kind, checked as far as all kinds are.
fn receive(frame: &[u8], kind: Icmpv6Type) -> Result<Received<'_>, DropReason> {
    let ethernet = EthernetPacket::new(frame).ok_or(DropReason::TooShort)?;
    if ethernet.get_ethertype() != EtherTypes::Ipv6 {
        return Err(DropReason::NotNeighborDiscovery);
    }
    let payload = &frame[ETHERNET_LEN..];
    let ip = Ipv6Packet::new(payload).ok_or(DropReason::TooShort)?;
    if ip.get_version() != 6 || ip.get_next_header() != IpNextHeaderProtocols::Icmpv6 {
        return Err(DropReason::NotNeighborMessage);
    }
    // Bytes after the IPv6 payload are Ethernet padding.
    let message = payload[Ipv6Packet::minimum_packet_size()..]
        .get(..usize::from(ip.get_payload_length()))
        .ok_or(DropReason::TooShort)?;
    let (source, destination) = (ip.get_source(), ip.get_destination());

    let icmp = Icmpv6Packet::new(message).ok_or(DropReason::TooShort)?;
    if icmp.get_icmpv6_type() != kind {
        return Err(DropReason::NotNeighborMessage);
    }
    // RFC 4861 sections 7.1.1 and 7.1.2, in their order.
    if ip.get_hop_limit() != HOP_LIMIT {
        return Err(DropReason::HopLimit);
    }
    if icmp.get_checksum() != icmpv6::checksum(&icmp, &source, &destination) {
        return Err(DropReason::Checksum);
    }
    if icmp.get_icmpv6_code() != Icmpv6Codes::NoCode {
        return Err(DropReason::Code);
    }
    Ok(Received {
        sender: ethernet.get_source(),
        addressee: ethernet.get_destination(),
        source,
        destination,
        message,
    })
}

fn unicast(target: Ipv6Addr) -> Result<Ipv6Addr, DropReason> {
    if target.is_multicast() || target.is_unspecified() {
        return Err(DropReason::BadTarget);
    }
    Ok(target)
}

/// The frame that tells the asker that `mac` has the address.
///
/// As upstream it is Solicited and not Override. Unlike upstream it comes from the address itself,
/// as when a kernel answers for its own: some clients, ndisc6 among them, ignore an answer about a
/// global address that comes from a link-local one. An asker without an address (RFC 4861 section
/// 7.2.4: it looks for duplicates) is told together with everybody, by [`unsolicited`].
pub fn advertisement(asked: &Solicitation, mac: MacAddr, link_local: Ipv6Addr) -> Vec<u8> {
    if asked.source.is_unspecified() {
        return unsolicited(asked.target, mac, link_local);
    }
    let from = (mac, asked.target);
    encode(
        from,
        (asked.sender_mac, asked.source),
        asked.target,
        NeighborAdvertFlags::Solicited,
    )
}

/// The frame that tells everybody that `mac` has `ip` now: Override and not Solicited, to all nodes.
pub fn unsolicited(ip: Ipv6Addr, mac: MacAddr, link_local: Ipv6Addr) -> Vec<u8> {
    let to = (multicast_mac(ALL_NODES), ALL_NODES);
    encode((mac, link_local), to, ip, NeighborAdvertFlags::Override)
}

/// The frame that asks whether anybody has `ip`, and claims nothing (RFC 4862 section 5.4.2).
pub fn probe(ip: Ipv6Addr, mac: MacAddr) -> Vec<u8> {
    let (from, to) = (Ipv6Addr::UNSPECIFIED, solicited_node(ip));
    let mut frame = vec![0; ETHERNET_LEN + IPV6_LEN + NeighborSolicitPacket::minimum_packet_size()];
    let message = envelope(&mut frame, (mac, from), (multicast_mac(to), to));
    let mut solicit =
        MutableNeighborSolicitPacket::new(message).expect("frame has room for the message");
    solicit.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
    solicit.set_target_addr(ip);
    let icmp = Icmpv6Packet::new(solicit.packet()).expect("a solicitation is an ICMPv6 message");
    let checksum = icmpv6::checksum(&icmp, &from, &to);
    solicit.set_checksum(checksum);
    frame
}

/// The group to join in order to receive solicitations for `ip` (RFC 4291 section 2.7.1).
pub fn solicited_node(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = ip.octets();
    Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    )
}

/// The Ethernet address of an IPv6 multicast group (RFC 2464 section 7).
pub fn multicast_mac(group: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = group.octets();
    MacAddr::new(0x33, 0x33, a, b, c, d)
}

fn is_solicited_node(ip: Ipv6Addr) -> bool {
    solicited_node(ip) == ip
}

/// Walks all options, since one malformed option condemns the message, and returns the first
/// link-layer address of this kind.
fn link_layer(mut options: &[u8], wanted: NdpOptionType) -> Result<Option<MacAddr>, DropReason> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let len = usize::from(units) * OPTION_UNIT;
        if len == 0 {
            return Err(DropReason::BadOption);
        }
        let (option, rest) = options.split_at_checked(len).ok_or(DropReason::BadOption)?;
        if kind == wanted.0 {
            let mac = <[u8; 6]>::try_from(&option[2..]).map_err(|_| DropReason::BadOption)?;
            found = found.or_else(|| Some(mac.into()));
        }
        options = rest;
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(DropReason::BadOption)
    }
}

fn encode(
    (mac, from): (MacAddr, Ipv6Addr),
    (to_mac, to): (MacAddr, Ipv6Addr),
    target: Ipv6Addr,
    flags: u8,
) -> Vec<u8> {
    let mut frame = vec![0; FRAME_LEN];
    let message = envelope(&mut frame, (mac, from), (to_mac, to));
    // The option by hand: the library's option type overflows on long ones.
    let option = &mut message[NeighborAdvertPacket::minimum_packet_size()..];
    option[..2].copy_from_slice(&[NdpOptionTypes::TargetLLAddr.0, 1]);
    option[2..].copy_from_slice(&mac.octets());
    let mut advert =
        MutableNeighborAdvertPacket::new(message).expect("frame has room for the message");
    advert.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    advert.set_flags(flags);
    advert.set_target_addr(target);
    let icmp = Icmpv6Packet::new(advert.packet()).expect("an advertisement is an ICMPv6 message");
    let checksum = icmpv6::checksum(&icmp, &from, &to);
    advert.set_checksum(checksum);
    frame
}

/// Writes what is around an `ICMPv6` message that takes all of the rest of `frame`; gives that rest.
fn envelope(
    frame: &mut [u8],
    (mac, from): (MacAddr, Ipv6Addr),
    (to_mac, to): (MacAddr, Ipv6Addr),
) -> &mut [u8] {
    let (ethernet, rest) = frame.split_at_mut(ETHERNET_LEN);
    let (ip, message) = rest.split_at_mut(IPV6_LEN);
    MutableEthernetPacket::new(ethernet)
        .expect("frame has room for Ethernet")
        .populate(&Ethernet {
            destination: to_mac,
            source: mac,
            ethertype: EtherTypes::Ipv6,
            payload: Vec::new(),
        });
    MutableIpv6Packet::new(ip)
        .expect("frame has room for IPv6")
        .populate(&Ipv6 {
            version: 6,
            traffic_class: 0,
            flow_label: 0,
            payload_length: u16::try_from(message.len()).expect("message is small"),
            next_header: IpNextHeaderProtocols::Icmpv6,
            hop_limit: HOP_LIMIT,
            source: from,
            destination: to,
            payload: Vec::new(),
        });
    message
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const HOP_LIMIT: u8 = 255;
/// Option lengths count these (RFC 4861 section 4.6).
const OPTION_UNIT: usize = 8;
const ETHERNET_LEN: usize = EthernetPacket::minimum_packet_size();
const IPV6_LEN: usize = Ipv6Packet::minimum_packet_size();
const MESSAGE_LEN: usize = NeighborAdvertPacket::minimum_packet_size() + OPTION_UNIT;
const FRAME_LEN: usize = ETHERNET_LEN + IPV6_LEN + MESSAGE_LEN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{
        CLIENT, DUPLICATE_CHECK, OWN, OWN_LINK_LOCAL, SOLICITATION, UNICAST_PROBE, bytes,
        solicitation,
    };

    /// What everybody is told: Override, to `ff02::1`.
    const TOLD_TO_ALL: &str = "333300000001 02000000000b 86dd 60000000 0020 3a ff
        fe80000000000000000000000000000b ff020000000000000000000000000001
        8800 2840 20000000 20010db8000000000000000000000010 0201 02000000000b";

    #[test]
    fn rfc_4861_a_captured_solicitation_is_read() {
        assert_eq!(
            decode(&bytes(SOLICITATION)).unwrap(),
            Solicitation {
                destination: MacAddr(0x33, 0x33, 0xff, 0, 0, 0x10),
                sender_mac: CLIENT,
                source: "2001:db8::1".parse().unwrap(),
                target: "2001:db8::10".parse().unwrap(),
            }
        );
    }

    #[test]
    fn rfc_4861_the_answer_goes_to_the_asker_alone_and_does_not_override() {
        let asked = decode(&bytes(SOLICITATION)).unwrap();
        let wanted = "02000000000a 02000000000b 86dd 60000000 0020 3a ff
            20010db8000000000000000000000010 20010db8000000000000000000000001
            8800 aa4c 40000000 20010db8000000000000000000000010 0201 02000000000b";
        assert_eq!(advertisement(&asked, OWN, OWN_LINK_LOCAL), bytes(wanted));
    }

    #[test]
    fn rfc_9131_an_announcement_overrides_and_goes_to_all() {
        let ip = "2001:db8::10".parse().unwrap();
        assert_eq!(unsolicited(ip, OWN, OWN_LINK_LOCAL), bytes(TOLD_TO_ALL));
    }

    #[test]
    fn rfc_4861_without_a_link_layer_option_the_answer_goes_to_the_sender_of_the_frame() {
        let asked = decode(&bytes(UNICAST_PROBE)).unwrap();
        assert_eq!(asked.sender_mac, CLIENT);
        assert_eq!(asked.destination, OWN);
        assert_eq!(asked.source, "fe80::a".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn rfc_4862_a_check_for_duplicates_is_answered_to_all() {
        let asked = decode(&bytes(DUPLICATE_CHECK)).unwrap();
        assert!(asked.source.is_unspecified());
        let answer = advertisement(&asked, OWN, OWN_LINK_LOCAL);
        assert_eq!(answer, unsolicited(asked.target, OWN, OWN_LINK_LOCAL));
    }

    #[test]
    fn rfc_4861_every_check_of_section_7_1_1_holds() {
        const UNSPECIFIED: [u8; 16] = [0; 16];
        // Each edit leaves the checksum right, so that the one check alone is at work.
        let set = |at: usize, new: &'static [u8]| {
            solicitation(|frame| frame[at..at + new.len()].copy_from_slice(new))
        };
        let table = [
            (set(21, &[254]), DropReason::HopLimit),
            (set(21, &[0]), DropReason::HopLimit),
            (set(55, &[1]), DropReason::Code),
            (set(62, &[0xff, 0x02]), DropReason::BadTarget),
            (set(62, &UNSPECIFIED), DropReason::BadTarget),
            (solicitation(|f| f.truncate(77)), DropReason::TooShort),
            (set(79, &[0]), DropReason::BadOption),
            (set(79, &[2]), DropReason::BadOption),
            (set(79, &[255]), DropReason::BadOption),
            (solicitation(|f| f.truncate(85)), DropReason::BadOption),
            (solicitation(|f| f.truncate(79)), DropReason::BadOption),
            // A second option that is no option condemns the whole.
            (solicitation(|f| f.extend([14, 0])), DropReason::BadOption),
            // A source link-layer option longer than an Ethernet address.
            (
                solicitation(|f| {
                    f.extend([0; 8]);
                    f[79] = 2;
                }),
                DropReason::BadOption,
            ),
            // An unspecified source must not have the option, and must ask the group.
            (set(22, &UNSPECIFIED), DropReason::BadSource),
            (
                solicitation(|f| {
                    f.truncate(78);
                    f[22..38].fill(0);
                    f[38..54].copy_from_slice(&[
                        0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16,
                    ]);
                }),
                DropReason::BadSource,
            ),
            (set(22, &[0xff, 0x02]), DropReason::BadSource),
            (set(80, &[0x33, 0x33, 0, 0, 0, 1]), DropReason::BadSource),
            (set(80, &[0xff; 6]), DropReason::BadSource),
            (set(80, &[0; 6]), DropReason::BadSource),
            (set(54, &[136]), DropReason::NotNeighborMessage),
            (set(54, &[128]), DropReason::NotNeighborMessage),
            (set(20, &[17]), DropReason::NotNeighborMessage),
            (set(20, &[0]), DropReason::NotNeighborMessage),
            (set(14, &[0x40]), DropReason::NotNeighborMessage),
        ];
        for (frame, reason) in table {
            assert_eq!(decode(&frame), Err(reason), "{frame:02x?}");
        }
    }

    #[test]
    fn an_unknown_option_is_skipped() {
        // A nonce (RFC 7527) before the link-layer address.
        let frame = solicitation(|f| {
            f.splice(78..78, [14, 1, 1, 2, 3, 4, 5, 6]);
        });
        assert_eq!(decode(&frame).unwrap().sender_mac, CLIENT);
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_the_checksum_reaches() {
        let good = bytes(SOLICITATION);
        for bit in 0..good.len() * 8 {
            let mut frame = good.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            // Ethernet addresses, traffic class and flow label have no checksum.
            let unprotected = matches!((bit / 8, bit % 8), (0..12 | 15..18, _) | (14, 0..4));
            assert_eq!(
                decode(&frame).is_ok(),
                unprotected,
                "byte {} bit {}",
                bit / 8,
                bit % 8
            );
        }
    }

    #[test]
    fn groups_and_their_ethernet_addresses() {
        let table = [
            (
                "2001:db8::10",
                "ff02::1:ff00:10",
                MacAddr(0x33, 0x33, 0xff, 0, 0, 0x10),
            ),
            (
                "fe80::1234:5678:9abc",
                "ff02::1:ff78:9abc",
                MacAddr(0x33, 0x33, 0xff, 0x78, 0x9a, 0xbc),
            ),
        ];
        for (ip, group, mac) in table {
            let joined = solicited_node(ip.parse().unwrap());
            assert_eq!(joined, group.parse::<Ipv6Addr>().unwrap());
            assert_eq!(multicast_mac(joined), mac);
        }
    }
}
