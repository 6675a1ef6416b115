//! Does what the cores want done, and tells what became of sessions.

use std::time::Instant;

use metallb_bfd as bfd;
use metallb_bgp::session::{End, Input, Output};
use metallb_l2::router_discovery::Input as Discovered;

use super::Shell;
use crate::bgp::{Peer, SessionNews, advice};
use crate::protocol::Observed;

/// What became of a session or of an attempt to have one.
#[derive(Debug)]
pub(super) enum Became {
    Up,
    Down(End),
    Failed(End),
}

impl Shell {
    /// Does what sessions want done: first what routers wait for, then what is to be said of it.
    pub(super) fn work(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.bfd.poll_output() {
                self.do_for_bfd(now, output);
            } else if let Some((interface, notice)) = self.interfaces.poll_notice() {
                self.heed(now, &interface, &notice);
            } else if let Some((peer, output)) = self.speaker.poll_output() {
                self.do_for_bgp(now, peer, output);
            } else if let Some((peer, became)) = self.became.pop_front() {
                self.say(now, peer, &became);
            } else {
                return;
            }
        }
    }

    fn do_for_bfd(&mut self, now: Instant, output: bfd::Output) {
        self.due.later(now);
        match output {
            bfd::Output::Send(path, packet) => self.datagrams.send(path, &packet),
            bfd::Output::Echo(path, interface, echo) => {
                if !self.echoes.send(path, interface, echo) {
                    let input = bfd::Input::EchoNotSent(path);
                    self.bfd.handle_input(now, input);
                }
            }
            bfd::Output::Up(path) => {
                self.due.soon(now);
                tracing::info!(op = "bfd", event = "up", peer = %path.peer, "BFD session is up");
            }
            bfd::Output::Down(path, why) => {
                self.due.soon(now);
                tracing::warn!(
                    op = "bfd", event = "down", peer = %path.peer, %why, "BFD session is down"
                );
                let on_path = |it: &Peer| it.bfd().is_some_and(|(its, _)| its == path);
                let peers = self.peers.iter().filter(|(_, it)| on_path(it));
                for (peer, _) in peers {
                    self.speaker.handle_input(now, peer, Input::BfdDown);
                }
            }
        }
    }

    fn do_for_bgp(&mut self, now: Instant, peer: String, output: Output) {
        match output {
            Output::Connect => self.dial(peer),
            Output::GiveUp => drop(self.give_up(&peer)),
            Output::Send(way, bytes) => {
                let to = (peer, way);
                if let Some(connection) = self.connections.get(&to) {
                    let sent = Input::Sent(way, connection.send(bytes));
                    self.speaker.handle_input(now, &to.0, sent);
                }
            }
            Output::Close(way) => {
                if let Some(connection) = self.connections.remove(&(peer, way)) {
                    self.numbers.remove(&connection.number);
                }
            }
            Output::Up => self.became.push_back((peer, Became::Up)),
            Output::Down(end) => self.became.push_back((peer, Became::Down(end))),
            Output::Failed(end) => self.became.push_back((peer, Became::Failed(end))),
        }
    }

    fn say(&mut self, now: Instant, peer: String, became: &Became) {
        self.due.soon(now);
        match became {
            Became::Up => {
                self.failures.remove(&peer);
                // Whoever had the session before has given back the ports of BFD by now.
                if self.peers.get(&peer).is_some_and(|it| it.bfd().is_some()) {
                    self.peers_have_moved(now);
                }
                tracing::info!(
                    op = "bgp",
                    event = "sessionUp",
                    peer,
                    "BGP session established"
                );
                self.tell(peer, SessionNews::Up);
            }
            Became::Down(end) => {
                let why = self.reason(&peer, end);
                tracing::warn!(
                    op = "bgp",
                    event = "sessionDown",
                    peer,
                    why,
                    "BGP session down"
                );
                self.look_elsewhere(now, &peer, |_| Discovered::Lost);
                self.tell(peer, SessionNews::Down(why));
            }
            Became::Failed(end) => {
                let why = self.reason(&peer, end);
                self.look_elsewhere(now, &peer, Discovered::NoAnswer);
                let before = self.failures.insert(peer.clone(), why.clone());
                if before.as_ref() != Some(&why) {
                    tracing::warn!(
                        op = "bgp",
                        event = "sessionFailed",
                        peer,
                        why,
                        "no BGP session"
                    );
                    self.tell(peer, SessionNews::Failed(why));
                }
            }
        }
    }

    /// Why something ended, in words, which are kept.
    fn reason(&mut self, peer: &str, end: &End) -> String {
        let Some(peer) = self.peers.get_mut(peer) else {
            return end.to_string();
        };
        let why = advice(end, peer);
        peer.last_end = Some(why.clone());
        why
    }

    pub(super) fn tell(&self, peer: String, news: SessionNews) {
        // The brain is gone only when the process ends.
        let _ = self.outlet.observer.send(Observed::Session(peer, news));
    }
}
