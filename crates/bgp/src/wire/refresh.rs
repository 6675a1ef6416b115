//! ROUTE-REFRESH: send your routes again (RFC 2918, RFC 7313).

use super::capability::AfiSafi;
use super::notification::{ErrorCode, Notification};
use super::read::Reader;

/// A ROUTE-REFRESH message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Whose routes.
    pub family: AfiSafi,
    /// What about them.
    pub kind: RefreshKind,
}

/// What a ROUTE-REFRESH message says (RFC 7313 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshKind {
    /// Send them again.
    Request,
    /// They follow.
    Begin,
    /// That was all of them.
    End,
    /// Nothing that we know; it is passed over.
    Unknown(u8),
}

impl RefreshKind {
    fn number(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::Begin => 1,
            Self::End => 2,
            Self::Unknown(number) => number,
        }
    }
}

impl RouteRefresh {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let AfiSafi(afi, safi) = self.family;
        out.extend(afi.to_be_bytes());
        out.extend([self.kind.number(), safi]);
    }

    /// `frame` is the whole message, for the answer to a bad one.
    pub(super) fn decode(mut reader: Reader<'_>, frame: &[u8]) -> Result<Self, Notification> {
        let error = || Notification::with(ErrorCode::BAD_REFRESH_LENGTH, frame);
        let afi = reader.u16().ok_or_else(error)?;
        let kind = match reader.u8().ok_or_else(error)? {
            0 => RefreshKind::Request,
            1 => RefreshKind::Begin,
            2 => RefreshKind::End,
            other => RefreshKind::Unknown(other),
        };
        let safi = reader.u8().ok_or_else(error)?;
        // RFC 7313 section 5: more is an error in these two. In a request it may be a filter
        // (RFC 5291), which we have not offered to obey.
        if !reader.is_empty() && matches!(kind, RefreshKind::Begin | RefreshKind::End) {
            return Err(error());
        }
        Ok(Self {
            family: AfiSafi(afi, safi),
            kind,
        })
    }
}
