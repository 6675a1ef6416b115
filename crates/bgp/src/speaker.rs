//! All sessions of a speaker, and the routes that they tell.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Instant;

use crate::rib::{Rib, Routes};
use crate::session::{self, Session, Settings};
use crate::wire::{ErrorCode, Notification};

/// Sessions with peers named `P`, and routes contributed by each `K`.
#[derive(Debug)]
pub struct Speaker<P, K> {
    rib: Rib<K>,
    sessions: BTreeMap<P, Session>,
    /// Sessions that may have something to do.
    awake: BTreeSet<P>,
    /// All of them may.
    all_awake: bool,
    /// What those that are gone still had to do.
    last: VecDeque<(P, session::Output)>,
    seed: u64,
    graceful_shutdown: bool,
    /// It was told of peers, and so those that come now are new to it.
    has_begun: bool,
}

impl<P: Ord + Clone + Hash, K: Ord + Clone> Speaker<P, K> {
    /// Without peers and routes. `seed` varies its times.
    pub fn new(seed: u64) -> Self {
        Self {
            rib: Rib::default(),
            sessions: BTreeMap::new(),
            awake: BTreeSet::new(),
            all_awake: false,
            last: VecDeque::new(),
            seed,
            graceful_shutdown: false,
            has_begun: false,
        }
    }

    /// These are all peers. Sessions with those that are new begin, with those that are gone end.
    /// One whose settings changed begins anew, if the change is one that the peer has to be told
    /// of; nothing else touches a session.
    ///
    /// The first ones may know us from before. Nobody tells a restart from a first start, and it
    /// does no harm to call this one the other: a peer only does not wait for our routes before it
    /// tells its own (RFC 4724 section 3).
    pub fn configure(&mut self, now: Instant, peers: BTreeMap<P, Settings>) {
        let gone = |it: &&P| !peers.contains_key(it);
        let gone: Vec<_> = self.sessions.keys().filter(gone).cloned().collect();
        for peer in gone {
            self.stop(
                now,
                &peer,
                Notification::new(ErrorCode::PEER_DECONFIGURED),
                false,
            );
        }
        for (peer, settings) in peers {
            if let Some(session) = self.sessions.get_mut(&peer) {
                if session.change(&settings) {
                    continue;
                }
                let change = ErrorCode::OTHER_CONFIGURATION_CHANGE;
                self.stop(now, &peer, Notification::new(change), false);
            }
            self.start(now, peer, settings);
        }
        self.has_begun = true;
    }

    fn start(&mut self, now: Instant, peer: P, settings: Settings) {
        let mut hasher = DefaultHasher::new();
        (self.seed, &peer).hash(&mut hasher);
        let mut session = Session::new(now, settings, hasher.finish());
        if !self.has_begun {
            session = session.after_restart();
        }
        let goes = session::Input::GracefulShutdown(self.graceful_shutdown);
        session.handle_input(now, goes);
        session.handle_input(now, session::Input::Start);
        self.awake.insert(peer.clone());
        self.sessions.insert(peer, session);
    }

    /// Ends a session for good.
    fn stop(&mut self, now: Instant, peer: &P, notification: Notification, restarts: bool) {
        let Some(mut session) = self.sessions.remove(peer) else {
            return;
        };
        self.awake.remove(peer);
        session.handle_input(
            now,
            session::Input::Stop {
                notification,
                restarts,
            },
        );
        while let Some(output) = session.poll_output(&self.rib) {
            self.last.push_back((peer.clone(), output));
        }
    }

    /// Ends all sessions. With `restarts`, peers that agreed to are to keep the routes until we
    /// are back.
    pub fn leave(&mut self, now: Instant, notification: &Notification, restarts: bool) {
        let peers: Vec<_> = self.sessions.keys().cloned().collect();
        for peer in peers {
            self.stop(now, &peer, notification.clone(), restarts);
        }
    }

    /// We are about to leave: peers that will not keep our routes meanwhile are to prefer others
    /// from now on.
    pub fn prepare_to_leave(&mut self, now: Instant) {
        for (peer, session) in &mut self.sessions {
            if !session.negotiated().is_some_and(|it| it.graceful_restart) {
                session.handle_input(now, session::Input::GracefulShutdown(true));
                self.awake.insert(peer.clone());
            }
        }
    }

    /// From now on, all routes are told as those of one that is about to go (RFC 8326), or not
    /// any more.
    pub fn shut_down_gracefully(&mut self, now: Instant, goes: bool) {
        if std::mem::replace(&mut self.graceful_shutdown, goes) == goes {
            return;
        }
        for (peer, session) in &mut self.sessions {
            session.handle_input(now, session::Input::GracefulShutdown(goes));
            self.awake.insert(peer.clone());
        }
    }

    /// These are the routes that `key` contributes, instead of what it did before.
    pub fn contribute(&mut self, key: &K, routes: impl Into<Routes>) {
        self.rib.contribute(key, routes);
        self.all_awake = true;
    }

    /// [Makes its routes compact](Rib::compact).
    pub fn compact(&mut self) {
        self.rib.compact();
    }

    /// Something happened to a session. Nothing if there is none with this peer.
    pub fn handle_input(&mut self, now: Instant, peer: &P, input: session::Input<'_>) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.handle_input(now, input);
            self.awake.insert(peer.clone());
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (peer, session) in &mut self.sessions {
            if session.poll_timeout().is_some_and(|due| due <= now) {
                session.handle_timeout(now);
                self.awake.insert(peer.clone());
            }
        }
    }

    /// The next thing to do, and for which peer, until there is none.
    pub fn poll_output(&mut self) -> Option<(P, session::Output)> {
        if let Some(last) = self.last.pop_front() {
            return Some(last);
        }
        if std::mem::take(&mut self.all_awake) {
            self.awake.extend(self.sessions.keys().cloned());
        }
        while let Some(peer) = self.awake.first().cloned() {
            let session = self.sessions.get_mut(&peer);
            if let Some(output) = session.and_then(|it| it.poll_output(&self.rib)) {
                return Some((peer, output));
            }
            self.awake.remove(&peer);
        }
        self.forget();
        None
    }

    /// What all know to be gone need not be known any more.
    fn forget(&mut self) {
        let done = self.sessions.values().filter_map(Session::done).min();
        self.rib.forget(done.unwrap_or(u64::MAX));
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.values();
        sessions.filter_map(Session::poll_timeout).min()
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (&P, &Session)> {
        self.sessions.iter()
    }

    /// The session with this peer.
    pub fn session(&self, peer: &P) -> Option<&Session> {
        self.sessions.get(peer)
    }

    /// The routes.
    pub fn rib(&self) -> &Rib<K> {
        &self.rib
    }
}

#[cfg(test)]
mod tests;
