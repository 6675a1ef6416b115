//! BFD packets on the network (RFC 5881 section 4, RFC 5883 section 2).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use futures::FutureExt as _;
use futures::future::{OptionFuture, select_all};
use metallb_bfd::{Arrival, Path, Settings};
use metallb_netio::{DistanceSocket, sender};

/// Sockets to receive from, as soon as there is a session, and one for each session to send from.
#[derive(Debug)]
pub(super) struct Datagrams {
    listening: Vec<Listening>,
    senders: BTreeMap<Path, UdpSocket>,
    seed: u16,
}

#[derive(Debug)]
struct Listening {
    socket: DistanceSocket,
    multihop: bool,
    v6: bool,
}

impl Datagrams {
    pub(super) fn new(seed: u64) -> Self {
        let [.., high, low] = seed.to_be_bytes();
        Self {
            listening: Vec::new(),
            senders: BTreeMap::new(),
            seed: u16::from_be_bytes([high, low]),
        }
    }

    /// Listens for what these sessions are sent.
    pub(super) fn listen_for(&mut self, sessions: &BTreeMap<Path, Settings>) {
        self.senders.retain(|path, _| sessions.contains_key(path));
        for path in sessions.keys() {
            let (multihop, v6) = (path.minimum_ttl.is_some(), path.peer.is_ipv6());
            let mut listening = self.listening.iter();
            if listening.any(|it| (it.multihop, it.v6) == (multihop, v6)) {
                continue;
            }
            let port = port(multihop);
            // RFC 5881 section 5: what was forwarded is not from a neighbour. Of multihop sessions
            // each has a bound of its own.
            let least = if multihop { 0 } else { 255 };
            match DistanceSocket::listen(port, v6, least) {
                Ok(socket) => self.listening.push(Listening {
                    socket,
                    multihop,
                    v6,
                }),
                Err(error) => tracing::error!(
                    op = "bfd", port, %error,
                    "cannot listen for BFD packets: does another program on this node speak BFD? \
                     Sessions stay down, BGP goes on without"
                ),
            }
        }
    }

    /// Waits for a packet.
    pub(super) async fn recv(&self) -> (Arrival, Vec<u8>) {
        let all = self.listening.iter().map(|it| it.recv().boxed_local());
        let all: Vec<_> = all.collect();
        let first = (!all.is_empty()).then(|| select_all(all));
        match OptionFuture::from(first).await {
            Some((arrived, ..)) => arrived,
            None => std::future::pending().await,
        }
    }

    /// A packet that has come in already.
    pub(super) fn try_recv(&self) -> Option<(Arrival, Vec<u8>)> {
        self.listening.iter().find_map(Listening::try_recv)
    }

    /// Sends a packet. One that cannot go out now is as good as lost; the next one comes soon.
    pub(super) fn send(&mut self, path: Path, packet: &[u8]) {
        let port = port(path.minimum_ttl.is_some());
        let to = match (path.peer, path.interface) {
            (IpAddr::V6(ip), Some(interface)) => SocketAddrV6::new(ip, port, 0, interface).into(),
            (ip, _) => SocketAddr::new(ip, port),
        };
        if !self.senders.contains_key(&path) {
            let any: IpAddr = if path.peer.is_ipv6() {
                Ipv6Addr::UNSPECIFIED.into()
            } else {
                Ipv4Addr::UNSPECIFIED.into()
            };
            match sender(any, None, SOURCE_PORTS, self.seed) {
                Ok(socket) => drop(self.senders.insert(path, socket)),
                Err(error) => {
                    return tracing::debug!(op = "bfd", %error, "cannot send");
                }
            }
        }
        if let Err(error) = self.senders[&path].send_to(packet, to) {
            tracing::debug!(op = "bfd", %to, %error, "not sent");
        }
    }
}

impl Listening {
    async fn recv(&self) -> (Arrival, Vec<u8>) {
        let mut buf = vec![0; LEN];
        loop {
            match self.socket.recv(&mut buf).await {
                Ok(arrived) => return self.arrival(arrived, buf),
                // An ICMP error about a packet sent before: nobody listens there.
                Err(error) => tracing::debug!(op = "bfd", %error, "not received"),
            }
        }
    }

    fn try_recv(&self) -> Option<(Arrival, Vec<u8>)> {
        let mut buf = vec![0; LEN];
        let arrived = self.socket.try_recv(&mut buf).ok()?;
        Some(self.arrival(arrived, buf))
    }

    fn arrival(&self, arrived: metallb_netio::Arrived, mut buf: Vec<u8>) -> (Arrival, Vec<u8>) {
        buf.truncate(arrived.len);
        let arrival = Arrival {
            from: arrived.from.ip(),
            interface: arrived.interface,
            ttl: arrived.hop_limit,
            multihop: self.multihop,
        };
        (arrival, buf)
    }
}

fn port(multihop: bool) -> u16 {
    if multihop { MULTIHOP } else { SINGLE_HOP }
}

const SINGLE_HOP: u16 = 3784;
const MULTIHOP: u16 = 4784;
/// RFC 5881 section 4.
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;
/// More than any packet that counts.
const LEN: usize = 64;
