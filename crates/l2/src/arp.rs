//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).

use std::net::Ipv4Addr;

use pnet::packet::arp::{
    Arp, ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket,
};
use pnet::packet::ethernet::{EtherTypes, Ethernet, EthernetPacket, MutableEthernetPacket};
use pnet::util::MacAddr;

use crate::DropReason;

/// Somebody asks who has `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Ethernet destination: broadcast, or one station when a neighbour checks what it knows.
    pub destination: MacAddr,
    /// Hardware address of the asker; the reply goes there.
    pub sender_mac: MacAddr,
    /// Address of the asker; 0.0.0.0 in a probe for a duplicate (RFC 5227 section 2.1.1).
    pub sender_ip: Ipv4Addr,
    /// The address that is asked for.
    pub target: Ipv4Addr,
}

/// Reads an Ethernet frame as an ARP request. Bytes after the packet are padding.
///
/// # Errors
/// The reason why the frame is not a request that may be answered.
pub fn decode(frame: &[u8]) -> Result<Request, DropReason> {
    let (destination, arp) = packet(frame)?;
    if arp.get_operation() != ArpOperations::Request {
        return Err(DropReason::NotRequest);
    }
    Ok(Request {
        destination,
        sender_mac: sender_mac(&arp)?,
        sender_ip: arp.get_sender_proto_addr(),
        target: arp.get_target_proto_addr(),
    })
}

/// Which station says by this frame that it has which address: the sender of every ARP packet does,
/// whatever else the packet is for (RFC 5227 section 2.4). A probe, with the sender 0.0.0.0, says it
/// of no address.
///
/// # Errors
/// The reason why the frame is no such packet.
pub fn sender(frame: &[u8]) -> Result<(Ipv4Addr, MacAddr), DropReason> {
    let (_, arp) = packet(frame)?;
    Ok((arp.get_sender_proto_addr(), sender_mac(&arp)?))
}

/// The Ethernet destination and the packet.
fn packet(frame: &[u8]) -> Result<(MacAddr, ArpPacket<'_>), DropReason> {
    let ethernet = EthernetPacket::new(frame).ok_or(DropReason::TooShort)?;
    if ethernet.get_ethertype() != EtherTypes::Arp {
        return Err(DropReason::NotNeighborDiscovery);
    }
    let arp = ArpPacket::new(&frame[ETHERNET_LEN..]).ok_or(DropReason::TooShort)?;
    if arp.get_hardware_type() != ArpHardwareTypes::Ethernet
        || arp.get_protocol_type() != EtherTypes::Ipv4
        || arp.get_hw_addr_len() != MAC_LEN
        || arp.get_proto_addr_len() != IPV4_LEN
    {
        return Err(DropReason::NotEthernetIpv4);
    }
    Ok((ethernet.get_destination(), arp))
}

fn sender_mac(arp: &ArpPacket<'_>) -> Result<MacAddr, DropReason> {
    let mac = arp.get_sender_hw_addr();
    // An answer to a group would let one forged request flood the segment.
    if mac.is_multicast() || mac.is_zero() {
        return Err(DropReason::BadSource);
    }
    Ok(mac)
}

/// The frame that tells the asker that `mac` has the address.
pub fn reply(request: &Request, mac: MacAddr) -> Vec<u8> {
    encode(
        request.sender_mac,
        ArpOperations::Reply,
        mac,
        request.target,
        request.sender_mac,
        request.sender_ip,
    )
}

/// The frame that asks whether anybody has `ip`, and claims nothing (RFC 5227 section 2.1.1).
pub fn probe(ip: Ipv4Addr, mac: MacAddr) -> Vec<u8> {
    encode(
        MacAddr::broadcast(),
        ArpOperations::Request,
        mac,
        Ipv4Addr::UNSPECIFIED,
        MacAddr::zero(),
        ip,
    )
}

/// The address that another station probes for, and that station.
///
/// # Errors
/// The frame is no ARP probe.
pub fn probed(frame: &[u8]) -> Result<(Ipv4Addr, MacAddr), DropReason> {
    let request = decode(frame)?;
    if !request.sender_ip.is_unspecified() {
        return Err(DropReason::NotRequest);
    }
    Ok((request.target, request.sender_mac))
}

/// Both forms of gratuitous ARP for `ip`: request, then reply, both to everybody.
///
/// Some stations learn from the one form only, some from the other. Sender and target address are
/// the announced one. The request is upstream's and RFC 5227's; the reply names our own hardware
/// address as the target's too, since Linux takes no other reply for gratuitous, where upstream says
/// broadcast and is not heard.
pub fn gratuitous(ip: Ipv4Addr, mac: MacAddr) -> [Vec<u8>; 2] {
    let forms = [
        (ArpOperations::Request, MacAddr::broadcast()),
        (ArpOperations::Reply, mac),
    ];
    forms.map(|(operation, target)| encode(MacAddr::broadcast(), operation, mac, ip, target, ip))
}

fn encode(
    destination: MacAddr,
    operation: ArpOperation,
    sender_mac: MacAddr,
    sender_ip: Ipv4Addr,
    target_mac: MacAddr,
    target_ip: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = vec![0; FRAME_LEN];
    let mut ethernet = MutableEthernetPacket::new(&mut frame).expect("frame has room for Ethernet");
    ethernet.populate(&Ethernet {
        destination,
        source: sender_mac,
        ethertype: EtherTypes::Arp,
        payload: Vec::new(),
    });
    let mut arp =
        MutableArpPacket::new(&mut frame[ETHERNET_LEN..]).expect("frame has room for ARP");
    arp.populate(&Arp {
        hardware_type: ArpHardwareTypes::Ethernet,
        protocol_type: EtherTypes::Ipv4,
        hw_addr_len: MAC_LEN,
        proto_addr_len: IPV4_LEN,
        operation,
        sender_hw_addr: sender_mac,
        sender_proto_addr: sender_ip,
        target_hw_addr: target_mac,
        target_proto_addr: target_ip,
        payload: Vec::new(),
    });
    frame
}

const MAC_LEN: u8 = 6;
const IPV4_LEN: u8 = 4;
const ETHERNET_LEN: usize = EthernetPacket::minimum_packet_size();
const FRAME_LEN: usize = ETHERNET_LEN + ArpPacket::minimum_packet_size();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{ARP_REQUEST, CLIENT, OWN, bytes};

    #[test]
    fn a_captured_request_is_read() {
        let request = decode(&bytes(ARP_REQUEST)).unwrap();
        assert_eq!(
            request,
            Request {
                destination: MacAddr::broadcast(),
                sender_mac: CLIENT,
                sender_ip: Ipv4Addr::new(192, 0, 2, 1),
                target: Ipv4Addr::new(192, 0, 2, 10),
            }
        );
    }

    #[test]
    fn rfc_826_the_reply_goes_to_the_asker_alone() {
        let request = decode(&bytes(ARP_REQUEST)).unwrap();
        let wanted = "02000000000a 02000000000b 0806 0001 0800 06 04 0002
            02000000000b c000020a 02000000000a c0000201";
        assert_eq!(reply(&request, OWN), bytes(wanted));
    }

    #[test]
    fn rfc_5227_an_announcement_is_a_request_and_a_reply_that_linux_takes() {
        let forms = [("0001", "ffffffffffff"), ("0002", "02000000000b")];
        let wanted = forms.map(|(operation, target)| {
            bytes(&format!(
                "ffffffffffff 02000000000b 0806 0001 0800 06 04 {operation}
                 02000000000b c000020a {target} c000020a"
            ))
        });
        assert_eq!(gratuitous(Ipv4Addr::new(192, 0, 2, 10), OWN), wanted);
    }

    #[test]
    fn what_is_no_request_is_dropped_with_its_reason() {
        // Offset and new bytes, reason.
        let table: &[(usize, &[u8], DropReason)] = &[
            (12, &[0x08, 0x00], DropReason::NotNeighborDiscovery),
            (12, &[0x81, 0x00], DropReason::NotNeighborDiscovery),
            (14, &[0, 6], DropReason::NotEthernetIpv4),
            (16, &[0x86, 0xdd], DropReason::NotEthernetIpv4),
            (18, &[8], DropReason::NotEthernetIpv4),
            (19, &[16], DropReason::NotEthernetIpv4),
            (20, &[0, 0], DropReason::NotRequest),
            (20, &[0, 2], DropReason::NotRequest),
            (20, &[1, 1], DropReason::NotRequest),
            (22, &[0xff; 6], DropReason::BadSource),
            (22, &[1, 0, 0x5e, 0, 0, 1], DropReason::BadSource),
            (22, &[0; 6], DropReason::BadSource),
        ];
        for (at, new, reason) in table {
            let mut frame = bytes(ARP_REQUEST);
            frame[*at..at + new.len()].copy_from_slice(new);
            assert_eq!(decode(&frame), Err(*reason), "{new:02x?} at {at}");
        }
    }
}
