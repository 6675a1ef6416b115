//! The way of a route through autonomous systems.

use super::read::Reader;

/// AS_PATH (RFC 4271 section 4.3), the nearest AS first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AsPath(pub Vec<Segment>);

/// Some of the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// In no order.
    Set(Vec<u32>),
    /// In order.
    Sequence(Vec<u32>),
    /// Within a confederation, in order (RFC 5065).
    ConfederationSequence(Vec<u32>),
    /// Within a confederation, in no order (RFC 5065).
    ConfederationSet(Vec<u32>),
}

impl AsPath {
    /// The way from one AS.
    pub fn of(asn: u32) -> Self {
        Self(vec![Segment::Sequence(vec![asn])])
    }

    /// Appends it. Without `four_octet`, numbers that need 32 bits become AS_TRANS.
    pub(super) fn encode(&self, four_octet: bool, out: &mut Vec<u8>) {
        for segment in &self.0 {
            let (kind, asns) = segment.parts();
            for part in asns.chunks(SEGMENT_MAX) {
                let count = u8::try_from(part.len()).expect("at most 255");
                out.extend([kind, count]);
                for asn in part {
                    if four_octet {
                        out.extend(asn.to_be_bytes());
                    } else {
                        let asn = u16::try_from(*asn).unwrap_or(super::AS_TRANS);
                        out.extend(asn.to_be_bytes());
                    }
                }
            }
        }
    }

    /// Nothing if it cannot be read, or a segment is empty (RFC 7606 section 7.2).
    pub(super) fn decode(mut reader: Reader<'_>, four_octet: bool) -> Option<Self> {
        let mut segments = Vec::new();
        while !reader.is_empty() {
            let (kind, count) = (reader.u8()?, reader.u8()?);
            let number = |reader: &mut Reader<'_>| {
                if four_octet {
                    reader.u32()
                } else {
                    reader.u16().map(u32::from)
                }
            };
            let asns: Option<Vec<_>> = (0..count).map(|_| number(&mut reader)).collect();
            let asns = asns.filter(|it| !it.is_empty())?;
            segments.push(match kind {
                1 => Segment::Set(asns),
                2 => Segment::Sequence(asns),
                3 => Segment::ConfederationSequence(asns),
                4 => Segment::ConfederationSet(asns),
                _ => return None,
            });
        }
        Some(Self(segments))
    }
}

impl Segment {
    fn parts(&self) -> (u8, &[u32]) {
        match self {
            Self::Set(asns) => (1, asns),
            Self::Sequence(asns) => (2, asns),
            Self::ConfederationSequence(asns) => (3, asns),
            Self::ConfederationSet(asns) => (4, asns),
        }
    }
}

const SEGMENT_MAX: usize = 255;
