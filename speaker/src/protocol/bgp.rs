//! The shell around [`Speaker`] and [`Bfd`]: connections, datagrams and the clock.

mod connecting;
mod connection;
mod datagrams;
mod echoes;
mod interfaces;
mod listeners;
mod next_hops;
mod others;
mod outlet;
mod outputs;
#[cfg(test)]
mod tests;
mod unnumbered;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use metallb_bfd::{self as bfd, Bfd};
use metallb_bgp::Speaker;
use metallb_bgp::session::{Input, Link, Way};
use metallb_bgp::wire::{ErrorCode, Notification};
use metallb_kit::shutdown::CancellationToken;
use metallb_kit::watch::ObjectKey;
use metallb_netio::Alarm;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::bgp::{BgpCommand, HELD, Peer, PeerSetup, SessionStates, Taken};
use connection::Connection;
use datagrams::Datagrams;
use echoes::Echoes;
use interfaces::Interfaces;
use listeners::Listeners;
use others::Others;
use outlet::Due;
pub(super) use outlet::Outlet;
use outputs::Became;

/// What happens to connections.
#[derive(Debug)]
enum Event {
    /// One that was opened, by us or by the peer.
    Connected(u64, TcpStream, Link),
    /// One that we could not open, for this reason.
    Failed(u64, String),
    /// Whether another program has one that ours would disturb. Ours is opened if not.
    Looked(u64, Taken),
    /// It had, and has not any more.
    Freed(u64),
    Received(u64, Vec<u8>),
    Sent(u64, usize),
    /// It is gone, for this reason.
    Closed(u64, String),
}

/// What it works with.
pub(super) struct Shell {
    speaker: Speaker<String, ObjectKey>,
    bfd: Bfd,
    datagrams: Datagrams,
    echoes: Echoes,
    interfaces: Interfaces,
    listeners: Listeners,
    others: Others,
    peers: BTreeMap<String, Peer>,
    /// Those that are to be connected to as soon as a router is found.
    waiting: BTreeSet<String>,
    /// Attempts to connect, by peer.
    dials: BTreeMap<String, (u64, AbortHandle)>,
    connections: BTreeMap<(String, Way), Connection>,
    /// Whose connection or attempt a number is.
    numbers: BTreeMap<u64, (String, Way)>,
    last_number: u64,
    events: mpsc::Sender<Event>,
    outlet: Outlet,
    states: SessionStates,
    /// What is to be said of sessions, in order.
    became: VecDeque<(String, Became)>,
    /// Why a session did not come up, as it was said last.
    failures: BTreeMap<String, String>,
    /// When what is shown is to follow.
    due: Due,
}

impl Shell {
    pub(super) fn new(seed: u64, outlet: Outlet) -> (Self, Queue) {
        let (events, queue) = mpsc::channel(EVENTS);
        let bfd = Bfd::new(Instant::now(), seed);
        let shell = Self {
            speaker: Speaker::new(seed),
            datagrams: Datagrams::new(seed),
            echoes: Echoes::new(bfd.echo_mark()),
            bfd,
            interfaces: Interfaces::new(seed),
            listeners: Listeners::new(),
            others: Others::default(),
            peers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            dials: BTreeMap::new(),
            connections: BTreeMap::new(),
            numbers: BTreeMap::new(),
            last_number: 0,
            events,
            outlet,
            states: SessionStates::new(Instant::now(), seed),
            became: VecDeque::new(),
            failures: BTreeMap::new(),
            due: Due::default(),
        };
        (shell, Queue(queue))
    }

    /// Runs until the goodbye has been said. Routers may connect to these sockets.
    pub(super) async fn run(
        mut self,
        sockets: Vec<TcpListener>,
        mut queue: Queue,
        mut commands: mpsc::UnboundedReceiver<BgpCommand>,
        leave: CancellationToken,
    ) -> std::io::Result<()> {
        self.listeners.open(sockets)?;
        let mut alarm = Alarm::new()?;
        let mut batch = Vec::new();
        let mut leaving = None;
        loop {
            self.work(Instant::now());
            if leaving.is_some_and(|until| Instant::now() >= until) {
                self.leave();
                return Ok(());
            }
            let due = [
                self.speaker.poll_timeout(),
                self.bfd.poll_timeout(),
                self.interfaces.poll_timeout(),
                self.due.poll_timeout(),
                self.states.poll_timeout(),
                leaving,
            ];
            tokio::select! {
                // Each has its turn, so that a flood on one of them holds up none of the others.
                woken = alarm.until(due.into_iter().flatten().min()) => {
                    woken?;
                    self.handle_timeout();
                }
                arrived = self.datagrams.recv() => self.datagram(arrived),
                packet = self.echoes.recv() => self.echo(&packet),
                () = leave.cancelled(), if leaving.is_none() => {
                    self.speaker.prepare_to_leave(Instant::now());
                    leaving = Some(Instant::now() + FAREWELL);
                }
                count = commands.recv_many(&mut batch, COMMANDS) => {
                    if count == 0 {
                        return Ok(());
                    }
                    for command in batch.drain(..) {
                        self.obey(command);
                    }
                }
                Some(event) = queue.0.recv() => self.take(event),
                Some(arrival) = self.listeners.recv() => self.accepted(arrival),
                Some(arrival) = self.interfaces.recv() => self.arrive(arrival),
            }
        }
    }

    fn handle_timeout(&mut self) {
        // What has come in already counts.
        for _ in 0..DATAGRAMS {
            let Some(arrived) = self.datagrams.try_recv() else {
                break;
            };
            self.datagram(arrived);
        }
        for _ in 0..DATAGRAMS {
            let Some(packet) = self.echoes.try_recv() else {
                break;
            };
            self.echo(&packet);
        }
        let now = Instant::now();
        self.bfd.handle_timeout(now);
        self.speaker.handle_timeout(now);
        self.interfaces.handle_timeout(now);
        self.show(now);
    }

    fn datagram(&mut self, (arrival, bytes): (bfd::Arrival, Vec<u8>)) {
        let input = bfd::Input::Datagram(arrival, &bytes);
        self.bfd.handle_input(Instant::now(), input);
    }

    fn echo(&mut self, packet: &[u8]) {
        let input = bfd::Input::Echo(packet);
        self.bfd.handle_input(Instant::now(), input);
    }

    fn obey(&mut self, command: BgpCommand) {
        self.due.soon(Instant::now());
        match command {
            BgpCommand::Peers(peers) => self.configure(peers),
            BgpCommand::Contribute(key, routes) => self.speaker.contribute(&key, routes),
            BgpCommand::GracefulShutdown(goes) => {
                self.speaker.shut_down_gracefully(Instant::now(), goes);
            }
        }
    }

    fn configure(&mut self, peers: BTreeMap<String, PeerSetup>) {
        let now = Instant::now();
        // A session on another path is another session.
        let settings = |keeps: &dyn Fn(&str, &PeerSetup) -> bool| -> BTreeMap<_, _> {
            let kept = peers.iter().filter(|(name, it)| keeps(name, it));
            kept.map(|(name, it)| (name.clone(), it.settings.clone()))
                .collect()
        };
        let before = &self.peers;
        let same_path = |name: &str, it: &PeerSetup| {
            before
                .get(name)
                .is_none_or(|before| before.setup.has_the_path_of(it))
        };
        let (staying, all) = (settings(&same_path), settings(&|_, _| true));
        if staying.len() < all.len() {
            self.speaker.configure(now, staying);
            self.work(now);
        }
        for ((name, _), connection) in &self.connections {
            let password = |it: &PeerSetup| it.tcp.password.clone();
            let new = peers.get(name).and_then(password);
            let before = self.peers.get(name).map(|it| &it.setup);
            if new != before.and_then(password) {
                connection.change_password(new);
            }
        }
        let before = std::mem::take(&mut self.peers);
        let known = peers.into_iter().map(|(name, setup)| {
            let mut peer = Peer::new(setup);
            if let Some(before) = before.get(&name)
                && before.setup.address == peer.setup.address
                && before.setup.port == peer.setup.port
            {
                peer.at.clone_from(&before.at);
                peer.last_end.clone_from(&before.last_end);
                peer.taken = before.taken;
            }
            (name, peer)
        });
        self.peers = known.collect();
        self.peers_have_moved(now);
        self.follow_interfaces(now);
        self.speaker.configure(now, all);
        self.failures
            .retain(|name, _| self.peers.contains_key(name));
        let dials = self.dials.keys();
        let gone = dials.filter(|name| !self.peers.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.give_up(&name);
        }
    }

    fn take(&mut self, event: Event) {
        let now = Instant::now();
        let (Event::Connected(number, ..)
        | Event::Failed(number, _)
        | Event::Looked(number, _)
        | Event::Freed(number)
        | Event::Received(number, _)
        | Event::Sent(number, _)
        | Event::Closed(number, _)) = event;
        let Some((peer, way)) = self.numbers.get(&number).cloned() else {
            // Of one that was given up.
            return;
        };
        let input = match event {
            Event::Connected(_, stream, link) => {
                if way == Way::Out {
                    self.dials.remove(&peer);
                }
                let connection = Connection::start(number, stream, self.events.clone());
                self.connections.insert((peer.clone(), way), connection);
                Input::Connected(way, link)
            }
            Event::Failed(_, why) => {
                self.dials.remove(&peer);
                self.numbers.remove(&number);
                Input::ConnectFailed(why)
            }
            Event::Looked(_, taken) => {
                self.is_taken(now, &peer, taken);
                match taken {
                    Taken::By(_) => Input::ConnectFailed(HELD.to_owned()),
                    Taken::No | Taken::Unknown => return,
                }
            }
            Event::Freed(_) => {
                self.dials.remove(&peer);
                self.numbers.remove(&number);
                Input::Reachable
            }
            Event::Received(_, ref bytes) => Input::Received(way, bytes),
            Event::Sent(_, len) => Input::Sent(way, len),
            Event::Closed(_, why) => {
                self.connections.remove(&(peer.clone(), way));
                self.numbers.remove(&number);
                Input::Closed(way, why)
            }
        };
        self.speaker.handle_input(now, &peer, input);
        self.due.later(now);
    }

    /// The last that routers hear of us.
    fn leave(&mut self) {
        let now = Instant::now();
        let shutdown = ErrorCode::ADMINISTRATIVE_SHUTDOWN;
        let notification = Notification::with_text(shutdown, "MetalLB speaker stops");
        self.speaker.leave(now, &notification, true);
        self.bfd.handle_input(now, bfd::Input::Leave);
        self.work(now);
    }
}

/// Where tasks of connections say what happens to them.
#[derive(Debug)]
pub(super) struct Queue(mpsc::Receiver<Event>);

impl PeerSetup {
    /// Whether a connection by these settings leads where one by the other does.
    fn has_the_path_of(&self, other: &Self) -> bool {
        let bare = |it: &Self| {
            let mut tcp = it.tcp.clone();
            // It can be changed while the connection is open.
            tcp.password = None;
            (it.address.clone(), it.port, tcp)
        };
        bare(self) == bare(other)
    }
}

/// How much may wait of what happens to connections, before they wait themselves.
const EVENTS: usize = 64;
/// How many commands are obeyed before what follows from them is done.
const COMMANDS: usize = 512;
/// How many datagrams that have come in are looked at before what is due is done.
const DATAGRAMS: usize = 256;
/// How long routers have to prefer other nodes before we stop. Less than what the protocol thread
/// lives on for after it is told to stop.
const FAREWELL: Duration = Duration::from_millis(200);
