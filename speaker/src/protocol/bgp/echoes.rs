//! Echo packets on the network (RFC 5881 section 4): from an address of ours to itself, by way of
//! the peer, whose kernel forwards them back. As in FRR, which sends them from the address that the
//! router knows us by.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use futures::FutureExt as _;
use futures::future::{OptionFuture, select_all};
use metallb_bfd::echo::{Echo, LEN, PORT, RETURNED_TTL};
use metallb_bfd::{Path, Settings};
use metallb_netio::{LinkError, Looped, LoopedSocket, NeighbourWatch, source_towards};

/// What is needed to send Echo packets and to hear those that come back; nothing as long as no
/// session wants any.
#[derive(Debug)]
pub(super) struct Echoes {
    mark: u32,
    watch: Option<NeighbourWatch>,
    /// By the links that peers are on.
    sockets: BTreeMap<u32, LoopedSocket>,
    /// To which peers how many in a row could not be sent.
    unsent: BTreeMap<Path, u32>,
}

impl Echoes {
    pub(super) fn new(mark: u32) -> Self {
        Self {
            mark,
            watch: None,
            sockets: BTreeMap::new(),
            unsent: BTreeMap::new(),
        }
    }

    /// Makes ready for what these sessions send.
    pub(super) fn prepare_for(&mut self, sessions: &BTreeMap<Path, Settings>) {
        self.unsent.retain(|path, _| sessions.contains_key(path));
        if sessions.values().all(|it| it.echo_transmit.is_none()) {
            *self = Self::new(self.mark);
        } else if let Err(error) = self.watch() {
            tracing::warn!(op = "bfd", %error, "cannot look for neighbours");
        }
    }

    fn watch(&mut self) -> Result<&NeighbourWatch, LinkError> {
        match &mut self.watch {
            Some(watch) => Ok(watch),
            none => Ok(none.insert(NeighbourWatch::open()?)),
        }
    }

    /// Sends a packet; false if it is not known how.
    pub(super) fn send(&mut self, path: Path, interface: u32, echo: Echo) -> bool {
        match self.try_send(path, interface, echo) {
            Ok(()) => {
                self.unsent.remove(&path);
                true
            }
            Err(why) => {
                let unsent = self.unsent.entry(path).or_default();
                *unsent += 1;
                // Neighbours are still being listed when the first one is due.
                if *unsent == TELLING {
                    tracing::warn!(op = "bfd", peer = %path.peer, why, "Echo packet not sent");
                }
                false
            }
        }
    }

    fn try_send(&mut self, path: Path, interface: u32, echo: Echo) -> Result<(), String> {
        let IpAddr::V4(peer) = path.peer else {
            return Err("Echo packets go to IPv4 peers alone".to_owned());
        };
        let watch = self.watch().map_err(|error| error.to_string())?;
        let station = watch.find(interface, peer);
        let station = station.ok_or("the kernel has no Ethernet address of it")?;
        let own = own_address(peer)?;
        if !self.sockets.contains_key(&interface) {
            let looped = Looped {
                port: PORT,
                ttl: RETURNED_TTL,
                mark: self.mark,
            };
            let opened = LoopedSocket::open(interface, looped);
            self.sockets
                .insert(interface, opened.map_err(|it| it.to_string())?);
        }
        let sent = self.sockets[&interface].send_to(&echo.encode(own), station);
        sent.map_err(|error| error.to_string())
    }

    /// Waits for a packet, and follows where peers are meanwhile.
    pub(super) async fn recv(&mut self) -> Vec<u8> {
        let all = self.sockets.values().map(|it| received(it).boxed_local());
        let all: Vec<_> = all.collect();
        let first = (!all.is_empty()).then(|| select_all(all));
        let mut first = std::pin::pin!(OptionFuture::from(first));
        loop {
            tokio::select! {
                Some((packet, ..)) = &mut first => return packet,
                broken = follow(&mut self.watch) => {
                    tracing::warn!(op = "bfd", error = %broken, "neighbours are not followed");
                    self.watch = None;
                }
            }
        }
    }

    /// A packet that has come in already.
    pub(super) fn try_recv(&self) -> Option<Vec<u8>> {
        let mut buf = vec![0; LEN];
        let len = self
            .sockets
            .values()
            .find_map(|it| it.try_recv(&mut buf).ok())?;
        buf.truncate(len);
        Some(buf)
    }
}

async fn received(socket: &LoopedSocket) -> Vec<u8> {
    let mut buf = vec![0; LEN];
    loop {
        match socket.recv(&mut buf).await {
            Ok(len) => {
                buf.truncate(len);
                return buf;
            }
            // The link was down.
            Err(error) => tracing::debug!(op = "bfd", %error, "not received"),
        }
    }
}

/// Follows where neighbours are for as long as it can.
async fn follow(watch: &mut Option<NeighbourWatch>) -> LinkError {
    let Some(watch) = watch else {
        return std::future::pending().await;
    };
    loop {
        if let Err(broken) = watch.changed().await {
            return broken;
        }
    }
}

fn own_address(peer: Ipv4Addr) -> Result<Ipv4Addr, String> {
    match source_towards(peer.into()) {
        Ok(IpAddr::V4(own)) => Ok(own),
        Ok(other) => Err(format!("{other} is no IPv4 address")),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the kernel of this node forwards packets, as it must for Echo packets of peers to go
/// back to them.
pub(super) fn node_forwards() -> bool {
    let setting = std::fs::read("/proc/sys/net/ipv4/ip_forward");
    setting.is_ok_and(|it| it.starts_with(b"1"))
}

/// After so many Echo packets that could not be sent, it is told.
const TELLING: u32 = 3;
