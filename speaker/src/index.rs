//! What the speaker knows: plain maps, filled by the watches. Each call says what it touched, so
//! that no more is decided anew than has to be.

mod configuration;
mod endpoints;
mod rivals;
mod speakers;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use arcstr::ArcStr;
use kube::ResourceExt;
use metallb_config::{LabelText, Labels};
use metallb_crds::names;
use metallb_ipam::{Claim, Claims, Port, Share, backend_key};
use metallb_kit::events::Uid;
use metallb_kit::watch::{Change, ObjectKey};
use metallb_l2::{Fitness, Interfaces, NodeState, Rival};
use metallb_membership::Presence;

use crate::api;
use crate::reason::Reason;

pub(crate) use configuration::Configuration;
pub(crate) use endpoints::Endpoints;
pub(crate) use rivals::{Heard, Rivals};
pub(crate) use speakers::Speakers;

/// Everything that a decision depends on.
#[derive(Debug)]
pub(crate) struct Index {
    /// Only Services of this class are ours; without one, only those without a class.
    class: Option<String>,
    pub(crate) services: Claims<Box<Service>>,
    /// The pool of the Service that was told of last.
    last_pool: Option<ArcStr>,
    /// Services that others with their addresses have something to do with: those count for more
    /// or less than before, or share with others.
    contested: BTreeSet<ObjectKey>,
    /// All Services are being told anew: what is new to us need not be new.
    listing: bool,
    /// Services that have got an address which nobody had, and nobody has announced yet.
    fresh: BTreeSet<ObjectKey>,
    pub(crate) endpoints: Endpoints,
    pub(crate) nodes: BTreeMap<ArcStr, Node>,
    pub(crate) configuration: Configuration,
    pub(crate) speakers: Speakers,
    /// The nodes whose speakers are not dead, with what they say of themselves if we understand it;
    /// `None` when nobody watches that, and all nodes count.
    members: Option<Members>,
    pub(crate) rivals: Rivals,
    /// The interfaces of this node that may announce, by name.
    pub(crate) interfaces: BTreeSet<String>,
}

/// A Service of type `LoadBalancer` that is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) uid: Option<Uid>,
    /// Seconds since 1970.
    created: i64,
    pub(crate) ingress: Ingress,
    /// The pool that its addresses were assigned from, as the controller wrote it down.
    pub(crate) pool: Option<ArcStr>,
    /// externalTrafficPolicy is Local.
    pub(crate) local: bool,
    /// It may share its address with others.
    pub(crate) shared: bool,
    /// With whom.
    share: Option<Box<Share>>,
    pub(crate) labels: LabelText,
}

/// The addresses in a Service's status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ingress {
    #[default]
    None,
    Ips(Arc<[IpAddr]>),
    /// One entry is no address but a host name.
    Invalid,
}

/// The nodes whose speakers are not dead.
pub(crate) type Members = BTreeMap<Box<str>, Member>;

/// A node whose speaker is not dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) presence: Presence,
    /// What it says of itself, if we understand it.
    pub(crate) state: Option<NodeState>,
}

/// What counts of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) labels: Labels,
    pub(crate) network_unavailable: bool,
    /// Somebody wants to stop it.
    draining: bool,
    /// Its kubelet says that it is not ready, or says nothing any more.
    not_ready: bool,
    /// Its address of IPv4 within the cluster.
    pub(crate) ipv4: Option<Ipv4Addr>,
}

/// What has to be decided anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Nothing,
    /// This Service.
    Service(ObjectKey),
    /// This Service is no longer ours, for that reason.
    Gone(ObjectKey, Reason),
    /// All Services.
    Everything,
    /// None, but the speakers to exchange heartbeats with are others.
    Speakers,
    /// All Services, and the speakers to exchange heartbeats with.
    EverythingAndSpeakers,
}

impl Index {
    /// An empty index of Services of `class`. `pod` is the name of our own pod, if it is one.
    pub(crate) fn new(class: Option<String>, pod: Option<&str>) -> Self {
        Self {
            class,
            services: Claims::default(),
            last_pool: None,
            contested: BTreeSet::new(),
            listing: false,
            fresh: BTreeSet::new(),
            endpoints: Endpoints::default(),
            nodes: BTreeMap::new(),
            configuration: Configuration::default(),
            speakers: Speakers::of(pod),
            members: None,
            rivals: Rivals::default(),
            interfaces: BTreeSet::new(),
        }
    }

    /// Takes in a Service.
    pub(crate) fn service(&mut self, change: Change<api::Service>) -> Touched {
        match change {
            Change::Listing => self.listing = true,
            Change::Synced => {
                self.listing = false;
                self.services.compact();
            }
            Change::Delete(key) => return self.forget(key, Reason::ServiceDeleted),
            Change::Apply(object) => {
                let key = self.endpoints.known(ObjectKey::of(&object));
                let ours = object.spec.type_.as_deref() == Some("LoadBalancer")
                    && object.spec.load_balancer_class == self.class;
                if !ours {
                    return self.forget(key, Reason::NotLoadBalancer);
                }
                let mut service = Box::new(Service::from(object));
                self.share_pool(&mut service.pool);
                if self.services.get(&key) == Some(&service) {
                    return Touched::Nothing;
                }
                if !self.listing && service.ips().iter().any(|ip| self.is_new(*ip)) {
                    self.fresh.insert(key.clone());
                }
                let before = self.services.group(&key);
                let others = self.services.insert(&key, service);
                self.contest(&key, before, others);
                return Touched::Service(key);
            }
        }
        Touched::Nothing
    }

    /// Services mostly have their pool in common, and so share its name.
    fn share_pool(&mut self, pool: &mut Option<ArcStr>) {
        if *pool == self.last_pool {
            pool.clone_from(&self.last_pool);
        } else {
            self.last_pool.clone_from(pool);
        }
    }

    fn is_new(&self, ip: IpAddr) -> bool {
        self.services.on(ip).is_empty()
    }

    /// Whether nobody has announced these addresses before, and their pool wants them to be probed
    /// for then.
    pub(crate) fn wants_probes(&self, key: &ObjectKey, ips: &[IpAddr]) -> bool {
        let pool = || self.configuration.config().pool_of(ips);
        self.fresh.contains(key) && pool().is_some_and(|pool| pool.probe_before_use)
    }

    /// Somebody announces the Service now, if anybody can.
    pub(crate) fn is_in_use(&mut self, key: &ObjectKey) {
        if self.fresh.contains(key) && self.endpoints.serve(key) {
            self.fresh.remove(key);
        }
    }

    /// Takes in an EndpointSlice.
    pub(crate) fn slice(&mut self, change: Change<api::EndpointSlice>) -> Touched {
        let service = match change {
            Change::Listing => None,
            Change::Synced => {
                self.endpoints.compact();
                None
            }
            Change::Delete(key) => self.endpoints.delete(&key),
            Change::Apply(object) => self.endpoints.apply(&object, &self.nodes),
        };
        match service {
            Some(key) if self.services.get(&key).is_some() => {
                self.contested.extend(self.services.group(&key));
                Touched::Service(key)
            }
            _ => Touched::Nothing,
        }
    }

    /// Takes in a Node.
    pub(crate) fn node(&mut self, change: Change<api::Node>) -> Touched {
        let changed = match change {
            Change::Listing | Change::Synced => false,
            Change::Delete(key) => self.nodes.remove(key.name()).is_some(),
            Change::Apply(object) => {
                let name = ArcStr::from(object.name_any());
                let node = Node::from(object);
                let known = self.nodes.insert(name, node.clone());
                // Whether it is ready is no reason to move anything.
                known.is_none_or(|known| {
                    let not_ready = node.not_ready;
                    Node { not_ready, ..known } != node
                })
            }
        };
        if changed {
            Touched::Everything
        } else {
            Touched::Nothing
        }
    }

    /// Takes in a speaker's Pod.
    pub(crate) fn pod(&mut self, change: Change<api::Pod>) -> Touched {
        let touches = self.speakers.apply(change);
        match (touches.upstream, touches.peers) {
            (true, _) => Touched::EverythingAndSpeakers,
            (false, true) => Touched::Speakers,
            (false, false) => Touched::Nothing,
        }
    }

    /// Takes in who is alive.
    pub(crate) fn members(&mut self, members: Members) -> Touched {
        let members = Some(members);
        if self.members == members {
            return Touched::Nothing;
        }
        self.members = members;
        if let Some(members) = &self.members {
            self.rivals.learn(members);
        }
        Touched::Everything
    }

    /// Another station says on the wire that it has an address that is announced from here.
    /// `probes` says that it is not, but is to be if nobody else has it.
    pub(crate) fn rival(&mut self, now: Instant, own: &str, rival: Rival, probes: bool) -> Heard {
        let members = self.members.as_ref();
        let presence = |node: &str| Some(members?.get(node)?.presence);
        let heard = self.rivals.hear(now, own, rival, probes, presence);
        if heard == Heard::Node {
            let holders = self.services.on(rival.ip).iter();
            self.contested.extend(holders.cloned());
        }
        heard
    }

    /// Those who have not been heard on the wire for a while count no more.
    pub(crate) fn expire_rivals(&mut self, now: Instant) {
        for ip in self.rivals.expire(now) {
            let holders = self.services.on(ip).iter();
            self.contested.extend(holders.cloned());
        }
    }

    /// Whether the node's speaker is there, as far as anybody watches that.
    pub(crate) fn presence(&self, node: &str) -> Option<Presence> {
        let Some(members) = &self.members else {
            return Some(Presence::Ready);
        };
        members.get(node).map(|member| member.presence)
    }

    /// How well a node can announce these addresses, as far as it says so.
    pub(crate) fn fitness(&self, node: &str, ips: &[IpAddr], interfaces: &Interfaces) -> Fitness {
        let member = self.members.as_ref().and_then(|it| it.get(node));
        let state = member.and_then(|member| member.state.as_ref());
        let fitness = state.map_or(Fitness::Able, |state| state.fitness(ips, interfaces));
        let drains = self.is_draining(node);
        match member.map(|member| member.presence) {
            Some(Presence::Leaving) => fitness.min(Fitness::Stopping),
            _ if drains => fitness.min(Fitness::Leaving),
            Some(Presence::Returning) => fitness.min(Fitness::Returning),
            Some(Presence::Ready) | None => fitness,
        }
    }

    /// Whether somebody wants to stop the node.
    pub(crate) fn is_draining(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.draining)
    }

    /// Whether the node's kubelet says that it is not ready.
    pub(crate) fn is_not_ready(&self, node: &str) -> bool {
        self.nodes.get(node).is_some_and(|node| node.not_ready)
    }

    /// Takes in the names of the interfaces.
    pub(crate) fn interfaces(&mut self, interfaces: BTreeSet<String>) -> Touched {
        if self.interfaces == interfaces {
            return Touched::Nothing;
        }
        self.interfaces = interfaces;
        Touched::Everything
    }

    /// The Service and all that share an address with it, or with one that does: oldest first.
    pub(crate) fn group(&self, key: &ObjectKey) -> Vec<ObjectKey> {
        let mut group: Vec<_> = self.services.group(key).into_iter().collect();
        group.sort_by_cached_key(|key| {
            let created = self.services.get(key).map(|service| service.created);
            (created, key.clone())
        });
        group
    }

    /// Whether another Service, an older one, keeps an address that this one shows too.
    pub(crate) fn gives_way(&self, key: &ObjectKey) -> bool {
        self.services.keeper_instead_of(key).is_some()
    }

    /// The Services that have to be decided anew because of what others show.
    pub(crate) fn take_contested(&mut self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.contested)
    }

    /// What a Service shows has changed: those that it went together with, those that it does now,
    /// and others for which it may make a difference are to be decided anew.
    fn contest(
        &mut self,
        key: &ObjectKey,
        before: BTreeSet<ObjectKey>,
        others: BTreeSet<ObjectKey>,
    ) {
        let after = self.services.group(key);
        let together = before.into_iter().chain(after).filter(|it| it != key);
        self.contested.extend(together.chain(others));
    }

    fn forget(&mut self, key: ObjectKey, reason: Reason) -> Touched {
        self.fresh.remove(&key);
        let before = self.services.group(&key);
        let (service, others) = self.services.remove(&key);
        self.contest(&key, before, others);
        match service {
            Some(_) => Touched::Gone(key, reason),
            None => Touched::Nothing,
        }
    }
}

impl Service {
    /// The same, for who keeps them.
    pub(crate) fn shared_ips(&self) -> Arc<[IpAddr]> {
        match &self.ingress {
            Ingress::Ips(ips) => ips.clone(),
            Ingress::None | Ingress::Invalid => Arc::default(),
        }
    }

    /// Its addresses, as far as its status has any.
    pub(crate) fn ips(&self) -> &[IpAddr] {
        match &self.ingress {
            Ingress::Ips(ips) => ips,
            Ingress::None | Ingress::Invalid => &[],
        }
    }
}

impl Claim for Box<Service> {
    fn created(&self) -> i64 {
        self.created
    }

    fn ips(&self) -> &[IpAddr] {
        Service::ips(self)
    }

    fn share(&self) -> Option<&Share> {
        self.share.as_deref()
    }
}

impl From<api::Service> for Service {
    fn from(object: api::Service) -> Self {
        let annotations = object.annotations();
        let sharing_key = annotations
            .get(names::ALLOW_SHARED_IP)
            .or_else(|| annotations.get(names::LEGACY_ALLOW_SHARED_IP));
        let local = object.spec.external_traffic_policy.as_deref() == Some("Local");
        let ports = object.spec.ports.iter().filter_map(|it| {
            let protocol = it.protocol.parse().ok()?;
            Some(Port::new(protocol, it.port))
        });
        let share = sharing_key.and_then(|key| {
            let backend_key = backend_key(local, &object.spec.selector);
            Share::new(key, &backend_key, &ports.collect::<Vec<_>>()).map(Box::new)
        });
        let shared = sharing_key.is_some();
        let pool = annotations
            .get(names::IP_ALLOCATED_FROM_POOL)
            .map(|pool| pool.as_str().into());
        let ingress = object.status.load_balancer.ingress.unwrap_or_default();
        let ips = ingress
            .iter()
            .map(|entry| entry.ip.as_deref()?.parse().ok());
        Self {
            ingress: match ips.collect::<Option<Arc<[_]>>>() {
                None => Ingress::Invalid,
                Some(ips) if ips.is_empty() => Ingress::None,
                Some(ips) => Ingress::Ips(ips),
            },
            created: object
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(i64::MAX, |time| time.0.as_second()),
            local,
            shared,
            share,
            pool,
            uid: object.metadata.uid.as_deref().map(Uid::from),
            labels: LabelText::from(object.metadata.labels.as_ref()),
        }
    }
}

impl From<api::Node> for Node {
    fn from(object: api::Node) -> Self {
        let conditions = object.status.conditions.as_deref().unwrap_or_default();
        let taints = object.spec.taints.as_deref().unwrap_or_default();
        let has = |type_: &str, is_status: fn(&str) -> bool| {
            let of_type = conditions.iter().filter(|it| it.type_ == type_);
            of_type.into_iter().any(|it| is_status(&it.status))
        };
        let addresses = object.status.addresses.as_deref().unwrap_or_default();
        let mut internal = addresses.iter().filter(|it| it.type_ == "InternalIP");
        Self {
            ipv4: internal.find_map(|it| it.address.parse().ok()),
            network_unavailable: has("NetworkUnavailable", |status| status == "True"),
            not_ready: has("Ready", |status| status != "True"),
            draining: taints.iter().any(|taint| taint.key == names::DRAIN_TAINT),
            labels: object.metadata.labels.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
