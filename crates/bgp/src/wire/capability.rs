//! What a speaker can do beyond RFC 4271 (RFC 5492).

use std::collections::BTreeSet;

use super::Family;
use super::read::Reader;

/// A capability, as an OPEN message tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Routes of a family (RFC 4760).
    Multiprotocol(AfiSafi),
    /// Sends its routes again when asked (RFC 2918).
    RouteRefresh,
    /// Takes next hops of another family (RFC 8950): AFI and SAFI of the routes, AFI of the next
    /// hop.
    ExtendedNextHop(Vec<(AfiSafi, u16)>),
    /// Messages of up to 65,535 bytes (RFC 8654).
    ExtendedMessage,
    /// Keeps forwarding while it restarts (RFC 4724).
    GracefulRestart(GracefulRestart),
    /// AS numbers of 32 bits (RFC 6793), and its own.
    FourOctetAs(u32),
    /// Marks the beginning and the end of routes sent again (RFC 7313).
    EnhancedRouteRefresh,
    /// Keeps routes for longer than a restart (RFC 9494).
    LongLivedGracefulRestart(Vec<LongLived>),
    /// What it is called (draft-walton-bgp-hostname-capability).
    Fqdn {
        /// Name of the host.
        host: Vec<u8>,
        /// Its domain.
        domain: Vec<u8>,
    },
    /// One that we do not know, which does no harm (RFC 5492 section 3).
    Unknown {
        /// Its number.
        code: u8,
        /// All of it.
        value: Vec<u8>,
    },
}

/// AFI and SAFI, of our families or others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AfiSafi(pub u16, pub u8);

/// Part of a graceful restart (RFC 4724 section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// It has just restarted.
    pub restarting: bool,
    /// A NOTIFICATION begins a graceful restart as well (RFC 8538).
    pub notification: bool,
    /// How long its routes are to be kept while it is away, in seconds, 12 bits.
    pub time: u16,
    /// The families whose routes are to be kept, and whether it kept forwarding.
    pub families: Vec<(AfiSafi, bool)>,
}

/// Routes of a family that are kept for long (RFC 9494 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLived {
    /// The family.
    pub family: AfiSafi,
    /// Whether it kept forwarding.
    pub forwarding: bool,
    /// For how long, in seconds, 24 bits.
    pub time: u32,
}

impl AfiSafi {
    /// The family of ours that this is.
    pub fn family(self) -> Option<Family> {
        Family::new(self.0, self.1)
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self(reader.u16()?, reader.u8()?))
    }
}

impl From<Family> for AfiSafi {
    fn from(family: Family) -> Self {
        Self(family.afi(), family.safi())
    }
}

impl Capability {
    /// Appends it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend([self.code(), 0]);
        match self {
            Self::RouteRefresh | Self::ExtendedMessage | Self::EnhancedRouteRefresh => {}
            Self::Multiprotocol(AfiSafi(afi, safi)) => {
                out.extend(afi.to_be_bytes());
                out.extend([0, *safi]);
            }
            Self::ExtendedNextHop(all) => {
                for (AfiSafi(afi, safi), next_hop) in all {
                    out.extend(afi.to_be_bytes());
                    out.extend([0, *safi]);
                    out.extend(next_hop.to_be_bytes());
                }
            }
            Self::GracefulRestart(it) => it.encode(out),
            Self::FourOctetAs(asn) => out.extend(asn.to_be_bytes()),
            Self::LongLivedGracefulRestart(all) => {
                for it in all {
                    let AfiSafi(afi, safi) = it.family;
                    out.extend(afi.to_be_bytes());
                    out.extend([safi, if it.forwarding { FORWARDING } else { 0 }]);
                    out.extend(&it.time.to_be_bytes()[1..]);
                }
            }
            Self::Fqdn { host, domain } => {
                for name in [host, domain] {
                    let name = &name[..name.len().min(FQDN_PART)];
                    out.push(u8::try_from(name.len()).expect("at most 64"));
                    out.extend(name);
                }
            }
            Self::Unknown { value, .. } => out.extend(value),
        }
        // More than that is nothing that we would say of ourselves.
        out.truncate(at + 2 + usize::from(u8::MAX));
        out[at + 1] = u8::try_from(out.len() - at - 2).expect("it was cut to that");
    }

    fn code(&self) -> u8 {
        match self {
            Self::Multiprotocol(_) => 1,
            Self::RouteRefresh => 2,
            Self::ExtendedNextHop(_) => 5,
            Self::ExtendedMessage => 6,
            Self::GracefulRestart(_) => 64,
            Self::FourOctetAs(_) => 65,
            Self::EnhancedRouteRefresh => 70,
            Self::LongLivedGracefulRestart(_) => 71,
            Self::Fqdn { .. } => 73,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// Takes one; nothing if it is cut off or not what its number says.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let code = reader.u8()?;
        let mut value = reader.behind_u8()?;
        let capability = match code {
            1 => {
                let (afi, _) = (value.u16()?, value.u8()?);
                Self::Multiprotocol(AfiSafi(afi, value.u8()?))
            }
            2 => Self::RouteRefresh,
            5 => Self::ExtendedNextHop(all(&mut value, |it| {
                let (afi, safi) = (it.u16()?, it.u16()?);
                Some((AfiSafi(afi, u8::try_from(safi).ok()?), it.u16()?))
            })?),
            6 => Self::ExtendedMessage,
            64 => Self::GracefulRestart(GracefulRestart::decode(&mut value)?),
            65 => Self::FourOctetAs(value.u32()?),
            70 => Self::EnhancedRouteRefresh,
            71 => Self::LongLivedGracefulRestart(all(&mut value, LongLived::decode)?),
            73 => {
                let host = value.behind_u8()?.rest().to_vec();
                let domain = value.behind_u8()?.rest().to_vec();
                let fits = |it: &[u8]| it.len() <= FQDN_PART;
                (fits(&host) && fits(&domain)).then_some(Self::Fqdn { host, domain })?
            }
            _ => Self::Unknown {
                code,
                value: value.rest().to_vec(),
            },
        };
        value.is_empty().then_some(capability)
    }
}

impl GracefulRestart {
    fn encode(&self, out: &mut Vec<u8>) {
        let flags = u16::from(self.restarting) << 15 | u16::from(self.notification) << 14;
        out.extend((flags | (self.time & RESTART_TIME)).to_be_bytes());
        for (AfiSafi(afi, safi), forwarding) in &self.families {
            out.extend(afi.to_be_bytes());
            out.extend([*safi, if *forwarding { FORWARDING } else { 0 }]);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let head = reader.u16()?;
        let families = all(reader, |it| {
            let family = AfiSafi::decode(it)?;
            Some((family, it.u8()? & FORWARDING != 0))
        })?;
        Some(Self {
            restarting: head & 1 << 15 != 0,
            notification: head & 1 << 14 != 0,
            time: head & RESTART_TIME,
            families,
        })
    }

    /// The families of ours in it.
    pub fn our_families(&self) -> BTreeSet<Family> {
        let families = self.families.iter();
        families.filter_map(|(it, _)| it.family()).collect()
    }
}

impl LongLived {
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let family = AfiSafi::decode(reader)?;
        let forwarding = reader.u8()? & FORWARDING != 0;
        let [high, middle, low] = reader.array()?;
        Some(Self {
            family,
            forwarding,
            time: u32::from_be_bytes([0, high, middle, low]),
        })
    }
}

fn all<T>(
    reader: &mut Reader<'_>,
    mut one: impl FnMut(&mut Reader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !reader.is_empty() {
        all.push(one(reader)?);
    }
    Some(all)
}

const FORWARDING: u8 = 0x80;
const RESTART_TIME: u16 = 0x0fff;
/// The longest part of a name.
const FQDN_PART: usize = 64;
