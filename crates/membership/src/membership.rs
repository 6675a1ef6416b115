use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use aes_gcm::Aes256Gcm;

use crate::peer::{Due, Peer, State};
use crate::seal::{self, Body, Header, Kind, SessionId};
use crate::{Dropped, Key, Settings};

/// Who we are.
#[derive(Clone, Debug)]
pub struct Own {
    /// The node's name.
    pub name: String,
    /// Higher at each start of the process: its start in wall-clock time does. Should the clock
    /// have gone back in between, the others say so and it is raised above what they know.
    pub incarnation: u64,
    /// 16 random bytes, fresh at each start of the process. Heartbeats are not safe without.
    pub session: [u8; 16],
    /// The cluster's key; without one, heartbeats are open.
    pub key: Option<Key>,
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
    /// The speakers that are alive, ourselves included, have changed to these.
    Alive(BTreeSet<String>),
}

/// Knows which speakers are alive: everybody sends everybody a heartbeat, and who is silent for
/// too long is dead.
///
/// Nothing is said about who is alive until every listed speaker has been heard or has had the
/// time to be, so a speaker that starts does not believe for a moment that it is alone. The others
/// count it as alive only from then on: until it knows what falls to it, they keep what they have.
///
/// Silence counts only while we ourselves were awake: when a call comes later than
/// [`poll_timeout`](Self::poll_timeout) asked for, all deadlines move by as much. A starved
/// watcher condemns nobody.
///
/// Known limit: datagrams that somebody on the path records *and withholds* can be played later,
/// each once, and keep a dead speaker alive meanwhile.
#[derive(Debug)]
pub struct Membership {
    own: Own,
    settings: Settings,
    cipher: Option<Aes256Gcm>,
    sequence: u64,
    peers: BTreeMap<String, Peer>,
    /// Ciphers of the sessions we hear, by session; each belongs to one peer.
    sessions: HashMap<SessionId, (String, Aes256Gcm)>,
    next_heartbeat: Option<Instant>,
    /// How often we still say that we leave; `None` while we stay.
    leaving: Option<u32>,
    settle: Settle,
    told: Option<BTreeSet<String>>,
    /// The last time we were called.
    awake: Instant,
    dropped: BTreeMap<Dropped, u64>,
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
        let cipher = own.key.as_ref().map(|key| key.session(&own.session));
        Self {
            own,
            settings,
            cipher,
            sequence: 0,
            peers: BTreeMap::new(),
            sessions: HashMap::new(),
            next_heartbeat: None,
            leaving: None,
            settle: Settle::Unlisted,
            told: None,
            awake: now,
            dropped: BTreeMap::new(),
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
                    *self.dropped.entry(reason).or_default() += 1;
                }
            }
            Input::Peers(peers) => self.list(now, peers),
            Input::Leave => {
                if self.leaving.is_none() {
                    self.leaving = Some(self.settings.leave_repeats);
                    self.next_heartbeat = Some(now);
                    self.speak(now);
                }
            }
        }
        self.tell(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stretch(now);
        self.speak(now);
        self.watch(now);
        self.tell(now);
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
        self.peers
            .values()
            .filter_map(|peer| peer.deadline(&self.settings))
            .chain(self.next_heartbeat)
            .chain(settle)
            .min()
    }

    /// How many datagrams were dropped so far, by reason.
    pub fn dropped(&self) -> &BTreeMap<Dropped, u64> {
        &self.dropped
    }

    /// Whether a leave has been said as often as it should be.
    pub fn has_left(&self) -> bool {
        self.leaving == Some(0)
    }

    /// The time between when we should have been called and now is time in which we heard
    /// nothing because we did not listen; nobody is to be blamed for it.
    fn stretch(&mut self, now: Instant) {
        let asleep = self
            .poll_timeout()
            .map_or(self.awake, |due| due.max(self.awake));
        let late = now.saturating_duration_since(asleep);
        self.awake = now;
        if late.is_zero() {
            return;
        }
        self.peers
            .values_mut()
            .for_each(|peer| peer.excuse(now, late));
        if let Settle::Until(at) = &mut self.settle {
            *at += late;
        }
    }

    fn list(&mut self, now: Instant, listed: BTreeMap<String, SocketAddr>) {
        for (name, peer) in &mut self.peers {
            if !listed.contains_key(name) {
                peer.address = None;
                peer.state = State::Absent;
            }
        }
        for (name, address) in listed {
            if name != self.own.name {
                self.peers.entry(name).or_default().address = Some(address);
            }
        }
        if self.settle == Settle::Unlisted {
            self.settle = Settle::Until(now + self.settings.dead_after);
            self.next_heartbeat = Some(now);
            self.speak(now);
        }
    }

    fn datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Result<(), Dropped> {
        let (header, body) = self.open(bytes)?;
        // An open heartbeat is anybody's, so its address has to fit at least. A sealed one may
        // come from another address of the node.
        let fits = |peer: &&mut Peer| {
            peer.address
                .is_some_and(|address| header.sealed || address.ip() == from.ip())
        };
        let peer = self
            .peers
            .get_mut(&body.name)
            .filter(fits)
            .ok_or(Dropped::Foreign)?;

        let number = (body.incarnation, header.sequence);
        if let Some(last) = peer.last.filter(|last| number <= *last) {
            let recently = |at: Instant| now < at + self.settings.heartbeat;
            if number.0 < last.0 && !peer.corrected.is_some_and(recently) {
                peer.corrected = Some(now);
                self.send_to(&body.name, Kind::Outdated(last.0));
            }
            return Err(Dropped::Replayed);
        }
        let known = peer.last.is_some_and(|last| last.0 == body.incarnation);
        peer.last = Some(number);
        peer.state = match body.kind {
            Kind::Leave => State::Absent,
            // Unless it started together with us, and counts already.
            Kind::Starting if !(known && peer.is_alive()) => State::Starting { heard: now },
            _ => State::Alive {
                heard: now,
                asked: None,
            },
        };
        match body.kind {
            Kind::Ask if self.leaving.is_some() => self.send_to(&body.name, Kind::Leave),
            Kind::Ask | Kind::Starting if self.settle == Settle::Settled => {
                self.send_to(&body.name, Kind::Heartbeat);
            }
            Kind::Outdated(known) if known > self.own.incarnation => {
                self.own.incarnation = known.saturating_add(1);
                self.next_heartbeat = self.next_heartbeat.map(|_| now);
            }
            // While we are starting ourselves, we say so often enough.
            Kind::Heartbeat | Kind::Ask | Kind::Starting | Kind::Leave | Kind::Outdated(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, bytes: &[u8]) -> Result<(Header, Body), Dropped> {
        let (header, rest) = Header::decode(bytes)?;
        let Some(key) = &self.own.key else {
            // Sealed, and we have nothing to open it with.
            let body = if header.sealed {
                Err(Dropped::Forged)
            } else {
                Body::decode(rest)
            };
            return body.map(|body| (header, body));
        };
        if !header.sealed {
            return Err(Dropped::Unsealed);
        }
        if let Some((_, cipher)) = self.sessions.get(&header.session) {
            return seal::open(cipher, header.sequence, bytes).map(|body| (header, body));
        }
        let cipher = key.session(&header.session);
        let body = seal::open(&cipher, header.sequence, bytes)?;
        if self.peers.contains_key(&body.name) {
            // A peer has one session at a time.
            self.sessions.retain(|_, (name, _)| *name != body.name);
            self.sessions
                .insert(header.session, (body.name.clone(), cipher));
        }
        Ok((header, body))
    }

    /// Sends the heartbeat, or the word that we leave, when it is time.
    fn speak(&mut self, now: Instant) {
        if self.next_heartbeat.is_none_or(|at| now < at) {
            return;
        }
        let kind = match &mut self.leaving {
            None if self.settle == Settle::Settled => {
                self.next_heartbeat = Some(now + self.settings.heartbeat);
                Kind::Heartbeat
            }
            None => {
                self.next_heartbeat = Some(now + self.settings.ask_every);
                Kind::Starting
            }
            Some(left) => {
                *left = left.saturating_sub(1);
                self.next_heartbeat = (*left > 0).then(|| now + self.settings.ask_every);
                Kind::Leave
            }
        };
        let bytes = self.seal(kind);
        let addresses = self.peers.values().filter_map(|peer| peer.address);
        self.outputs.extend(addresses.map(|to| Output::Send {
            to,
            bytes: Arc::clone(&bytes),
        }));
    }

    /// Asks who is silent, buries who does not answer.
    fn watch(&mut self, now: Instant) {
        let mut ask = Vec::new();
        for (name, peer) in &mut self.peers {
            match peer.due(now, &self.settings) {
                Due::Nothing => {}
                Due::Dead => peer.state = State::Absent,
                Due::Ask => {
                    if let State::Alive { asked, .. } = &mut peer.state {
                        *asked = Some(now);
                    }
                    ask.push(name.clone());
                }
            }
        }
        if self.leaving.is_none() {
            for name in ask {
                self.send_to(&name, Kind::Ask);
            }
        }
    }

    /// Says who is alive, when that is known and new.
    fn tell(&mut self, now: Instant) {
        let fresh = match self.settle {
            Settle::Settled => false,
            Settle::Unlisted => return,
            Settle::Until(at) => {
                let listed = |peer: &&Peer| peer.address.is_some();
                if now < at && !self.peers.values().filter(listed).all(Peer::is_heard) {
                    return;
                }
                self.settle = Settle::Settled;
                // Those that start together with us will know in a moment what falls to them.
                for peer in self.peers.values_mut() {
                    if let State::Starting { heard } = peer.state {
                        peer.state = State::Alive { heard, asked: None };
                    }
                }
                true
            }
        };
        let told = self.told.as_ref();
        let alive = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.is_alive())
            .map(|(name, _)| name);
        let same = told.is_some_and(|told| {
            alive.clone().all(|name| told.contains(name)) && told.len() == alive.clone().count() + 1
        });
        if !same {
            let alive: BTreeSet<_> = alive.chain([&self.own.name]).cloned().collect();
            self.told = Some(alive.clone());
            self.outputs.push_back(Output::Alive(alive));
        }
        if fresh && self.leaving.is_none() {
            // The others stop at this word, so it comes after.
            self.next_heartbeat = Some(now);
            self.speak(now);
        }
    }

    fn send_to(&mut self, name: &str, kind: Kind) {
        if let Some(to) = self.peers.get(name).and_then(|peer| peer.address) {
            let bytes = self.seal(kind);
            self.outputs.push_back(Output::Send { to, bytes });
        }
    }

    fn seal(&mut self, kind: Kind) -> Arc<[u8]> {
        self.sequence += 1;
        let body = Body {
            kind,
            incarnation: self.own.incarnation,
            name: self.own.name.clone(),
        };
        seal::seal(self.cipher.as_ref(), self.own.session, self.sequence, &body).into()
    }
}

#[cfg(test)]
mod tests;
