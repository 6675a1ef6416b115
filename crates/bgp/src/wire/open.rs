//! OPEN: who speaks, and what it can do.

use std::net::Ipv4Addr;

use super::Family;
use super::capability::{AfiSafi, Capability, GracefulRestart};
use super::notification::{ErrorCode, Notification};
use super::read::Reader;

/// An OPEN message (RFC 4271 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// AS number of the speaker, [`AS_TRANS`] when it does not fit.
    pub my_as: u16,
    /// Hold time, in seconds.
    pub hold_time: u16,
    /// BGP identifier.
    pub identifier: Ipv4Addr,
    /// What the speaker can do.
    pub capabilities: Vec<Capability>,
}

/// Stands for an AS number that needs 32 bits (RFC 6793).
pub const AS_TRANS: u16 = 23456;

const VERSION: u8 = 4;
const CAPABILITIES: u8 = 2;
/// RFC 9072: the parameters' lengths have two bytes.
const EXTENDED: u8 = 255;

impl Open {
    /// AS number of the speaker.
    pub fn asn(&self) -> u32 {
        let four_octet = self.capabilities.iter().find_map(|it| match it {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
        four_octet.unwrap_or_else(|| self.my_as.into())
    }

    /// Whether it has this capability, one without parameters.
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether it speaks of 32-bit AS numbers.
    pub fn has_four_octet_as(&self) -> bool {
        let is_it = |it: &Capability| matches!(it, Capability::FourOctetAs(_));
        self.capabilities.iter().any(is_it)
    }

    /// Whether it exchanges routes of a family. Without a word on families, that is IPv4 alone
    /// (RFC 4760 section 8).
    pub fn has_family(&self, family: Family) -> bool {
        let is_multi = |it: &&Capability| matches!(it, Capability::Multiprotocol(_));
        match self.capabilities.iter().find(is_multi) {
            Some(_) => self.has(&Capability::Multiprotocol(family.into())),
            None => family == Family::V4,
        }
    }

    /// Whether it takes IPv6 next hops for IPv4 routes.
    pub fn takes_v6_next_hops(&self) -> bool {
        let wanted = (AfiSafi::from(Family::V4), Family::V6.afi());
        self.capabilities.iter().any(|it| match it {
            Capability::ExtendedNextHop(all) => all.contains(&wanted),
            _ => false,
        })
    }

    /// What it says on graceful restarts. Of several, the last counts (RFC 4724 section 3).
    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities.iter().rev().find_map(|it| match it {
            Capability::GracefulRestart(it) => Some(it),
            _ => None,
        })
    }

    /// Appends all behind the message's header.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend(self.my_as.to_be_bytes());
        out.extend(self.hold_time.to_be_bytes());
        out.extend(self.identifier.octets());
        let mut capabilities = Vec::new();
        for capability in &self.capabilities {
            capability.encode(&mut capabilities);
        }
        if capabilities.is_empty() {
            return out.push(0);
        }
        match u8::try_from(capabilities.len() + 2) {
            Ok(len) if len != EXTENDED => out.extend([len, CAPABILITIES, len - 2]),
            _ => {
                let len = u16::try_from(capabilities.len()).expect("a message is shorter");
                out.extend([EXTENDED, EXTENDED]);
                out.extend((len + 3).to_be_bytes());
                out.push(CAPABILITIES);
                out.extend(len.to_be_bytes());
            }
        }
        out.extend(capabilities);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Self, Notification> {
        let malformed = || Notification::new(ErrorCode::OPEN_MALFORMED);
        let version = reader.u8().ok_or_else(malformed)?;
        if version != VERSION {
            let data = [0, VERSION];
            return Err(Notification::with(ErrorCode::UNSUPPORTED_VERSION, data));
        }
        let my_as = reader.u16().ok_or_else(malformed)?;
        let hold_time = reader.u16().ok_or_else(malformed)?;
        let identifier = reader.array::<4>().ok_or_else(malformed)?.into();
        let capabilities = decode_parameters(&mut reader)?;
        Ok(Self {
            my_as,
            hold_time,
            identifier,
            capabilities,
        })
    }
}

fn decode_parameters(reader: &mut Reader<'_>) -> Result<Vec<Capability>, Notification> {
    let malformed = || Notification::new(ErrorCode::OPEN_MALFORMED);
    let len = reader.u8().ok_or_else(malformed)?;
    let mut extended = *reader;
    // RFC 9072 section 2: a first parameter of this type says so, whatever the length before it.
    let is_extended = len != 0 && extended.u8() == Some(EXTENDED);
    let parameters = if is_extended {
        *reader = extended;
        reader.behind_u16()
    } else {
        reader.take(len.into()).map(Reader::new)
    };
    let mut parameters = parameters.ok_or_else(malformed)?;
    if !reader.is_empty() {
        return Err(malformed());
    }
    let mut capabilities = Vec::new();
    while !parameters.is_empty() {
        let kind = parameters.u8().ok_or_else(malformed)?;
        let value = if is_extended {
            parameters.behind_u16()
        } else {
            parameters.behind_u8()
        };
        let mut value = value.ok_or_else(malformed)?;
        if kind != CAPABILITIES {
            let error = ErrorCode::UNSUPPORTED_OPTIONAL_PARAMETER;
            return Err(Notification::new(error));
        }
        while !value.is_empty() {
            let capability = Capability::decode(&mut value).ok_or_else(malformed)?;
            // What is said twice is meant once (RFC 5492 section 4).
            if !capabilities.contains(&capability) {
                capabilities.push(capability);
            }
        }
    }
    Ok(capabilities)
}
