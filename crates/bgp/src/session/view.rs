//! What is seen of a session from outside.

use std::time::Instant;

use super::connection::{Connection, Counts, Phase};
use super::event::{End, State};
use super::negotiate::Negotiated;
use super::received::ReceivedRoutes;
use super::settings::Settings;
use super::{Dialer, Session};
use crate::rib::Rib;

impl Session {
    /// How it is configured.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its state.
    pub fn state(&self) -> State {
        let connections = self.connections.iter();
        let farthest = connections.map(|it| it.phase().state()).max();
        farthest.unwrap_or(match self.dialer {
            Dialer::Stopped | Dialer::Holding(_) | Dialer::Resting => State::Idle,
            Dialer::Dialing(_) => State::Connect,
            Dialer::Waiting(_) | Dialer::Listening => State::Active,
        })
    }

    fn best(&self) -> Option<&Connection> {
        let connections = self.connections.iter();
        connections.max_by_key(|it| it.phase().state())
    }

    /// Since when routes are told, if they are.
    pub fn since(&self) -> Option<Instant> {
        Some(self.best()?.established()?.since)
    }

    /// What was agreed on with the peer, when both have opened.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.best()?.negotiated()
    }

    /// Why the last session or attempt ended, and when.
    pub fn last_end(&self) -> Option<(Instant, &End)> {
        self.last_end.as_ref().map(|(at, end)| (*at, end))
    }

    /// Messages sent and received since the session was made.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        for connection in self.connections.iter() {
            counts.add(&connection.counts);
        }
        counts
    }

    /// How many prefixes the peer was told.
    pub fn told(&self) -> usize {
        let established = self.best().and_then(Connection::established);
        established.map_or(0, |it| it.agreed.telling.export().told())
    }

    /// The last change of `rib` of which the peer knows; nothing while it is told nothing.
    pub(crate) fn done(&self) -> Option<u64> {
        let connections = self.connections.iter();
        let established = connections.filter_map(Connection::established);
        established
            .map(|it| it.agreed.telling.export().done())
            .min()
    }

    /// How many changes of `rib` are left to tell.
    pub fn left<K>(&self, rib: &Rib<K>) -> usize {
        let established = self.best().and_then(Connection::established);
        established.map_or_else(
            || rib.told_to(&self.settings.peer).count(),
            |it| it.agreed.telling.export().left(rib),
        )
    }

    /// What the peer has announced, of which nothing is used.
    pub fn received(&self) -> &ReceivedRoutes {
        &self.received
    }
}

impl Phase {
    pub(super) fn state(&self) -> State {
        match self {
            Self::OpenSent => State::OpenSent,
            Self::OpenConfirm(_) => State::OpenConfirm,
            Self::Established(_) => State::Established,
        }
    }
}
