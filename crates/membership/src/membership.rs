use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::door::Door;
use crate::message::{Body, Message};
use crate::record::{Record, Status};
use crate::roster::{Learned, Members, Roster, Speaker};
use crate::spread::Spread;
use crate::watch::{Due, Watch};
use crate::{Dropped, Key, Settings};

mod rumour;
mod talk;

use rumour::Rumours;

/// Who we are.
#[derive(Clone, Debug)]
pub struct Own {
    /// The node's name.
    pub name: String,
    /// The start of the process in wall-clock time, in microseconds since 1970, so that it is higher
    /// at each start. Should the clock have gone back in between, the others say so and it is raised
    /// above what they know.
    pub incarnation: u64,
    /// 16 random bytes, fresh at each start of the process. Heartbeats are not safe without.
    pub session: [u8; 16],
    /// The cluster's key; without one, heartbeats are open.
    pub key: Option<Key>,
    /// What all are to know of us, see [`Input::State`].
    pub state: Arc<[u8]>,
}

/// What happens to a [`Membership`].
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A datagram came in.
    Datagram {
        /// Where it came from.
        from: SocketAddr,
        /// All of its payload.
        bytes: &'a [u8],
    },
    /// All speakers there are, by node name, whether alive or not. The own name may be among
    /// them. Replaces what was said before.
    Peers(BTreeMap<String, SocketAddr>),
    /// All are to know this of us, at most 512 bytes. Replaces what was said before.
    State(Arc<[u8]>),
    /// The cluster's key is this now.
    Key(Option<Key>),
    /// We may take over from others from now on. Nothing if we may already.
    Ready,
    /// We stop: say so to everybody.
    Leave,
}

/// What a [`Membership`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram.
    Send {
        /// Where to.
        to: SocketAddr,
        /// All of its payload.
        bytes: Arc<[u8]>,
    },
    /// The speakers that are not dead, ourselves included, or what they say of themselves, have
    /// changed to these.
    Members(Members),
}

/// Knows which speakers are alive: each is watched by a few others, and who is silent for too long
/// is dead.
///
/// Nothing is said about who is alive until every listed speaker has been heard or has had the
/// time to be, so a speaker that starts does not believe for a moment that it is alone. The others
/// count it as alive only from then on: until it knows what falls to it, they keep what they have.
///
/// Silence counts only while we ourselves were awake: when a call comes later than
/// [`poll_timeout`](Self::poll_timeout) asked for, all deadlines move by as much. A starved
/// watcher condemns nobody.
///
/// Known limits: datagrams that somebody on the path records *and withholds* can be played later,
/// each once, and keep a dead speaker alive meanwhile. A speaker that is heard and hears nobody
/// believes that all others are dead; they believe the same of it.
#[derive(Debug)]
pub struct Membership {
    settings: Settings,
    door: Door,
    roster: Roster,
    watches: BTreeMap<Arc<str>, Watch>,
    rumours: Rumours,
    spread: Spread,
    next_heartbeat: Option<Instant>,
    settle: Settle,
    /// The absent one that was asked last.
    knocked: Option<Arc<str>>,
    /// What the watches and the members were last made of.
    followed: Option<u64>,
    told: Option<Members>,
    /// The members are not looked through again before.
    next_look: Instant,
    /// The last time we were called.
    awake: Instant,
    outputs: VecDeque<Output>,
}

/// Whether enough is known to speak about who is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settle {
    /// The list of speakers has not come yet.
    Unlisted,
    /// Some on the list were not heard yet; they have until then.
    Until(Instant),
    Settled,
}

impl Membership {
    /// A speaker that knows nobody yet.
    pub fn new(now: Instant, own: Own, settings: Settings) -> Self {
        let record = Record {
            incarnation: own.incarnation,
            version: 1,
            status: Status::Starting,
            state: own.state,
        };
        Self {
            settings,
            door: Door::new(own.session, own.key, settings.key_change),
            roster: Roster::new(&own.name, record),
            watches: BTreeMap::new(),
            rumours: Rumours::default(),
            spread: Spread::default(),
            next_heartbeat: None,
            settle: Settle::Unlisted,
            knocked: None,
            followed: None,
            told: None,
            next_look: now,
            awake: now,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.stretch(now);
        match input {
            // Nobody can be told from a stranger yet.
            Input::Datagram { .. } if self.settle == Settle::Unlisted => {}
            Input::Datagram { from, bytes } => {
                if let Err(reason) = self.datagram(now, from, bytes) {
                    self.door.drop(reason);
                }
            }
            Input::Peers(peers) => self.list(now, peers),
            Input::State(state) => {
                if self.roster.own().state != state {
                    self.roster.change_own(|own| own.state = state);
                    self.tell_of_own(now);
                }
            }
            Input::Key(key) => self.door.change_key(now, key),
            Input::Ready => {
                if self.roster.own().status == Status::Returning {
                    self.roster.change_own(|own| own.status = Status::Alive);
                    self.tell_of_own(now);
                }
            }
            Input::Leave => {
                if !self.is_leaving() {
                    self.roster.change_own(|own| own.status = Status::Left);
                    self.next_heartbeat = None;
                    self.tell_of_own(now);
                }
            }
        }
        self.follow(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stretch(now);
        self.door.turn(now);
        self.speak(now);
        self.watch(now);
        self.believe_rumours(now);
        self.follow(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let settle = match self.settle {
            Settle::Until(at) => Some(at),
            Settle::Unlisted | Settle::Settled => None,
        };
        let watches = self.watches.values();
        watches
            .map(|watch| watch.poll_timeout(&self.settings))
            .chain(self.next_heartbeat)
            .chain(settle)
            .chain(self.spread.poll_timeout())
            .chain(self.rumours.poll_timeout())
            .chain(self.door.poll_timeout())
            .chain(self.has_news().then_some(self.next_look))
            .min()
    }

    /// How many datagrams were dropped so far, by reason.
    pub fn dropped(&self) -> &BTreeMap<Dropped, u64> {
        self.door.dropped()
    }

    /// Whether a leave has been said as often as it should be.
    pub fn has_left(&self) -> bool {
        self.is_leaving() && self.spread.is_told(self.roster.own_name())
    }

    fn is_leaving(&self) -> bool {
        self.roster.own().status == Status::Left
    }

    /// The time between when we should have been called and now is time in which we heard
    /// nothing because we did not listen; nobody is to be blamed for it.
    fn stretch(&mut self, now: Instant) {
        let asleep = self
            .poll_timeout()
            .map_or(self.awake, |due| due.max(self.awake));
        let late = now.saturating_duration_since(asleep);
        self.awake = now;
        if late < PUNCTUAL {
            return;
        }
        for watch in self.watches.values_mut() {
            watch.excuse(now, late);
        }
        self.rumours.excuse(late);
        if let Settle::Until(at) = &mut self.settle {
            *at += late;
        }
    }

    fn list(&mut self, now: Instant, listed: BTreeMap<String, SocketAddr>) {
        self.roster.list(listed);
        if self.settle == Settle::Unlisted {
            self.settle = Settle::Until(now + self.settings.dead_after);
            self.next_heartbeat = Some(now);
            self.speak(now);
        }
    }

    /// Sends heartbeats when it is time.
    fn speak(&mut self, now: Instant) {
        if self.next_heartbeat.is_none_or(|at| now < at) {
            return;
        }
        if self.settle != Settle::Settled {
            self.next_heartbeat = Some(now + self.settings.ask_every);
            self.greet();
            return;
        }
        self.next_heartbeat = Some(now + self.settings.heartbeat);
        let own = self.roster.own_name().clone();
        let watchers = self.roster.watchers_of(&own, self.settings.watchers);
        let mark = self.roster.mark();
        self.send(&watchers, Message::Heartbeat(mark));
        // One that came back, or with whom we lost touch, is found this way.
        let absent = self.roster.next_absent(self.knocked.as_ref()).cloned();
        if let Some(absent) = absent {
            self.send(std::slice::from_ref(&absent), Message::Ask(mark));
            self.knocked = Some(absent);
        }
    }

    /// Asks those who are not known for their records, some at a time.
    fn greet(&mut self) {
        let unknown = self.roster.unknown(self.knocked.as_ref());
        let unknown: Vec<_> = unknown.take(GREETINGS).cloned().collect();
        self.send(&unknown, Message::Fetch);
        self.knocked = unknown.last().cloned().or_else(|| self.knocked.take());
    }

    /// Asks about who is silent, buries who does not answer.
    fn watch(&mut self, now: Instant) {
        let (mut ask, mut dead) = (Vec::new(), Vec::new());
        for (name, watch) in &mut self.watches {
            match watch.due(now, &self.settings) {
                Due::Nothing => {}
                Due::Ask => {
                    watch.ask(now);
                    ask.push(name.clone());
                }
                Due::Dead => dead.push(name.clone()),
            }
        }
        for name in ask {
            self.ask_about(&name);
        }
        for name in dead {
            // Who watches whom is only looked at again in a while.
            self.watches.remove(&name);
            let Some(incarnation) = self.incarnation_of(&name) else {
                continue;
            };
            if self.roster.learn(&name, Record::dead(incarnation)) == Learned::News {
                self.tell_all_of(now, &name);
            }
        }
    }

    fn ask_about(&mut self, name: &Arc<str>) {
        let Some(incarnation) = self.incarnation_of(name) else {
            return;
        };
        let mark = self.roster.mark();
        self.send(std::slice::from_ref(name), Message::Ask(mark));
        let mut watchers = self.roster.watchers_of(name, self.settings.watchers);
        watchers.retain(|it| it != self.roster.own_name());
        let doubt = Message::Doubt {
            name: name.to_string(),
            incarnation,
        };
        self.send(&watchers, doubt);
    }

    fn incarnation_of(&self, name: &str) -> Option<u64> {
        let record = self.roster.get(name)?.record.as_ref()?;
        Some(record.incarnation)
    }

    /// Draws the conclusions from what has become known, and sends what is on its way to all.
    fn follow(&mut self, now: Instant) {
        self.try_to_settle(now);
        if self.has_news() && now >= self.next_look {
            self.look_at_all(now);
        }
        for (subject, names) in self.spread.due(now, self.settings.ask_every) {
            if let Some(records) = self.record_of(&subject) {
                self.send(&names, records);
            }
        }
    }

    /// Whether the watches and the members were made of something older than what is known.
    fn has_news(&self) -> bool {
        self.settle == Settle::Settled && self.followed != Some(self.roster.generation())
    }

    fn look_at_all(&mut self, now: Instant) {
        self.followed = Some(self.roster.generation());
        // Who leaves will not be there to hear anybody.
        let count = if self.is_leaving() {
            0
        } else {
            self.settings.watchers
        };
        let watched = self.roster.watched(count);
        self.watches.retain(|name, _| watched.contains(name));
        for name in watched {
            let watch = || Watch::new(now, &self.settings);
            self.watches.entry(name).or_insert_with(watch);
        }
        let members = self.roster.members();
        let many = u32::try_from(members.len()).unwrap_or(u32::MAX);
        self.next_look = now + LOOK_FOR_EACH * many;
        if self.told.as_ref() != Some(&members) {
            self.told = Some(members.clone());
            self.outputs.push_back(Output::Members(members));
        }
    }

    fn try_to_settle(&mut self, now: Instant) {
        let Settle::Until(at) = self.settle else {
            return;
        };
        if now < at && self.roster.knows_not_all() {
            return;
        }
        self.settle = Settle::Settled;
        let together = self.roster.own().incarnation.saturating_sub(TOGETHER);
        let at_work = |(_, it): (_, &Speaker)| {
            let record = it.record.as_ref();
            record.is_some_and(|it| {
                matches!(it.status, Status::Alive | Status::Returning) && it.incarnation <= together
            })
        };
        let status = if self.roster.others().any(at_work) {
            Status::Returning
        } else {
            Status::Alive
        };
        // Those that start together with us will know in a moment what falls to them.
        self.roster.presume_alive();
        if !self.is_leaving() {
            self.roster.change_own(|own| own.status = status);
            self.next_heartbeat = Some(now);
            self.tell_of_own(now);
        }
    }

    fn tell_of_own(&mut self, now: Instant) {
        // Before, we are asked for it.
        if self.settle == Settle::Settled || self.is_leaving() {
            let own = self.roster.own_name().clone();
            self.tell_all_of(now, &own);
        }
    }

    fn tell_all_of(&mut self, now: Instant, name: &Arc<str>) {
        let everybody = self.roster.others().map(|(name, _)| name.clone()).collect();
        self.spread
            .start(now, name.clone(), everybody, self.settings.repeats);
    }

    fn record_of(&self, name: &str) -> Option<Message> {
        let record = self.roster.get(name)?.record.clone()?;
        Some(Message::Records(vec![(name.to_string(), record)]))
    }

    /// Sends one datagram to all of these.
    fn send(&mut self, names: &[Arc<str>], message: Message) {
        let address = |name: &Arc<str>| self.roster.get(name)?.address;
        let addresses: Vec<_> = names.iter().filter_map(address).collect();
        if addresses.is_empty() {
            return;
        }
        let own = self.roster.own();
        let bytes = self.door.seal(&Body {
            name: self.roster.own_name().to_string(),
            incarnation: own.incarnation,
            version: own.version,
            message,
        });
        self.outputs
            .extend(addresses.into_iter().map(|to| Output::Send {
                to,
                bytes: Arc::clone(&bytes),
            }));
    }
}

/// No timer is more exact than this.
const PUNCTUAL: Duration = Duration::from_millis(5);

/// So long for each member passes between two looks at all of them. When thousands start at once,
/// each of them is news; going through the others for each would take all of the time instead of a
/// part of it. The first news after a calm is acted on at once.
const LOOK_FOR_EACH: Duration = Duration::from_micros(10);

/// Those whose starts are not further apart have started together, in microseconds.
const TOGETHER: u64 = 1_000_000;

/// How many unknown speakers are asked at once.
const GREETINGS: usize = 64;

/// A number of milliseconds for the wire, those that have begun included.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
