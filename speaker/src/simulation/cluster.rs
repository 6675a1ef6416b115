//! Nodes, what the API server says of them, and what is done to them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use metallb_seeds::{Dice, Network};
use serde_json::{Value, json};

use super::judge::{Judge, View, ms};
use super::node::{Node, address, name};
use crate::brain::News;
use crate::index::fixtures::{apply, service, slice, synced};
use crate::protocol::held::HANDOVER;

/// What is announced, each of a Service of its own.
pub(super) const IPS: [[u8; 4]; 3] = [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]];

pub(super) struct Cluster {
    pub(super) network: Network<Node>,
    dice: Dice,
    judge: Judge,
    starts: u64,
    draining: BTreeSet<usize>,
    excluded: BTreeSet<usize>,
    frozen_until: Vec<Option<Instant>>,
    started: Vec<Instant>,
}

impl Cluster {
    /// So many nodes that have agreed.
    pub(super) fn started(nodes: usize, loss_percent: u64, mut dice: Dice) -> Self {
        let mut network = Network::new(nodes, Dice::new(dice.roll()));
        network.loss_percent = loss_percent;
        let now = network.now();
        let judge = Judge::new(now, loss_percent);
        let mut cluster = Self {
            network,
            dice,
            judge,
            starts: 0,
            draining: BTreeSet::new(),
            excluded: BTreeSet::new(),
            frozen_until: vec![None; nodes],
            started: vec![now; nodes],
        };
        (0..nodes).for_each(|node| cluster.start(node));
        cluster.run(ms(5000));
        cluster
    }

    pub(super) fn places(&self) -> usize {
        self.network.places()
    }

    pub(super) fn runs(&self, at: usize) -> bool {
        self.network.station(at).is_some()
    }

    pub(super) fn start(&mut self, at: usize) {
        self.starts += 1;
        self.start_as(at, 1_000_000 * self.starts);
    }

    /// With this incarnation, which is low when the clock has gone back.
    pub(super) fn start_as(&mut self, at: usize, incarnation: u64) {
        let answers = |other| {
            let node: Option<&Node> = self.network.station(other);
            node.is_some_and(|it| IPS.iter().all(|ip| it.answers((*ip).into())))
        };
        if !(0..self.places()).any(|it| it != at && self.hears(at, it) && answers(it)) {
            // It has to wait for those who may come, too.
            self.judge.network_broke(self.network.now());
        }
        let mut news: Vec<_> = (0..self.places()).map(|at| self.node(at)).collect();
        news.extend(self.rest());
        let node = Node::start(self.network.now(), at, (self.starts, incarnation), news);
        self.network.put(at, node);
        self.frozen_until[at] = None;
        self.started[at] = self.network.now();
    }

    pub(super) fn kill(&mut self, at: usize) {
        self.node_broke(at);
        self.network.take(at);
    }

    /// As SIGTERM does it.
    pub(super) fn stop(&mut self, at: usize) {
        if !self.has_other_at_work(at) {
            self.node_broke(at);
        }
        self.network.tell(at, Node::leave);
        self.run(HANDOVER);
        self.network.take(at);
    }

    pub(super) fn freeze(&mut self, at: usize, time: Duration) {
        let now = self.network.now();
        self.node_broke(at);
        self.network.freeze(at, time);
        self.frozen_until[at] = Some(now + time);
    }

    /// Waits until nobody stands still.
    pub(super) fn thaw(&mut self) {
        let latest = self.frozen_until.iter().flatten().max().copied();
        let now = self.network.now();
        if let Some(time) = latest.map(|at| at.saturating_duration_since(now)) {
            self.run(time);
        }
    }

    pub(super) fn divide(&mut self, sides: Vec<u8>) {
        self.judge.network_broke(self.network.now());
        self.network.side = sides;
    }

    pub(super) fn toggle_drain(&mut self, at: usize) {
        toggle(&mut self.draining, at);
        self.tell_of(at);
    }

    pub(super) fn toggle_exclusion(&mut self, at: usize) {
        toggle(&mut self.excluded, at);
        // Nobody may announce where all are excluded, and no successor is asked.
        self.judge.node_broke(self.network.now());
        self.tell_of(at);
    }

    /// The node may announce, and stays.
    pub(super) fn include(&mut self, at: usize) {
        if self.draining.remove(&at) | self.excluded.remove(&at) {
            self.tell_of(at);
        }
    }

    /// Lets time pass, and looks at who owns what.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.network.now() + time;
        while self.network.now() < end {
            self.network.run(STEP.min(end - self.network.now()));
            self.note_thaws();
            let views = IPS.map(|ip| self.view(ip.into()));
            let broken = self.judge.look(self.network.now(), &views);
            assert_eq!(
                broken,
                None,
                "after {:?}",
                self.network.age(self.network.now())
            );
        }
    }

    /// Who takes itself for the owner of each address.
    pub(super) fn owners(&self) -> Vec<Vec<usize>> {
        let owners = |ip: [u8; 4]| {
            let stations = self.network.stations();
            let owning = stations.filter(|(_, it)| it.owns(ip.into()));
            owning.map(|(at, _)| at).collect()
        };
        IPS.map(owners).to_vec()
    }

    /// Of an address in each segment.
    fn view(&self, ip: IpAddr) -> Vec<View> {
        let sides: BTreeSet<_> = self.network.side.iter().collect();
        let segment = |side: &u8| {
            let awake = self.network.stations().filter(|(at, _)| {
                self.network.side[*at] == *side && self.frozen_until[*at].is_none()
            });
            let awake: Vec<_> = awake.collect();
            let could = awake.iter().any(|(at, _)| !self.excluded.contains(at));
            let owners = awake.iter().filter(|(_, it)| it.owns(ip));
            View {
                owners: owners.map(|(at, _)| *at).collect(),
                is_answered: !could || awake.iter().any(|(_, it)| it.answers(ip)),
            }
        };
        sides.into_iter().map(segment).collect()
    }

    fn note_thaws(&mut self) {
        let now = self.network.now();
        for until in &mut self.frozen_until {
            if until.is_some_and(|until| until <= now) {
                *until = None;
                self.judge.node_broke(now);
            }
        }
    }

    /// A node is gone. Those who have just started are not ready to take over.
    fn node_broke(&mut self, at: usize) {
        let now = self.network.now();
        if self.has_other_at_work(at) {
            self.judge.node_broke(now);
        } else {
            self.judge.network_broke(now);
        }
    }

    /// Whether there is another in its segment that may announce, and has been there for a while.
    fn has_other_at_work(&self, at: usize) -> bool {
        let now = self.network.now();
        let mut others = (0..self.places()).filter(|it| *it != at && self.hears(at, *it));
        others.any(|it| !self.excluded.contains(&it) && now - self.started[it] > SETTLED)
    }

    fn hears(&self, one: usize, other: usize) -> bool {
        self.runs(other)
            && self.frozen_until[other].is_none()
            && self.network.side[one] == self.network.side[other]
    }

    /// The API server tells everybody, a little later.
    fn tell_of(&mut self, at: usize) {
        for node in 0..self.places() {
            let late = Duration::from_micros(500 + self.dice.roll() % 50_000);
            let news = self.node(at);
            if self.runs(node) {
                self.network.tell(node, |it, now| it.tell(now, late, news));
            }
        }
    }

    fn node(&self, at: usize) -> News {
        let labels = if self.excluded.contains(&at) {
            json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" })
        } else {
            json!({})
        };
        let taints = if self.draining.contains(&at) {
            json!([{ "key": "metallb.io/drain", "effect": "NoSchedule" }])
        } else {
            json!([])
        };
        News::Node(apply(json!({
            "metadata": { "name": name(at), "labels": labels }, "spec": { "taints": taints },
        })))
    }

    /// All that never changes.
    fn rest(&self) -> Vec<News> {
        let nodes: Vec<_> = (0..self.places()).map(name).collect();
        let endpoints: Vec<Value> = nodes.iter().map(|it| json!({ "nodeName": it })).collect();
        let meta = |name: &str| json!({ "namespace": "metallb-system", "name": name });
        let mut news = vec![
            News::Pool(apply(json!({
                "metadata": meta("pool"), "spec": { "addresses": ["192.0.2.0/24"] },
            }))),
            News::L2Advertisement(apply(json!({ "metadata": meta("all"), "spec": {} }))),
        ];
        for ip in IPS.map(IpAddr::from) {
            let name = format!("web-{ip}");
            news.push(News::Service(apply(service(
                &name,
                json!({}),
                &[&ip.to_string()],
            ))));
            news.push(News::Slice(apply(slice(&name, json!(endpoints)))));
        }
        for (at, node) in nodes.iter().enumerate() {
            news.push(News::Pod(apply(json!({
                "metadata": meta(&format!("speaker-{node}")),
                "spec": { "nodeName": node },
                "status": { "podIP": address(at), "phase": "Running" },
            }))));
        }
        news.extend(synced());
        news
    }
}

fn toggle(set: &mut BTreeSet<usize>, it: usize) {
    if !set.remove(&it) {
        set.insert(it);
    }
}

/// So long one that starts may wait for those who may come.
const SETTLED: Duration = ms(1000);
/// How often it is looked at.
const STEP: Duration = ms(10);
