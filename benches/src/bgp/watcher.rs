//! The BFD of the bench's router: in the client's namespace, on a thread that runs before others.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use metallb_bfd::{Arrival, Bfd, Input, Output, Path, Settings};
use metallb_netio::{Alarm, DistanceSocket, NetworkNamespace, raise_priority, sender};
use metallb_tests::{Cluster, Place, eventually};

/// Packets are this far apart.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
/// So many may be missed.
pub(crate) const MULTIPLIER: u8 = 3;

/// A BFD session with a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// It sends nothing.
    silent: bool,
    last_sent: Option<Instant>,
    is_up: bool,
    downs: u32,
}

impl Watcher {
    /// Watches a node until the bench ends.
    pub(crate) fn start(cluster: &Cluster, node: Place) -> Result<Self> {
        let watcher = Self::default();
        let inside = format!("/run/netns/{}", cluster.netns(Place::Client));
        let namespace = NetworkNamespace::open(inside.as_ref())?;
        let (peer, at) = (node.address().v4, watcher.clone());
        thread::spawn(move || namespace.run(|| at.run(peer)));
        Ok(watcher)
    }

    /// Waits until the session is up.
    pub(crate) fn up(&self) -> Result<()> {
        eventually("the BFD session is up", Duration::from_secs(20), || {
            let state = self.state();
            Ok(if state.is_up {
                Ok(())
            } else {
                Err(format!("{state:?}"))
            })
        })
    }

    /// How often the session went down so far.
    pub(crate) fn downs(&self) -> u32 {
        self.state().downs
    }

    /// Says nothing from now on; when it spoke last.
    pub(crate) fn fall_silent(&self) -> Result<Instant> {
        let mut state = self.state();
        state.silent = true;
        state.last_sent.context("it has spoken")
    }

    pub(crate) fn speak(&self) {
        self.state().silent = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    fn run(&self, peer: Ipv4Addr) -> Result<()> {
        // The router is not what is measured.
        raise_priority()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.watch(peer))
    }

    async fn watch(&self, peer: Ipv4Addr) -> Result<()> {
        let path = Path {
            peer: IpAddr::V4(peer),
            interface: None,
            minimum_ttl: Some(254),
        };
        let settings = Settings {
            transmit: INTERVAL,
            receive: INTERVAL,
            detect_multiplier: MULTIPLIER,
            passive: false,
            echo_receive: None,
            echo_transmit: None,
        };
        let socket = DistanceSocket::listen(PORT, false, 0)?;
        let out = sender(Ipv4Addr::UNSPECIFIED.into(), None, SOURCE_PORTS, 7)?;
        let (mut bfd, mut alarm) = (Bfd::new(Instant::now(), 1), Alarm::new()?);
        bfd.handle_input(Instant::now(), Input::Sessions([(path, settings)].into()));
        let mut buf = [0; 64];
        loop {
            while let Some(output) = bfd.poll_output() {
                let mut state = self.state();
                match output {
                    Output::Send(_, packet) if !state.silent => {
                        out.send_to(&packet, (peer, PORT))?;
                        state.last_sent = Some(Instant::now());
                    }
                    Output::Send(..) | Output::Echo(..) => {}
                    Output::Up(_) => state.is_up = true,
                    Output::Down(..) => {
                        state.is_up = false;
                        state.downs += 1;
                    }
                }
            }
            tokio::select! {
                biased;
                woken = alarm.until(bfd.poll_timeout()) => {
                    woken?;
                    bfd.handle_timeout(Instant::now());
                }
                arrived = socket.recv(&mut buf) => {
                    let arrived = arrived?;
                    let arrival = Arrival {
                        from: arrived.from.ip(),
                        interface: arrived.interface,
                        ttl: arrived.hop_limit,
                        multihop: true,
                    };
                    let input = Input::Datagram(arrival, &buf[..arrived.len]);
                    bfd.handle_input(Instant::now(), input);
                }
            }
        }
    }
}

/// RFC 5883: with the defaults of `native`, a router of another AS may be anywhere.
const PORT: u16 = 4784;
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49152..=65535;
