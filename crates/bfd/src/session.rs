//! One session: RFC 5880's machine and its timers.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use crate::control::{Control, Diagnostic, State};

/// How a session is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between two packets of ours, at least.
    pub transmit: Duration,
    /// Time between two packets of the peer, at least.
    pub receive: Duration,
    /// After how many missed packets of ours we are gone for the peer.
    pub detect_multiplier: u8,
    /// Whether we wait for the peer to speak first.
    pub passive: bool,
    /// Time between two Echo packets of the peer, at least; nothing if we return none.
    pub echo_receive: Option<Duration>,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    settings: Settings,
    /// What the peer was told of them and has acknowledged, and what counts until then.
    transmit: Duration,
    receive: Duration,
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// Whether an answer of the peer is awaited.
    polling: bool,
    next_tx: Option<Instant>,
    detection: Option<Instant>,
    since: Instant,
    drawn: u64,
    counts: Counts,
}

/// What is known of the peer.
#[derive(Clone, Copy, Debug)]
struct Remote {
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    detect_multiplier: u8,
    desired_min_tx: Duration,
    required_min_rx: Duration,
    demand: bool,
    control_plane_independent: bool,
}

/// What happened in a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// How often it came up.
    pub ups: u64,
    /// How often it went down.
    pub downs: u64,
}

/// That the state is another than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Up,
    Down(Diagnostic),
}

impl Remote {
    /// RFC 5880 section 6.8.1.
    const UNKNOWN: Self = Self {
        discriminator: 0,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        detect_multiplier: 0,
        desired_min_tx: Duration::ZERO,
        required_min_rx: Duration::from_micros(1),
        demand: false,
        control_plane_independent: false,
    };
}

impl Session {
    /// A session with a peer that was not heard yet. The discriminator is not 0, and of no other
    /// session.
    pub(crate) fn new(now: Instant, settings: Settings, discriminator: u32) -> Self {
        let mut this = Self {
            settings,
            transmit: settings.transmit,
            receive: settings.receive,
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNKNOWN,
            polling: false,
            next_tx: None,
            detection: None,
            since: now,
            drawn: 0,
            counts: Counts::default(),
        };
        this.schedule(now, Some(now));
        this
    }

    /// Takes other settings. The peer is told of them without the session going down (RFC 5880
    /// section 6.8.3).
    pub(crate) fn change(&mut self, now: Instant, settings: Settings) {
        if self.settings == settings {
            return;
        }
        self.settings = settings;
        if self.state == State::Up {
            // What is quicker counts at once; what is slower when the peer knows.
            self.transmit = self.transmit.min(settings.transmit);
            self.receive = self.receive.max(settings.receive);
            self.polling = true;
        } else {
            (self.transmit, self.receive) = (settings.transmit, settings.receive);
        }
        self.schedule(now, Some(now));
    }

    /// It is switched off: the peer is told so, by packets that go on for a while.
    pub(crate) fn switch_off(&mut self, now: Instant) {
        self.state = State::AdminDown;
        self.diagnostic = Diagnostic::ADMINISTRATIVELY_DOWN;
        self.since = now;
        self.polling = false;
        self.detection = None;
        self.schedule(now, Some(now));
    }

    /// Takes a packet that belongs to it (RFC 5880 section 6.8.6). True with it if an answer is
    /// due at once.
    pub(crate) fn receive(&mut self, now: Instant, packet: &Control) -> (Option<Change>, bool) {
        self.counts.received += 1;
        let was = (self.interval(), self.state);
        self.remote = Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            detect_multiplier: packet.detect_multiplier,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
            demand: packet.demand,
            control_plane_independent: packet.control_plane_independent,
        };
        if packet.is_final && self.polling {
            self.polling = false;
            (self.transmit, self.receive) = (self.settings.transmit, self.settings.receive);
        }
        if self.state == State::AdminDown {
            return (None, false);
        }
        let change = self.step(now, packet.state);
        self.detection = Some(now + self.detection_time());
        // A change of state is told at once, a change of pace counts from now on (sections 6.8.7
        // and 6.8.3).
        if self.state != was.1 {
            self.schedule(now, Some(now));
        } else if self.interval() != was.0 || self.is_silent() || self.next_tx.is_none() {
            self.schedule(now, None);
        }
        (change, packet.poll)
    }

    /// The machine of section 6.8.6.
    fn step(&mut self, now: Instant, theirs: State) -> Option<Change> {
        match (self.state, theirs) {
            (State::Down, State::Down) => self.enter(now, State::Init),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.enter(now, State::Up);
                self.diagnostic = Diagnostic::NONE;
                self.counts.ups += 1;
                // The pace of a session that is up is another one than before (section 6.8.3).
                self.polling = true;
                return Some(Change::Up);
            }
            (State::Init, State::AdminDown) | (State::Up, State::AdminDown | State::Down) => {
                return self.go_down(now, Diagnostic::NEIGHBOR_SIGNALED_DOWN);
            }
            _ => {}
        }
        None
    }

    fn enter(&mut self, now: Instant, state: State) {
        self.state = state;
        self.since = now;
    }

    fn go_down(&mut self, now: Instant, diagnostic: Diagnostic) -> Option<Change> {
        let was_up = self.state == State::Up;
        self.enter(now, State::Down);
        self.diagnostic = diagnostic;
        self.polling = false;
        (self.transmit, self.receive) = (self.settings.transmit, self.settings.receive);
        self.counts.downs += u64::from(was_up);
        was_up.then_some(Change::Down(diagnostic))
    }

    /// Does what is due: true if a packet is, and what has changed.
    pub(crate) fn timeout(&mut self, now: Instant) -> (Option<Change>, bool) {
        let mut change = None;
        if self.detection.is_some_and(|at| at <= now) {
            self.detection = None;
            if matches!(self.state, State::Init | State::Up) {
                change = self.go_down(now, Diagnostic::DETECTION_TIME_EXPIRED);
                self.schedule(now, Some(now));
            }
            // Section 6.8.1: whoever is not heard is as good as unknown.
            self.remote = Remote {
                diagnostic: self.remote.diagnostic,
                ..Remote::UNKNOWN
            };
        }
        let is_due = self.next_tx.is_some_and(|at| at <= now);
        if is_due {
            self.schedule(now, None);
        }
        (change, is_due)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let all = [self.next_tx, self.detection];
        all.into_iter().flatten().min()
    }

    /// Moves the time by which the peer must be heard: we have not listened for so long.
    pub(crate) fn excuse(&mut self, late: Duration) {
        if let Some(at) = &mut self.detection {
            *at += late;
        }
    }

    /// The packet to be sent now; the answer to a question, or one that may be a question.
    pub(crate) fn packet(&mut self, is_final: bool) -> Control {
        self.counts.sent += 1;
        Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling && !is_final,
            is_final,
            // We do not outlive our process.
            control_plane_independent: false,
            demand: false,
            detect_multiplier: self.settings.detect_multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.desired_min_tx(self.settings.transmit),
            required_min_rx: self.settings.receive,
            required_min_echo_rx: self.settings.echo_receive.unwrap_or_default(),
        }
    }

    /// Section 6.8.3: who is not up speaks at most once in a second.
    fn desired_min_tx(&self, transmit: Duration) -> Duration {
        match self.state {
            State::Up => transmit,
            _ => transmit.max(SLOW),
        }
    }

    /// Time between two packets of ours (section 6.8.2), before jitter.
    fn interval(&self) -> Duration {
        let desired = self.desired_min_tx(self.transmit);
        desired.max(self.remote.required_min_rx)
    }

    /// How long the peer may be silent (section 6.8.4).
    fn detection_time(&self) -> Duration {
        let interval = self.receive.max(self.remote.desired_min_tx);
        interval * u32::from(self.remote.detect_multiplier)
    }

    /// Sets the time of the next packet: `at`, or one interval from now.
    fn schedule(&mut self, now: Instant, at: Option<Instant>) {
        self.next_tx = if self.is_silent() {
            None
        } else {
            Some(at.unwrap_or_else(|| now + self.jitter(self.interval())))
        };
    }

    /// Section 6.8.7: when nothing periodic is sent.
    fn is_silent(&self) -> bool {
        let remote = &self.remote;
        let is_heard = remote.discriminator != 0;
        let is_up = self.state == State::Up && remote.state == State::Up;
        self.settings.passive && !is_heard
            || is_heard && remote.required_min_rx.is_zero()
            || remote.demand && is_up && !self.polling
    }

    /// Section 6.8.7: up to a quarter less, and with a multiplier of one at least a tenth less.
    fn jitter(&mut self, interval: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.discriminator, self.drawn).hash(&mut hasher);
        self.drawn += 1;
        let range = if self.settings.detect_multiplier == 1 {
            151
        } else {
            251
        };
        let part = u32::try_from(hasher.finish() % range).expect("a small number");
        interval * (750 + part) / 1000
    }
}

/// What is seen of a session.
impl Session {
    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when it has that.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Why it went down last.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// Why the peer says that it did.
    pub fn remote_diagnostic(&self) -> Diagnostic {
        self.remote.diagnostic
    }

    /// Time between two packets of ours.
    pub fn transmit_interval(&self) -> Duration {
        self.interval()
    }

    /// How long the peer may be silent.
    pub fn detect_time(&self) -> Duration {
        self.detection_time()
    }

    /// Whether the peer goes on when its control plane does not.
    pub fn is_control_plane_independent(&self) -> bool {
        self.remote.control_plane_independent
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn discriminator(&self) -> u32 {
        self.discriminator
    }
}

const SLOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
