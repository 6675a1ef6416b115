//! All sessions of a node: which packet belongs to which.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::control::{Control, Diagnostic, LEN, Malformed, State};
use crate::echo::Echo;
use crate::session::{Change, Session, Settings};

/// Where a peer is, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Its address.
    pub peer: IpAddr,
    /// The interface that leads there, if its address alone does not say.
    pub interface: Option<u32>,
    /// With a multihop session, how much of a packet's hop limit must be left; without, it is on
    /// the link (RFC 5881, RFC 5883).
    pub minimum_ttl: Option<u8>,
}

/// How a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub from: IpAddr,
    /// On which interface.
    pub interface: u32,
    /// What was left of its hop limit.
    pub ttl: u8,
    /// Whether it came to the port of multihop sessions.
    pub multihop: bool,
}

/// What happens to the sessions.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// These are all sessions.
    Sessions(BTreeMap<Path, Settings>),
    /// A datagram came in.
    Datagram(Arrival, &'a [u8]),
    /// An IPv4 packet came in that may be an Echo packet of ours.
    Echo(&'a [u8]),
    /// The last Echo packet on this path could not be sent: it is not known where the peer is on
    /// the link.
    EchoNotSent(Path),
    /// We stop: peers are told that it means nothing.
    Leave,
}

/// What the sessions want done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this.
    Send(Path, [u8; LEN]),
    /// Send this Echo packet out of this interface, to the peer but addressed to ourselves.
    Echo(Path, u32, Echo),
    /// The peer can be reached.
    Up(Path),
    /// It cannot any more.
    Down(Path, Diagnostic),
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dropped {
    /// It is no packet.
    Malformed(Malformed),
    /// It comes from farther away than its session allows (RFC 5881 section 5).
    Ttl,
    /// It is of no session.
    NoSession,
    /// It is no Echo packet of ours that is awaited.
    Echo,
}

/// The sessions of a node.
#[derive(Debug)]
pub struct Bfd {
    sessions: BTreeMap<Path, Session>,
    /// Sessions that are being switched off, and until when the peer is told so.
    leaving: BTreeMap<Path, (Session, Instant)>,
    discriminators: BTreeMap<u32, Path>,
    outputs: VecDeque<Output>,
    dropped: BTreeMap<Dropped, u64>,
    seed: u64,
    drawn: u64,
    /// The last time we were called.
    awake: Instant,
}

impl Bfd {
    /// Without sessions. `seed` varies discriminators and times.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            leaving: BTreeMap::new(),
            discriminators: BTreeMap::new(),
            outputs: VecDeque::new(),
            dropped: BTreeMap::new(),
            seed,
            drawn: 0,
            awake: now,
        }
    }

    /// Takes what happened. Datagrams that have come in already are to be given before
    /// [`handle_timeout`](Self::handle_timeout) is called.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Sessions(sessions) => self.configure(now, sessions),
            Input::Datagram(arrival, bytes) => {
                if let Err(reason) = self.datagram(now, arrival, bytes) {
                    *self.dropped.entry(reason).or_default() += 1;
                }
            }
            Input::Echo(bytes) => {
                if self.echo_came_back(now, bytes).is_none() {
                    *self.dropped.entry(Dropped::Echo).or_default() += 1;
                }
            }
            Input::EchoNotSent(path) => {
                if let Some(session) = self.sessions.get_mut(&path) {
                    session.echo_was_not_sent(now);
                }
            }
            Input::Leave => self.configure(now, BTreeMap::new()),
        }
    }

    fn configure(&mut self, now: Instant, sessions: BTreeMap<Path, Settings>) {
        let gone = |it: &&Path| !sessions.contains_key(it);
        let gone: Vec<_> = self.sessions.keys().filter(gone).copied().collect();
        for path in gone {
            let mut session = self.sessions.remove(&path).expect("it was found");
            // RFC 5880 section 6.8.16: for a detection time at least.
            let time = session.detect_time().clamp(FAREWELL, 10 * FAREWELL);
            session.switch_off(now);
            self.leaving.insert(path, (session, now + time));
        }
        for (path, settings) in sessions {
            if let Some(session) = self.sessions.get_mut(&path) {
                session.change(now, settings);
                continue;
            }
            if let Some((old, _)) = self.leaving.remove(&path) {
                self.discriminators.remove(&old.discriminator());
            }
            let discriminator = self.new_discriminator();
            self.discriminators.insert(discriminator, path);
            let session = Session::new(now, settings, discriminator);
            self.sessions.insert(path, session);
        }
        self.handle_timeout(now);
    }

    /// RFC 5880 section 6.3: nonzero, unique, and nothing that an attacker knows.
    fn new_discriminator(&mut self) -> u32 {
        loop {
            let mut hasher = DefaultHasher::new();
            (self.seed, self.drawn).hash(&mut hasher);
            self.drawn += 1;
            let [_, _, _, _, number @ ..] = hasher.finish().to_be_bytes();
            let number = u32::from_be_bytes(number);
            if number != 0 && !self.discriminators.contains_key(&number) {
                return number;
            }
        }
    }

    fn datagram(&mut self, now: Instant, arrival: Arrival, bytes: &[u8]) -> Result<(), Dropped> {
        let packet = Control::decode(bytes).map_err(Dropped::Malformed)?;
        let path = self.path_of(arrival, &packet).ok_or(Dropped::NoSession)?;
        if arrival.ttl < path.minimum_ttl.unwrap_or(u8::MAX) {
            return Err(Dropped::Ttl);
        }
        let Some(session) = self.sessions.get_mut(&path) else {
            return Ok(());
        };
        session.set_interface(arrival.interface);
        let (change, answer) = session.receive(now, &packet);
        if answer {
            let packet = session.packet(true).encode();
            self.outputs.push_back(Output::Send(path, packet));
        }
        self.tell(path, change);
        // What it leads to goes out with it.
        if self.sessions.get(&path).and_then(Session::poll_timeout) <= Some(now) {
            self.due(now, path);
        }
        Ok(())
    }

    /// RFC 5880 section 6.8.6, RFC 5881 section 3: by the discriminator, or, as long as the peer
    /// does not know it, by where it comes from.
    fn path_of(&self, arrival: Arrival, packet: &Control) -> Option<Path> {
        let fits = |path: &Path| {
            path.peer == arrival.from
                && path.minimum_ttl.is_some() == arrival.multihop
                && path.interface.is_none_or(|it| it == arrival.interface)
        };
        if packet.your_discriminator != 0 {
            let path = self.discriminators.get(&packet.your_discriminator)?;
            return Some(*path).filter(fits);
        }
        // Whoever is up knows whom it speaks with.
        if !matches!(packet.state, State::Down | State::AdminDown) {
            return None;
        }
        self.sessions.keys().find(|path| fits(path)).copied()
    }

    /// Nothing if it is none that is awaited. Strangers cannot make one: they would need to know
    /// what authenticates it.
    fn echo_came_back(&mut self, now: Instant, bytes: &[u8]) -> Option<()> {
        let echo = Echo::decode(bytes)?;
        let path = self.discriminators.get(&echo.discriminator)?;
        if echo != self.echo(echo.discriminator, echo.sequence) {
            return None;
        }
        let session = self.sessions.get_mut(path)?;
        session.echo_came_back(now, echo.sequence).then_some(())
    }

    fn echo(&self, discriminator: u32, sequence: u64) -> Echo {
        let mut hasher = DefaultHasher::new();
        (self.seed, "echo", discriminator, sequence).hash(&mut hasher);
        Echo {
            mark: self.echo_mark(),
            discriminator,
            sequence,
            authenticator: hasher.finish(),
        }
    }

    /// What all Echo packets of ours begin with.
    pub fn echo_mark(&self) -> u32 {
        let mut hasher = DefaultHasher::new();
        (self.seed, "mark").hash(&mut hasher);
        let [mark @ .., _, _, _, _] = hasher.finish().to_be_bytes();
        u32::from_be_bytes(mark)
    }

    fn tell(&mut self, path: Path, change: Option<Change>) {
        self.outputs.extend(change.map(|change| match change {
            Change::Up => Output::Up(path),
            Change::Down(why) => Output::Down(path, why),
        }));
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.excuse(now);
        let is_due = |it: &Session| it.poll_timeout().is_some_and(|at| at <= now);
        let due = self.sessions.iter().filter(|(_, it)| is_due(it));
        let due: Vec<_> = due.map(|(path, _)| *path).collect();
        for path in due {
            self.due(now, path);
        }
        let outputs = &mut self.outputs;
        let discriminators = &mut self.discriminators;
        self.leaving.retain(|path, (session, until)| {
            if session.timeout(now).packet {
                let packet = session.packet(false).encode();
                outputs.push_back(Output::Send(*path, packet));
            }
            if *until <= now {
                discriminators.remove(&session.discriminator());
            }
            *until > now
        });
    }

    fn due(&mut self, now: Instant, path: Path) {
        let Some(session) = self.sessions.get_mut(&path) else {
            return;
        };
        let due = session.timeout(now);
        let (discriminator, interface) = (session.discriminator(), session.interface());
        if due.packet {
            let packet = session.packet(false).encode();
            self.outputs.push_back(Output::Send(path, packet));
        }
        if let Some(sequence) = due.echo {
            let echo = self.echo(discriminator, sequence);
            self.outputs.push_back(Output::Echo(path, interface, echo));
        }
        self.tell(path, due.change);
    }

    /// When we were not called in time, nobody is to be blamed for the time in which we did not
    /// listen.
    fn excuse(&mut self, now: Instant) {
        let due = self.poll_timeout().map_or(now, |at| at.max(self.awake));
        let late = now.saturating_duration_since(due);
        self.awake = now;
        if late > PUNCTUAL {
            for session in self.sessions.values_mut() {
                session.excuse(late);
            }
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.values().filter_map(Session::poll_timeout);
        let leaving = self.leaving.values();
        let leaving =
            leaving.map(|(it, until)| it.poll_timeout().map_or(*until, |at| at.min(*until)));
        sessions.chain(leaving).min()
    }

    /// All sessions, by their paths.
    pub fn sessions(&self) -> impl Iterator<Item = (&Path, &Session)> {
        self.sessions.iter()
    }

    /// The session on a path.
    pub fn session(&self, path: &Path) -> Option<&Session> {
        self.sessions.get(path)
    }

    /// Whether there is nothing left to be told to peers of sessions that were switched off.
    pub fn has_left(&self) -> bool {
        self.sessions.is_empty() && self.leaving.is_empty()
    }

    /// How many datagrams were dropped so far, by reason.
    pub fn dropped(&self) -> &BTreeMap<Dropped, u64> {
        &self.dropped
    }
}

/// No timer is more exact than this.
const PUNCTUAL: Duration = Duration::from_millis(5);
/// How long a peer is told that a session is switched off, at least.
const FAREWELL: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;
