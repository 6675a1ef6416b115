//! A client that never stops asking an address, and keeps which questions were answered.

use std::{
    fs, io,
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

use crate::{Cluster, Place, faults::Target};

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
        let ended = Arc::<AtomicBool>::default();
        let end = ended.clone();
        let thread = thread::spawn(move || client.run(|| ask(address, &end))?);
        Ok(Asking { ended, thread })
    }

    /// How many questions reached the web pods that run now and were dropped by the kernel there,
    /// because the pod did not get to reading them in time. MetalLB has done its part for those:
    /// they are no loss on the way. That a pod waits for a second happens where two processors
    /// carry a whole cluster, and OLM, which needs more than one of them during an upgrade.
    pub fn overrun(&self) -> Result<usize> {
        let pods = self.find(&Target::program(WEB_PROGRAM))?;
        let counters = |pid: u32| {
            let read = |file| fs::read_to_string(format!("/proc/{pid}/net/{file}"));
            // A pod may just have gone.
            Some(overrun(&read("snmp").ok()?, &read("snmp6").ok()?))
        };
        Ok(pods.iter().filter_map(|it| counters(it.pid())).sum())
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

/// `RcvbufErrors` of UDP over both families, as /proc/net has them.
fn overrun(snmp: &str, snmp6: &str) -> usize {
    let mut udp = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let names = udp.next().unwrap_or_default().split_whitespace();
    let values = udp.next().unwrap_or_default().split_whitespace();
    let v4 = names.zip(values).find(|(name, _)| *name == "RcvbufErrors");
    let v6 = snmp6
        .lines()
        .find_map(|line| line.strip_prefix("Udp6RcvbufErrors"));
    let found = v4.map(|(_, value)| value).into_iter().chain(v6);
    found.filter_map(|it| it.trim().parse::<usize>().ok()).sum()
}

/// What runs in the web pods.
const WEB_PROGRAM: &str = "agnhost";
/// Of the web pods, which answer `echo TEXT` with the text.
pub const PORT: u16 = 8081;
/// Between two questions. A pod that gets no processor for a second has room for those meanwhile.
pub const PACE: Duration = Duration::from_millis(4);
/// For the last answers.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_did_not_take_is_counted_over_both_families() {
        let snmp = "\
Ip: Forwarding DefaultTTL
Ip: 1 64
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
Udp: 8618 0 385 8618 385 0
UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors
UdpLite: 0 0 0 0 7 0
";
        let snmp6 = "Udp6InErrors                    \t4\nUdp6RcvbufErrors                \t4\n";
        assert_eq!(overrun(snmp, snmp6), 389);
        assert_eq!(overrun("", ""), 0);
    }
}
