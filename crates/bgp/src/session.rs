//! A session with one peer: RFC 4271's machine, by the four verbs.
//!
//! Connecting and each connection have their own state; the six names of RFC 4271 section 8.2.2
//! are what is seen of them from outside. There are two connections when both sides connect at
//! the same time, until one of them is chosen (section 6.8).

mod connection;
mod connections;
mod event;
mod negotiate;
mod received;
mod retry;
mod settings;
mod telling;
mod view;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use connection::{Both, Counts};
use connection::{Connection, Phase, Step};
use connections::Connections;
pub use event::{End, Input, Output, State, Way};
pub use negotiate::Negotiated;
pub use received::ReceivedRoutes;
use retry::Retry;
pub use settings::{Link, RemoteAs, Settings};

use crate::rib::Rib;
use crate::wire::{ErrorCode, Message, Notification};

/// A session with one peer.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    dialer: Dialer,
    connections: Connections,
    retry: Retry,
    /// Of connections that are over.
    counts: Counts,
    received: ReceivedRoutes,
    last_end: Option<(Instant, End)>,
    /// All routes are told as those of one that is about to go.
    graceful_shutdown: bool,
    /// We have restarted, and have not had a session since.
    restarting: bool,
    outputs: VecDeque<Output>,
    now: Instant,
}

/// What is done about having a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialer {
    /// Nothing: the session is not wanted.
    Stopped,
    /// Nothing: there is a connection.
    Resting,
    /// Nothing before that time, after an error.
    Holding(Instant),
    /// Nothing before that time, as nobody answered.
    Waiting(Instant),
    /// Connecting, and giving up at that time.
    Dialing(Instant),
    /// It is up to the peer.
    Listening,
}

impl Session {
    /// A session that is not wanted yet. `seed` varies its times.
    pub fn new(now: Instant, settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            dialer: Dialer::Stopped,
            connections: Connections::default(),
            retry: Retry::new(seed),
            counts: Counts::default(),
            received: ReceivedRoutes::default(),
            last_end: None,
            graceful_shutdown: false,
            restarting: false,
            outputs: VecDeque::new(),
            now,
        }
    }

    /// The same, of a speaker that may have restarted: until there is a session it says so (RFC
    /// 4724 section 4.1).
    #[must_use]
    pub fn after_restart(self) -> Self {
        Self {
            restarting: true,
            ..self
        }
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Start => {
                if self.dialer == Dialer::Stopped {
                    self.dial();
                }
            }
            Input::Stop {
                notification,
                restarts,
            } => self.stop(&notification, restarts),
            Input::Connected(way, link) => self.connected(way, link),
            Input::Reachable => {
                if let Dialer::Waiting(_) = self.dialer {
                    self.dial();
                }
            }
            Input::ConnectFailed(why) => {
                if matches!(self.dialer, Dialer::Dialing(_)) {
                    self.fail(End::Unreachable(why));
                    let every = self.settings.connect_retry;
                    self.dialer = Dialer::Waiting(self.retry.after_failure(now, every));
                }
            }
            Input::Received(way, bytes) => self.receive(way, bytes),
            Input::Sent(way, len) => {
                if let Some(connection) = self.connections.get_mut(way) {
                    connection.sent(now, len);
                }
            }
            Input::Closed(way, why) => {
                if let Some(connection) = self.connections.get(way) {
                    let state = connection.phase().state();
                    self.drop(way, End::Lost { why, state });
                }
            }
            Input::BfdDown => {
                for way in [Way::Out, Way::In] {
                    self.end(way, Notification::new(ErrorCode::BFD_DOWN));
                }
            }
            Input::GracefulShutdown(goes) => {
                self.graceful_shutdown = goes;
                let connections = self.connections.iter_mut();
                for telling in connections.filter_map(Connection::telling_mut) {
                    telling.shut_down_gracefully(goes);
                }
            }
        }
    }

    /// Takes new settings, if nothing in them is for the peer to know; false if something is, and
    /// only a new session will do.
    pub fn change(&mut self, settings: &Settings) -> bool {
        let same = Settings {
            connect_retry: settings.connect_retry,
            ..self.settings.clone()
        };
        if same == *settings {
            self.settings.connect_retry = settings.connect_retry;
        }
        same == *settings
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        match self.dialer {
            Dialer::Holding(at) | Dialer::Waiting(at) if at <= now => self.dial(),
            // RFC 4271 event 9 in Connect: drop it, and try another one.
            Dialer::Dialing(at) if at <= now => {
                self.fail(End::Unreachable(NO_ANSWER.into()));
                self.dial();
            }
            _ => {}
        }
        for way in [Way::Out, Way::In] {
            let retry = &mut self.retry;
            let connection = self.connections.get_mut(way);
            match connection.map(|it| it.timeout(now, |time| retry.jitter(time))) {
                Some(Err(notification)) => self.end(way, notification),
                Some(Ok(Some(message))) => self.send(way, &message),
                Some(Ok(None)) | None => {}
            }
        }
    }

    /// The next thing to do, until there is none. `rib` has the routes.
    pub fn poll_output<K>(&mut self, rib: &Rib<K>) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let now = self.now;
        for way in [Way::Out, Way::In] {
            let connection = self.connections.get_mut(way);
            if let Some(bytes) = connection.and_then(|it| it.tell(now, rib)) {
                return Some(Output::Send(way, bytes));
            }
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dialer = match self.dialer {
            Dialer::Holding(at) | Dialer::Waiting(at) | Dialer::Dialing(at) => Some(at),
            Dialer::Stopped | Dialer::Resting | Dialer::Listening => None,
        };
        let connections = self.connections.iter().filter_map(Connection::poll_timeout);
        connections.chain(dialer).min()
    }

    fn dial(&mut self) {
        if self.settings.connects {
            self.retry.begin(self.now);
            let until = self.now + self.settings.connect_retry;
            self.dialer = Dialer::Dialing(until);
            self.outputs.push_back(Output::Connect);
        } else {
            self.dialer = Dialer::Listening;
        }
    }

    fn stop(&mut self, notification: &Notification, restarts: bool) {
        if matches!(self.dialer, Dialer::Dialing(_)) {
            self.outputs.push_back(Output::GiveUp);
        }
        self.dialer = Dialer::Stopped;
        for way in [Way::Out, Way::In] {
            let Some(connection) = self.connections.get(way) else {
                continue;
            };
            let negotiated = connection.established().map(|it| &it.agreed.negotiated);
            let keeps = |it: &Negotiated| it.graceful_restart;
            let keeps_after_notification = |it: &Negotiated| it.notification_restart;
            let keeps = negotiated.is_some_and(keeps);
            let keeps_after_notification = negotiated.is_some_and(keeps_after_notification);
            let notification = notification.clone();
            match (restarts, keeps, keeps_after_notification) {
                // RFC 4724 section 4: what looks like a crash is a restart.
                (true, true, false) => {
                    let (why, state) = ("restart".into(), State::Established);
                    self.drop(way, End::Lost { why, state });
                    self.outputs.push_back(Output::Close(way));
                }
                // RFC 8538 section 3.1.
                (false, _, true) => self.end(way, notification.hard()),
                _ => self.end(way, notification),
            }
        }
    }

    fn connected(&mut self, way: Way, link: Link) {
        let is_expected = match way {
            Way::Out => matches!(self.dialer, Dialer::Dialing(_)),
            // After an error, whoever comes has to wait as well.
            Way::In => match self.dialer {
                Dialer::Stopped | Dialer::Holding(_) => false,
                _ => self.connections.get(Way::In).is_none(),
            },
        };
        if !is_expected {
            // RFC 4271 section 8.2.2, Idle state: it refuses connections.
            return self.outputs.push_back(Output::Close(way));
        }
        if way == Way::Out {
            self.dialer = Dialer::Resting;
        }
        let connection = Connection::new(self.now, link, &self.settings);
        self.connections.insert(way, connection);
        let open = negotiate::open(&self.settings, self.restarting);
        self.send(way, &Message::Open(open));
    }

    fn receive(&mut self, way: Way, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(way) {
            connection.receive(bytes);
        }
        let now = self.now;
        while let Some(connection) = self.connections.get_mut(way) {
            match connection.step(now, &self.settings) {
                Ok(None) => break,
                Ok(Some(step)) => self.take(way, step),
                Err(notification) => self.end(way, notification),
            }
        }
    }

    fn take(&mut self, way: Way, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Opened => {
                let goes = self.graceful_shutdown;
                let connection = self.connections.get_mut(way);
                if let Some(telling) = connection.and_then(Connection::telling_mut) {
                    telling.shut_down_gracefully(goes);
                }
                self.send(way, &Message::Keepalive);
                self.choose(way);
            }
            Step::Up => {
                self.received = ReceivedRoutes::default();
                self.restarting = false;
                if let Dialer::Dialing(_) = self.dialer {
                    self.outputs.push_back(Output::GiveUp);
                }
                self.dialer = Dialer::Resting;
                self.outputs.push_back(Output::Up);
            }
            Step::Routes {
                update,
                treat_as_withdraw,
            } => self.received.take(&update, treat_as_withdraw),
            Step::Ended(notification) => {
                self.drop(way, End::Received(notification));
                self.outputs.push_back(Output::Close(way));
            }
        }
    }

    /// RFC 4271 section 6.8: of two connections with a peer, one stays.
    fn choose(&mut self, opened: Way) {
        let other = match opened {
            Way::Out => Way::In,
            Way::In => Way::Out,
        };
        let (Some(new), Some(old)) = (self.connections.get(opened), self.connections.get(other))
        else {
            return;
        };
        let theirs = new
            .negotiated()
            .map(|it| (it.open.identifier, it.open.asn()));
        let ours = (self.settings.identifier, self.settings.local_as);
        let stays = match old.phase() {
            // RFC 4724 section 5: the peer has restarted, and its old connection is dead.
            Phase::Established(it) if it.agreed.negotiated.open.graceful_restart().is_some() => {
                let (why, state) = ("the peer has restarted".into(), State::Established);
                self.drop(other, End::Lost { why, state });
                return self.outputs.push_back(Output::Close(other));
            }
            Phase::Established(_) => other,
            // The one that was begun by the higher identifier, or AS (RFC 6286 section 2.3).
            _ if theirs > Some(ours) => Way::In,
            _ => Way::Out,
        };
        let goes = if stays == opened { other } else { opened };
        let collision = ErrorCode::CONNECTION_COLLISION_RESOLUTION;
        self.end(goes, Notification::new(collision));
    }

    /// Ends a connection, and says why.
    fn end(&mut self, way: Way, notification: Notification) {
        if self.connections.get(way).is_none() {
            return;
        }
        self.send(way, &Message::Notification(notification.clone()));
        self.drop(way, End::Sent(notification));
        self.outputs.push_back(Output::Close(way));
    }

    /// A connection is gone.
    fn drop(&mut self, way: Way, end: End) {
        let Some(connection) = self.connections.take(way) else {
            return;
        };
        self.counts.add(&connection.counts);
        let since = connection.established().map(|it| it.since);
        if since.is_some_and(|since| self.now >= since + WELL) {
            self.retry.is_well();
        }
        // Of two connections, one stays.
        let is_collision = match &end {
            End::Sent(it) => it.is_collision(),
            End::Received(it) => it.is_collision() && !self.connections.is_empty(),
            _ => false,
        };
        let is_loss = matches!(end, End::Lost { .. });
        let is_refusal = match &end {
            End::Lost { .. } => connection.is_unheard(),
            End::Received(it) => connection.established().is_none() && it.is_refusal(),
            _ => false,
        };
        if !is_collision {
            if connection.established().is_some() {
                self.last_end = Some((self.now, end.clone()));
                self.outputs.push_back(Output::Down(end));
            } else if self.dialer != Dialer::Stopped {
                self.fail(end);
            }
        }
        if !self.connections.is_empty()
            || matches!(self.dialer, Dialer::Stopped | Dialer::Dialing(_))
        {
            return;
        }
        let now = self.now;
        self.dialer = if is_refusal {
            let every = self.settings.connect_retry;
            Dialer::Waiting(self.retry.after_refusal(now, every))
        } else if is_loss {
            Dialer::Waiting(self.retry.after_loss(now))
        } else if is_collision {
            Dialer::Holding(self.retry.after_loss(now))
        } else {
            Dialer::Holding(self.retry.after_error(now))
        };
    }

    fn fail(&mut self, end: End) {
        self.last_end = Some((self.now, end.clone()));
        self.outputs.push_back(Output::Failed(end));
    }

    fn send(&mut self, way: Way, message: &Message) {
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(way) {
            let bytes = connection.write(now, message);
            self.outputs.push_back(Output::Send(way, bytes));
        }
    }
}

/// What is said of a connection that was not there in time.
const NO_ANSWER: &str = "no answer";
/// A session that was up for so long has nothing to do with earlier errors.
const WELL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
