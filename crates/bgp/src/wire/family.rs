//! Address families (RFC 4760).

use std::fmt;

/// Whose routes are exchanged: unicast routes of IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    V4,
    /// AFI 2, SAFI 1.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of these numbers, if it is one of ours.
    pub fn new(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::V4),
            (2, 1) => Some(Self::V6),
            _ => None,
        }
    }

    /// Its Address Family Identifier.
    pub fn afi(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    /// Its Subsequent Address Family Identifier.
    pub fn safi(self) -> u8 {
        1
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ipv4Unicast",
            Self::V6 => "ipv6Unicast",
        })
    }
}
