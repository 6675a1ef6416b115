//! Which routers say on an interface that they are there (RFC 4861 section 6), and when we say that
//! we are: how two BGP speakers on a link find each other without configured addresses.
//!
//! One of the routers is chosen, to be spoken with: the first that was heard, until it does not
//! answer; then the one that was heard last, or that is heard then for the first time. So a router
//! whose address changes is found again, and one that advertises itself but speaks no BGP holds up
//! nobody for long.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use pnet::util::MacAddr;

use crate::ndp::router;

/// One interface.
#[derive(Debug)]
pub struct RouterDiscovery {
    station: Option<Station>,
    routers: Vec<Heard>,
    chosen: Option<Ipv6Addr>,
    /// That one may not be there any more, and was not heard since.
    doubtful: bool,
    /// When to say again that we are there, and before when not to.
    next: Option<Instant>,
    earliest: Option<Instant>,
    /// How many more times that is soon, since the link is new.
    hurried: u32,
    outputs: VecDeque<Output>,
    random: u64,
}

/// What an interface is on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Its link-local address.
    pub link_local: Ipv6Addr,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The interface is this on its link, or is cut off from it. Who was heard before is forgotten.
    Station(Option<Station>),
    /// A frame came in.
    Frame(&'a [u8]),
    /// The router with this address cannot be spoken with: it is not there any more, does not know
    /// us, or is the wrong one.
    NoAnswer(Ipv6Addr),
    /// A session with the chosen router has ended.
    Lost,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame.
    Send(Vec<u8>),
    /// This router is there, and chosen now, as there was none or not for sure.
    Found(Ipv6Addr),
    /// So is the second one, while the first one is: only one of the two is spoken with.
    Several(Ipv6Addr, Ipv6Addr),
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    router: Ipv6Addr,
    first: Instant,
    last: Instant,
    /// It was said that this one is not the only one.
    told: bool,
}

impl RouterDiscovery {
    /// An interface that is cut off. `seed` varies its times.
    pub fn new(seed: u64) -> Self {
        Self {
            station: None,
            routers: Vec::new(),
            chosen: None,
            doubtful: false,
            next: None,
            earliest: None,
            hurried: 0,
            outputs: VecDeque::new(),
            random: seed,
        }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Station(station) => self.be(now, station),
            Input::Frame(frame) if self.station.is_some() => {
                if let Ok(router) = router::advertised(frame) {
                    self.hear(now, router);
                } else if router::solicited(frame).is_ok() {
                    self.advertise_within(now, ANSWER);
                }
            }
            Input::Frame(_) => {}
            Input::NoAnswer(router) => {
                if self.chosen == Some(router) {
                    let others = self.routers.iter().filter(|it| it.router != router);
                    let last = others.max_by_key(|it| it.last);
                    self.chosen = last.map(|it| it.router).or(self.chosen);
                }
                self.doubt(now);
            }
            Input::Lost => self.doubt(now),
        }
    }

    /// The router may be elsewhere now, which it is to say, or may not know us.
    fn doubt(&mut self, now: Instant) {
        self.doubtful = true;
        self.hurried = self.hurried.max(1);
        self.advertise_within(now, Duration::ZERO);
    }

    fn be(&mut self, now: Instant, station: Option<Station>) {
        if self.station == station {
            return;
        }
        self.station = station;
        self.routers.clear();
        self.chosen = None;
        self.doubtful = false;
        self.hurried = HURRIED;
        self.earliest = Some(now + SETTLED);
        let within = self.part_of(ANSWER);
        self.next = station.map(|_| now + SETTLED + within);
    }

    fn hear(&mut self, now: Instant, router: Ipv6Addr) {
        let ours = self.station.map(|it| it.link_local);
        if ours == Some(router) {
            return;
        }
        let known = self.routers.iter_mut().find(|it| it.router == router);
        let is_new = known.is_none();
        match known {
            Some(it) => it.last = now,
            None => self.learn(now, router),
        }
        if self.chosen.is_none() || (is_new && self.doubtful) {
            self.chosen = Some(router);
            self.outputs.push_back(Output::Found(router));
        }
        if self.chosen == Some(router) {
            self.doubtful = false;
        }
        self.look_for_several();
    }

    fn learn(&mut self, now: Instant, router: Ipv6Addr) {
        if self.routers.len() == ROUTERS {
            let others = self.routers.iter().enumerate();
            let others = others.filter(|(_, it)| Some(it.router) != self.chosen);
            let oldest = others.min_by_key(|(_, it)| it.last);
            self.routers.remove(oldest.expect("there are several").0);
        }
        self.routers.push(Heard {
            router,
            first: now,
            last: now,
            told: false,
        });
        // It is new here, and is to know us, too.
        self.advertise_within(now, ANSWER);
    }

    /// A router that has another address now is silent at the old one: two are there if each was
    /// heard after the other had come.
    fn look_for_several(&mut self) {
        let Some(chosen) = self.chosen else { return };
        let Some(its) = self.routers.iter().find(|it| it.router == chosen).copied() else {
            return;
        };
        for other in &mut self.routers {
            let beside = other.last > its.first && its.last > other.first;
            if other.router != chosen && beside && !other.told {
                other.told = true;
                self.outputs
                    .push_back(Output::Several(chosen, other.router));
            }
        }
    }

    /// Says that we are there, within that time, but not too often.
    fn advertise_within(&mut self, now: Instant, time: Duration) {
        let soon = now + self.part_of(time);
        let soon = self.earliest.map_or(soon, |it| soon.max(it));
        self.next = self.next.map(|next| next.min(soon));
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (Some(Station { mac, link_local }), Some(next)) = (self.station, self.next) else {
            return;
        };
        if next > now {
            return;
        }
        let advertisement = router::advertisement(mac, link_local);
        self.outputs.push_back(Output::Send(advertisement));
        self.earliest = Some(now + LEAST);
        let pause = if self.hurried > 0 {
            self.hurried -= 1;
            let solicitation = router::solicitation(mac, link_local);
            self.outputs.push_back(Output::Send(solicitation));
            LEAST
        } else {
            EVERY * 3 / 4 + self.part_of(EVERY / 4)
        };
        self.next = Some(now + pause);
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The router to speak with, if one was heard.
    pub fn router(&self) -> Option<Ipv6Addr> {
        self.chosen
    }

    /// Something between none and all of it.
    fn part_of(&mut self, time: Duration) -> Duration {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let part = u32::try_from(self.random >> 40).expect("24 bits are left");
        time * part / (1 << 24)
    }
}

/// As often as FRR where it has an unnumbered neighbour: whoever comes late waits for no longer.
const EVERY: Duration = Duration::from_secs(10);
/// RFC 4861 section 10, `MIN_DELAY_BETWEEN_RAS`.
const LEAST: Duration = Duration::from_secs(3);
/// Likewise, `MAX_INITIAL_RTR_ADVERTISEMENTS` and `MAX_RTR_SOLICITATIONS`.
const HURRIED: u32 = 3;
/// A link that is just there is given time until the other end has noticed, too: up to version 9, FRR
/// forgets for ever who is heard sooner than all of its parts know of the link
/// (<https://github.com/FRRouting/frr/pull/14867>). RFC 4861 section 6.3.7 has hosts wait for up to a
/// second.
const SETTLED: Duration = Duration::from_millis(250);
/// RFC 4861 section 10, `MAX_RA_DELAY_TIME`.
const ANSWER: Duration = Duration::from_millis(500);
/// More than there are on any link, and few enough for whoever makes up some.
const ROUTERS: usize = 8;

#[cfg(test)]
mod tests;
