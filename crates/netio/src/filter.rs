//! Classic BPF programs that let the kernel drop what we would drop.

use libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W,
    SKF_AD_IFINDEX, SKF_AD_OFF, SKF_AD_PKTTYPE,
};
use socket2::SockFilter;

/// ARP requests that the link `ifindex` received for itself.
pub(crate) fn arp_requests(ifindex: u32) -> Vec<SockFilter> {
    program(ifindex, &[(BPF_H, 20, 1)])
}

/// Neighbor Solicitations that the link `ifindex` received for itself: `ICMPv6` right behind the
/// IPv6 header, hop limit 255 (RFC 4861 section 7.1.1), type 135.
pub(crate) fn solicitations(ifindex: u32) -> Vec<SockFilter> {
    program(
        ifindex,
        &[(BPF_B, 20, 58), (BPF_B, 21, 255), (BPF_B, 54, 135)],
    )
}

/// Accepts a frame of which every (size, offset, value) matches.
///
/// Two conditions always hold. The frame came from the network for this station or a group: not
/// sent by us, not looped back, not overheard in promiscuous mode, not of a VLAN that has no device
/// here (the kernel marks those as overheard). And its device is the link itself, since a socket
/// bound to a link also sees the frames of the VLANs on it.
fn program(ifindex: u32, fields: &[(u32, u32, u32)]) -> Vec<SockFilter> {
    // Each check jumps to the last instruction, which drops.
    let checks = 2 + fields.len();
    let to_drop =
        |check: usize| u8::try_from(2 * (checks - 1 - check) + 1).expect("program is short");
    let load = |size: u32, at: u32| statement(BPF_LD | size | BPF_ABS, at);

    let mut program = vec![
        load(BPF_W, ancillary(SKF_AD_PKTTYPE)),
        jump(BPF_JGT, u32::from(libc::PACKET_MULTICAST), to_drop(0), 0),
        load(BPF_W, ancillary(SKF_AD_IFINDEX)),
        jump(BPF_JEQ, ifindex, 0, to_drop(1)),
    ];
    for (i, &(size, at, value)) in fields.iter().enumerate() {
        program.extend([load(size, at), jump(BPF_JEQ, value, 0, to_drop(2 + i))]);
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
