//! Byte streams between speakers: in order, late, cut at any place, sometimes broken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::*;

/// Speakers, and the connections between them.
pub(super) struct Network {
    pub(super) now: Instant,
    pub(super) dice: Dice,
    pub(super) speakers: Vec<Option<Speaker<usize, usize>>>,
    /// Which of them accept connections.
    pub(super) listen: BTreeSet<usize>,
    /// Between these nothing gets through, and nobody is told.
    pub(super) cut: BTreeSet<(usize, usize)>,
    streams: BTreeMap<u64, Stream>,
    events: BTreeMap<(Instant, u64), Event>,
    number: u64,
    /// How often routes could not be told any more.
    pub(super) downs: u64,
}

/// A connection.
struct Stream {
    /// Who began it, and who accepted it.
    ends: [usize; 2],
    /// What each of them has sent and the other has not got yet.
    bytes: [VecDeque<u8>; 2],
    closed: [bool; 2],
}

#[derive(Clone, Copy)]
enum Event {
    /// A speaker's attempt to connect arrives.
    Syn { from: usize, to: usize },
    /// Some of what one end of a connection has sent arrives.
    Bytes { stream: u64, end: usize },
}

/// What a connection is for each of its ends.
const WAYS: [Way; 2] = [Way::Out, Way::In];

impl Network {
    pub(super) fn new(speakers: usize, dice: Dice) -> Self {
        Self {
            now: Instant::now(),
            dice,
            speakers: (0..speakers).map(|_| None).collect(),
            listen: BTreeSet::new(),
            cut: BTreeSet::new(),
            streams: BTreeMap::new(),
            events: BTreeMap::new(),
            number: 0,
            downs: 0,
        }
    }

    /// Speaker `at` comes up, with these peers.
    pub(super) fn start(&mut self, at: usize, peers: &[usize]) {
        let seed = self.dice.roll();
        self.speakers[at] = Some(Speaker::new(seed));
        let peers = peers.iter().map(|peer| (*peer, settings(at, *peer)));
        self.configure(at, peers.collect());
    }

    pub(super) fn configure(&mut self, at: usize, peers: BTreeMap<usize, Settings>) {
        let now = self.now;
        self.speaker(at).configure(now, peers);
        self.work(at);
    }

    pub(super) fn contribute(&mut self, at: usize, key: usize, routes: Vec<Route>) {
        self.speaker(at).contribute(&key, routes);
        self.work(at);
    }

    /// Its process is gone; its kernel says so to the others.
    pub(super) fn kill(&mut self, at: usize) {
        self.speakers[at] = None;
        let streams = self.streams.iter();
        let streams = streams.filter(|(_, it)| it.ends.contains(&at));
        let streams: Vec<_> = streams.map(|(id, _)| *id).collect();
        for id in streams {
            self.reset(id);
        }
    }

    /// A connection breaks.
    pub(super) fn reset(&mut self, id: u64) {
        let Some(stream) = self.streams.remove(&id) else {
            return;
        };
        let [from, to] = stream.ends;
        if self.is_cut(from, to) {
            return;
        }
        for end in [0, 1].into_iter().filter(|end| !stream.closed[*end]) {
            let why = "reset".into();
            self.tell(
                stream.ends[end],
                stream.ends[1 - end],
                Input::Closed(WAYS[end], why),
            );
        }
    }

    pub(super) fn any_stream(&mut self) -> Option<u64> {
        let all: Vec<_> = self.streams.keys().copied().collect();
        (!all.is_empty()).then(|| self.dice.pick(&all))
    }

    pub(super) fn speaker(&mut self, at: usize) -> &mut Speaker<usize, usize> {
        self.speakers[at].as_mut().expect("it runs")
    }

    pub(super) fn session(&self, at: usize, peer: usize) -> &Session {
        let speaker = self.speakers[at].as_ref().expect("it runs");
        speaker.session(&peer).expect("it is configured")
    }

    /// What one has heard of another.
    pub(super) fn heard(&self, at: usize, peer: usize) -> Vec<IpNet> {
        self.session(at, peer).received().prefixes().collect()
    }

    fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&pair(one, other))
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let timers = self.speakers.iter().enumerate();
            let timers = timers.filter_map(|(at, it)| Some((it.as_ref()?.poll_timeout()?, at)));
            match (event, timers.min()) {
                (Some(at), timer) if at <= end && timer.is_none_or(|it| at <= it.0) => {
                    self.now = self.now.max(at);
                    let (_, event) = self.events.pop_first().expect("it was seen");
                    match event {
                        Event::Syn { from, to } => self.syn(from, to),
                        Event::Bytes { stream, end } => self.deliver(stream, end),
                    }
                }
                (_, Some((due, at))) if due <= end => {
                    self.now = self.now.max(due);
                    let now = self.now;
                    self.speaker(at).handle_timeout(now);
                    self.work(at);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn syn(&mut self, from: usize, to: usize) {
        if self.is_cut(from, to) || self.speakers[from].is_none() {
            return;
        }
        if self.speakers[to].is_none() || !self.listen.contains(&to) {
            return self.tell(from, to, Input::ConnectFailed("refused".into()));
        }
        self.number += 1;
        let stream = Stream {
            ends: [from, to],
            bytes: Default::default(),
            closed: [false; 2],
        };
        self.streams.insert(self.number, stream);
        self.tell(to, from, Input::Connected(Way::In, link()));
        self.tell(from, to, Input::Connected(Way::Out, link()));
    }

    fn deliver(&mut self, id: u64, end: usize) {
        let Some(ends) = self.streams.get(&id).map(|it| it.ends) else {
            return;
        };
        let event = Event::Bytes { stream: id, end };
        if self.is_cut(ends[0], ends[1]) {
            // It waits.
            return self.launch(Duration::from_millis(200), event);
        }
        let stream = self.streams.get_mut(&id).expect("it was seen");
        let waiting = &mut stream.bytes[end];
        let count = if self.dice.percent(50) {
            waiting.len()
        } else {
            self.dice.below(waiting.len() + 1)
        };
        let part: Vec<u8> = waiting.drain(..count).collect();
        let is_all = waiting.is_empty();
        let [has_closed, is_deaf] = [stream.closed[end], stream.closed[1 - end]];
        let (sender, receiver) = (ends[end], ends[1 - end]);
        if !is_all {
            self.launch(Duration::from_millis(1), event);
        } else if has_closed {
            self.streams.remove(&id);
        }
        if !has_closed {
            self.tell(sender, receiver, Input::Sent(WAYS[end], part.len()));
        }
        let way = WAYS[1 - end];
        if !is_deaf {
            self.tell(receiver, sender, Input::Received(way, &part));
            if is_all && has_closed {
                self.tell(receiver, sender, Input::Closed(way, "closed".into()));
            }
        }
    }

    fn tell(&mut self, at: usize, peer: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(speaker) = &mut self.speakers[at] {
            speaker.handle_input(now, &peer, input);
            self.work(at);
        }
    }

    /// Does what a speaker wants done.
    fn work(&mut self, at: usize) {
        while let Some((peer, output)) = self.speakers[at].as_mut().and_then(Speaker::poll_output) {
            let (way, bytes, closes) = match output {
                Output::Connect => {
                    let late = Duration::from_micros(self.dice.roll() % 3000);
                    self.launch(late, Event::Syn { from: at, to: peer });
                    continue;
                }
                Output::Send(way, bytes) => (way, bytes, false),
                Output::Close(way) => (way, Vec::new(), true),
                Output::Down(_) => {
                    self.downs += 1;
                    continue;
                }
                Output::GiveUp | Output::Up | Output::Failed(_) => continue,
            };
            let end = usize::from(way == Way::In);
            let is_it = |it: &&mut Stream| {
                (it.ends[end], it.ends[1 - end]) == (at, peer) && !it.closed[end]
            };
            // The newest of them.
            let mut streams = self.streams.iter_mut().rev();
            let Some((id, stream)) = streams.find(|(_, it)| is_it(it)) else {
                continue;
            };
            let stream_id = *id;
            stream.bytes[end].extend(bytes);
            stream.closed[end] |= closes;
            let late = Duration::from_micros(self.dice.roll() % 2000);
            let stream = stream_id;
            self.launch(late, Event::Bytes { stream, end });
        }
    }

    fn launch(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.events.insert((self.now + after, self.number), event);
    }
}

pub(super) fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
