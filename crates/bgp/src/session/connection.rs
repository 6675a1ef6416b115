//! One connection with a peer, from its first byte on (RFC 4271 sections 8.2.2 and 6).

use std::time::{Duration, Instant};

use super::negotiate::{self, Negotiated};
use super::settings::{Link, Settings};
use super::telling::Telling;
use crate::rib::Rib;
use crate::wire::{
    Action, Codec, ErrorCode, Message, Notification, Open, Received, RefreshKind, Update, frame_len,
};

/// A connection that is open.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    link: Link,
    phase: Phase,
    /// What came in, and how much of it was read.
    input: Vec<u8>,
    read: usize,
    /// When the peer must have been heard.
    hold: Option<Instant>,
    /// How many bytes the network has not taken yet.
    unsent: usize,
    /// When it must have taken some.
    send_hold: Option<Instant>,
    pub(super) counts: Counts,
}

/// How far two speakers have come.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Ours is sent.
    OpenSent,
    /// Theirs is here.
    OpenConfirm(Box<Agreed>),
    /// Routes are told.
    Established(Box<Established>),
}

/// What follows from both OPEN messages.
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) negotiated: Negotiated,
    pub(super) telling: Telling,
}

#[derive(Clone, Debug)]
pub(super) struct Established {
    pub(super) agreed: Agreed,
    pub(super) since: Instant,
    /// When to send the next KEEPALIVE.
    keepalive: Option<Instant>,
}

/// Messages by type, sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// OPEN messages.
    pub opens: Both,
    /// UPDATE messages.
    pub updates: Both,
    /// NOTIFICATION messages.
    pub notifications: Both,
    /// KEEPALIVE messages.
    pub keepalives: Both,
    /// ROUTE-REFRESH messages.
    pub refreshes: Both,
    /// Received UPDATE messages in which something was wrong (RFC 7606).
    pub faulty_updates: u64,
}

/// One number for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// From us.
    pub sent: u64,
    /// From the peer.
    pub received: u64,
}

/// What came of what came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to speak of.
    Nothing,
    /// The peer has opened: is there another connection with it?
    Opened,
    /// Routes can be told.
    Up,
    /// The peer announced or withdrew routes.
    Routes {
        /// Which.
        update: Box<Update>,
        /// All of them count as withdrawn.
        treat_as_withdraw: bool,
    },
    /// The peer ends it.
    Ended(Notification),
}

impl Connection {
    /// A connection on which our OPEN message goes out.
    pub(super) fn new(now: Instant, link: Link, settings: &Settings) -> Self {
        // RFC 4271 section 8.2.2 has four minutes where nothing is agreed on yet.
        let patience = match settings.hold_time {
            0 => FOUR_MINUTES,
            seconds => Duration::from_secs(seconds.into()),
        };
        Self {
            link,
            phase: Phase::OpenSent,
            input: Vec::new(),
            read: 0,
            hold: Some(now + patience),
            unsent: 0,
            send_hold: None,
            counts: Counts::default(),
        }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(super) fn negotiated(&self) -> Option<&Negotiated> {
        match &self.phase {
            Phase::OpenSent => None,
            Phase::OpenConfirm(agreed) => Some(&agreed.negotiated),
            Phase::Established(it) => Some(&it.agreed.negotiated),
        }
    }

    pub(super) fn established(&self) -> Option<&Established> {
        match &self.phase {
            Phase::Established(it) => Some(it),
            _ => None,
        }
    }

    pub(super) fn telling_mut(&mut self) -> Option<&mut Telling> {
        match &mut self.phase {
            Phase::OpenSent => None,
            Phase::OpenConfirm(agreed) => Some(&mut agreed.telling),
            Phase::Established(it) => Some(&mut it.agreed.telling),
        }
    }

    fn codec(&self) -> Codec {
        self.negotiated().map_or_else(Codec::default, |it| it.codec)
    }

    /// Takes bytes; [`step`](Self::step) makes messages of them.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.drain(..self.read);
        self.read = 0;
        self.input.extend(bytes);
    }

    /// Takes the next message in what came in; nothing if there is no whole one. The error is
    /// the answer to it, the last one.
    pub(super) fn step(
        &mut self,
        now: Instant,
        settings: &Settings,
    ) -> Result<Option<Step>, Notification> {
        let codec = self.codec();
        let input = &self.input[self.read..];
        let Some(len) = frame_len(input, codec)? else {
            return Ok(None);
        };
        let Some(frame) = input.get(..len) else {
            return Ok(None);
        };
        let received = Message::decode(frame, codec);
        self.read += len;
        self.handle(now, settings, received?).map(Some)
    }

    fn handle(
        &mut self,
        now: Instant,
        settings: &Settings,
        received: Received,
    ) -> Result<Step, Notification> {
        self.counts.receive(&received);
        match (&mut self.phase, received.message) {
            (_, Message::Notification(it)) => return Ok(Step::Ended(it)),
            (Phase::OpenSent, Message::Open(open)) => return self.open(now, settings, open),
            (Phase::OpenConfirm(_), Message::Keepalive) => {
                self.establish(now);
                return Ok(Step::Up);
            }
            (Phase::Established(_), Message::Keepalive) => {}
            (Phase::Established(_), Message::Update(update)) => {
                self.hear(now);
                let mut faults = received.faults.iter();
                return Ok(Step::Routes {
                    update: Box::new(update),
                    treat_as_withdraw: faults.any(|it| it.action == Action::TreatAsWithdraw),
                });
            }
            (Phase::Established(it), Message::RouteRefresh(refresh)) => {
                // Of a family that was not agreed on, it is passed over (RFC 2918 section 4).
                let family = refresh.family.family();
                if let (RefreshKind::Request, Some(family)) = (refresh.kind, family) {
                    it.agreed.telling.export_mut().refresh(family);
                }
                return Ok(Step::Nothing);
            }
            // RFC 6608 section 3: the type of what was not expected.
            (phase, message) => {
                let error = match phase {
                    Phase::OpenSent => ErrorCode::UNEXPECTED_IN_OPEN_SENT,
                    Phase::OpenConfirm(_) => ErrorCode::UNEXPECTED_IN_OPEN_CONFIRM,
                    Phase::Established(_) => ErrorCode::UNEXPECTED_IN_ESTABLISHED,
                };
                return Err(Notification::with(error, [message.kind()]));
            }
        }
        self.hear(now);
        Ok(Step::Nothing)
    }

    fn open(
        &mut self,
        now: Instant,
        settings: &Settings,
        open: Open,
    ) -> Result<Step, Notification> {
        let negotiated = negotiate::negotiate(settings, open)?;
        let target = negotiated.target(settings, &self.link);
        self.phase = Phase::OpenConfirm(Box::new(Agreed {
            telling: Telling::new(target, negotiated.marks_refreshes),
            negotiated,
        }));
        self.hear(now);
        Ok(Step::Opened)
    }

    fn establish(&mut self, now: Instant) {
        let before = std::mem::replace(&mut self.phase, Phase::OpenSent);
        let Phase::OpenConfirm(agreed) = before else {
            unreachable!("it is called for that phase alone");
        };
        let every = Duration::from_secs(agreed.negotiated.keepalive.into());
        self.phase = Phase::Established(Box::new(Established {
            since: now,
            keepalive: (!every.is_zero()).then(|| now + every * 3 / 4),
            agreed: *agreed,
        }));
        self.hear(now);
    }

    /// The peer is there. RFC 4271 section 8.2.2: KEEPALIVE and UPDATE messages say so.
    fn hear(&mut self, now: Instant) {
        let hold = self.negotiated().map_or(0, |it| it.hold_time);
        self.hold = (hold > 0).then(|| now + Duration::from_secs(hold.into()));
    }

    /// Whether the network takes more routes now.
    pub(super) fn has_room(&self) -> bool {
        self.unsent < WINDOW
    }

    /// The next messages with routes, if there is something to tell and room for it.
    pub(super) fn tell<K>(&mut self, now: Instant, rib: &Rib<K>) -> Option<Vec<u8>> {
        let room = WINDOW.saturating_sub(self.unsent);
        let batch = match &mut self.phase {
            Phase::OpenConfirm(agreed) => {
                agreed.telling.prepare(rib, WINDOW);
                None
            }
            Phase::Established(it) if room > 0 => it.agreed.telling.next(rib, room),
            Phase::OpenSent | Phase::Established(_) => None,
        }?;
        self.counts.updates.sent += batch.messages;
        self.sends(now, batch.bytes.len());
        Some(batch.bytes)
    }

    /// Writes a message that is not about routes.
    pub(super) fn write(&mut self, now: Instant, message: &Message) -> Vec<u8> {
        let bytes = message.encode(self.codec());
        self.counts.send(message);
        self.sends(now, bytes.len());
        bytes
    }

    fn sends(&mut self, now: Instant, len: usize) {
        self.unsent += len;
        let hold = self.send_hold_time();
        self.send_hold.get_or_insert(now + hold);
    }

    /// The network has taken so many bytes.
    pub(super) fn sent(&mut self, now: Instant, len: usize) {
        self.unsent = self.unsent.saturating_sub(len);
        self.send_hold = (self.unsent > 0).then(|| now + self.send_hold_time());
    }

    /// RFC 9687 section 3.1.1: eight minutes, or twice the hold time if that is more.
    fn send_hold_time(&self) -> Duration {
        let hold = self.negotiated().map_or(0, |it| it.hold_time);
        Duration::from_secs(u64::from(hold) * 2).max(EIGHT_MINUTES)
    }

    /// The KEEPALIVE that is due, if one is; the error is the end.
    pub(super) fn timeout(
        &mut self,
        now: Instant,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> Result<Option<Message>, Notification> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.hold) {
            return Err(Notification::new(ErrorCode::HOLD_TIMER_EXPIRED));
        }
        if is_due(self.send_hold) {
            return Err(Notification::new(ErrorCode::SEND_HOLD_TIMER_EXPIRED));
        }
        let has_room = self.has_room();
        let Phase::Established(it) = &mut self.phase else {
            return Ok(None);
        };
        if !is_due(it.keepalive) {
            return Ok(None);
        }
        let every = Duration::from_secs(it.agreed.negotiated.keepalive.into());
        it.keepalive = Some(now + jitter(every));
        // Where nothing gets through, one more makes no difference.
        Ok(has_room.then_some(Message::Keepalive))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let keepalive = self.established().and_then(|it| it.keepalive);
        let all = [self.hold, self.send_hold, keepalive];
        all.into_iter().flatten().min()
    }

    /// Whether nothing at all came in.
    pub(super) fn is_unheard(&self) -> bool {
        matches!(self.phase, Phase::OpenSent) && self.input.is_empty()
    }
}

impl Counts {
    fn receive(&mut self, received: &Received) {
        self.of(&received.message).received += 1;
        self.faulty_updates += u64::from(!received.faults.is_empty());
    }

    fn send(&mut self, message: &Message) {
        self.of(message).sent += 1;
    }

    fn of(&mut self, message: &Message) -> &mut Both {
        match message {
            Message::Open(_) => &mut self.opens,
            Message::Update(_) => &mut self.updates,
            Message::Notification(_) => &mut self.notifications,
            Message::Keepalive => &mut self.keepalives,
            Message::RouteRefresh(_) => &mut self.refreshes,
        }
    }

    /// These and those.
    pub(super) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.opens, other.opens),
            (&mut self.updates, other.updates),
            (&mut self.notifications, other.notifications),
            (&mut self.keepalives, other.keepalives),
            (&mut self.refreshes, other.refreshes),
        ];
        for (it, more) in pairs {
            it.sent += more.sent;
            it.received += more.received;
        }
        self.faulty_updates += other.faulty_updates;
    }

    /// All messages together.
    pub fn total(&self) -> Both {
        let all = [
            self.opens,
            self.updates,
            self.notifications,
            self.keepalives,
            self.refreshes,
        ];
        all.iter().fold(Both::default(), |sum, it| Both {
            sent: sum.sent + it.sent,
            received: sum.received + it.received,
        })
    }
}

const FOUR_MINUTES: Duration = Duration::from_mins(4);
const EIGHT_MINUTES: Duration = Duration::from_mins(8);
/// So much may wait for the network: enough for a round trip in a data centre, and a bound for a
/// peer that reads nothing.
const WINDOW: usize = 64 * 1024;
