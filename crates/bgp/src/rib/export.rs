//! What one peer was told of the routes, and the messages that tell it the rest.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::bits::Bits;
use super::{Place, Rib, RouteAttributes, Version};
use crate::wire::{
    AsPath, Attributes, Codec, Family, MAX_LEN, Message, MpReach, MpUnreach, NextHop, Nlri, Origin,
    RefreshKind, RouteRefresh, Update, only_v4,
};

/// A peer, as far as its routes depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub peer: String,
    /// How messages are written.
    pub codec: Codec,
    /// The AS that the routes come from.
    pub local_as: u32,
    /// Where IPv4 routes lead; nothing if they are not told.
    pub next_hop_v4: Option<NextHop>,
    /// Where IPv6 routes lead; nothing if they are not told.
    pub next_hop_v6: Option<NextHop>,
    /// LOCAL_PREF of routes that have none of their own, within an AS.
    pub local_pref: u32,
    /// All routes are about to be withdrawn: others are better (RFC 8326).
    pub graceful_shutdown: bool,
}

/// Where the telling of routes to a peer stands.
#[derive(Clone, Debug)]
pub struct Export {
    target: Target,
    /// The last change that was looked at.
    seen: Version,
    /// Those that the peer has.
    told: Bits,
    /// Those that are to be told next, by what is said of them.
    waiting: BTreeMap<Said, Pile>,
    /// The one of them that is enough for a message.
    full: Option<Said>,
    /// Those that the peer has and is not to have any more.
    withdrawn: BTreeMap<Family, Pile>,
    /// The end of these is to be said.
    ends: BTreeSet<Family>,
    /// The peer wants these again.
    wanted_again: BTreeSet<Family>,
    /// These are being told again.
    again: BTreeSet<Family>,
    /// Both sides know beginnings and ends of routes sent again.
    marks_refreshes: bool,
}

/// What prefixes that go out together have in common.
#[derive(Clone, Debug)]
struct Said {
    family: Family,
    attributes: Arc<RouteAttributes>,
}

/// Prefixes that go out together.
#[derive(Clone, Debug, Default)]
struct Pile {
    places: Vec<(Place, Version)>,
    /// How many bytes they take.
    len: usize,
    /// How many fit into a message.
    room: usize,
}

impl Export {
    /// Nothing was told yet.
    pub fn new(target: Target, marks_refreshes: bool) -> Self {
        let mut this = Self {
            target,
            seen: 0,
            told: Bits::default(),
            waiting: BTreeMap::new(),
            full: None,
            withdrawn: BTreeMap::new(),
            ends: BTreeSet::new(),
            wanted_again: BTreeSet::new(),
            again: BTreeSet::new(),
            marks_refreshes,
        };
        this.ends = Family::ALL
            .into_iter()
            .filter(|family| this.target.next_hop(*family).is_some())
            .collect();
        this
    }

    /// Nothing was told after all: what was made was not sent.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::new(self.target.clone(), self.marks_refreshes);
    }

    /// How many prefixes the peer has.
    pub fn told(&self) -> usize {
        self.told.count()
    }

    /// How many changes are left to tell, those that do not concern the peer included.
    pub fn left<K>(&self, rib: &Rib<K>) -> usize {
        let piles = self.waiting.values().chain(self.withdrawn.values());
        let waiting: usize = piles.map(|it| it.places.len()).sum();
        rib.after(self.seen).count() + waiting
    }

    /// The last change of which nothing is left to tell.
    pub(crate) fn done(&self) -> Version {
        let piles = self.waiting.values().chain(self.withdrawn.values());
        let oldest = piles.flat_map(|it| &it.places).map(|it| it.1).min();
        oldest.map_or(self.seen, |oldest| oldest - 1)
    }

    /// The peer wants all routes of a family again. While it gets them, asking for more makes no
    /// more than one round to follow.
    pub fn refresh(&mut self, family: Family) {
        if self.target.next_hop(family).is_some() {
            self.wanted_again.insert(family);
        }
    }

    /// From now on, all routes are told as those of one that is about to go, or not any more.
    pub fn shut_down_gracefully(&mut self, graceful_shutdown: bool) {
        if self.target.graceful_shutdown != graceful_shutdown {
            self.target.graceful_shutdown = graceful_shutdown;
            self.rewind();
        }
    }

    /// The next message, if there is something to tell.
    pub fn next<K>(&mut self, rib: &Rib<K>) -> Option<Vec<u8>> {
        loop {
            let message = self.begin_again();
            let message = message.or_else(|| self.next_change(rib));
            if let Some(message) = message.or_else(|| self.end()) {
                return Some(message);
            }
            if self.wanted_again.is_empty() {
                return None;
            }
        }
    }

    /// Begins to tell routes again if that was asked for and nothing else is left to tell.
    fn begin_again(&mut self) -> Option<Vec<u8>> {
        if !self.again.is_empty() || !self.ends.is_empty() {
            return None;
        }
        let family = self.wanted_again.pop_first()?;
        self.again.insert(family);
        self.rewind();
        self.marks_refreshes
            .then(|| self.mark(family, RefreshKind::Begin))
    }

    /// Everything is to be told once more.
    fn rewind(&mut self) {
        self.seen = 0;
        self.waiting.clear();
        self.withdrawn.clear();
        self.full = None;
    }

    fn mark(&self, family: Family, kind: RefreshKind) -> Vec<u8> {
        let family = family.into();
        Message::RouteRefresh(RouteRefresh { family, kind }).encode(self.target.codec)
    }

    fn next_change<K>(&mut self, rib: &Rib<K>) -> Option<Vec<u8>> {
        loop {
            self.collect(rib);
            // What is gone is told of before what is new.
            let message = self.withdraw(rib);
            if let Some(message) = message.or_else(|| self.announce(rib)) {
                return Some(message);
            }
            // What was to be told of may have changed meanwhile.
            if self.seen == rib.version() && self.waiting.is_empty() {
                return None;
            }
        }
    }

    /// Looks at changes until a message is full or there are no more.
    fn collect<K>(&mut self, rib: &Rib<K>) {
        if self.full.is_some() {
            return;
        }
        for (version, place) in rib.after(self.seen) {
            self.seen = version;
            let entry = rib.entry(place);
            let family = family_of(entry.prefix);
            let said = entry.said_to(&self.target.peer);
            match said.filter(|_| self.target.next_hop(family).is_some()) {
                Some(attributes) => {
                    let (key, target) = (Said { family, attributes }, &self.target);
                    let new = || Pile::new(target.room(&key));
                    let pile = self.waiting.entry(key.clone()).or_insert_with(new);
                    if pile.push(place, version, entry.prefix) {
                        self.full = Some(key);
                        return;
                    }
                }
                None if self.told.has(place) => {
                    let new = || Pile::new(WITHDRAWAL_ROOM);
                    let pile = self.withdrawn.entry(family).or_insert_with(new);
                    if pile.push(place, version, entry.prefix) {
                        return;
                    }
                }
                None => {}
            }
        }
        self.seen = rib.version();
    }

    fn withdraw<K>(&mut self, rib: &Rib<K>) -> Option<Vec<u8>> {
        while let Some((family, mut pile)) = self.withdrawn.pop_first() {
            let prefixes = pile.take(rib, |place| self.told.remove(place));
            if !pile.places.is_empty() {
                self.withdrawn.insert(family, pile);
            }
            if !prefixes.is_empty() {
                let update = withdrawal(family, &prefixes);
                return Some(Message::Update(update).encode(self.target.codec));
            }
        }
        None
    }

    /// Tells of the full pile, or of any if all changes were looked at.
    fn announce<K>(&mut self, rib: &Rib<K>) -> Option<Vec<u8>> {
        loop {
            let (key, mut pile) = match self.full.take() {
                Some(key) => self.waiting.remove_entry(&key)?,
                None if self.seen == rib.version() => self.waiting.pop_first()?,
                None => return None,
            };
            let prefixes = pile.take(rib, |place| self.told.insert(place));
            let message = (!prefixes.is_empty()).then(|| {
                let update = self.target.update(&key, &prefixes);
                Message::Update(update).encode(self.target.codec)
            });
            if !pile.places.is_empty() {
                self.waiting.insert(key, pile);
            }
            if message.is_some() {
                return message;
            }
        }
    }

    /// All is told: says so, once.
    fn end(&mut self) -> Option<Vec<u8>> {
        if let Some(family) = self.ends.pop_first() {
            let end = Message::Update(Update::end_of_rib(family));
            return Some(end.encode(self.target.codec));
        }
        let family = self.again.pop_first()?;
        self.marks_refreshes
            .then(|| self.mark(family, RefreshKind::End))
    }
}

/// Thousands of routes mostly share their attributes: then there is nothing to compare.
impl Ord for Said {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_attributes = || {
            if Arc::ptr_eq(&self.attributes, &other.attributes) {
                Ordering::Equal
            } else {
                self.attributes.cmp(&other.attributes)
            }
        };
        self.family.cmp(&other.family).then_with(by_attributes)
    }
}

impl PartialOrd for Said {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Said {}

impl Pile {
    fn new(room: usize) -> Self {
        Self {
            places: Vec::new(),
            len: 0,
            room,
        }
    }

    /// True if it is enough for a message now.
    fn push(&mut self, place: Place, version: Version, prefix: IpNet) -> bool {
        self.len += encoded_len(prefix);
        self.places.push((place, version));
        self.len >= self.room
    }

    /// As many prefixes as fit a message, without those that have changed since.
    fn take<K>(&mut self, rib: &Rib<K>, mut each: impl FnMut(Place)) -> Vec<IpNet> {
        let (mut taken, mut len, mut count) = (Vec::new(), 0, 0);
        for (place, version) in &self.places {
            let entry = rib.entry(*place);
            let more = encoded_len(entry.prefix);
            if len + more > self.room {
                break;
            }
            count += 1;
            self.len = self.len.saturating_sub(more);
            if entry.version == *version {
                len += more;
                each(*place);
                taken.push(entry.prefix);
            }
        }
        self.places.drain(..count);
        taken
    }
}

impl Target {
    fn next_hop(&self, family: Family) -> Option<&NextHop> {
        match family {
            Family::V4 => self.next_hop_v4.as_ref(),
            Family::V6 => self.next_hop_v6.as_ref(),
        }
    }

    /// How many bytes of prefixes fit a message that says this of them.
    fn room(&self, said: &Said) -> usize {
        let empty = Message::Update(self.update(said, &[])).encode(self.codec);
        // The length of an attribute may take one byte more.
        MAX_LEN.saturating_sub(empty.len() + 1).max(LONGEST)
    }

    fn update(&self, said: &Said, prefixes: &[IpNet]) -> Update {
        let attributes = self.attributes(&said.attributes);
        let family = said.family;
        match (family, self.next_hop(family)) {
            (Family::V4, Some(NextHop::V4(next_hop))) => Update {
                attributes: Attributes {
                    next_hop: Some(*next_hop),
                    ..attributes
                },
                announced: only_v4(prefixes),
                ..Update::default()
            },
            (_, next_hop) => Update {
                mp_reach: next_hop.cloned().map(|next_hop| MpReach {
                    next_hop,
                    nlri: Nlri::of(family, prefixes),
                }),
                attributes,
                ..Update::default()
            },
        }
    }

    fn attributes(&self, said: &RouteAttributes) -> Attributes {
        let internal = self.codec.internal;
        let is_long = u16::try_from(self.local_as).is_err() && !self.codec.four_octet;
        let mut communities: BTreeSet<u32> = said.communities.clone();
        let mut local_pref = said.local_pref.unwrap_or(self.local_pref);
        if self.graceful_shutdown {
            communities.insert(GRACEFUL_SHUTDOWN);
            local_pref = 0;
        }
        Attributes {
            origin: Some(Origin::Igp),
            as_path: Some(if internal {
                AsPath::default()
            } else {
                AsPath::of(self.local_as)
            }),
            // RFC 6793 section 4.2.2: the number that does not fit.
            as4_path: (is_long && !internal).then(|| AsPath::of(self.local_as)),
            local_pref: internal.then_some(local_pref),
            communities: communities.into_iter().collect(),
            large_communities: said.large_communities.iter().copied().collect(),
            ..Attributes::default()
        }
    }
}

fn withdrawal(family: Family, prefixes: &[IpNet]) -> Update {
    match family {
        Family::V4 => Update {
            withdrawn: only_v4(prefixes),
            ..Update::default()
        },
        Family::V6 => Update {
            mp_unreach: Some(MpUnreach {
                nlri: Nlri::of(family, prefixes),
            }),
            ..Update::default()
        },
    }
}

fn family_of(prefix: IpNet) -> Family {
    match prefix {
        IpNet::V4(_) => Family::V4,
        IpNet::V6(_) => Family::V6,
    }
}

fn encoded_len(prefix: IpNet) -> usize {
    1 + usize::from(prefix.prefix_len()).div_ceil(8)
}

/// RFC 8326 section 6: 65535:0.
const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
/// The longest prefix.
const LONGEST: usize = 17;
/// Bytes of prefixes in a message that withdraws them: all but the header, two lengths, and what
/// stands before them in an attribute.
const WITHDRAWAL_ROOM: usize = MAX_LEN - 19 - 4 - 7;
