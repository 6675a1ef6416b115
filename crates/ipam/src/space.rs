//! The addresses of a pool in one family, as numbers.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use metallb_config::{AddrRange, Family, ObjectKey, Pool};

use crate::numbers::{Numbers, bit};
use crate::port::Port;
use crate::sharing::{Bits, Group, Share, Sharing, clear};
use crate::tenants::Tenants;
use crate::usage::Usage;

/// The addresses that a pool gives out in one family, numbered from 0 in the order in which they
/// are given out: range after range as the pool lists them, each from its lowest address. Those
/// that the pool leaves out have no number, so neither many ranges nor addresses left out stand in
/// the way of finding the lowest free one.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// In the order of the pool, without those that have no address to give.
    segments: Vec<Segment>,
    /// Where in `segments` the one with this first address is.
    by_address: BTreeMap<IpAddr, usize>,
    capacity: u128,
    /// Those that somebody holds, and those that linger.
    used: Numbers,
    tenants: HashMap<u128, Tenants>,
    /// Those that are neither given out nor joined, whether somebody holds them or not.
    lingering: Bits,
    /// The addresses whose holders share them.
    groups: HashMap<Sharing, Group>,
}

#[derive(Debug)]
struct Segment {
    range: AddrRange,
    avoid_buggy_ips: bool,
    /// The number of its first address.
    base: u128,
}

impl Space {
    pub(crate) fn new(pool: &Pool, family: Family) -> Self {
        let mut space = Self::default();
        for &range in pool
            .ranges()
            .iter()
            .filter(|range| range.family() == family)
        {
            let avoid_buggy_ips = pool.avoid_buggy_ips && family == Family::V4;
            let segment = Segment {
                range,
                avoid_buggy_ips,
                base: space.capacity,
            };
            let capacity = segment.capacity();
            if capacity > 0 {
                space.by_address.insert(range.first(), space.segments.len());
                space.segments.push(segment);
                space.capacity = space.capacity.saturating_add(capacity);
            }
        }
        space
    }

    /// How many addresses it has, and how many of them somebody holds.
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            total: i64::try_from(self.capacity).unwrap_or(i64::MAX),
            in_use: i64::try_from(self.tenants.len()).unwrap_or(i64::MAX),
        }
    }

    /// Whether `ip` is one of its addresses.
    pub(crate) fn gives(&self, ip: IpAddr) -> bool {
        self.number(ip).is_some()
    }

    /// Whether some address can be given out that nobody holds.
    pub(crate) fn has_free(&self) -> bool {
        (self.used.len() as u128) < self.capacity
    }

    /// Whether somebody who shares like this holds an address.
    pub(crate) fn has_group(&self, sharing: &Sharing) -> bool {
        self.groups.contains_key(sharing)
    }

    /// All ways in which addresses are shared here.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Sharing> {
        self.groups.keys()
    }

    /// The first address that nobody holds, or only those with whom a Service would share it.
    pub(crate) fn lowest_for(&self, share: Option<&Share>) -> Option<IpAddr> {
        let free = self.used.lowest_missing().min(self.capacity);
        let joined = share.and_then(|share| {
            let group = self.groups.get(&share.sharing)?;
            group.lowest_with(&share.ports, free, &self.lingering)
        });
        self.address(joined.unwrap_or(free))
    }

    /// An address that is shared under this key: one that is shared like this in all else too, if
    /// there is any.
    pub(crate) fn shared_under_key_of(&self, sharing: &Sharing) -> Option<IpAddr> {
        let alike = self.groups.get(sharing).and_then(Group::first);
        let number = alike.or_else(|| {
            let same_key = self.groups.iter().filter(|(it, _)| it.has_key_of(sharing));
            same_key.filter_map(|(_, group)| group.first()).min()
        });
        self.address(number?)
    }

    /// Those who hold `ip`, by their keys.
    pub(crate) fn tenants(&self, ip: IpAddr) -> impl Iterator<Item = &ObjectKey> {
        let tenants = self.number(ip).and_then(|number| self.tenants.get(&number));
        tenants.into_iter().flat_map(Tenants::iter)
    }

    /// Whether one of those who share `ip` like this has one of the ports.
    pub(crate) fn is_taken(&self, ip: IpAddr, sharing: &Sharing, ports: &[Port]) -> bool {
        let (Some(number), Some(group)) = (self.number(ip), self.groups.get(sharing)) else {
            return false;
        };
        group.is_taken(number, ports)
    }

    /// All who hold an address here, in no order.
    pub(crate) fn all_tenants(&self) -> impl Iterator<Item = &ObjectKey> {
        self.tenants.values().flat_map(Tenants::iter)
    }

    /// Gives `ip` to one who may have it.
    pub(crate) fn take(&mut self, ip: IpAddr, key: &ObjectKey, share: Option<&Share>) {
        let Some(number) = self.number(ip) else {
            return;
        };
        match self.tenants.entry(number) {
            Entry::Vacant(entry) => {
                entry.insert(Tenants::One(key.clone()));
                self.used.insert(number);
            }
            Entry::Occupied(mut entry) => entry.get_mut().add(key.clone()),
        }
        if let Some(Share { sharing, ports }) = share {
            let group = self.groups.entry(sharing.clone()).or_default();
            group.join(number, ports);
        }
    }

    /// One who holds `ip` holds it no more.
    pub(crate) fn give_back(&mut self, ip: IpAddr, key: &ObjectKey, share: Option<&Share>) {
        let Some(number) = self.number(ip) else {
            return;
        };
        let Entry::Occupied(mut entry) = self.tenants.entry(number) else {
            return;
        };
        let last = entry.get().is_alone(key);
        if last {
            entry.remove();
            if !self.lingers(number) {
                self.used.remove(number);
            }
        } else {
            entry.get_mut().remove(key);
        }
        if let Some(Share { sharing, ports }) = share
            && let Some(group) = self.groups.get_mut(sharing)
        {
            group.leave(number, ports, last);
            if group.is_empty() {
                self.groups.remove(sharing);
            }
        }
    }

    /// Nobody is given `ip` for now, or not any more for now.
    pub(crate) fn set_lingering(&mut self, ip: IpAddr, lingers: bool) {
        let Some(number) = self.number(ip) else {
            return;
        };
        if lingers {
            *self.lingering.entry(number >> 6).or_default() |= bit(number);
            self.used.insert(number);
        } else {
            clear(&mut self.lingering, &(number >> 6), number);
            if !self.tenants.contains_key(&number) {
                self.used.remove(number);
            }
        }
    }

    fn lingers(&self, number: u128) -> bool {
        let word = self.lingering.get(&(number >> 6));
        word.is_some_and(|word| word & bit(number) != 0)
    }

    fn address(&self, number: u128) -> Option<IpAddr> {
        if number >= self.capacity {
            return None;
        }
        let after = self
            .segments
            .partition_point(|segment| segment.base <= number);
        self.segments[after.checked_sub(1)?].address(number)
    }

    fn number(&self, ip: IpAddr) -> Option<u128> {
        let (_, &at) = self.by_address.range(..=ip).next_back()?;
        // All of IPv6 has one address more than can be counted; that one is not given out.
        self.segments[at]
            .number(ip)
            .filter(|number| *number < self.capacity)
    }
}

impl Segment {
    fn capacity(&self) -> u128 {
        match (self.range.first(), self.range.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) if self.avoid_buggy_ips => {
                let below = plain_below(first.to_bits().into());
                u128::from(plain_below(u64::from(last.to_bits()) + 1) - below)
            }
            _ => self.range.len(),
        }
    }

    fn number(&self, ip: IpAddr) -> Option<u128> {
        let offset = self.range.offset(ip)?;
        match (self.range.first(), ip) {
            (IpAddr::V4(first), IpAddr::V4(ip)) if self.avoid_buggy_ips => {
                let below = |ip: Ipv4Addr| plain_below(ip.to_bits().into());
                is_plain(ip).then(|| self.base + u128::from(below(ip) - below(first)))
            }
            _ => Some(self.base + offset),
        }
    }

    fn address(&self, number: u128) -> Option<IpAddr> {
        let number = number - self.base;
        match self.range.first() {
            IpAddr::V4(first) if self.avoid_buggy_ips => {
                let number = plain_below(first.to_bits().into()) + u64::try_from(number).ok()?;
                u32::try_from(nth_plain(number))
                    .ok()
                    .map(|ip| Ipv4Addr::from_bits(ip).into())
            }
            _ => self.range.nth(number),
        }
    }
}

// IPv4 addresses that end in neither .0 nor .255 are "plain": 254 in each /24, from .1 on.

fn is_plain(ip: Ipv4Addr) -> bool {
    !matches!(ip.octets()[3], 0 | 255)
}

/// How many plain addresses are below `ip`, which may be one more than the last there is.
fn plain_below(ip: u64) -> u64 {
    (ip >> 8) * 254 + (ip & 255).saturating_sub(1)
}

/// The plain address with `number` others below it.
fn nth_plain(number: u64) -> u64 {
    (number / 254) << 8 | (number % 254 + 1)
}
