//! Classic BPF programs that let the kernel drop what we would drop.

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SKF_AD_IFINDEX, SKF_AD_OFF, SKF_AD_PKTTYPE, SKF_NET_OFF,
};
use socket2::SockFilter;

use crate::looped::Looped;

/// ARP requests and replies that the link `ifindex` received for itself.
pub(crate) fn arp(ifindex: u32) -> Vec<SockFilter> {
    program(ifindex, &[(BPF_H, 20, &[1, 2])])
}

/// Neighbor Solicitations and Advertisements that the link `ifindex` received for itself: `ICMPv6`
/// right behind the IPv6 header, hop limit 255 (RFC 4861 sections 7.1.1 and 7.1.2), type 135 or
/// 136.
pub(crate) fn neighbor_discovery(ifindex: u32) -> Vec<SockFilter> {
    icmpv6(ifindex, &[135, 136])
}

/// Router Solicitations and Advertisements, likewise (RFC 4861 sections 6.1.1 and 6.1.2): type 133
/// or 134.
pub(crate) fn router_discovery(ifindex: u32) -> Vec<SockFilter> {
    icmpv6(ifindex, &[133, 134])
}

fn icmpv6(ifindex: u32, types: &[u32]) -> Vec<SockFilter> {
    program(
        ifindex,
        &[(BPF_B, 20, &[58]), (BPF_B, 21, &[255]), (BPF_B, 54, types)],
    )
}

/// UDP packets in IPv4 that the link `ifindex` received for itself: without options (a header of
/// five words), whole (no fragment), and as they are looked for.
pub(crate) fn looped(ifindex: u32, looped: Looped) -> Vec<SockFilter> {
    program(
        ifindex,
        &[
            (BPF_B, 0, &[0x45]),
            (BPF_H, 6, &[0, 0x4000]),
            (BPF_B, 8, &[looped.ttl.into()]),
            (BPF_B, 9, &[17]),
            (BPF_H, 22, &[looped.port.into()]),
            (BPF_W, 28, &[looped.mark]),
        ],
    )
}

/// What comes to a UDP socket with at least this hop limit. Loads of such a socket count from the
/// UDP header; what stands before it has an offset of its own.
pub(crate) fn hop_limit(v6: bool, least: u8) -> Vec<SockFilter> {
    let at = if v6 { 7 } else { 8 };
    vec![
        statement(BPF_LD | BPF_B | BPF_ABS, (SKF_NET_OFF + at).cast_unsigned()),
        jump(BPF_JGE, least.into(), 0, 1),
        statement(BPF_RET | BPF_K, u32::MAX),
        statement(BPF_RET | BPF_K, 0),
    ]
}

/// The size of a field, where it is, and what may stand in it.
type Field<'a> = (u32, u32, &'a [u32]);

/// Accepts a frame of which every field matches.
///
/// Two conditions always hold. The frame came from the network for this station or a group: not
/// sent by us, not looped back, not overheard in promiscuous mode, not of a VLAN that has no device
/// here (the kernel marks those as overheard). And its device is the link itself, since a socket
/// bound to a link also sees the frames of the VLANs on it.
fn program(ifindex: u32, fields: &[Field<'_>]) -> Vec<SockFilter> {
    let jumps: usize = fields.iter().map(|(_, _, values)| values.len()).sum();
    // A load for each check, its jumps, and an instruction to accept before the one that drops.
    let drop = (2 + fields.len()) + (2 + jumps) + 1;
    let to_drop = |at: usize| u8::try_from(drop - at - 1).expect("program is short");
    let load = |size: u32, at: u32| statement(BPF_LD | size | BPF_ABS, at);

    let mut program = vec![
        load(BPF_W, ancillary(SKF_AD_PKTTYPE)),
        jump(BPF_JGT, u32::from(libc::PACKET_MULTICAST), to_drop(1), 0),
        load(BPF_W, ancillary(SKF_AD_IFINDEX)),
        jump(BPF_JEQ, ifindex, 0, to_drop(3)),
    ];
    for &(size, at, values) in fields {
        program.push(load(size, at));
        for (value, behind) in values.iter().zip((0..values.len()).rev()) {
            let to_next = u8::try_from(behind).expect("program is short");
            let otherwise = if behind == 0 {
                to_drop(program.len())
            } else {
                0
            };
            program.push(jump(BPF_JEQ, *value, to_next, otherwise));
        }
    }
    program.extend([
        statement(BPF_RET | BPF_K, u32::MAX),
        statement(BPF_RET | BPF_K, 0),
    ]);
    program
}

fn ancillary(field: libc::c_int) -> u32 {
    (SKF_AD_OFF + field).cast_unsigned()
}

fn statement(code: u32, k: u32) -> SockFilter {
    instruction(code, 0, 0, k)
}

fn jump(condition: u32, k: u32, if_true: u8, if_false: u8) -> SockFilter {
    instruction(BPF_JMP | condition | BPF_K, if_true, if_false, k)
}

fn instruction(code: u32, if_true: u8, if_false: u8, k: u32) -> SockFilter {
    SockFilter::new(
        u16::try_from(code).expect("BPF codes are 16 bits"),
        if_true,
        if_false,
        k,
    )
}
