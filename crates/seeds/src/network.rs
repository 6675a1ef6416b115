//! Stations and the network between them, under a virtual clock: it loses, delays and cuts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::Dice;

/// One on the network, by the four verbs of a protocol core.
pub trait Station {
    /// Takes what another has sent.
    fn receive(&mut self, now: Instant, from: usize, bytes: &[u8]);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// What it has to send, until there is nothing more.
    fn poll_send(&mut self) -> Option<(To, Vec<u8>)>;
    /// When it wants to be woken.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// For whom something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// For this station.
    One(usize),
    /// For all others.
    All,
}

/// So many places, each with a station or without one.
#[derive(Debug)]
pub struct Network<S> {
    start: Instant,
    now: Instant,
    dice: Dice,
    /// So many of a hundred datagrams are lost.
    pub loss_percent: u64,
    /// A datagram takes at most so long.
    pub latency: Duration,
    /// Stations hear each other when they are on the same side.
    pub side: Vec<u8>,
    /// From whom to whom nothing gets through.
    pub deaf: BTreeSet<(usize, usize)>,
    places: Vec<Place<S>>,
    timers: BTreeSet<(Instant, usize)>,
    flying: BTreeMap<(Instant, u64), Flight>,
    launched: u64,
    sent: u64,
    sent_bytes: u64,
}

#[derive(Debug)]
struct Place<S> {
    station: Option<S>,
    /// Does nothing until then; what comes in waits, and its timers are late.
    frozen: Option<Instant>,
    waiting: Vec<(usize, Vec<u8>)>,
    /// What stands in `timers`.
    timer: Option<Instant>,
}

#[derive(Debug)]
struct Flight {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

impl<S: Station> Network<S> {
    /// Empty places, with nothing lost and up to 2 ms on the way. What chance does is up to `dice`.
    pub fn new(places: usize, dice: Dice) -> Self {
        let start = Instant::now();
        let place = || Place {
            station: None,
            frozen: None,
            waiting: Vec::new(),
            timer: None,
        };
        Self {
            start,
            now: start,
            dice,
            loss_percent: 0,
            latency: Duration::from_millis(2),
            side: vec![0; places],
            deaf: BTreeSet::new(),
            places: std::iter::repeat_with(place).take(places).collect(),
            timers: BTreeSet::new(),
            flying: BTreeMap::new(),
            launched: 0,
            sent: 0,
            sent_bytes: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How long after the beginning that is.
    pub fn age(&self, at: Instant) -> Duration {
        at - self.start
    }

    /// How many places there are.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// How many datagrams were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many bytes they had.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// All stations that there are, and where.
    pub fn stations(&self) -> impl Iterator<Item = (usize, &S)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(at, place)| Some((at, place.station.as_ref()?)))
    }

    /// The station at a place, if there is one.
    pub fn station(&self, at: usize) -> Option<&S> {
        self.places[at].station.as_ref()
    }

    /// A station comes to a place, instead of what was there.
    pub fn put(&mut self, at: usize, station: S) {
        self.take(at);
        self.places[at].station = Some(station);
        self.settle(at);
    }

    /// Whatever was at a place is gone without a word.
    pub fn take(&mut self, at: usize) -> Option<S> {
        let place = &mut self.places[at];
        place.waiting.clear();
        place.frozen = None;
        let station = place.station.take();
        self.settle(at);
        station
    }

    /// Does something to a station, which then may have something to send.
    ///
    /// # Panics
    /// There is none.
    pub fn tell<T>(&mut self, at: usize, work: impl FnOnce(&mut S, Instant) -> T) -> T {
        let station = self.places[at].station.as_mut().expect("a station");
        let done = work(station, self.now);
        self.settle(at);
        done
    }

    /// A station stands still for so long.
    pub fn freeze(&mut self, at: usize, time: Duration) {
        self.places[at].frozen = Some(self.now + time);
        self.settle(at);
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// A station wants to be woken over and over at one moment.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut at_once = 0;
        loop {
            let flight = self.flying.first_key_value().map(|((at, _), _)| *at);
            let timer = self.timers.first().copied();
            match (flight, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = at.max(self.now);
                    let (_, flight) = self.flying.pop_first().expect("it was seen above");
                    self.arrive(flight);
                }
                (_, Some((due, at))) if due <= end => {
                    at_once = if due > self.now { 0 } else { at_once + 1 };
                    assert!(
                        at_once < 1000 + 10 * self.places.len(),
                        "station {at} spins"
                    );
                    self.now = due.max(self.now);
                    self.wake(at);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn wake(&mut self, at: usize) {
        let (now, place) = (self.now, &mut self.places[at]);
        place.frozen = None;
        let waiting = std::mem::take(&mut place.waiting);
        if let Some(station) = &mut place.station {
            if station.poll_timeout().is_some_and(|due| due <= now) {
                station.handle_timeout(now);
            }
            for (from, bytes) in waiting {
                station.receive(now, from, &bytes);
            }
        }
        self.settle(at);
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { from, to, bytes } = flight;
        let place = &mut self.places[to];
        let Some(station) = &mut place.station else {
            return;
        };
        if place.frozen.is_some() {
            place.waiting.push((from, bytes));
            return;
        }
        station.receive(self.now, from, &bytes);
        self.settle(to);
    }

    /// Sends what a station has to send, and sets its timer.
    fn settle(&mut self, at: usize) {
        while let Some((to, bytes)) = self.poll_send(at) {
            match to {
                To::One(to) => self.launch(at, to, bytes),
                To::All => {
                    let others = (0..self.places.len()).filter(|to| *to != at);
                    others.for_each(|to| self.launch(at, to, bytes.clone()));
                }
            }
        }
        // As late as a timer of a runtime may be.
        let late = Duration::from_micros(self.dice.roll() % 2000);
        let place = &mut self.places[at];
        let due = place.station.as_ref().and_then(Station::poll_timeout);
        let timer = match place.frozen.filter(|_| place.station.is_some()) {
            Some(thaw) => Some(thaw),
            None => due.map(|due| due + late),
        };
        let before = std::mem::replace(&mut place.timer, timer);
        if let Some(before) = before {
            self.timers.remove(&(before, at));
        }
        self.timers.extend(timer.map(|timer| (timer, at)));
    }

    fn poll_send(&mut self, at: usize) -> Option<(To, Vec<u8>)> {
        self.places[at].station.as_mut()?.poll_send()
    }

    fn launch(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.sent += 1;
        self.sent_bytes += bytes.len() as u64;
        let is_cut = self.side[from] != self.side[to] || self.deaf.contains(&(from, to));
        if self.dice.percent(self.loss_percent) || is_cut {
            return;
        }
        let most = u64::try_from(self.latency.as_micros()).expect("a few seconds");
        let way = Duration::from_micros(20 + self.dice.roll() % most.max(1));
        self.launched += 1;
        let flight = Flight { from, to, bytes };
        self.flying.insert((self.now + way, self.launched), flight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says once a second how often it was woken, and keeps what it hears.
    struct Clock {
        next: Instant,
        said: u8,
        sends: Vec<(To, Vec<u8>)>,
        heard: Vec<(usize, u8)>,
    }

    const SECOND: Duration = Duration::from_secs(1);

    impl Clock {
        fn new(now: Instant) -> Self {
            Self {
                next: now + SECOND,
                said: 0,
                sends: Vec::new(),
                heard: Vec::new(),
            }
        }
    }

    impl Station for Clock {
        fn receive(&mut self, _: Instant, from: usize, bytes: &[u8]) {
            self.heard.push((from, bytes[0]));
        }

        fn handle_timeout(&mut self, now: Instant) {
            self.next = now + SECOND;
            self.said += 1;
            self.sends.push((To::All, vec![self.said]));
        }

        fn poll_send(&mut self) -> Option<(To, Vec<u8>)> {
            self.sends.pop()
        }

        fn poll_timeout(&self) -> Option<Instant> {
            Some(self.next)
        }
    }

    fn clocks(places: usize) -> Network<Clock> {
        let mut network = Network::new(places, Dice::new(1));
        for at in 0..places {
            network.put(at, Clock::new(network.now()));
        }
        network
    }

    fn heard(network: &Network<Clock>, at: usize) -> &[(usize, u8)] {
        &network.station(at).unwrap().heard
    }

    #[test]
    fn what_is_sent_arrives_unless_something_is_between() {
        let mut network = clocks(3);
        network.side[2] = 1;
        network.deaf.insert((0, 1));
        network.run(Duration::from_millis(1100));
        assert_eq!(heard(&network, 0), [(1, 1)]);
        assert_eq!(heard(&network, 1), []);
        assert_eq!(heard(&network, 2), []);
        assert_eq!(network.sent(), 6);
    }

    #[test]
    fn who_stands_still_hears_everything_later() {
        let mut network = clocks(2);
        network.freeze(0, 3 * SECOND);
        network.run(Duration::from_millis(2900));
        assert_eq!(heard(&network, 0), []);
        assert_eq!(heard(&network, 1), []);
        network.run(Duration::from_millis(200));
        assert_eq!(heard(&network, 0)[..2], [(1, 1), (1, 2)]);
        assert_eq!(heard(&network, 1), [(0, 1)]);
    }

    #[test]
    fn who_is_gone_hears_nothing() {
        let mut network = clocks(2);
        assert!(network.take(0).is_some());
        network.run(5 * SECOND);
        assert!(network.station(0).is_none());
        assert_eq!(network.stations().count(), 1);
        assert_eq!(heard(&network, 1), []);
    }
}
