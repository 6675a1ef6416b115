//! Path attributes: what is said of routes.

use std::net::Ipv4Addr;

use super::Codec;
use super::as_path::AsPath;

/// What an UPDATE message says of the routes in it, beside where they lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// ORIGIN (RFC 4271 section 5.1.1).
    pub origin: Option<Origin>,
    /// AS_PATH.
    pub as_path: Option<AsPath>,
    /// NEXT_HOP, of the IPv4 routes that stand in the message itself.
    pub next_hop: Option<Ipv4Addr>,
    /// MULTI_EXIT_DISC.
    pub multi_exit_disc: Option<u32>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES (RFC 1997).
    pub communities: Vec<u32>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    pub cluster_list: Vec<u32>,
    /// Extended communities (RFC 4360).
    pub extended_communities: Vec<u64>,
    /// AS4_PATH, from those who do not know AS numbers of 32 bits (RFC 6793).
    pub as4_path: Option<AsPath>,
    /// AS4_AGGREGATOR, likewise.
    pub as4_aggregator: Option<Aggregator>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// Only to Customer (RFC 9234).
    pub only_to_customer: Option<u32>,
    /// Those that we do not know.
    pub unknown: Vec<UnknownAttribute>,
}

/// Where a route came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From within its AS.
    Igp,
    /// From the protocol before BGP.
    Egp,
    /// From elsewhere.
    Incomplete,
}

/// Who aggregated routes into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Aggregator {
    /// Its AS.
    pub asn: u32,
    /// Its identifier.
    pub identifier: Ipv4Addr,
}

/// A large community (RFC 8092).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LargeCommunity(pub u32, pub u32, pub u32);

/// An attribute that we do not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownAttribute {
    /// Its flags, without that of its length.
    pub flags: u8,
    /// Its number.
    pub code: u8,
    /// What it says.
    pub value: Vec<u8>,
}

pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED_LENGTH: u8 = 0x10;

/// Attribute numbers.
pub(super) mod code {
    pub(crate) const ORIGIN: u8 = 1;
    pub(crate) const AS_PATH: u8 = 2;
    pub(crate) const NEXT_HOP: u8 = 3;
    pub(crate) const MULTI_EXIT_DISC: u8 = 4;
    pub(crate) const LOCAL_PREF: u8 = 5;
    pub(crate) const ATOMIC_AGGREGATE: u8 = 6;
    pub(crate) const AGGREGATOR: u8 = 7;
    pub(crate) const COMMUNITIES: u8 = 8;
    pub(crate) const ORIGINATOR_ID: u8 = 9;
    pub(crate) const CLUSTER_LIST: u8 = 10;
    pub(crate) const MP_REACH_NLRI: u8 = 14;
    pub(crate) const MP_UNREACH_NLRI: u8 = 15;
    pub(crate) const EXTENDED_COMMUNITIES: u8 = 16;
    pub(crate) const AS4_PATH: u8 = 17;
    pub(crate) const AS4_AGGREGATOR: u8 = 18;
    pub(crate) const LARGE_COMMUNITY: u8 = 32;
    pub(crate) const ONLY_TO_CUSTOMER: u8 = 35;
}

/// The flags of an attribute: well-known, optional, optional and passed on.
pub(super) fn flags(code: u8) -> Option<u8> {
    match code {
        code::ORIGIN
        | code::AS_PATH
        | code::NEXT_HOP
        | code::LOCAL_PREF
        | code::ATOMIC_AGGREGATE => Some(TRANSITIVE),
        code::MULTI_EXIT_DISC
        | code::ORIGINATOR_ID
        | code::CLUSTER_LIST
        | code::MP_REACH_NLRI
        | code::MP_UNREACH_NLRI => Some(OPTIONAL),
        code::AGGREGATOR
        | code::COMMUNITIES
        | code::EXTENDED_COMMUNITIES
        | code::AS4_PATH
        | code::AS4_AGGREGATOR
        | code::LARGE_COMMUNITY
        | code::ONLY_TO_CUSTOMER => Some(OPTIONAL | TRANSITIVE),
        _ => None,
    }
}

impl Attributes {
    /// Appends them, by their numbers (RFC 4271 section 5).
    pub(super) fn encode(&self, codec: Codec, out: &mut Vec<u8>) {
        let four = codec.four_octet;
        if let Some(origin) = self.origin {
            put(out, code::ORIGIN, |out| out.push(origin.number()));
        }
        if let Some(as_path) = &self.as_path {
            put(out, code::AS_PATH, |out| as_path.encode(four, out));
        }
        if let Some(next_hop) = self.next_hop {
            put(out, code::NEXT_HOP, |out| out.extend(next_hop.octets()));
        }
        put_u32(out, code::MULTI_EXIT_DISC, self.multi_exit_disc);
        put_u32(out, code::LOCAL_PREF, self.local_pref);
        if self.atomic_aggregate {
            put(out, code::ATOMIC_AGGREGATE, |_| {});
        }
        if let Some(it) = self.aggregator {
            put(out, code::AGGREGATOR, |out| it.encode(four, out));
        }
        put_all(out, code::COMMUNITIES, &self.communities, |it| {
            it.to_be_bytes()
        });
        let originator = self.originator_id.map(u32::from);
        put_u32(out, code::ORIGINATOR_ID, originator);
        put_all(out, code::CLUSTER_LIST, &self.cluster_list, |it| {
            it.to_be_bytes()
        });
        let extended = &self.extended_communities;
        put_all(out, code::EXTENDED_COMMUNITIES, extended, |it| {
            it.to_be_bytes()
        });
        if let Some(as_path) = &self.as4_path {
            put(out, code::AS4_PATH, |out| as_path.encode(true, out));
        }
        if let Some(it) = self.as4_aggregator {
            put(out, code::AS4_AGGREGATOR, |out| it.encode(true, out));
        }
        let large = &self.large_communities;
        put_all(out, code::LARGE_COMMUNITY, large, LargeCommunity::octets);
        put_u32(out, code::ONLY_TO_CUSTOMER, self.only_to_customer);
        for unknown in &self.unknown {
            put_flagged(out, unknown.flags, unknown.code, |out| {
                out.extend(&unknown.value);
            });
        }
    }
}

fn put_u32(out: &mut Vec<u8>, code: u8, value: Option<u32>) {
    if let Some(value) = value {
        put(out, code, |out| out.extend(value.to_be_bytes()));
    }
}

fn put_all<T, const N: usize>(
    out: &mut Vec<u8>,
    code: u8,
    all: &[T],
    octets: impl Fn(&T) -> [u8; N],
) {
    if !all.is_empty() {
        put(out, code, |out| out.extend(all.iter().flat_map(octets)));
    }
}

/// Appends an attribute that we know.
pub(super) fn put(out: &mut Vec<u8>, code: u8, value: impl FnOnce(&mut Vec<u8>)) {
    let flags = flags(code).expect("it is one that we know");
    put_flagged(out, flags, code, value);
}

fn put_flagged(out: &mut Vec<u8>, flags: u8, code: u8, value: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([flags, code, 0]);
    value(out);
    let len = out.len() - at - 3;
    if let Ok(len) = u8::try_from(len) {
        out[at + 2] = len;
    } else {
        let len = u16::try_from(len).expect("a message is shorter");
        out[at] |= EXTENDED_LENGTH;
        out.splice(at + 2..at + 3, len.to_be_bytes());
    }
}

impl Origin {
    fn number(self) -> u8 {
        match self {
            Self::Igp => 0,
            Self::Egp => 1,
            Self::Incomplete => 2,
        }
    }

    pub(super) fn new(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Igp),
            1 => Some(Self::Egp),
            2 => Some(Self::Incomplete),
            _ => None,
        }
    }
}

impl Aggregator {
    fn encode(self, four_octet: bool, out: &mut Vec<u8>) {
        if four_octet {
            out.extend(self.asn.to_be_bytes());
        } else {
            let asn = u16::try_from(self.asn).unwrap_or(super::AS_TRANS);
            out.extend(asn.to_be_bytes());
        }
        out.extend(self.identifier.octets());
    }
}

impl LargeCommunity {
    fn octets(&self) -> [u8; 12] {
        let mut octets = [0; 12];
        for (part, number) in octets.chunks_mut(4).zip([self.0, self.1, self.2]) {
            part.copy_from_slice(&number.to_be_bytes());
        }
        octets
    }
}
