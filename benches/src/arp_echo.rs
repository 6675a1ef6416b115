//! An ARP answer, from request to reply, beside a plain echo on the same link.
//!
//! The echo is the least that a program can do with a frame: a blocking packet socket that turns
//! round what it reads. The answer is what the speaker does: tokio, the kernel's filter, parsing,
//! looking up, building. Both are asked in turn from another network namespace, so whatever else
//! the machine does falls on both.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context as _, Result, ensure};
use metallb_netio::{FRAME_MAX, plain_packet_socket};

use crate::segment::{FAR, NEAR, Segment, command};
use crate::wire::{ARP, BROADCAST, arp_request, ethernet, link};

/// Medians of both round trips.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// ARP request to reply.
    pub answer: Duration,
    /// Plain frame to its echo.
    pub echo: Duration,
}

impl Ratio {
    /// The answer takes so many times the echo.
    pub fn times(self) -> f64 {
        self.answer.as_secs_f64() / self.echo.as_secs_f64()
    }

    /// Whether the answer takes at most one and a half times the echo.
    pub fn holds(self) -> bool {
        self.times() <= BAR
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        write!(
            f,
            "arp answer {:.1} us, plain echo {:.1} us, {:.2} times (at most {BAR})",
            micros(self.answer),
            micros(self.echo),
            self.times()
        )
    }
}

/// Measures both on a link between two new network namespaces. Needs root.
///
/// # Errors
/// The link cannot be made, or a request stays without an answer.
pub fn run() -> Result<Ratio> {
    // On a thread of its own, since all that follows stays on one processor.
    thread::spawn(on_one_processor)
        .join()
        .expect("the bench does not panic")
}

fn on_one_processor() -> Result<Ratio> {
    stay_on_one_processor()?;
    let segment = Segment::new()?;
    let (opened, open) = mpsc::channel();
    thread::scope(|scope| {
        let mirror = scope.spawn(|| segment.near(move || echo(&opened)));
        // It is ready, or ended with an error that the join below tells.
        let _ = open.recv();
        let measured = segment.answering(&[TARGET.into()], measure);
        let mirrored = mirror.join().expect("the echo does not panic");
        let (ratio, _) = measured?;
        mirrored.map(|()| ratio)
    })
}

/// Asks both in turn, from the far end.
fn measure() -> Result<Ratio> {
    let far0 = link("far0")?.index;
    let asker = |ethertype| -> Result<_> {
        let socket = plain_packet_socket(far0, ethertype)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    };
    let (arp, plain) = (asker(ARP)?, asker(EXPERIMENTAL)?);
    let (request, frame) = (arp_request(FAR, ASKER, TARGET), plain_frame());
    let (mut answers, mut echoes) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let times = (round_trip(&arp, &request)?, round_trip(&plain, &frame)?);
        if round >= WARM_UP {
            answers.push(times.0);
            echoes.push(times.1);
        }
    }
    plain.send(&ethernet(FAR, BROADCAST, EXPERIMENTAL, STOP))?;
    Ok(Ratio {
        answer: median(answers),
        echo: median(echoes),
    })
}

fn round_trip(socket: &UdpSocket, frame: &[u8]) -> Result<Duration> {
    let mut reply = [0; FRAME_MAX];
    let start = Instant::now();
    socket.send(frame)?;
    let len = socket.recv(&mut reply).context("no answer within 2 s")?;
    let time = start.elapsed();
    ensure!(
        reply[..len].starts_with(&FAR.octets()),
        "the answer is for somebody else"
    );
    Ok(time)
}

/// Turns round every frame, until one says stop.
fn echo(opened: &mpsc::Sender<()>) -> Result<()> {
    let socket = plain_packet_socket(link("near0")?.index, EXPERIMENTAL)?;
    // The asker is gone when nothing comes for so long.
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    opened.send(())?;
    let mut frame = [0; FRAME_MAX];
    loop {
        let len = socket.recv(&mut frame)?;
        if frame[14..len].starts_with(STOP) {
            return Ok(());
        }
        let (to, rest) = frame.split_at_mut(6);
        to.swap_with_slice(&mut rest[..6]);
        socket.send(&frame[..len])?;
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}

/// Keeps this thread and those that it starts on one processor. Where the scheduler puts two
/// threads that wait for each other makes a difference of three times, by chance.
fn stay_on_one_processor() -> Result<()> {
    let status = std::fs::read_to_string("/proc/thread-self/status")?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let thread = field("Pid:").context("no thread number in /proc")?.trim();
    let allowed = field("Cpus_allowed_list:")
        .context("no processors in /proc")?
        .trim();
    let last = allowed.rsplit([',', '-']).next().unwrap_or(allowed);
    command("taskset", &["-cp", last, thread])
}

/// A frame as long as the request.
fn plain_frame() -> Vec<u8> {
    ethernet(FAR, NEAR, EXPERIMENTAL, &[0; 28])
}

const BAR: f64 = 1.5;
const WARM_UP: usize = 1_000;
const ROUNDS: usize = 20_000;
const ASKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// For local experiments, by IEEE 802.
const EXPERIMENTAL: u16 = 0x88b5;
const STOP: &[u8] = b"stop";
