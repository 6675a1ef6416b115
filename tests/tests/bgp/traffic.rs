//! A client behind two routers that never stops: questions by UDP on many flows, and new TCP
//! connections.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use metallb_netio::NetworkNamespace;
use metallb_tests::{Cluster, Place};

use crate::world::{BIRD, FRR};

/// Somebody who uses an address, until asked what came of it.
pub(crate) struct Traffic {
    ended: Arc<AtomicBool>,
    questions: JoinHandle<io::Result<Vec<Vec<Question>>>>,
    connections: JoinHandle<Vec<Connection>>,
    cluster: Cluster,
    /// The route to the address, to be removed.
    route: String,
}

/// What came of it.
pub(crate) struct Seen {
    /// Of each flow.
    questions: Vec<Vec<Question>>,
    connections: Vec<Connection>,
}

/// What routers do meanwhile with the paths to the address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Paths {
    /// They stay as they are.
    Stay,
    /// They change, at most so often. Then a router sends some of what is under way to a node that
    /// knows nothing of it, and a connection that is just being made is reset there. No node can
    /// help that; who connects again gets through.
    Change(usize),
}

#[derive(Debug, Clone, Copy)]
struct Question {
    asked: Instant,
    answered: bool,
}

#[derive(Debug)]
struct Connection {
    /// Why it was not made.
    error: Option<io::Error>,
    took: Duration,
}

impl Traffic {
    /// The client routes `ip` by FRR and BIRD, and each of them by all nodes.
    pub(crate) fn start(cluster: &Cluster, ip: IpAddr) -> Result<Self> {
        let [one, other] = [FRR, BIRD].map(|it| it.address().v4);
        let route = format!("{ip} nexthop via {one} nexthop via {other}");
        cluster.output(
            Place::Client,
            &["sh", "-c", &format!("ip route add {route}")],
        )?;
        let netns = format!("/run/netns/{}", cluster.netns(Place::Client));
        let client = Arc::new(NetworkNamespace::open(Path::new(&netns))?);
        cluster.make_room()?;
        let ended = Arc::<AtomicBool>::default();
        let (end, inside) = (ended.clone(), client.clone());
        let questions = thread::spawn(move || inside.run(|| ask(ip, &end))?);
        let end = ended.clone();
        let connections = thread::spawn(move || {
            let made = client.run(|| connect(ip, &end));
            made.unwrap_or_default()
        });
        Ok(Self {
            ended,
            questions,
            connections,
            cluster: cluster.clone(),
            route,
        })
    }

    pub(crate) fn end(self) -> Result<Seen> {
        self.ended.store(true, Ordering::Relaxed);
        let died = |_| anyhow!("the client died");
        let (questions, connections) = (self.questions.join(), self.connections.join());
        let remove = format!("ip route del {}", self.route);
        self.cluster.output(Place::Client, &["sh", "-c", &remove])?;
        let seen = Seen {
            questions: questions
                .map_err(died)?
                .context("the client has no socket")?,
            connections: connections.map_err(died)?,
        };
        ensure!(
            seen.questions.iter().flatten().any(|it| it.answered),
            "no question was ever answered"
        );
        ensure!(
            seen.connections.iter().any(|it| it.error.is_none()),
            "no connection was ever made"
        );
        Ok(seen)
    }
}

impl Seen {
    /// Nothing may have been lost; says of how much.
    pub(crate) fn nothing_lost(&self, what: &str, paths: Paths) -> Result<()> {
        let all = self.questions.iter().map(Vec::len).sum::<usize>();
        let lost = self.questions.iter().flatten().filter(|it| !it.answered);
        let (lost, made) = (lost.count(), self.connections.len());
        let errors = self.connections.iter().filter_map(|it| it.error.as_ref());
        let is_reset = |it: &&io::Error| it.kind() == io::ErrorKind::ConnectionReset;
        let (resets, errors): (Vec<_>, Vec<_>) = errors.partition(is_reset);
        let slowest = self.connections.iter().map(|it| it.took).max();
        let seen = format!(
            "{what}: {lost} of {all} questions lost, {} of {made} connections and {} reset, of which \
             the slowest took {:.1?}",
            errors.len(),
            resets.len(),
            slowest.unwrap_or_default()
        );
        println!("  {seen}");
        let most = match paths {
            Paths::Stay => 0,
            Paths::Change(times) => times,
        };
        ensure!(
            lost == 0 && errors.is_empty() && resets.len() <= most,
            "{seen}; routers chose other paths {most} times at most; {errors:?}"
        );
        Ok(())
    }

    /// Says how much of all was lost.
    pub(crate) fn print_losses(&self, what: &str) {
        let questions = self.questions.iter().flatten();
        let lost = questions.clone().filter(|it| !it.answered).count();
        let failed = self.connections.iter().filter(|it| it.error.is_some());
        println!(
            "  {what}: {lost} of {} questions lost, {} of {} connections not made",
            questions.count(),
            failed.count(),
            self.connections.len()
        );
    }

    /// How long the flow that it was longest for got no answer; says so.
    pub(crate) fn gap(&self, what: &str) -> Duration {
        let gaps: Vec<_> = self.questions.iter().map(|flow| gap(flow)).collect();
        let longest = gaps.iter().max().copied().unwrap_or_default();
        let hit = gaps.iter().filter(|it| !it.is_zero()).count();
        println!(
            "  {what}: no answers for {longest:.2?} on {hit} of {} flows",
            gaps.len()
        );
        longest
    }
}

/// From the first question that got no answer to the next that did, the longest time.
fn gap(flow: &[Question]) -> Duration {
    let mut longest = Duration::ZERO;
    let mut since = None;
    for question in flow {
        let first = *since.get_or_insert(question.asked);
        if question.answered {
            longest = longest.max(question.asked - first);
            since = None;
        }
    }
    let last = since.zip(flow.last()).map(|(first, it)| it.asked - first);
    longest.max(last.unwrap_or_default())
}

/// One question each `PACE`, on one flow after the other.
fn ask(ip: IpAddr, ended: &AtomicBool) -> io::Result<Vec<Vec<Question>>> {
    let socket = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(SocketAddr::new(ip, UDP_PORT))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let sockets = (0..FLOWS).map(|_| socket());
    let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
    let mut flows = vec![Vec::new(); FLOWS];
    for turn in 0.. {
        let (socket, flow) = (&sockets[turn % FLOWS], &mut flows[turn % FLOWS]);
        take_answers(socket, flow);
        if ended.load(Ordering::Relaxed) {
            break;
        }
        // One that cannot be sent, such as for an error that came back, is one without an answer.
        let _ = socket.send(format!("echo {}", flow.len()).as_bytes());
        flow.push(Question {
            asked: Instant::now(),
            answered: false,
        });
        // The pace of asking, not a wait for something.
        thread::sleep(PACE);
    }
    thread::sleep(PATIENCE);
    for (socket, flow) in sockets.iter().zip(&mut flows) {
        take_answers(socket, flow);
    }
    Ok(flows)
}

fn take_answers(socket: &UdpSocket, flow: &mut [Question]) {
    let mut answer = [0; 32];
    // An error is about an earlier question; after it there may be answers.
    for _ in 0..flow.len().min(100) {
        match socket.recv(&mut answer) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&answer[..length]);
                let number = text.trim().parse::<usize>().ok();
                if let Some(question) = number.and_then(|it| flow.get_mut(it)) {
                    question.answered = true;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
}

/// One connection after the other.
fn connect(ip: IpAddr, ended: &AtomicBool) -> Vec<Connection> {
    let mut all = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let started = Instant::now();
        let made = TcpStream::connect_timeout(&SocketAddr::new(ip, 80), LATEST);
        let took = started.elapsed();
        all.push(Connection {
            error: made.err(),
            took,
        });
        thread::sleep(4 * PACE);
    }
    all
}

/// Enough for each node to have some by way of each router.
const FLOWS: usize = 24;
/// Of the web pods, which answer `echo TEXT` with the text.
const UDP_PORT: u16 = 8081;
const PACE: Duration = Duration::from_millis(3);
/// For the last answers.
const PATIENCE: Duration = Duration::from_millis(500);
/// Until then the kernel tries again after one second, and that may be why a connection is late: on
/// a busy machine it is also the pods. What is lost on the way is what questions are for.
const LATEST: Duration = Duration::from_secs(3);
