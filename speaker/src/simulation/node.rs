//! A speaker without sockets: membership, brain, and what it answers for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use metallb_kit::metrics::{ClientMetrics, Metrics};
use metallb_kit::ready::Ready;
use metallb_l2::{MacAddr, NodeState, Port, Responder};
use metallb_membership::{Input, Membership, Output, Own, STATE_MAX, Settings};
use metallb_seeds::{Station, To};
use tokio::sync::{mpsc, watch};

use crate::addresses::Command;
use crate::apply::Apply;
use crate::bgp::Routers;
use crate::brain::{Brain, News, Pending};
use crate::drain::Drain;
use crate::hold_down::HoldDown;
use crate::index::Index;
use crate::metrics::AnnouncedMetric;
use crate::protocol::Observed;
use crate::protocol::heartbeat::understood;
use crate::protocol::held::{self, Held};
use crate::protocol::rival_pace::RivalPace;
use crate::{decide, run};

/// What goes over the wires begins with one of these.
const HEARTBEAT: u8 = 0;
const FRAME: u8 = 1;

pub(super) struct Node {
    membership: Membership,
    brain: Brain,
    commands: mpsc::UnboundedReceiver<Command>,
    speakers: watch::Receiver<BTreeMap<String, IpAddr>>,
    ready: watch::Receiver<bool>,
    held: Held,
    responder: Responder,
    pace: RivalPace,
    /// What the API server will have told by then.
    news: VecDeque<(Instant, News)>,
    sends: VecDeque<(To, Vec<u8>)>,
}

impl Node {
    /// One that starts now: the how-manyth start it is of all, and its incarnation.
    pub(super) fn start(now: Instant, at: usize, start: (u64, u64), news: Vec<News>) -> Self {
        let mac = MacAddr(2, 0, 0, 0, 0, u8::try_from(at).expect("a few"));
        let port = Port {
            name: "eth0".to_owned(),
            mac,
            running: true,
            broadcast: true,
            link_local: None,
        };
        let state = NodeState {
            interfaces: vec![port],
        };
        let mut session = [0; 16];
        session[0] = mac.5;
        session[8..].copy_from_slice(&start.0.to_be_bytes());
        let own = Own {
            name: name(at),
            incarnation: start.1,
            session,
            key: None,
            state: state.encode(STATE_MAX).into(),
        };
        let (queue, commands) = mpsc::unbounded_channel();
        let (speakers, speakers_told) = watch::channel(BTreeMap::new());
        let (ready, ready_told) = watch::channel(false);
        let mut node = Self {
            membership: Membership::new(now, own, Settings::default()),
            brain: brain(at, queue, speakers, ready),
            commands,
            speakers: speakers_told,
            ready: ready_told,
            held: Held::new(at as u64),
            responder: Responder::new(mac, None),
            pace: RivalPace::default(),
            news: VecDeque::new(),
            sends: VecDeque::new(),
        };
        let interfaces = BTreeSet::from(["eth0".to_owned()]);
        let mut pending = Pending::default();
        node.brain
            .observe(now, Observed::Interfaces(interfaces), &mut pending);
        for news in news {
            node.brain.learn(news, &mut pending);
        }
        node.think(now, pending);
        node
    }

    /// The API server tells it something, so much later.
    pub(super) fn tell(&mut self, now: Instant, late: Duration, news: News) {
        self.news.push_back((now + late, news));
    }

    /// It is told to stop.
    pub(super) fn leave(&mut self, now: Instant) {
        self.member(now, Input::Leave);
    }

    /// Whether it takes itself for the owner.
    pub(super) fn owns(&self, ip: IpAddr) -> bool {
        self.held.interfaces(ip).is_some() && !self.held.is_yielded(ip)
    }

    /// Whether a request gets an answer.
    pub(super) fn answers(&self, ip: IpAddr) -> bool {
        self.responder.announces(ip)
    }

    fn member(&mut self, now: Instant, input: Input<'_>) {
        self.membership.handle_input(now, input);
        self.take_members(now);
    }

    fn take_members(&mut self, now: Instant) {
        while let Some(output) = self.membership.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    self.sends
                        .push_back((To::One(place(to)), tagged(HEARTBEAT, &bytes)));
                }
                Output::Members(all) => {
                    let mut pending = Pending::default();
                    self.brain
                        .observe(now, Observed::Members(understood(&all)), &mut pending);
                    self.think(now, pending);
                }
            }
        }
    }

    /// Concludes, and does what was concluded.
    fn think(&mut self, now: Instant, pending: Pending) {
        self.brain.conclude(now, pending);
        while let Ok(command) = self.commands.try_recv() {
            self.held.handle_input(now, command);
        }
        self.act();
        if self.speakers.has_changed().unwrap_or(false) {
            let speakers = self.speakers.borrow_and_update().clone();
            let peers = speakers.into_iter();
            let peers = peers.map(|(node, ip)| (node, SocketAddr::new(ip, 7946)));
            self.member(now, Input::Peers(peers.collect()));
        }
        if self.ready.has_changed().unwrap_or(false) && *self.ready.borrow_and_update() {
            self.member(now, Input::Ready);
        }
    }

    fn act(&mut self) {
        while let Some(output) = self.held.poll_output() {
            match output {
                held::Output::Place(ip) => drop(self.responder.announce(ip)),
                // No pool here wants that.
                held::Output::Listen(_) | held::Output::Ask(_) | held::Output::Begin(_) => {}
                held::Output::Withdraw(ip) => drop(self.responder.withdraw(ip)),
                held::Output::Tell(ip) => {
                    let frames = self.responder.announcements(ip);
                    let frames = frames.iter().map(|frame| (To::All, tagged(FRAME, frame)));
                    self.sends.extend(frames);
                }
            }
        }
    }
}

impl Station for Node {
    fn receive(&mut self, now: Instant, from: usize, bytes: &[u8]) {
        let Some((tag, bytes)) = bytes.split_first() else {
            return;
        };
        if *tag == HEARTBEAT {
            let from = SocketAddr::new(address(from), 7946);
            return self.member(now, Input::Datagram { from, bytes });
        }
        let rival = self.responder.rival(bytes);
        if let Some(rival) = rival.filter(|rival| self.pace.lets_pass(now, *rival)) {
            let mut pending = Pending::default();
            self.brain
                .observe(now, Observed::Rival(rival), &mut pending);
            self.think(now, pending);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_due(self.membership.poll_timeout()) {
            self.membership.handle_timeout(now);
            self.take_members(now);
        }
        let mut pending = Pending::default();
        let mut learnt = false;
        while let Some((_, news)) = self.news.pop_front_if(|(at, _)| *at <= now) {
            self.brain.learn(news, &mut pending);
            learnt = true;
        }
        if learnt || is_due(self.brain.poll_timeout()) {
            self.think(now, pending);
        }
        if is_due(self.held.poll_timeout()) {
            self.held.handle_timeout(now);
            self.act();
        }
    }

    fn poll_send(&mut self) -> Option<(To, Vec<u8>)> {
        self.sends.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let own = [self.membership.poll_timeout(), self.held.poll_timeout()];
        let own = own.into_iter().flatten();
        own.chain(self.brain.poll_timeout())
            .chain(self.news.front().map(|(at, _)| *at))
            .min()
    }
}

fn brain(
    at: usize,
    commands: mpsc::UnboundedSender<Command>,
    speakers: watch::Sender<BTreeMap<String, IpAddr>>,
    ready: watch::Sender<bool>,
) -> Brain {
    let metrics = Metrics::new();
    let node = name(at);
    let metric = AnnouncedMetric::new(&metrics, &node);
    Brain {
        index: Index::new(None, None),
        apply: Apply::new(
            node.clone(),
            commands,
            metric.clone(),
            Box::new(|_, _, _, _| ()),
            Box::new(|_, _| ()),
        ),
        routers: Routers::unheard(&node, metric.of_bgp()),
        own: decide::Own {
            node,
            ignore_exclude_lb: false,
        },
        unknown: run::unknown(true),
        synced: Ready::new().condition("everything"),
        speakers,
        ready,
        hold_down: HoldDown::default(),
        drain: Drain::default(),
        metrics: ClientMetrics::register(&metrics),
        reporter: None,
        reported: None,
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

pub(super) fn name(at: usize) -> String {
    format!("n{at}")
}

pub(super) fn address(at: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(at).expect("a few")])
}

fn place(address: SocketAddr) -> usize {
    match address.ip() {
        IpAddr::V4(ip) => ip.octets()[3].into(),
        IpAddr::V6(_) => unreachable!("all addresses here are IPv4"),
    }
}
