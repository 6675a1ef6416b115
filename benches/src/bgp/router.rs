//! A router that only listens, and notes to the microsecond what it hears: in the client's
//! namespace, on as many ports as a bench has peers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use metallb_bgp::wire::{
    Capability, Codec, Family, Message, Notification, Open, Update, frame_len,
};
use metallb_netio::NetworkNamespace;
use metallb_tests::{Cluster, Place, eventually};

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
    /// When each session came up.
    sessions: Vec<Instant>,
    /// When each session ended.
    lost: Vec<Instant>,
    /// When all routes of a session had been told, how many messages that took, and their bytes.
    ends: Vec<(Instant, usize, Vec<u8>)>,
    /// Connections are refused.
    closed: bool,
    /// Those that are served.
    served: usize,
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
                    thread::spawn(move || router.serve(stream));
                }
            });
        }
        Ok(router)
    }

    /// What was heard since.
    pub(crate) fn since(&self, since: Instant) -> Vec<Heard> {
        let log = self.log();
        let first = log.heard.partition_point(|it| it.at < since);
        log.heard[first..].to_vec()
    }

    /// When sessions came up since.
    pub(crate) fn sessions(&self, since: Instant) -> Vec<Instant> {
        let log = self.log();
        let all = log.sessions.iter().copied();
        all.filter(|at| *at >= since).collect()
    }

    /// When sessions ended since.
    pub(crate) fn lost(&self, since: Instant) -> Vec<Instant> {
        let log = self.log();
        let all = log.lost.iter().copied();
        all.filter(|at| *at >= since).collect()
    }

    /// When all routes of sessions had been told since, in how many messages, and what they were.
    pub(crate) fn ends(&self, since: Instant) -> Vec<(Instant, usize, Vec<u8>)> {
        let log = self.log();
        let all = log.ends.iter().filter(|(at, ..)| *at >= since);
        all.cloned().collect()
    }

    /// Waits until so many routes have been told since.
    pub(crate) fn all_told(&self, since: Instant, count: u32) -> Result<()> {
        let count = usize::try_from(count)?;
        eventually("all routes are told", Duration::from_mins(5), || {
            let told = self.since(since).iter().filter(|it| it.reached).count();
            Ok(if told >= count {
                Ok(())
            } else {
                Err(format!("{told} of {count}"))
            })
        })
    }

    /// Ends all sessions, and refuses others until it is opened again.
    pub(crate) fn close(&self) -> Result<()> {
        self.log().closed = true;
        eventually("all sessions have ended", LOOK * 20, || {
            let served = self.log().served;
            Ok(if served == 0 { Ok(()) } else { Err(served) })
        })
    }

    pub(crate) fn open(&self) {
        self.log().closed = false;
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panics with it")
    }

    fn serve(&self, stream: TcpStream) {
        {
            let mut log = self.log();
            if log.closed {
                return;
            }
            log.served += 1;
        }
        // A session that ends is the bench's business by what was not heard.
        drop(self.listen_to(stream));
        let mut log = self.log();
        log.lost.push(Instant::now());
        log.served -= 1;
    }

    fn listen_to(&self, mut stream: TcpStream) -> Result<()> {
        let mut session = Session::open(&mut stream)?;
        // All there is room for is made before, so that reading costs what it costs the floor.
        let mut buf = vec![0; ROOM];
        let (mut filled, mut chunks) = (0, Vec::new());
        while !self.log().closed {
            session.keep_alive(&mut stream)?;
            // What comes at once is read at once, and looked at when no more comes: so that it is
            // not waited for us to understand it.
            let patience = if chunks.is_empty() { LOOK } else { PAUSE };
            stream.set_read_timeout(Some(patience))?;
            let is_full = filled == buf.len();
            match stream.read(&mut buf[filled..]) {
                Ok(0) if !is_full => break,
                Ok(len) if !is_full => {
                    filled += len;
                    chunks.push((Instant::now(), filled));
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => {
                    let mut from = 0;
                    for (at, to) in chunks.drain(..) {
                        session.take(&mut stream, at, &buf[from..to], &self.log)?;
                        from = to;
                    }
                    filled = 0;
                }
            }
        }
        Ok(())
    }
}

/// What one session has heard.
struct Session {
    codec: Codec,
    /// What is not whole yet.
    input: Vec<u8>,
    /// How many messages have told of routes, and what they were.
    told: (usize, Vec<u8>),
    /// When we have said last that we live.
    said: Instant,
}

impl Session {
    fn open(stream: &mut TcpStream) -> Result<Self> {
        let codec = Codec::default();
        stream.write_all(&Message::Open(open()).encode(codec))?;
        Ok(Self {
            codec,
            input: Vec::new(),
            told: (0, Vec::new()),
            said: Instant::now(),
        })
    }

    fn keep_alive(&mut self, stream: &mut TcpStream) -> Result<()> {
        if self.said.elapsed() > KEEPALIVE {
            stream.write_all(&Message::Keepalive.encode(self.codec))?;
            self.said = Instant::now();
        }
        Ok(())
    }

    /// Takes in what was read then.
    fn take(
        &mut self,
        stream: &mut TcpStream,
        at: Instant,
        bytes: &[u8],
        log: &Mutex<Log>,
    ) -> Result<()> {
        self.input.extend(bytes);
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(len) = frame_len(rest, self.codec).map_err(|it| ended(&it))? {
            let Some((frame, later)) = rest.split_at_checked(len) else {
                break;
            };
            let received = Message::decode(frame, self.codec).map_err(|it| ended(&it))?;
            let mut log = log.lock().expect("nobody panics with it");
            match received.message {
                Message::Open(open) => {
                    self.codec.four_octet = open.has_four_octet_as();
                    // The session is up when the other side has read this.
                    log.sessions.push(Instant::now());
                    stream.write_all(&Message::Keepalive.encode(self.codec))?;
                }
                Message::Update(update) if update.is_end_of_rib() == Some(Family::V4) => {
                    let (count, bytes) = std::mem::take(&mut self.told);
                    log.ends.push((at, count, bytes));
                }
                Message::Update(update) => {
                    self.told.0 += 1;
                    self.told.1.extend(frame);
                    log.hear(at, &update);
                }
                _ => {}
            }
            rest = later;
        }
        self.input = rest.to_vec();
        Ok(())
    }
}

impl Log {
    fn hear(&mut self, at: Instant, update: &Update) {
        let gone = update.unreached().map(|prefix| (prefix, false));
        let all = gone.chain(update.reached().map(|prefix| (prefix, true)));
        let heard = all.map(|(prefix, reached)| Heard {
            at,
            prefix,
            reached,
        });
        self.heard.extend(heard);
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

/// So much may come at once.
const ROOM: usize = 1 << 20;
/// How often it is looked whether the router is closed.
const LOOK: Duration = Duration::from_millis(100);
/// How long nothing comes before what has come is looked at. A message that comes alone is dated
/// when it comes all the same.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
/// A third of the hold time (RFC 4271 section 10).
const KEEPALIVE: Duration = Duration::from_secs(30);
