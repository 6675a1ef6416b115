//! What a client on the segment sees: who answers for an address, and what comes back from it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metallb_benches::wire::{ARP, arp_request, link};
use metallb_l2::MacAddr;
use metallb_netio::{FRAME_MAX, NetworkNamespace, plain_packet_socket};
use metallb_tests::{Cluster, Place, eventually};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;

/// An ARP frame that says who has an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) at: Instant,
    pub(crate) ip: Ipv4Addr,
    /// Nothing for a stranger.
    pub(crate) place: Option<Place>,
    /// It answers a question of ours; else it was said to all.
    pub(crate) answer: bool,
}

/// Hears everything on the client's segment, and asks for one address over and over.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Mutex<Vec<Sighting>>>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Asks every 10 ms for the address, if one is given.
    pub(crate) fn start(cluster: &Cluster, nic: u8, asked: Option<Ipv4Addr>) -> Result<Self> {
        let places: BTreeMap<String, Place> = cluster.macs()?;
        let card = format!("eth{nic}");
        let (socket, mac) = inside(cluster)?.run(|| -> Result<_> {
            let card = link(&card)?;
            let mac = MacAddr::from(card.mac.context("the client has no Ethernet address")?);
            Ok((plain_packet_socket(card.index, ARP)?, mac))
        })??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        // A thousand addresses may be announced at once, and each frame counts.
        set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER)?;
        let own = if nic == 0 {
            Place::Client.address().v4
        } else {
            Place::Client.service_lan_address().v4
        };
        let mut watch = Self {
            seen: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        if let Some(target) = asked {
            let (socket, ended) = (socket.try_clone()?, watch.ended.clone());
            let frame = arp_request(mac, own, target);
            watch.threads.push(thread::spawn(move || {
                // A question that cannot be sent is one without an answer.
                each(PACE, &ended, |_| drop(socket.send(&frame)));
            }));
        }
        let (seen, ended) = (watch.seen.clone(), watch.ended.clone());
        watch.threads.push(thread::spawn(move || {
            let mut frame = [0; FRAME_MAX];
            while !ended.load(Ordering::Relaxed) {
                let Ok(len) = socket.recv(&mut frame) else {
                    continue;
                };
                if let Some(sighting) = sighting(&frame[..len], mac, &places) {
                    lock(&seen).push(sighting);
                }
            }
        }));
        Ok(watch)
    }

    /// What was seen from some moment on.
    pub(crate) fn since(&self, start: Instant) -> Vec<Sighting> {
        let seen = lock(&self.seen);
        let first = seen.partition_point(|it| it.at < start);
        seen[first..].to_vec()
    }

    /// Waits until one node alone has answered for a second; gives that node.
    pub(crate) fn settled(&self) -> Result<Place> {
        eventually("one node alone answers", SETTLE, || {
            let last = Instant::now().checked_sub(ALONE);
            let seen = self.since(last.context("the clock has just begun")?);
            let answers = seen.iter().filter(|it| it.answer);
            let places: Vec<_> = answers.map(|it| it.place).collect();
            let all: BTreeSet<_> = places.iter().collect();
            Ok(match (places.first(), all.len()) {
                (Some(Some(place)), 1) if places.len() >= ENOUGH => Ok(*place),
                _ => Err(format!("{} answers of {all:?}", places.len())),
            })
        })
    }

    /// Waits for the first answer from another node; when it came.
    pub(crate) fn another(&self, than: Place, since: Instant) -> Result<Sighting> {
        eventually("another node answers", PATIENCE, || {
            let seen = self.since(since);
            let other = |it: &&Sighting| it.answer && it.place.is_some_and(|it| it != than);
            let found = seen.iter().find(other).copied();
            Ok(found.ok_or_else(|| format!("{} sightings", seen.len())))
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Datagrams to an address, one each millisecond, and those that come back.
#[derive(Debug)]
pub(crate) struct Stream {
    sent: Arc<Mutex<u32>>,
    back: Arc<Mutex<BTreeSet<u32>>>,
    ended: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) sent: u32,
    pub(crate) lost: u32,
    /// The most that were lost one after the other.
    pub(crate) in_a_row: u32,
}

impl Stream {
    /// To a Service whose backends say what they are told.
    pub(crate) fn start(cluster: &Cluster, to: SocketAddr) -> Result<Self> {
        let socket = inside(cluster)?.run(|| UdpSocket::bind("0.0.0.0:0"))??;
        socket.connect(to)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let mut stream = Self {
            sent: Arc::default(),
            back: Arc::default(),
            ended: Arc::default(),
            deaf: Arc::default(),
            threads: Vec::new(),
        };
        let (sender, ended, sent) = (
            socket.try_clone()?,
            stream.ended.clone(),
            stream.sent.clone(),
        );
        stream.threads.push(thread::spawn(move || {
            each(Duration::from_millis(1), &ended, |number| {
                // One that the kernel does not take is lost, too.
                let _ = sender.send(format!("echo {number}").as_bytes());
                *lock(&sent) = number + 1;
            });
        }));
        let (back, deaf) = (stream.back.clone(), stream.deaf.clone());
        stream.threads.push(thread::spawn(move || {
            let mut text = [0; 64];
            while !deaf.load(Ordering::Relaxed) {
                // An ICMP error is an answer that did not come.
                let Ok(len) = socket.recv(&mut text) else {
                    continue;
                };
                let text = String::from_utf8_lossy(&text[..len]);
                if let Ok(number) = text.trim().parse() {
                    lock(&back).insert(number);
                }
            }
        }));
        Ok(stream)
    }

    /// Waits until a hundred more have come back.
    pub(crate) fn flows(&self) -> Result<()> {
        let before = lock(&self.back).len();
        eventually("datagrams come back", SETTLE, || {
            let more = lock(&self.back).len() - before;
            Ok(if more >= 100 {
                Ok(())
            } else {
                Err(format!("{more} came back"))
            })
        })
    }

    /// Stops; those under way have a second to come back. What was sent before the first came back
    /// does not count.
    pub(crate) fn stop(self) -> Fate {
        self.ended.store(true, Ordering::Relaxed);
        // The time for which they are waited for; nothing says that one will not come.
        thread::sleep(Duration::from_secs(1));
        self.deaf.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // One that panicked has said so.
            let _ = thread.join();
        }
        let (sent, back) = (*lock(&self.sent), lock(&self.back).clone());
        let first = back.first().copied().unwrap_or(0);
        let (mut lost, mut in_a_row, mut row) = (0, 0, 0);
        for number in first..sent {
            row = if back.contains(&number) { 0 } else { row + 1 };
            lost += u32::from(row > 0);
            in_a_row = row.max(in_a_row);
        }
        Fate {
            sent: sent - first,
            lost,
            in_a_row,
        }
    }
}

/// The client's network namespace.
fn inside(cluster: &Cluster) -> Result<NetworkNamespace> {
    let path = format!("/run/netns/{}", cluster.netns(Place::Client));
    NetworkNamespace::open(path.as_ref()).context("the client is not there")
}

/// What an ARP frame says: the sender of every reply, and of a request for itself, has its address.
fn sighting(frame: &[u8], own: MacAddr, places: &BTreeMap<String, Place>) -> Option<Sighting> {
    let (ethernet, arp) = frame.split_at_checked(14)?;
    let (to, from) = (&ethernet[..6], &ethernet[6..12]);
    let operation = u16::from_be_bytes([*arp.get(6)?, *arp.get(7)?]);
    let sender: [u8; 4] = arp.get(14..18)?.try_into().ok()?;
    let target = arp.get(24..28)?;
    let says = operation == 2 || sender == target;
    let from = MacAddr::from(<[u8; 6]>::try_from(from).ok()?);
    (says && from != own).then(|| Sighting {
        at: Instant::now(),
        ip: sender.into(),
        place: places.get(&from.to_string()).copied(),
        answer: operation == 2 && to == own.octets(),
    })
}

/// Does something at a steady pace, counted from 0, until it is over.
fn each(pace: Duration, ended: &AtomicBool, mut work: impl FnMut(u32)) {
    let start = Instant::now();
    for number in 0.. {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        work(number);
        // The pace itself, not a wait for something.
        let next = start + pace * (number + 1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Whoever panicked has left whole values.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In bytes: for tens of thousands of frames, each of which the kernel counts with its overhead.
const RECEIVE_BUFFER: usize = 64 << 20;
/// Between two questions.
const PACE: Duration = Duration::from_millis(10);
/// For how long one answers alone before it counts as settled, and how many answers that are.
const ALONE: Duration = Duration::from_secs(1);
const ENOUGH: usize = 80;
/// Until one does: MetalLB's speakers take a while to find each other.
const SETTLE: Duration = Duration::from_mins(2);
/// Until another answers. Who takes longer is counted as having taken so long.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
