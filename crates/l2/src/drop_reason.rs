/// Why a received frame gets no answer.
///
/// [`DropReason::NotAnnounced`] is the everyday one: somebody asks for an address that is not
/// ours. The others tell of frames that are not requests, or not well-formed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// The frame ends before the fields it must have.
    #[error("frame is shorter than its headers say")]
    TooShort,
    /// Neither ARP nor IPv6; also any frame with a VLAN tag.
    #[error("frame is neither ARP nor IPv6")]
    NotNeighborDiscovery,
    /// The Ethernet destination is another station.
    #[error("frame is addressed to another station")]
    NotForUs,
    /// ARP for something else than IPv4 over Ethernet.
    #[error("ARP is not for IPv4 over Ethernet")]
    NotEthernetIpv4,
    /// An ARP packet with another operation than request.
    #[error("ARP operation is not a request")]
    NotRequest,
    /// An IPv6 packet that is not the message of Neighbor Discovery that is looked for.
    #[error("IPv6 packet is not such a message of neighbor discovery")]
    NotNeighborMessage,
    /// A hop limit below 255: the packet may come through a router (RFC 4861 section 7.1.1).
    #[error("hop limit is not 255, the packet may come from another link")]
    HopLimit,
    /// The ICMP checksum is wrong.
    #[error("ICMPv6 checksum is wrong")]
    Checksum,
    /// The ICMP code is not 0.
    #[error("ICMPv6 code is not 0")]
    Code,
    /// The target address is a multicast or the unspecified address.
    #[error("target is not a unicast address")]
    BadTarget,
    /// An option of length 0, one that runs past the end, or one of the wrong size.
    #[error("option is malformed")]
    BadOption,
    /// The unspecified source where RFC 4861 section 7.1.1 forbids it, a multicast source, or a
    /// link-layer sender that no answer may be sent to.
    #[error("source is not valid for a request")]
    BadSource,
    /// The target is an address that this responder does not announce.
    #[error("target is not announced on this interface")]
    NotAnnounced,
    /// The interface has no IPv6 link-local address to answer from.
    #[error("interface has no link-local address to answer from")]
    NoLinkLocal,
}
