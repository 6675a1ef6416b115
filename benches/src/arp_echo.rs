//! An ARP answer, from request to reply, beside a plain echo on the same link.
//!
//! The echo is the least that a program can do with a frame: a blocking packet socket that turns
//! round what it reads. The answer is what the speaker does: tokio, the kernel's filter, parsing,
//! looking up, building. Both are asked in turn from another network namespace, so whatever else
//! the machine does falls on both.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use anyhow::{Context as _, Result, ensure};
use metallb_l2::{MacAddr, Responder};
use metallb_netio::{FRAME_MAX, LinkWatch, NetworkNamespace, PacketSocket, plain_packet_socket};
use tokio::sync::oneshot;

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

    /// Whether the answer takes at most twice the echo.
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
    let near = NetworkNamespace::create().context("making a network namespace; run as root")?;
    let far = NetworkNamespace::create()?;
    let far_path = far.path().display().to_string();
    near.run(|| {
        ip(&format!(
            "link add near0 address {NEAR} type veth peer name far0 address {FAR} netns {far_path}"
        ))?;
        ip("link set near0 up")
    })??;
    far.run(|| ip("link set far0 up"))??;

    let (opened, open) = mpsc::channel();
    let echo_opened = opened.clone();
    let (stop, stopped) = oneshot::channel();
    thread::scope(|scope| {
        let near = &near;
        let responder = scope.spawn(move || near.run(move || answer(&opened, stopped)));
        let mirror = scope.spawn(move || near.run(move || echo(&echo_opened)));
        // Both are ready, or ended with an error that the joins below tell.
        let _ = (open.recv(), open.recv());
        let measured = far.run(measure);
        drop(stop);
        let mirrored = mirror.join().expect("the echo does not panic")?;
        responder.join().expect("the responder does not panic")??;
        let ratio = measured??;
        mirrored.map(|()| ratio)
    })
}

/// Asks both in turn, from the far end.
fn measure() -> Result<Ratio> {
    let far0 = index("far0")?;
    let asker = |ethertype| -> Result<_> {
        let socket = plain_packet_socket(far0, ethertype)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(socket)
    };
    let (arp, plain) = (asker(ARP)?, asker(EXPERIMENTAL)?);
    let (request, frame) = (request(), plain_frame());
    let (mut answers, mut echoes) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let times = (round_trip(&arp, &request)?, round_trip(&plain, &frame)?);
        if round >= WARM_UP {
            answers.push(times.0);
            echoes.push(times.1);
        }
    }
    plain.send(&ethernet(FAR, ARP_BROADCAST, EXPERIMENTAL, STOP))?;
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

/// What the speaker does, until `stopped`.
fn answer(opened: &mpsc::Sender<()>, mut stopped: oneshot::Receiver<()>) -> Result<()> {
    let near0 = index("near0")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = PacketSocket::arp_requests(near0)?;
        let mut responder = Responder::new(NEAR, None);
        responder.announce(TARGET.into());
        opened.send(())?;
        let mut frame = [0; FRAME_MAX];
        loop {
            let len = tokio::select! {
                len = socket.recv(&mut frame) => len?,
                _ = &mut stopped => return Ok(()),
            };
            if let Ok(answer) = responder.answer(&frame[..len]) {
                socket.send(&answer.frame).await?;
            }
        }
    })
}

/// Turns round every frame, until one says stop.
fn echo(opened: &mpsc::Sender<()>) -> Result<()> {
    let socket = plain_packet_socket(index("near0")?, EXPERIMENTAL)?;
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

/// The number of a link in the namespace of this thread, once frames can get through it.
fn index(name: &str) -> Result<u32> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut links = LinkWatch::open()?;
        loop {
            let all = links.changed().await?;
            if let Some(link) = all.values().find(|link| link.name == name && link.running) {
                return Ok(link.index);
            }
        }
    })
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

fn ip(arguments: &str) -> Result<()> {
    command("ip", &arguments.split_whitespace().collect::<Vec<_>>())
}

fn command(program: &str, arguments: &[&str]) -> Result<()> {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| program.to_owned())?;
    ensure!(
        done.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

/// The far end asks everybody who has [`TARGET`].
fn request() -> Vec<u8> {
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend(FAR.octets());
    arp.extend([192, 0, 2, 1]);
    arp.extend([0; 6]);
    arp.extend(TARGET.octets());
    ethernet(FAR, ARP_BROADCAST, ARP, &arp)
}

/// A frame as long as the request.
fn plain_frame() -> Vec<u8> {
    ethernet(FAR, NEAR, EXPERIMENTAL, &[0; 28])
}

fn ethernet(from: MacAddr, to: MacAddr, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [
        &to.octets()[..],
        &from.octets(),
        &ethertype.to_be_bytes(),
        payload,
    ]
    .concat()
}

const BAR: f64 = 2.0;
const WARM_UP: usize = 1_000;
const ROUNDS: usize = 20_000;
const NEAR: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0b);
const FAR: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0a);
const ARP_BROADCAST: MacAddr = MacAddr(0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
const TARGET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const ARP: u16 = 0x0806;
/// For local experiments, by IEEE 802.
const EXPERIMENTAL: u16 = 0x88b5;
const STOP: &[u8] = b"stop";
