//! A link between two network namespaces, with what the speaker does at its near end.

use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use metallb_l2::{MacAddr, Responder};
use metallb_netio::{FRAME_MAX, NetworkNamespace, PacketSocket};
use tokio::sync::oneshot;

use crate::wire::link;

/// The link: `near0` and `far0`.
#[derive(Debug)]
pub struct Segment {
    near: NetworkNamespace,
    far: NetworkNamespace,
}

/// What answering took.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Processor time of the thread that answers.
    pub processor: Duration,
    /// The time for which it did.
    pub elapsed: Duration,
}

impl Segment {
    /// Makes it. Needs root.
    ///
    /// # Errors
    /// No rights, or no ip(8).
    pub fn new() -> Result<Self> {
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
        Ok(Self { near, far })
    }

    /// Does something at the near end.
    ///
    /// # Errors
    /// Those of the work, or no thread.
    pub fn near<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.near.run(work)?
    }

    /// While the near end answers for these addresses as the speaker does, the far end works.
    ///
    /// # Errors
    /// Those of the work, or sockets that cannot be opened.
    pub fn answering<T: Send>(
        &self,
        addresses: &[IpAddr],
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<(T, Effort)> {
        let (opened, open) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        thread::scope(|scope| {
            let answers = move || answer(addresses, &opened, stopped);
            let responder = scope.spawn(|| self.near.run(answers));
            // It is ready, or ended with an error that the join below tells.
            let _ = open.recv();
            let worked = self.far.run(work);
            drop(stop);
            let effort = responder.join().expect("the responder does not panic")??;
            Ok((worked??, effort))
        })
    }
}

/// What the speaker does, until `stopped`.
fn answer(
    addresses: &[IpAddr],
    opened: &mpsc::Sender<()>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<Effort> {
    let near0 = link("near0")?.index;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = PacketSocket::arp(near0)?;
        let mut responder = Responder::new(NEAR, None);
        for address in addresses {
            responder.announce(*address);
        }
        let (start, before) = (Instant::now(), processor_time()?);
        opened.send(())?;
        let mut frame = [0; FRAME_MAX];
        loop {
            let len = tokio::select! {
                len = socket.recv(&mut frame) => len?,
                _ = &mut stopped => break,
            };
            // What the speaker asks of each frame first; nobody here is one.
            let rival = responder.rival(&frame[..len]);
            ensure!(rival.is_none(), "{rival:?}");
            if let Ok(answer) = responder.answer(&frame[..len]) {
                socket.send(&answer.frame).await?;
            }
        }
        Ok(Effort {
            processor: processor_time()?.saturating_sub(before),
            elapsed: start.elapsed(),
        })
    })
}

/// Of this thread so far.
fn processor_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().and_then(|it| it.parse().ok());
    Ok(Duration::from_nanos(
        nanoseconds.context("schedstat has a number")?,
    ))
}

fn ip(arguments: &str) -> Result<()> {
    command("ip", &arguments.split_whitespace().collect::<Vec<_>>())
}

/// Runs a command to its end.
///
/// # Errors
/// It is not there, or complains.
pub fn command(program: &str, arguments: &[&str]) -> Result<()> {
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

/// The near end's station.
pub const NEAR: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0b);
/// The far end's station.
pub const FAR: MacAddr = MacAddr(2, 0, 0, 0, 0, 0x0a);
