//! The Echo function of a session (RFC 5880 sections 6.4, 6.8.5 and 6.8.9).

use std::time::{Duration, Instant};

/// The Echo packets of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Echoes {
    /// The last one that was sent, and the last one that came back. They go on from one start to
    /// the next: what came back once counts never again.
    sent: u64,
    returned: u64,
    running: Option<Running>,
}

/// They are being sent.
#[derive(Clone, Copy, Debug)]
struct Running {
    pace: Pace,
    next: Instant,
    detection: Instant,
    /// One has come back since they are being sent.
    proven: bool,
}

/// How often they are sent, and for how long all may be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) interval: Duration,
    pub(super) detection_time: Duration,
}

impl Echoes {
    /// Sends at this pace from now on, or not any more.
    pub(super) fn set_pace(&mut self, now: Instant, pace: Option<Pace>) {
        let Some(pace) = pace else {
            self.running = None;
            return;
        };
        let detection = now + pace.detection_time;
        match &mut self.running {
            Some(it) if it.pace == pace => {}
            Some(it) => {
                it.pace = pace;
                it.next = it.next.min(now + pace.interval);
                it.detection = detection;
            }
            None => {
                self.returned = self.sent;
                self.running = Some(Running {
                    pace,
                    next: now,
                    detection,
                    proven: false,
                });
            }
        }
    }

    /// Takes one that came back; false if it is not awaited.
    pub(super) fn came_back(&mut self, now: Instant, sequence: u64) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        if sequence <= self.returned || sequence > self.sent {
            return false;
        }
        self.returned = sequence;
        running.detection = now + running.pace.detection_time;
        running.proven = true;
        true
    }

    /// The last one was not sent, since it is not known how. As long as none ever came back that is
    /// no fault of the peer; later on it is as good as lost.
    pub(super) fn not_sent(&mut self, now: Instant) {
        if let Some(running) = self.running.as_mut().filter(|it| !it.proven) {
            running.detection = now + running.pace.detection_time;
        }
    }

    /// The pace, if one is due.
    pub(super) fn due(&self, now: Instant) -> Option<Duration> {
        let due = self.running.filter(|it| it.next <= now);
        due.map(|it| it.pace.interval)
    }

    /// One is sent, the next one is due then.
    pub(super) fn send(&mut self, next: Instant) -> u64 {
        if let Some(running) = &mut self.running {
            running.next = next;
        }
        self.sent += 1;
        self.sent
    }

    /// Whether none has come back for too long.
    pub(super) fn have_failed(&self, now: Instant) -> bool {
        self.running.is_some_and(|it| it.detection <= now)
    }

    /// Whether they do what control packets did: notice that the peer is gone.
    pub(super) fn are_proven(&self) -> bool {
        self.running.is_some_and(|it| it.proven)
    }

    /// Time between two of them.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.running.map(|it| it.pace.interval)
    }

    /// Moves the time by which one must have come back.
    pub(super) fn excuse(&mut self, late: Duration) {
        if let Some(running) = &mut self.running {
            running.detection += late;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.running.map(|it| it.next.min(it.detection))
    }
}
