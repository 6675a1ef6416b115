//! UPDATE messages as they come in, with what RFC 7606 does about what is wrong with them: most
//! faults cost the routes in the message or one attribute, and few cost the session.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::as_path::AsPath;
use super::attribute::{
    Aggregator, Attributes, EXTENDED_LENGTH, LargeCommunity, OPTIONAL, Origin, PARTIAL, TRANSITIVE,
    UnknownAttribute, code, flags,
};
use super::capability::AfiSafi;
use super::nlri::decode_all;
use super::notification::{ErrorCode, Notification};
use super::read::Reader;
use super::update::{MpReach, MpUnreach, NextHop, Nlri, Update};
use super::{Codec, Family};

/// Something wrong with an UPDATE message that does not end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Number of the attribute; 0 if it is about all of them.
    pub attribute: u8,
    /// What is done about it.
    pub action: Action,
}

/// What is done about a fault (RFC 7606 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The attribute is as good as not there.
    AttributeDiscard,
    /// The routes in the message are as good as withdrawn.
    TreatAsWithdraw,
}

/// What was read of an attribute list so far.
struct Reading {
    codec: Codec,
    attributes: Attributes,
    mp_reach: Option<MpReach>,
    mp_unreach: Option<MpUnreach>,
    /// By number.
    seen: [bool; 256],
    faults: Vec<Fault>,
}

/// An attribute, before it is looked at.
struct Raw<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
}

pub(super) fn decode(
    mut body: Reader<'_>,
    codec: Codec,
) -> Result<(Update, Vec<Fault>), Notification> {
    let malformed = || Notification::new(ErrorCode::MALFORMED_ATTRIBUTE_LIST);
    let invalid = || Notification::new(ErrorCode::INVALID_NETWORK_FIELD);
    let withdrawn = body.behind_u16().ok_or_else(malformed)?;
    let attributes = body.behind_u16().ok_or_else(malformed)?;
    // Before anything else, so that a later fault can treat them as withdrawn.
    let withdrawn = decode_all(withdrawn).ok_or_else(invalid)?;
    let announced = decode_all(body).ok_or_else(invalid)?;

    let mut reading = Reading {
        codec,
        attributes: Attributes::default(),
        mp_reach: None,
        mp_unreach: None,
        seen: [false; 256],
        faults: Vec::new(),
    };
    reading.all(attributes)?;
    reading.look_for_what_must_be_there(!announced.is_empty());
    let update = Update {
        withdrawn,
        mp_unreach: reading.mp_unreach,
        mp_reach: reading.mp_reach,
        attributes: reading.attributes,
        announced,
    };
    Ok((update, reading.faults))
}

impl<'a> Raw<'a> {
    fn take(list: &mut Reader<'a>) -> Option<Self> {
        let (flags, code) = (list.u8()?, list.u8()?);
        let value = if flags & EXTENDED_LENGTH == 0 {
            list.behind_u8()?
        } else {
            list.behind_u16()?
        };
        let mut value = value;
        Some(Self {
            flags,
            code,
            value: value.rest(),
        })
    }

    /// As it is shown to the peer that sent it.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.flags, self.code];
        if self.flags & EXTENDED_LENGTH == 0 {
            bytes.extend(u8::try_from(self.value.len()));
        } else {
            let len = u16::try_from(self.value.len()).unwrap_or(u16::MAX);
            bytes.extend(len.to_be_bytes());
        }
        bytes.extend(self.value);
        bytes
    }
}

impl Reading {
    fn all(&mut self, mut list: Reader<'_>) -> Result<(), Notification> {
        while !list.is_empty() {
            let Some(raw) = Raw::take(&mut list) else {
                // RFC 7606 section 4: what can be read of the list is read, and no more.
                self.fault(0, Action::TreatAsWithdraw);
                break;
            };
            if std::mem::replace(&mut self.seen[usize::from(raw.code)], true) {
                self.again(&raw)?;
                continue;
            }
            // RFC 7606 section 3 c. What has a family is read nevertheless, to be withdrawn.
            let kind = raw.flags & (OPTIONAL | TRANSITIVE);
            let fits = flags(raw.code).is_none_or(|expected| expected == kind);
            if !fits {
                self.fault(raw.code, Action::TreatAsWithdraw);
            }
            match raw.code {
                code::MP_REACH_NLRI => {
                    let it = mp_reach(Reader::new(raw.value));
                    let it = it.ok_or_else(|| optional(&raw))?;
                    if !it.next_hop.is_usable() {
                        self.fault(raw.code, Action::TreatAsWithdraw);
                    }
                    self.mp_reach = Some(it);
                }
                code::MP_UNREACH_NLRI => {
                    let it = mp_unreach(Reader::new(raw.value));
                    self.mp_unreach = Some(it.ok_or_else(|| optional(&raw))?);
                }
                _ if fits => self.one(&raw),
                _ => {}
            }
        }
        Ok(())
    }

    /// RFC 7606 section 3 g.
    fn again(&mut self, raw: &Raw<'_>) -> Result<(), Notification> {
        if let code::MP_REACH_NLRI | code::MP_UNREACH_NLRI = raw.code {
            let error = ErrorCode::MALFORMED_ATTRIBUTE_LIST;
            return Err(Notification::new(error));
        }
        self.fault(raw.code, Action::AttributeDiscard);
        Ok(())
    }

    /// RFC 7606 section 7, attribute by attribute.
    fn one(&mut self, raw: &Raw<'_>) {
        let is_from_within = self.codec.internal;
        match raw.code {
            // From outside, these are nobody's business (sections 7.5, 7.9 and 7.10).
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST if !is_from_within => {
                self.fault(raw.code, Action::AttributeDiscard);
            }
            // RFC 6793 section 4.1: those who know longer numbers do not send them.
            code::AS4_PATH | code::AS4_AGGREGATOR if self.codec.four_octet => {
                self.fault(raw.code, Action::AttributeDiscard);
            }
            _ if self.read(raw).is_none() => self.fault(raw.code, action(raw.code)),
            _ => {}
        }
    }

    /// Nothing if it cannot be what its number says.
    fn read(&mut self, raw: &Raw<'_>) -> Option<()> {
        let four_octet = self.codec.four_octet;
        let value = Reader::new(raw.value);
        let it = &mut self.attributes;
        match raw.code {
            code::ORIGIN => it.origin = Some(Origin::new(exactly(value, Reader::u8)?)?),
            code::AS_PATH => it.as_path = Some(AsPath::decode(value, four_octet)?),
            code::NEXT_HOP => {
                let next_hop = Ipv4Addr::from(exactly(value, Reader::u32)?);
                it.next_hop = Some(next_hop).filter(|it| is_usable_v4(*it));
                it.next_hop?;
            }
            code::MULTI_EXIT_DISC => it.multi_exit_disc = Some(exactly(value, Reader::u32)?),
            code::LOCAL_PREF => it.local_pref = Some(exactly(value, Reader::u32)?),
            code::ATOMIC_AGGREGATE => it.atomic_aggregate = value.is_empty().then_some(true)?,
            code::AGGREGATOR => it.aggregator = Some(aggregator(value, four_octet)?),
            code::COMMUNITIES => it.communities = some(value)?.all_u32()?,
            code::ORIGINATOR_ID => it.originator_id = Some(exactly(value, Reader::u32)?.into()),
            code::CLUSTER_LIST => it.cluster_list = some(value)?.all_u32()?,
            code::EXTENDED_COMMUNITIES => {
                let chunks = chunks::<8>(value)?;
                it.extended_communities = chunks.into_iter().map(u64::from_be_bytes).collect();
            }
            code::AS4_PATH => it.as4_path = Some(AsPath::decode(value, true)?),
            code::AS4_AGGREGATOR => it.as4_aggregator = Some(aggregator(value, true)?),
            code::LARGE_COMMUNITY => {
                let numbers = |it: [u8; 12]| {
                    let mut it = Reader::new(&it);
                    Some(LargeCommunity(it.u32()?, it.u32()?, it.u32()?))
                };
                let all = chunks(value)?.into_iter().filter_map(numbers);
                it.large_communities = all.collect();
            }
            code::ONLY_TO_CUSTOMER => it.only_to_customer = Some(exactly(value, Reader::u32)?),
            // One that everybody must know, and we do not: so its flags are wrong.
            _ if raw.flags & OPTIONAL == 0 => return None,
            code => it.unknown.push(UnknownAttribute {
                flags: raw.flags & (OPTIONAL | TRANSITIVE | PARTIAL),
                code,
                value: raw.value.to_vec(),
            }),
        }
        Some(())
    }

    /// RFC 7606 section 3 d: what every route has.
    fn look_for_what_must_be_there(&mut self, has_announced: bool) {
        if !has_announced && self.mp_reach.is_none() {
            return;
        }
        let missing = [
            (code::ORIGIN, true),
            (code::AS_PATH, true),
            (code::NEXT_HOP, has_announced),
            (code::LOCAL_PREF, self.codec.internal),
        ];
        for (code, is_needed) in missing {
            if is_needed && !self.seen[usize::from(code)] {
                self.fault(code, Action::TreatAsWithdraw);
            }
        }
    }

    fn fault(&mut self, attribute: u8, action: Action) {
        self.faults.push(Fault { attribute, action });
    }
}

/// What is done about one that cannot be read (RFC 7606 section 7, RFC 6793 section 6).
fn action(code: u8) -> Action {
    match code {
        code::ATOMIC_AGGREGATE | code::AGGREGATOR | code::AS4_PATH | code::AS4_AGGREGATOR => {
            Action::AttributeDiscard
        }
        _ => Action::TreatAsWithdraw,
    }
}

/// RFC 4760 section 7, RFC 7606 section 5.3: without the prefixes, nothing can be withdrawn.
fn optional(raw: &Raw<'_>) -> Notification {
    Notification::with(ErrorCode::OPTIONAL_ATTRIBUTE, raw.bytes())
}

fn mp_reach(mut value: Reader<'_>) -> Option<MpReach> {
    let family = AfiSafi(value.u16()?, value.u8()?);
    let mut next_hop = value.behind_u8()?;
    let _reserved = value.u8()?;
    let next_hop = match (family.family(), next_hop.len()) {
        (None, _) => NextHop::Other(next_hop.rest().to_vec()),
        (Some(Family::V4), 4) => NextHop::V4(next_hop.u32()?.into()),
        (Some(_), 16) => NextHop::V6(next_hop.array::<16>()?.into()),
        (Some(_), 32) => {
            let [ip, on_link] = [next_hop.array::<16>()?, next_hop.array()?];
            NextHop::V6WithLinkLocal(ip.into(), on_link.into())
        }
        _ => return None,
    };
    let nlri = nlri(family, value)?;
    Some(MpReach { next_hop, nlri })
}

fn mp_unreach(mut value: Reader<'_>) -> Option<MpUnreach> {
    let family = AfiSafi(value.u16()?, value.u8()?);
    let nlri = nlri(family, value)?;
    Some(MpUnreach { nlri })
}

fn nlri(family: AfiSafi, mut value: Reader<'_>) -> Option<Nlri> {
    Some(match family.family() {
        Some(Family::V4) => Nlri::V4(decode_all(value)?),
        Some(Family::V6) => Nlri::V6(decode_all(value)?),
        None => Nlri::Other(family, value.rest().to_vec()),
    })
}

impl NextHop {
    /// Whether routes can lead there at all.
    fn is_usable(&self) -> bool {
        let v6 = |ip: &Ipv6Addr| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback();
        match self {
            Self::V4(ip) => is_usable_v4(*ip),
            Self::V6(ip) => v6(ip),
            // Some leave the first one empty where all that they have is on the link.
            Self::V6WithLinkLocal(ip, on_link) => v6(ip) || v6(on_link),
            Self::Other(_) => true,
        }
    }
}

/// RFC 4271 section 6.3: the address of a host.
fn is_usable_v4(ip: Ipv4Addr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast() && !ip.is_loopback()
}

fn aggregator(mut value: Reader<'_>, four_octet: bool) -> Option<Aggregator> {
    let asn = if four_octet {
        value.u32()?
    } else {
        value.u16()?.into()
    };
    let identifier = exactly(value, Reader::u32)?.into();
    Some(Aggregator { asn, identifier })
}

/// The one thing in it.
fn exactly<'a, T>(
    mut value: Reader<'a>,
    take: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<T> {
    let taken = take(&mut value)?;
    value.is_empty().then_some(taken)
}

/// One that is not empty.
fn some(value: Reader<'_>) -> Option<Reader<'_>> {
    (!value.is_empty()).then_some(value)
}

/// All of it in pieces of one size, at least one.
fn chunks<const N: usize>(value: Reader<'_>) -> Option<Vec<[u8; N]>> {
    let mut value = some(value)?;
    let mut chunks = Vec::with_capacity(value.len() / N);
    while !value.is_empty() {
        chunks.push(value.array()?);
    }
    Some(chunks)
}
