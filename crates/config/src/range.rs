//! Ranges of addresses, as pools list them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// The family of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Addresses of 32 bits.
    V4,
    /// Addresses of 128 bits.
    V6,
}

/// The addresses from a first to a last one, both included, of one family.
///
/// Read from a CIDR (`192.0.2.0/24`, where bits right of the mask are ignored) or from two
/// addresses (`192.0.2.1-192.0.2.9`, with spaces around the addresses if one likes), and shown in
/// the notation it was read in. Ranges are ordered by their first address, IPv4 before IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddrRange {
    first: IpAddr,
    last: IpAddr,
    notation: Notation,
}

/// How the range was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Notation {
    /// `address/length`.
    Cidr(u8),
    /// `first-last`.
    FirstLast,
}

/// Why a text is not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Neither `address/length` nor `first-last`.
    #[error(
        "invalid CIDR {0:?}: write a network as 192.0.2.0/24, a single address with /32 or /128, \
         a range as 192.0.2.1-192.0.2.9"
    )]
    Cidr(String),
    /// The part before the dash is no address.
    #[error("invalid IP range {text:?}: invalid start IP {start:?}")]
    Start {
        /// The range as written.
        text: String,
        /// The part that should be an address.
        start: String,
    },
    /// The part after the dash is no address.
    #[error("invalid IP range {text:?}: invalid end IP {end:?}")]
    End {
        /// The range as written.
        text: String,
        /// The part that should be an address.
        end: String,
    },
    /// The first address is above the last one.
    #[error("invalid IP range {text:?}: start IP \"{start}\" is after the end IP \"{end}\"")]
    Reversed {
        /// The range as written.
        text: String,
        /// The address before the dash.
        start: IpAddr,
        /// The address after the dash.
        end: IpAddr,
    },
    /// One end is an IPv4 address and the other an IPv6 address. Upstream takes such a range for
    /// an empty one.
    #[error("invalid IP range {text:?}: \"{start}\" and \"{end}\" are not of the same IP family")]
    MixedFamilies {
        /// The range as written.
        text: String,
        /// The address before the dash.
        start: IpAddr,
        /// The address after the dash.
        end: IpAddr,
    },
}

impl Family {
    /// The family of `ip`.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family that this one is not.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

impl fmt::Display for Family {
    /// Upstream's words in events: `ipv4`, `ipv6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        })
    }
}

impl AddrRange {
    /// The lowest address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// The family of all its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.first)
    }

    /// How many addresses it has. All of IPv6 has one more than can be said here.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a range has at least one address"
    )]
    pub fn len(&self) -> u128 {
        (bits(self.last) - bits(self.first)).saturating_add(1)
    }

    /// Whether `ip` is one of its addresses.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.first <= ip && ip <= self.last
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// The length of the shortest prefix among the networks that it is made of.
    pub fn shortest_prefix(&self) -> u8 {
        if let Notation::Cidr(length) = self.notation {
            return length;
        }
        let (first, last) = (bits(self.first), bits(self.last));
        let all = match self.family() {
            Family::V4 => 32,
            Family::V6 => 128,
        };
        // A network with so many bits for hosts begins at a multiple of its size.
        let fits = |host: &u8| {
            let rest = u128::MAX >> (128 - u32::from(*host));
            let begin = first.checked_add(rest).map(|it| it & !rest);
            let end = begin.and_then(|begin| begin.checked_add(rest));
            end.is_some_and(|end| end <= last)
        };
        let host = (1..=all).rev().find(fits).unwrap_or(0);
        all - host
    }

    /// How many of its addresses are below `ip`; nothing when `ip` is not in it.
    pub fn offset(&self, ip: IpAddr) -> Option<u128> {
        self.contains(ip).then(|| bits(ip) - bits(self.first))
    }

    /// The address with `offset` others of the range below it; nothing past the last.
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        let bits = bits(self.first).checked_add(offset)?;
        let ip = match self.first {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).ok()?)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        (ip <= self.last).then_some(ip)
    }
}

impl FromStr for AddrRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        match text.split_once('-') {
            Some((start, end)) => from_first_last(text, start, end),
            None => from_cidr(text),
        }
    }
}

impl From<IpNet> for AddrRange {
    fn from(net: IpNet) -> Self {
        let net = net.trunc();
        Self {
            first: net.network(),
            last: net.broadcast(),
            notation: Notation::Cidr(net.prefix_len()),
        }
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.notation {
            Notation::Cidr(length) => write!(f, "{}/{length}", self.first),
            Notation::FirstLast => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

fn from_cidr(text: &str) -> Result<AddrRange, RangeError> {
    parse_net(text)
        .map(|net| unmapped(net).into())
        .ok_or_else(|| RangeError::Cidr(text.to_owned()))
}

/// As Go reads a network: an address without leading zeros, which some take for octal numbers and
/// `ipnet` would let pass, and a length of digits.
fn parse_net(text: &str) -> Option<IpNet> {
    let (addr, length) = text.split_once('/')?;
    let length = length
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| length.parse().ok())?;
    IpNet::new(addr.parse().ok()?, length?).ok()
}

/// An IPv4 network written as an IPv4-mapped IPv6 one (`::ffff:192.0.2.0/120`) is an IPv4 network
/// to upstream too.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let length = v6.prefix_len().checked_sub(96);
    match (v6.addr().to_ipv4_mapped(), length) {
        (Some(addr), Some(length)) => Ipv4Net::new(addr, length).map_or(net, IpNet::V4),
        _ => net,
    }
}

fn from_first_last(text: &str, start: &str, end: &str) -> Result<AddrRange, RangeError> {
    let text = || text.to_owned();
    let Some(first) = parse_ip(start) else {
        return Err(RangeError::Start {
            text: text(),
            start: start.to_owned(),
        });
    };
    let Some(last) = parse_ip(end) else {
        return Err(RangeError::End {
            text: text(),
            end: end.to_owned(),
        });
    };
    if first.is_ipv4() != last.is_ipv4() {
        return Err(RangeError::MixedFamilies {
            text: text(),
            start: first,
            end: last,
        });
    }
    if first > last {
        return Err(RangeError::Reversed {
            text: text(),
            start: first,
            end: last,
        });
    }
    Ok(AddrRange {
        first,
        last,
        notation: Notation::FirstLast,
    })
}

fn parse_ip(text: &str) -> Option<IpAddr> {
    text.trim()
        .parse::<IpAddr>()
        .ok()
        .map(|ip| ip.to_canonical())
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> AddrRange {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_and_shown() {
        for (text, first, last, shown) in [
            ("10.0.0.0/24", "10.0.0.0", "10.0.0.255", "10.0.0.0/24"),
            // Bits right of the mask do not count.
            ("10.0.0.5/24", "10.0.0.0", "10.0.0.255", "10.0.0.0/24"),
            ("1.2.3.4/32", "1.2.3.4", "1.2.3.4", "1.2.3.4/32"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
            (
                "fc00:f853:ccd:e799::/124",
                "fc00:f853:ccd:e799::",
                "fc00:f853:ccd:e799::f",
                "",
            ),
            (
                "2001:db8::42/64",
                "2001:db8::",
                "2001:db8::ffff:ffff:ffff:ffff",
                "2001:db8::/64",
            ),
            (
                "::ffff:192.0.2.7/120",
                "192.0.2.0",
                "192.0.2.255",
                "192.0.2.0/24",
            ),
            ("192.168.9.1-192.168.9.5", "192.168.9.1", "192.168.9.5", ""),
            // The ends of a range are trimmed.
            (
                "192.168.9.1 - 192.168.9.5",
                "192.168.9.1",
                "192.168.9.5",
                "192.168.9.1-192.168.9.5",
            ),
            ("1.1.1.1-1.1.1.1", "1.1.1.1", "1.1.1.1", ""),
            ("fc00::1-fc00::1:0", "fc00::1", "fc00::1:0", ""),
            (
                "::ffff:1.1.1.1-1.1.1.2",
                "1.1.1.1",
                "1.1.1.2",
                "1.1.1.1-1.1.1.2",
            ),
        ] {
            let read = range(text);
            assert_eq!((read.first(), read.last()), (ip(first), ip(last)), "{text}");
            let shown = if shown.is_empty() { text } else { shown };
            assert_eq!(read.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_range_says_why() {
        for (text, error) in [
            ("1.2.3.4", "invalid CIDR \"1.2.3.4\""),
            ("100.200.300.400/24", "invalid CIDR \"100.200.300.400/24\""),
            ("10.0.0.300", "invalid CIDR \"10.0.0.300\""),
            ("1.2.3.0/33", "invalid CIDR \"1.2.3.0/33\""),
            ("2001:db8::/129", "invalid CIDR \"2001:db8::/129\""),
            // Unlike the ends of a range, a CIDR is not trimmed.
            (" 1.2.3.0/24", "invalid CIDR \" 1.2.3.0/24\""),
            ("1.2.3.0/ 24", "invalid CIDR"),
            ("1.2.3.0/", "invalid CIDR"),
            ("010.0.0.0/8", "invalid CIDR"),
            ("10.0.0.0/+8", "invalid CIDR"),
            ("10.0.0.0/8/8", "invalid CIDR"),
            ("", "invalid CIDR \"\""),
            ("office", "invalid CIDR \"office\""),
            ("пул", "invalid CIDR \"пул\""),
            ("-", "invalid IP range \"-\": invalid start IP \"\""),
            (
                "my-pool",
                "invalid IP range \"my-pool\": invalid start IP \"my\"",
            ),
            (
                "10.0.0.300-10.0.1.2",
                "invalid IP range \"10.0.0.300-10.0.1.2\": invalid start IP",
            ),
            (
                "1.1.1.1-",
                "invalid IP range \"1.1.1.1-\": invalid end IP \"\"",
            ),
            (
                "1.1.1.1-1.1.1.2-1.1.1.3",
                "invalid end IP \"1.1.1.2-1.1.1.3\"",
            ),
            ("1.1.1.0/24-1.1.2.0/24", "invalid start IP \"1.1.1.0/24\""),
            ("fe80::1%eth0-fe80::2", "invalid start IP \"fe80::1%eth0\""),
            (
                "1.66.66.66-1.66.66.1",
                "invalid IP range \"1.66.66.66-1.66.66.1\": start IP \"1.66.66.66\" is after the \
                 end IP \"1.66.66.1\"",
            ),
            (
                "fc00::2-fc00::1",
                "start IP \"fc00::2\" is after the end IP \"fc00::1\"",
            ),
            (
                "1.1.1.1-fc00::1",
                "\"1.1.1.1\" and \"fc00::1\" are not of the same IP family",
            ),
            (
                "fc00::1-1.1.1.1",
                "\"fc00::1\" and \"1.1.1.1\" are not of the same IP family",
            ),
        ] {
            let said = text.parse::<AddrRange>().expect_err(text).to_string();
            assert!(said.contains(error), "{text}: {said}");
        }
    }

    #[test]
    fn lengths() {
        for (text, len) in [
            ("1.1.1.1/32", 1),
            ("1.1.1.1-1.1.1.9", 9),
            ("0.0.0.0/0", 1 << 32),
            ("2001:db8::/64", 1 << 64),
            ("::/1", 1 << 127),
            ("::/0", u128::MAX),
        ] {
            assert_eq!(range(text).len(), len, "{text}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        let (all4, all6) = (range("0.0.0.0/0"), range("::/0"));
        assert!(!all4.overlaps(&all6) && !all6.overlaps(&all4));
        assert!(!all4.contains(ip("::1")) && !all6.contains(ip("0.0.0.1")));
        assert_eq!((all4.family(), all6.family()), (Family::V4, Family::V6));
    }

    fn any_range() -> impl Strategy<Value = AddrRange> {
        let ends = |(a, b): (IpAddr, IpAddr)| range(&format!("{}-{}", a.min(b), a.max(b)));
        let v4 = (any::<Ipv4Addr>(), any::<Ipv4Addr>());
        let v6 = (any::<Ipv6Addr>(), any::<Ipv6Addr>());
        let unmapped = |ip: &Ipv6Addr| ip.to_ipv4_mapped().is_none();
        prop_oneof![
            v4.prop_map(|(a, b)| (IpAddr::V4(a), IpAddr::V4(b)))
                .prop_map(ends),
            v6.prop_filter("IPv6", move |(a, b)| unmapped(a) && unmapped(b))
                .prop_map(|(a, b)| (IpAddr::V6(a), IpAddr::V6(b)))
                .prop_map(ends),
            (any::<Ipv4Addr>(), 0..=32u8).prop_map(|(a, n)| range(&format!("{a}/{n}"))),
        ]
    }

    proptest! {
        #[test]
        fn shown_and_read_again_is_the_same(range in any_range()) {
            prop_assert_eq!(range.to_string().parse::<AddrRange>(), Ok(range));
        }

        #[test]
        fn offset_and_nth_are_inverse(range in any_range(), at in any::<u128>()) {
            let at = at % range.len();
            let ip = range.nth(at).unwrap();
            prop_assert!(range.contains(ip));
            prop_assert_eq!(range.offset(ip), Some(at));
            prop_assert_eq!(range.nth(range.len()), None);
        }

        #[test]
        fn overlap_is_a_shared_end(a in any_range(), b in any_range()) {
            let shared = a.contains(b.first()) || b.contains(a.first());
            prop_assert_eq!(a.overlaps(&b), shared);
            prop_assert_eq!(b.overlaps(&a), shared);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<AddrRange>();
        }
    }
}
