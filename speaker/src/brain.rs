//! The one task that owns the index: takes in what the watches and the protocol thread tell, and
//! has decided anew what that touched. It waits for nobody but for news.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use futures::stream::{BoxStream, StreamExt as _};
use futures::{FutureExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use metallb_config::{Rejected, Report};
use metallb_crds::v1beta1::{
    BFDProfile, BGPAdvertisement, Community, IPAddressPool, L2Advertisement,
};
use metallb_crds::v1beta2::BGPPeer;
use metallb_kit::configuration_state::{Note, Reporter};
use metallb_kit::metrics::ClientMetrics;
use metallb_kit::ready::Condition;
use metallb_kit::sleep;
use metallb_kit::watch::{Change, ObjectKey};
use metallb_l2::Rival;
use tokio::sync::{mpsc, watch};

use crate::api;
use crate::apply::Apply;
use crate::bgp::Routers;
use crate::decide::{Decision, Own, decide};
use crate::drain::{DRAINED, Drain};
use crate::hold_down::HoldDown;
use crate::index::{Heard, Index, Touched};
use crate::protocol::Observed;
use crate::reason::Reason;

/// News from the API server.
#[derive(Debug)]
pub(crate) enum News {
    Service(Change<api::Service>),
    Slice(Change<api::EndpointSlice>),
    Node(Change<api::Node>),
    Pool(Change<IPAddressPool>),
    L2Advertisement(Change<L2Advertisement>),
    BgpAdvertisement(Change<BGPAdvertisement>),
    BgpPeer(Change<BGPPeer>),
    BfdProfile(Change<BFDProfile>),
    Community(Change<Community>),
    /// The Secrets that BGPPeers name, those that are there.
    Secrets(Vec<Secret>),
    Pod(Change<api::Pod>),
}

/// The kinds of which everything must have been told before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Service,
    Slice,
    Node,
    Pool,
    L2Advertisement,
    BgpAdvertisement,
    BgpPeer,
    BfdProfile,
    Community,
    Interfaces,
    /// The list of speakers, when they exchange heartbeats.
    Speakers,
    /// Who of them is alive. Comes last: the others count on us from then on.
    Alive,
}

/// The task's state.
#[derive(Debug)]
pub(crate) struct Brain {
    pub(crate) index: Index,
    pub(crate) own: Own,
    pub(crate) apply: Apply,
    pub(crate) routers: Routers,
    /// What is not known yet.
    pub(crate) unknown: BTreeSet<Kind>,
    /// Met once everything is known.
    pub(crate) synced: Condition,
    pub(crate) speakers: watch::Sender<BTreeMap<String, IpAddr>>,
    /// Whether this node may take over from others.
    pub(crate) ready: watch::Sender<bool>,
    /// Until when others keep what they have taken over from this node.
    pub(crate) hold_down: HoldDown,
    pub(crate) drain: Drain,
    pub(crate) metrics: ClientMetrics,
    /// Where it is said whether the configuration is good; tests may go without.
    pub(crate) reporter: Option<Reporter>,
    /// What is no good, as it was said last.
    pub(crate) reported: Option<Vec<Rejected>>,
}

/// What has to be decided anew.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    everything: bool,
    /// With the reason, for those that are gone.
    services: BTreeMap<ObjectKey, Option<Reason>>,
    /// Addresses that somebody else announces, to be announced again if they are still ours.
    again: BTreeSet<IpAddr>,
}

impl Brain {
    /// Runs until one of the two sources ends: that of the protocol thread, as the watches never
    /// do.
    pub(crate) async fn run(
        mut self,
        news: Vec<BoxStream<'static, News>>,
        mut observed: mpsc::UnboundedReceiver<Observed>,
    ) {
        let mut news = stream::select_all(news);
        loop {
            let mut pending = Pending::default();
            tokio::select! {
                biased;
                seen = observed.recv() => match seen {
                    Some(seen) => self.observe(Instant::now(), seen, &mut pending),
                    None => return,
                },
                Some(item) = news.next() => self.learn(item, &mut pending),
                () = sleep::until(self.poll_timeout()) => {}
                else => return,
            }
            // What comes together is decided together, within reason.
            for _ in 0..BATCH {
                if let Ok(seen) = observed.try_recv() {
                    self.observe(Instant::now(), seen, &mut pending);
                } else if let Some(Some(item)) = news.next().now_or_never() {
                    self.learn(item, &mut pending);
                } else {
                    break;
                }
            }
            self.conclude(Instant::now(), pending);
        }
    }

    /// When [`conclude`](Self::conclude) is due without any news.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let hold_down = self.hold_down.poll_timeout().into_iter();
        hold_down
            .chain(self.drain.poll_timeout())
            .chain(self.routers.poll_timeout())
            .chain(self.index.rivals.poll_timeout())
            .min()
    }

    /// Does what follows from the news, and from the time.
    pub(crate) fn conclude(&mut self, now: Instant, mut pending: Pending) {
        self.index.expire_rivals(now);
        self.take_contested(&mut pending);
        let drains = self.index.is_draining(&self.own.node);
        pending.everything |= self.routers.drain(now, drains);
        self.settle(&pending);
        self.come_back(now);
        self.tell_of_drain(now);
        self.tell_of_strangers();
    }

    /// Says that this node may take over again, once it may.
    fn come_back(&mut self, now: Instant) {
        let fit = self.unknown.is_empty() && !self.index.is_not_ready(&self.own.node);
        let ready = self.hold_down.update(now, fit);
        self.ready
            .send_if_modified(|before| ready != std::mem::replace(before, ready));
    }

    /// Says whether this node can be stopped, while somebody wants to stop it.
    fn tell_of_drain(&mut self, now: Instant) {
        let drains = self.index.is_draining(&self.own.node);
        let announced = self.apply.announced() + self.routers.announced();
        let note = self.drain.update(now, drains, announced);
        if let Some(reporter) = &self.reporter {
            reporter.note(DRAINED, note);
        }
    }

    /// Says which addresses are used by stations that are no nodes.
    fn tell_of_strangers(&self) {
        let Some(reporter) = &self.reporter else {
            return;
        };
        let strangers = self.index.rivals.strangers();
        let told = strangers.take(STRANGERS).map(|Rival { ip, mac }| {
            let is_not = if self.apply.is_probed(ip) {
                ", and so not announced"
            } else {
                ""
            };
            format!("{ip} is used by {mac}{is_not}")
        });
        let told: Vec<_> = told.collect();
        let note = (!told.is_empty()).then(|| Note {
            is_so: true,
            reason: "UsedByAnotherStation",
            message: told.join("; "),
        });
        reporter.note(ADDRESS_CONFLICT, note);
    }

    /// Takes in what the protocol thread tells.
    pub(crate) fn observe(&mut self, now: Instant, observed: Observed, pending: &mut Pending) {
        let touched = match observed {
            Observed::Members(members) => {
                self.known(Kind::Alive, pending);
                self.index.members(members)
            }
            Observed::Rival(rival) => {
                self.hear(now, rival, pending);
                Touched::Nothing
            }
            Observed::Begun(ip) => {
                self.index.rivals.is_free(ip);
                let services = &self.index.services;
                let holders = services.on(ip).iter().map(|key| {
                    let service = services.get(key);
                    (key, service.and_then(|service| service.uid.as_ref()))
                });
                self.apply.begun(ip, holders);
                Touched::Nothing
            }
            Observed::Interfaces(names) => {
                self.known(Kind::Interfaces, pending);
                self.index.interfaces(names)
            }
            Observed::Session(peer, news) => {
                self.routers.session(&self.index, &self.own, &peer, &news);
                Touched::Nothing
            }
        };
        self.touch(touched, pending);
    }

    /// Another station has an address of ours.
    fn hear(&mut self, now: Instant, rival: Rival, pending: &mut Pending) {
        let probes = self.apply.is_probed(rival.ip);
        match self.index.rival(now, &self.own.node, rival, probes) {
            Heard::Nothing => {}
            Heard::Node => drop(pending.again.insert(rival.ip)),
            Heard::Stranger { lasts, defend } => {
                self.apply.refuse(rival.ip);
                if defend {
                    pending.again.insert(rival.ip);
                }
                for key in self.index.services.on(rival.ip).iter().filter(|_| lasts) {
                    let service = self.index.services.get(key);
                    let uid = service.and_then(|service| service.uid.as_ref());
                    self.apply.conflict(key, uid, rival);
                }
            }
        }
        self.take_contested(pending);
    }

    fn take_contested(&mut self, pending: &mut Pending) {
        for key in self.index.take_contested() {
            pending.services.entry(key).or_default();
        }
    }

    /// Takes in what the watches tell.
    pub(crate) fn learn(&mut self, news: News, pending: &mut Pending) {
        self.metrics.updates.inc();
        let synced = news.synced();
        let is_peer = matches!(news, News::BgpPeer(_));
        let touched = match news {
            News::Service(change) => self.index.service(change),
            News::Slice(change) => self.index.slice(change),
            News::Node(change) => self.index.node(change),
            News::Pool(change) => self.index.configuration.pool(change),
            News::L2Advertisement(change) => self.index.configuration.l2_advertisement(change),
            News::BgpAdvertisement(change) => self.index.configuration.bgp_advertisement(change),
            News::BgpPeer(change) => self.index.configuration.bgp_peer(change),
            News::BfdProfile(change) => self.index.configuration.bfd_profile(change),
            News::Community(change) => self.index.configuration.community(change),
            News::Secrets(secrets) => self.index.configuration.secrets(secrets),
            News::Pod(change) => self.index.pod(change),
        };
        if is_peer {
            self.routers.ask_for_secrets(&self.index);
        }
        self.touch(touched, pending);
        self.take_contested(pending);
        if let Some(kind) = synced {
            self.known(kind, pending);
        }
    }

    fn touch(&mut self, touched: Touched, pending: &mut Pending) {
        match touched {
            Touched::Nothing => {}
            Touched::Everything => pending.everything = true,
            Touched::Service(key) => drop(pending.services.insert(key, None)),
            Touched::Gone(key, reason) => drop(pending.services.insert(key, Some(reason))),
            Touched::Speakers => self.tell_speakers(),
            Touched::EverythingAndSpeakers => {
                pending.everything = true;
                self.tell_speakers();
            }
        }
    }

    /// Names the speakers to the protocol thread, which then begins to talk to them: not before
    /// we could announce what falls to us.
    fn tell_speakers(&self) {
        if self.unknown.iter().all(|kind| *kind == Kind::Alive) {
            self.speakers.send_replace(self.index.speakers.peers());
        }
    }

    fn known(&mut self, kind: Kind, pending: &mut Pending) {
        if !self.unknown.remove(&kind) {
            return;
        }
        self.tell_speakers();
        if self.unknown.is_empty() {
            self.synced.set(true);
            self.metrics.set_loaded();
            pending.everything = true;
        }
    }

    fn settle(&mut self, pending: &Pending) {
        let rejected = self.index.configuration.rejected().len();
        let stale = rejected > 0;
        if stale && !self.metrics.is_stale() {
            self.metrics.update_errors.inc();
        }
        self.metrics.set_stale(stale);
        if !self.unknown.is_empty() {
            return;
        }
        if pending.everything {
            self.routers.follow(&self.index, &self.own);
        }
        let mut keys = BTreeSet::new();
        for (key, reason) in &pending.services {
            match reason {
                Some(reason) if self.index.services.get(key).is_none() => {
                    self.apply
                        .act(key, None, Decision::Withhold(*reason), false);
                    self.routers.forget(key, *reason);
                }
                _ => drop(keys.insert(key.clone())),
            }
        }
        if pending.everything {
            keys.extend(self.index.services.keys().cloned());
        }
        // Those that share addresses are decided about together.
        while let Some(key) = keys.pop_first() {
            for (key, decision) in decide(&self.index, &self.own, &key) {
                keys.remove(&key);
                let service = self.index.services.get(&key);
                let uid = service.and_then(|service| service.uid.as_ref());
                let probe = match &decision {
                    Decision::Announce(it) => self.index.wants_probes(&key, &it.ips),
                    Decision::NoInterface(_) | Decision::Withhold(_) => false,
                };
                self.apply.act(&key, uid, decision, probe);
                self.routers.decide(&self.index, &self.own, &key);
                self.index.is_in_use(&key);
            }
        }
        for ip in &pending.again {
            self.apply.remind(*ip);
        }
        self.apply.say();
        self.routers.say();
        if pending.everything {
            self.routers.compact();
        }
        self.report();
    }

    /// Says what is no good, when that is news.
    fn report(&mut self) {
        let rejected = self.index.configuration.rejected();
        if self.reported.as_deref() == Some(rejected) {
            return;
        }
        if let Some(reporter) = &self.reporter {
            reporter.report(Some(Report::of(rejected)));
        }
        self.reported = Some(rejected.to_vec());
    }
}

impl News {
    /// The kind of which everything has been told now.
    fn synced(&self) -> Option<Kind> {
        match self {
            Self::Service(Change::Synced) => Some(Kind::Service),
            Self::Slice(Change::Synced) => Some(Kind::Slice),
            Self::Node(Change::Synced) => Some(Kind::Node),
            Self::Pool(Change::Synced) => Some(Kind::Pool),
            Self::L2Advertisement(Change::Synced) => Some(Kind::L2Advertisement),
            Self::BgpAdvertisement(Change::Synced) => Some(Kind::BgpAdvertisement),
            Self::BgpPeer(Change::Synced) => Some(Kind::BgpPeer),
            Self::BfdProfile(Change::Synced) => Some(Kind::BfdProfile),
            Self::Community(Change::Synced) => Some(Kind::Community),
            Self::Pod(Change::Synced) => Some(Kind::Speakers),
            _ => None,
        }
    }
}

/// The condition of `ConfigurationState` that tells of strangers with our addresses, and how many
/// it names.
const ADDRESS_CONFLICT: &str = "AddressConflict";
const STRANGERS: usize = 10;
/// How much news is taken in before it is acted on.
const BATCH: usize = 512;

#[cfg(test)]
mod tests {
    use metallb_kit::metrics::Metrics;
    use metallb_kit::ready::Ready;
    use serde_json::json;

    use super::*;
    use crate::index::fixtures::{Cluster, apply, service, slice};
    use crate::metrics::AnnouncedMetric;

    #[test]
    fn what_another_service_shows_is_reason_to_decide_anew() {
        let metrics = Metrics::new();
        let announced = AnnouncedMetric::new(&metrics, "a");
        let (commands, _protocol) = mpsc::unbounded_channel();
        let mut brain = Brain {
            index: Cluster::of(&["a"]).index,
            own: Own {
                node: "a".to_owned(),
                ignore_exclude_lb: false,
            },
            apply: Apply::new(
                "a".to_owned(),
                commands,
                announced,
                Box::new(|_, _, _, _| ()),
                Box::new(|_, _| ()),
            ),
            routers: Routers::unheard("a", AnnouncedMetric::new(&Metrics::new(), "a")),
            unknown: BTreeSet::new(),
            synced: Ready::new().condition("everything"),
            speakers: watch::channel(BTreeMap::new()).0,
            ready: watch::channel(false).0,
            hold_down: HoldDown::default(),
            drain: Drain::default(),
            metrics: ClientMetrics::register(&metrics),
            reporter: None,
            reported: None,
        };
        let mut after = |news: Vec<News>| {
            let mut pending = Pending::default();
            for item in news {
                brain.learn(item, &mut pending);
            }
            brain.settle(&pending);
            let text = metrics.text();
            let names = ["web", "other"].into_iter();
            names
                .filter(|name| text.contains(&format!("service=\"default/{name}\"")))
                .collect::<Vec<_>>()
        };
        let at = |year: &str| json!({ "creationTimestamp": format!("{year}-01-01T00:00:00Z") });
        let web = service("web", at("2026"), &["192.0.2.1"]);
        let other = service("other", at("2025"), &["192.0.2.1"]);
        let endpoints = slice("other", json!([{ "nodeName": "a" }]));
        assert_eq!(after(vec![News::Service(apply(web))]), ["web"]);
        let both = vec![News::Slice(apply(endpoints)), News::Service(apply(other))];
        assert_eq!(after(both), ["other"]);
        let gone = Change::Delete(ObjectKey::new("default", "other"));
        assert_eq!(after(vec![News::Service(gone)]), ["web"]);
    }
}
