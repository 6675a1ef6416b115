//! UPDATE: routes that are there, and routes that are not there any more.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::attribute::{Attributes, code, put};
use super::capability::AfiSafi;
use super::nlri::encode_all;
use super::{Codec, Family};

/// An UPDATE message (RFC 4271 section 4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4 routes that are gone.
    pub withdrawn: Vec<Ipv4Net>,
    /// Routes of any family that are gone.
    pub mp_unreach: Option<MpUnreach>,
    /// Routes of any family that are there.
    pub mp_reach: Option<MpReach>,
    /// What is said of those that are there.
    pub attributes: Attributes,
    /// IPv4 routes that are there.
    pub announced: Vec<Ipv4Net>,
}

/// MP_REACH_NLRI (RFC 4760 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpReach {
    /// Where they lead.
    pub next_hop: NextHop,
    /// The routes.
    pub nlri: Nlri,
}

/// MP_UNREACH_NLRI (RFC 4760 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MpUnreach {
    /// The routes.
    pub nlri: Nlri,
}

/// Prefixes of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nlri {
    /// IPv4 unicast.
    V4(Vec<Ipv4Net>),
    /// IPv6 unicast.
    V6(Vec<Ipv6Net>),
    /// Of a family that is not ours, unread.
    Other(AfiSafi, Vec<u8>),
}

/// A next hop, of the routes' own family or another (RFC 2545, RFC 8950).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, which may be link-local.
    V6(Ipv6Addr),
    /// An IPv6 address, and one on the link.
    V6WithLinkLocal(Ipv6Addr, Ipv6Addr),
    /// Of routes of a family that is not ours, unread.
    Other(Vec<u8>),
}

impl Update {
    /// Says that all routes of a family have been told (RFC 4724 section 2).
    pub fn end_of_rib(family: Family) -> Self {
        let nlri = match family {
            Family::V4 => return Self::default(),
            Family::V6 => Nlri::V6(Vec::new()),
        };
        Self {
            mp_unreach: Some(MpUnreach { nlri }),
            ..Self::default()
        }
    }

    /// The family of which this says that all routes have been told, if it does.
    pub fn is_end_of_rib(&self) -> Option<Family> {
        let family = match &self.mp_unreach {
            None => Family::V4,
            Some(it) if it.nlri.is_empty() => it.nlri.family().family()?,
            Some(_) => return None,
        };
        let bare = Self {
            mp_unreach: self.mp_unreach.clone(),
            ..Self::default()
        };
        (*self == bare).then_some(family)
    }

    /// The routes of our families that are there.
    pub fn reached(&self) -> impl Iterator<Item = IpNet> {
        let multi = self.mp_reach.iter().flat_map(|it| it.nlri.prefixes());
        self.announced.iter().copied().map(IpNet::V4).chain(multi)
    }

    /// The routes of our families that are gone.
    pub fn unreached(&self) -> impl Iterator<Item = IpNet> {
        let multi = self.mp_unreach.iter().flat_map(|it| it.nlri.prefixes());
        self.withdrawn.iter().copied().map(IpNet::V4).chain(multi)
    }

    /// Appends all behind the message's header.
    pub(super) fn encode(&self, codec: Codec, out: &mut Vec<u8>) {
        put_len(out, |out| encode_all(&self.withdrawn, out));
        put_len(out, |out| {
            // RFC 7606 section 5.1: these come first.
            if let Some(it) = &self.mp_reach {
                put(out, code::MP_REACH_NLRI, |out| it.encode(out));
            }
            if let Some(it) = &self.mp_unreach {
                put(out, code::MP_UNREACH_NLRI, |out| {
                    it.nlri.encode_family(out);
                    it.nlri.encode(out);
                });
            }
            self.attributes.encode(codec, out);
        });
        encode_all(&self.announced, out);
    }
}

/// Appends a field with its length before it.
fn put_len(out: &mut Vec<u8>, field: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0, 0]);
    field(out);
    let len = u16::try_from(out.len() - at - 2).expect("a message is shorter");
    out[at..at + 2].copy_from_slice(&len.to_be_bytes());
}

impl MpReach {
    fn encode(&self, out: &mut Vec<u8>) {
        self.nlri.encode_family(out);
        let at = out.len();
        out.push(0);
        match &self.next_hop {
            NextHop::V4(ip) => out.extend(ip.octets()),
            NextHop::V6(ip) => out.extend(ip.octets()),
            NextHop::V6WithLinkLocal(ip, on_link) => {
                out.extend(ip.octets());
                out.extend(on_link.octets());
            }
            NextHop::Other(bytes) => out.extend(bytes),
        }
        out[at] = u8::try_from(out.len() - at - 1).expect("an address is shorter");
        // Reserved.
        out.push(0);
        self.nlri.encode(out);
    }
}

impl Nlri {
    /// Prefixes of any family, as one of these.
    pub fn of(family: Family, prefixes: &[IpNet]) -> Self {
        match family {
            Family::V4 => Self::V4(only_v4(prefixes)),
            Family::V6 => {
                let v6 = prefixes.iter().filter_map(|it| match it {
                    IpNet::V6(it) => Some(*it),
                    IpNet::V4(_) => None,
                });
                Self::V6(v6.collect())
            }
        }
    }

    /// Whose routes they are.
    pub fn family(&self) -> AfiSafi {
        match self {
            Self::V4(_) => Family::V4.into(),
            Self::V6(_) => Family::V6.into(),
            Self::Other(family, _) => *family,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::V4(it) => it.is_empty(),
            Self::V6(it) => it.is_empty(),
            Self::Other(_, it) => it.is_empty(),
        }
    }

    fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        let (v4, v6): (&[Ipv4Net], &[Ipv6Net]) = match self {
            Self::V4(it) => (it, &[]),
            Self::V6(it) => (&[], it),
            Self::Other(..) => (&[], &[]),
        };
        let v4 = v4.iter().copied().map(IpNet::V4);
        v4.chain(v6.iter().copied().map(IpNet::V6))
    }

    fn encode_family(&self, out: &mut Vec<u8>) {
        let AfiSafi(afi, safi) = self.family();
        out.extend(afi.to_be_bytes());
        out.push(safi);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(it) => encode_all(it, out),
            Self::V6(it) => encode_all(it, out),
            Self::Other(_, it) => out.extend(it),
        }
    }
}

/// Those of IPv4.
pub(crate) fn only_v4(prefixes: &[IpNet]) -> Vec<Ipv4Net> {
    let v4 = prefixes.iter().filter_map(|it| match it {
        IpNet::V4(it) => Some(*it),
        IpNet::V6(_) => None,
    });
    v4.collect()
}
