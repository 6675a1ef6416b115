use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Settings;

/// What is remembered of one other speaker. It stays when the speaker leaves the list, so that
/// an old datagram of it is still known as such.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// Where it is reached; `None` while it is not on the list of speakers.
    pub(crate) address: Option<SocketAddr>,
    /// Incarnation and sequence number of the last datagram that was taken.
    pub(crate) last: Option<(u64, u64)>,
    /// When it was last told that its incarnation is outdated.
    pub(crate) corrected: Option<Instant>,
    pub(crate) state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Never heard, left, or silent for too long.
    #[default]
    Absent,
    /// It runs but announces nothing yet.
    Starting { heard: Instant },
    Alive {
        heard: Instant,
        asked: Option<Instant>,
    },
}

/// What the time asks of us about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ask,
    Dead,
}

impl Peer {
    pub(crate) fn is_alive(&self) -> bool {
        self.address.is_some() && matches!(self.state, State::Alive { .. })
    }

    /// Whether anything is known of it: it lives, or runs at least.
    pub(crate) fn is_heard(&self) -> bool {
        self.address.is_some() && self.state != State::Absent
    }

    /// Nobody was to blame for that much silence.
    pub(crate) fn excuse(&mut self, now: Instant, late: Duration) {
        if let State::Alive { heard, .. } | State::Starting { heard } = &mut self.state {
            *heard = (*heard + late).min(now);
        }
    }

    pub(crate) fn due(&self, now: Instant, settings: &Settings) -> Due {
        let (heard, asked) = match self.state {
            State::Absent => return Due::Nothing,
            State::Starting { heard } => (heard, None),
            State::Alive { heard, asked } => (heard, asked),
        };
        let silence = now.saturating_duration_since(heard);
        if silence >= settings.dead_after {
            Due::Dead
        } else if silence >= settings.suspect_after
            && matches!(self.state, State::Alive { .. })
            && asked.is_none_or(|asked| now >= asked + settings.ask_every)
        {
            Due::Ask
        } else {
            Due::Nothing
        }
    }

    /// When `due` will next say something.
    pub(crate) fn deadline(&self, settings: &Settings) -> Option<Instant> {
        match self.state {
            State::Absent => None,
            State::Starting { heard } => Some(heard + settings.dead_after),
            State::Alive { heard, asked } => {
                let ask = asked.map_or(heard + settings.suspect_after, |asked| {
                    asked + settings.ask_every
                });
                Some(ask.min(heard + settings.dead_after))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_first_asked_about_then_condemned() {
        let (start, settings) = (Instant::now(), Settings::default());
        let at = |ms| start + Duration::from_millis(ms);
        let peer = |asked: Option<u64>| Peer {
            state: State::Alive {
                heard: start,
                asked: asked.map(at),
            },
            ..Peer::default()
        };
        for (asked, now, due) in [
            (None, 0, Due::Nothing),
            (None, 299, Due::Nothing),
            (None, 300, Due::Ask),
            (Some(300), 310, Due::Nothing),
            (Some(300), 320, Due::Ask),
            (Some(490), 499, Due::Nothing),
            (Some(490), 500, Due::Dead),
            (None, 500, Due::Dead),
        ] {
            assert_eq!(
                peer(asked).due(at(now), &settings),
                due,
                "asked {asked:?}, at {now} ms"
            );
        }
        assert_eq!(peer(None).deadline(&settings), Some(at(300)));
        assert_eq!(peer(Some(480)).deadline(&settings), Some(at(500)));
        assert_eq!(Peer::default().deadline(&settings), None);
    }
}
