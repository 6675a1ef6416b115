//! A router that only listens, and notes to the microsecond what it hears: in the client's
//! namespace, on as many ports as a bench has peers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use metallb_bgp::wire::{Capability, Codec, Family, Message, Notification, Open, frame_len};
use metallb_netio::NetworkNamespace;
use metallb_tests::{Cluster, Place};

/// The AS of all routers here.
pub(crate) const ASN: u32 = 64501;
/// The first of the ports.
pub(crate) const PORT: u16 = 1179;

/// What is heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Router {
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    heard: Vec<Heard>,
    /// When each session came up, and from whom.
    sessions: Vec<(Instant, IpAddr)>,
    /// When all routes of a session had been told, how many messages that took, and their bytes.
    ends: Vec<(Instant, usize, Vec<u8>)>,
    /// Connections are refused.
    closed: bool,
    generation: u64,
}

/// A route came or went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) prefix: IpNet,
    pub(crate) reached: bool,
}

impl Router {
    /// Listens on so many ports from [`PORT`] on, until the bench ends.
    pub(crate) fn start(cluster: &Cluster, ports: u16) -> Result<Self> {
        let router = Self::default();
        let inside = format!("/run/netns/{}", cluster.netns(Place::Client));
        let namespace = NetworkNamespace::open(inside.as_ref())?;
        let listeners: Result<Vec<_>> = namespace.run(|| {
            let listen = |port| {
                let at = SocketAddr::from(([0, 0, 0, 0], port));
                TcpListener::bind(at).with_context(|| format!("cannot listen on {at}"))
            };
            (PORT..PORT + ports).map(listen).collect()
        })?;
        for listener in listeners? {
            let router = router.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let router = router.clone();
                    // A session that ends is the bench's business by what was not heard.
                    thread::spawn(move || drop(router.serve(stream)));
                }
            });
        }
        Ok(router)
    }

    /// What was heard since.
    pub(crate) fn since(&self, since: Instant) -> Vec<Heard> {
        let log = self.log.lock().expect("nobody panics with it");
        let first = log.heard.partition_point(|it| it.at < since);
        log.heard[first..].to_vec()
    }

    /// When sessions came up since.
    pub(crate) fn sessions(&self, since: Instant) -> Vec<Instant> {
        let log = self.log.lock().expect("nobody panics with it");
        let all = log.sessions.iter().map(|(at, _)| *at);
        all.filter(|at| *at >= since).collect()
    }

    /// When all routes of sessions had been told since, in how many messages, and what they were.
    pub(crate) fn ends(&self, since: Instant) -> Vec<(Instant, usize, Vec<u8>)> {
        let log = self.log.lock().expect("nobody panics with it");
        let all = log.ends.iter().filter(|(at, ..)| *at >= since);
        all.cloned().collect()
    }

    /// Ends all sessions, and refuses others until it is opened again.
    pub(crate) fn close(&self, closed: bool) {
        let mut log = self.log.lock().expect("nobody panics with it");
        log.closed = closed;
        log.generation += u64::from(closed);
    }

    fn generation(&self) -> Option<u64> {
        let log = self.log.lock().expect("nobody panics with it");
        (!log.closed).then_some(log.generation)
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let generation = self.generation().context("closed")?;
        let from = stream.peer_addr()?.ip();
        stream.set_read_timeout(Some(LOOK))?;
        let mut codec = Codec::default();
        stream.write_all(&Message::Open(open()).encode(codec))?;
        let (mut input, mut buf) = (Vec::new(), vec![0; 256 * 1024]);
        let mut told = (0, Vec::new());
        let mut said = Instant::now();
        while self.generation() == Some(generation) {
            if said.elapsed() > Duration::from_secs(3) {
                stream.write_all(&Message::Keepalive.encode(codec))?;
                said = Instant::now();
            }
            match stream.read(&mut buf) {
                Ok(0) => break,
                Ok(len) => input.extend(&buf[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            }
            let at = Instant::now();
            let mut read = 0;
            while let Some(len) = frame_len(&input[read..], codec).map_err(|it| ended(&it))? {
                let Some(frame) = input.get(read..read + len) else {
                    break;
                };
                let received = Message::decode(frame, codec).map_err(|it| ended(&it))?;
                match received.message {
                    Message::Open(open) => {
                        codec.four_octet = open.has_four_octet_as();
                        stream.write_all(&Message::Keepalive.encode(codec))?;
                        let mut log = self.log.lock().expect("nobody panics with it");
                        log.sessions.push((at, from));
                    }
                    Message::Update(update) if update.is_end_of_rib() == Some(Family::V4) => {
                        let (count, bytes) = std::mem::take(&mut told);
                        let mut log = self.log.lock().expect("nobody panics with it");
                        log.ends.push((at, count, bytes));
                    }
                    Message::Update(update) => {
                        told.0 += 1;
                        told.1.extend(frame);
                        let gone = update.unreached().map(|prefix| (prefix, false));
                        let all = gone.chain(update.reached().map(|prefix| (prefix, true)));
                        let heard = all.map(|(prefix, reached)| Heard {
                            at,
                            prefix,
                            reached,
                        });
                        let mut log = self.log.lock().expect("nobody panics with it");
                        log.heard.extend(heard);
                    }
                    _ => {}
                }
                read += len;
            }
            input.drain(..read);
        }
        Ok(())
    }
}

fn ended(answer: &Notification) -> anyhow::Error {
    anyhow::anyhow!("{answer}")
}

fn open() -> Open {
    Open {
        my_as: u16::try_from(ASN).expect("a short number"),
        hold_time: 90,
        identifier: [192, 0, 2, 254].into(),
        capabilities: vec![
            Capability::Multiprotocol(Family::V4.into()),
            Capability::FourOctetAs(ASN),
        ],
    }
}

/// How often it is looked whether the router is closed.
const LOOK: Duration = Duration::from_millis(100);
