//! How connections come about: we connect to routers, or they to us.

use std::time::Instant;

use metallb_bgp::session::Way;

use super::listeners::Arrival;
use super::{Event, Shell, connection};

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
        let events = self.events.clone();
        let task = tokio::task::spawn_local(async move {
            let event = match connection::open(address, &options).await {
                Ok((stream, link)) => Event::Connected(number, stream, link),
                Err(error) => Event::Failed(number, error.to_string()),
            };
            // The shell is gone only when the process ends.
            let _ = events.send(event).await;
        });
        self.numbers.insert(number, (peer.clone(), Way::Out));
        self.dials.insert(peer, (number, task.abort_handle()));
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
