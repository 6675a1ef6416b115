//! How connections come about: we connect to routers, or they to us.

use std::time::Instant;

use metallb_bgp::session::Way;

use super::listeners::Arrival;
use super::{Event, Shell, connection};
use crate::bgp::Taken;

impl Shell {
    /// Gives up connecting. False if that was not going on.
    pub(super) fn give_up(&mut self, peer: &str) -> bool {
        let dial = self.dials.remove(peer);
        let dialled = dial.is_some();
        if let Some((number, dial)) = dial {
            self.numbers.remove(&number);
            dial.abort();
        }
        self.waiting.remove(peer) || dialled
    }

    pub(super) fn dial(&mut self, peer: String) {
        self.give_up(&peer);
        self.listeners.look_after_devices();
        let Some((address, options)) = self.locate(Instant::now(), &peer) else {
            return;
        };
        self.last_number += 1;
        let number = self.last_number;
        let (events, others) = (self.events.clone(), self.others.clone());
        let task = tokio::task::spawn_local(async move {
            let taken = others.have(address, &options).await;
            // The shell is gone only when the process ends.
            let _ = events.send(Event::Looked(number, taken)).await;
            if taken != Taken::No {
                others.end(address, &options).await;
                let _ = events.send(Event::Freed(number)).await;
                return;
            }
            let event = match connection::open(address, &options).await {
                Ok((stream, link)) => Event::Connected(number, stream, link),
                Err(error) => Event::Failed(number, error.to_string()),
            };
            let _ = events.send(event).await;
        });
        self.numbers.insert(number, (peer.clone(), Way::Out));
        self.dials.insert(peer, (number, task.abort_handle()));
    }

    /// Whether another program has a session with a peer. While it has, BFD would be a second one
    /// of the node, too, and the router might take its beginning for the end of the first.
    pub(super) fn is_taken(&mut self, now: Instant, peer: &str, taken: Taken) {
        let Some(it) = self.peers.get_mut(peer) else {
            return;
        };
        let before = std::mem::replace(&mut it.taken, taken);
        if before != taken && it.setup.bfd.is_some() {
            self.peers_have_moved(now);
        }
    }

    /// Somebody connects to us: a peer, or nobody that we want to know.
    pub(super) fn accepted(&mut self, arrival: Arrival) {
        let Arrival {
            stream,
            from,
            device,
        } = arrival;
        let is_free = |peer: &String| {
            !self
                .numbers
                .values()
                .any(|it| *it == (peer.clone(), Way::In))
        };
        let mut peers = self.peers.iter();
        let peer = peers.find(|(name, it)| it.is_at(from, device.as_deref()) && is_free(name));
        let Some((peer, _)) = peer else {
            tracing::debug!(op = "bgp", %from, "a connection from nobody that is expected");
            return self.outlet.metrics.refuse();
        };
        self.last_number += 1;
        let number = self.last_number;
        self.numbers.insert(number, (peer.clone(), Way::In));
        let events = self.events.clone();
        tokio::task::spawn_local(async move {
            let ready = async {
                stream.set_nodelay(true)?;
                connection::link_of(&stream).await
            };
            let event = match ready.await {
                Ok(link) => Event::Connected(number, stream, link),
                Err(error) => Event::Closed(number, error.to_string()),
            };
            // The shell is gone only when the process ends.
            let _ = events.send(event).await;
        });
    }
}
