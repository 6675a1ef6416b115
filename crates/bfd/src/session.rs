//! One session: RFC 5880's machine and its timers.

mod echoes;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use crate::control::{Control, Diagnostic, State};
use echoes::{Echoes, Pace};

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
    /// Time between two Echo packets of ours, at least; nothing if we send none. Only for peers
    /// on the link (RFC 5883 section 3).
    pub echo_transmit: Option<Duration>,
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
    /// On which interface the peer was heard last.
    interface: u32,
    /// The pace that the peer is asked to acknowledge.
    polling: Option<(Duration, Duration)>,
    echoes: Echoes,
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
    required_min_echo_rx: Duration,
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
    /// Echo packets sent.
    pub echoes_sent: u64,
    /// Echo packets that came back.
    pub echoes_returned: u64,
}

/// What is due in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) change: Option<Change>,
    /// A packet is to be sent.
    pub(crate) packet: bool,
    /// This Echo packet is to be sent.
    pub(crate) echo: Option<u64>,
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
        required_min_echo_rx: Duration::ZERO,
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
            interface: 0,
            polling: None,
            echoes: Echoes::default(),
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
        self.echoes.set_pace(now, self.echo_pace());
        self.tell_pace();
        self.schedule(now, Some(now));
    }

    /// Puts the pace that we want into effect; when the session is up, as far as that can be done
    /// before the peer knows (RFC 5880 section 6.8.3).
    fn tell_pace(&mut self) {
        if self.state == State::Up {
            // What is quicker counts at once; what is slower when the peer knows.
            self.transmit = self.transmit.min(self.settings.transmit);
            self.receive = self.receive.max(self.required_min_rx());
            let wanted = self.wanted();
            self.polling.get_or_insert(wanted);
        } else {
            self.take_pace();
        }
    }

    fn take_pace(&mut self) {
        self.polling = None;
        (self.transmit, self.receive) = self.wanted();
    }

    /// What the peer is told: time between two packets of ours, and between two of its own.
    fn wanted(&self) -> (Duration, Duration) {
        (self.settings.transmit, self.required_min_rx())
    }

    /// Section 6.8.3: as long as Echo packets come back, the peer has to send few others.
    fn required_min_rx(&self) -> Duration {
        if self.echoes.are_proven() {
            self.settings.receive.max(SLOW)
        } else {
            self.settings.receive
        }
    }

    /// Section 6.8.9: Echo packets are sent when the session is up and the peer returns them, no
    /// more often than it wants.
    fn echo_pace(&self) -> Option<Pace> {
        let (ours, theirs) = (
            self.settings.echo_transmit?,
            self.remote.required_min_echo_rx,
        );
        let interval = ours.max(theirs);
        let is_on = self.state == State::Up && !theirs.is_zero();
        is_on.then_some(Pace {
            interval,
            detection_time: interval * u32::from(self.settings.detect_multiplier),
        })
    }

    /// Takes an Echo packet that came back; false if it is none that is awaited.
    pub(crate) fn echo_came_back(&mut self, now: Instant, sequence: u64) -> bool {
        let before = self.wanted();
        if !self.echoes.came_back(now, sequence) {
            return false;
        }
        self.counts.echoes_returned += 1;
        if self.wanted() != before {
            self.tell_pace();
        }
        true
    }

    /// The last Echo packet was not sent, since it is not known where the peer is on the link.
    pub(crate) fn echo_was_not_sent(&mut self, now: Instant) {
        self.counts.echoes_sent = self.counts.echoes_sent.saturating_sub(1);
        self.echoes.not_sent(now);
    }

    /// It is switched off: the peer is told so, by packets that go on for a while.
    pub(crate) fn switch_off(&mut self, now: Instant) {
        self.state = State::AdminDown;
        self.diagnostic = Diagnostic::ADMINISTRATIVELY_DOWN;
        self.since = now;
        self.polling = None;
        self.detection = None;
        self.echoes.set_pace(now, None);
        self.schedule(now, Some(now));
    }

    /// Takes a packet that belongs to it (RFC 5880 section 6.8.6). True with it if an answer is
    /// due at once.
    pub(crate) fn receive(&mut self, now: Instant, packet: &Control) -> (Option<Change>, bool) {
        self.counts.received += 1;
        let was = (self.interval(), self.state);
        let wanted = self.wanted();
        self.remote = Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            detect_multiplier: packet.detect_multiplier,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
            required_min_echo_rx: packet.required_min_echo_rx,
            demand: packet.demand,
            control_plane_independent: packet.control_plane_independent,
        };
        if packet.is_final
            && let Some(asked) = self.polling.take()
        {
            (self.transmit, self.receive) = asked;
            // What has changed meanwhile was not asked about yet.
            if asked != wanted {
                self.tell_pace();
            }
        }
        if self.state == State::AdminDown {
            return (None, false);
        }
        let change = self.step(now, packet.state);
        self.echoes.set_pace(now, self.echo_pace());
        if self.state == State::Up && self.wanted() != wanted {
            self.tell_pace();
        }
        self.detection = Some(now + self.detection_time());
        // A change of state is told at once, a change of pace counts from now on (sections 6.8.7
        // and 6.8.3). Where Echo packets do not come back but others arrive, the session would be
        // up again at once, and down again: it takes its time.
        if self.state != was.1 {
            let at = (self.diagnostic != Diagnostic::ECHO_FAILED).then_some(now);
            self.schedule(now, at);
        } else if self.interval() != was.0 || self.is_silent() || self.next_tx.is_none() {
            self.schedule(now, None);
        }
        (change, packet.poll)
    }

    /// The peer was heard on this interface.
    pub(crate) fn set_interface(&mut self, interface: u32) {
        self.interface = interface;
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
                self.polling = Some(self.wanted());
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
        self.echoes.set_pace(now, None);
        self.take_pace();
        self.counts.downs += u64::from(was_up);
        was_up.then_some(Change::Down(diagnostic))
    }

    /// Does what is due, and says what is to be sent.
    pub(crate) fn timeout(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        if self.detection.is_some_and(|at| at <= now) {
            self.detection = None;
            if matches!(self.state, State::Init | State::Up) {
                due.change = self.go_down(now, Diagnostic::DETECTION_TIME_EXPIRED);
                self.schedule(now, Some(now));
            }
            // Section 6.8.1: whoever is not heard is as good as unknown.
            self.remote = Remote {
                diagnostic: self.remote.diagnostic,
                ..Remote::UNKNOWN
            };
        }
        if self.echoes.have_failed(now) {
            due.change = self.go_down(now, Diagnostic::ECHO_FAILED);
            self.schedule(now, Some(now));
        }
        if let Some(interval) = self.echoes.due(now) {
            let next = now + self.jitter(interval);
            due.echo = Some(self.echoes.send(next));
            self.counts.echoes_sent += 1;
        }
        due.packet = self.next_tx.is_some_and(|at| at <= now);
        if due.packet {
            self.schedule(now, None);
        }
        due
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let all = [self.next_tx, self.detection, self.echoes.poll_timeout()];
        all.into_iter().flatten().min()
    }

    /// Moves the time by which the peer must be heard: we have not listened for so long.
    pub(crate) fn excuse(&mut self, late: Duration) {
        if let Some(at) = &mut self.detection {
            *at += late;
        }
        self.echoes.excuse(late);
    }

    /// The packet to be sent now; the answer to a question, or one that may be a question.
    pub(crate) fn packet(&mut self, is_final: bool) -> Control {
        self.counts.sent += 1;
        Control {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling.is_some() && !is_final,
            is_final,
            // We do not outlive our process.
            control_plane_independent: false,
            demand: false,
            detect_multiplier: self.settings.detect_multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.desired_min_tx(self.settings.transmit),
            required_min_rx: self.required_min_rx(),
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
            || remote.demand && is_up && self.polling.is_none()
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

    /// Time between two Echo packets of ours, if any are sent.
    pub fn echo_interval(&self) -> Option<Duration> {
        self.echoes.interval()
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

    /// On which interface the peer was heard last; 0 if it was not.
    pub(crate) fn interface(&self) -> u32 {
        self.interface
    }

    pub(crate) fn discriminator(&self) -> u32 {
        self.discriminator
    }
}

const SLOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
