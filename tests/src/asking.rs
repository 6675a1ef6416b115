//! A client that never stops asking an address, and keeps which questions were answered.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use metallb_netio::NetworkNamespace;

use crate::{Cluster, Place};

/// Questions by UDP to the web pods behind a Service, one each [`PACE`].
#[derive(Debug)]
pub struct Asking {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Answers>>,
}

/// What came of them.
#[derive(Debug, Default)]
pub struct Answers {
    /// When each was asked, and whether it was answered.
    asked: Vec<(Instant, bool)>,
}

impl Cluster {
    /// The client asks `address` on [`PORT`] until it is told to end.
    pub fn ask(&self, address: IpAddr) -> Result<Asking> {
        let netns = format!("/run/netns/{}", self.netns(Place::Client));
        let client = NetworkNamespace::open(Path::new(&netns))?;
        self.make_room()?;
        let ended = Arc::<AtomicBool>::default();
        let end = ended.clone();
        let thread = thread::spawn(move || client.run(|| ask(address, &end))?);
        Ok(Asking { ended, thread })
    }
}

impl Asking {
    /// Ends it, after some time for the last answers.
    pub fn end(self) -> Result<Answers> {
        self.ended.store(true, Ordering::Relaxed);
        let answers = self.thread.join().map_err(|_| anyhow!("the client died"))?;
        answers.context("the client has no socket")
    }
}

impl Answers {
    /// How many questions were asked.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    /// When those were asked that nobody answered.
    pub fn lost(&self) -> Vec<Instant> {
        let lost = self.asked.iter().filter(|(_, answered)| !answered);
        lost.map(|(at, _)| *at).collect()
    }
}

fn ask(address: IpAddr, ended: &AtomicBool) -> io::Result<Answers> {
    let any = match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(SocketAddr::new(address, PORT))?;
    socket.set_nonblocking(true)?;
    let mut answers = Answers::default();
    let mut next = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        take(&socket, &mut answers);
        // One that cannot be sent, such as for an error that came back, is one without an answer.
        let _ = socket.send(format!("echo {}", answers.asked()).as_bytes());
        answers.asked.push((Instant::now(), false));
        // The pace of asking, not a wait for something.
        next += PACE;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    thread::sleep(PATIENCE);
    take(&socket, &mut answers);
    Ok(answers)
}

fn take(socket: &UdpSocket, answers: &mut Answers) {
    let mut answer = [0; 32];
    // An error is about an earlier question; after it there may be answers.
    for _ in 0..1000 {
        match socket.recv(&mut answer) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&answer[..length]);
                let number = text.trim().parse::<usize>().ok();
                if let Some(asked) = number.and_then(|number| answers.asked.get_mut(number)) {
                    asked.1 = true;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
}

/// Of the web pods, which answer `echo TEXT` with the text.
pub const PORT: u16 = 8081;
/// Between two questions.
pub const PACE: Duration = Duration::from_millis(4);
/// For the last answers.
const PATIENCE: Duration = Duration::from_secs(1);
