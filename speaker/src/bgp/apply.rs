//! Does the difference between the routes that were decided before and now: to who speaks with
//! routers first, then what users read of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;
use metallb_bgp::rib::{Route, Routes};
use metallb_kit::events::{About, EventType, Uid};
use metallb_kit::watch::ObjectKey;

use super::Engine;
use crate::apply::Publish;
use crate::metrics::AnnouncedMetric;
use crate::reason::Reason;

/// Shows to which peers a Service is announced from here; to none, that it is not.
pub(crate) type Show = Box<dyn Fn(&ObjectKey, Arc<[String]>)>;

/// What is told to routers, and the means to change it.
pub(crate) struct BgpApply {
    /// The words for a Service that routers are told of: the same for all.
    assigned: ArcStr,
    announced: BTreeMap<ObjectKey, Announced>,
    /// Who was told of the last one: Services mostly have that in common, and so share it.
    last_peers: Arc<[String]>,
    pub(super) engine: Engine,
    metric: AnnouncedMetric,
    publish: Publish,
    show: Show,
    unsaid: Vec<Unsaid>,
}

/// What is in effect, and not told of yet.
struct Unsaid {
    key: ObjectKey,
    /// That of the Service, for Events.
    uid: Option<Uid>,
    before: Option<Announced>,
    now: Result<Announced, Reason>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Announced {
    /// Who is told, in order.
    peers: Arc<[String]>,
    routes: Routes,
    ips: Arc<[IpAddr]>,
}

impl fmt::Debug for BgpApply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BgpApply")
            .field("announced", &self.announced)
            .finish_non_exhaustive()
    }
}

impl BgpApply {
    pub(crate) fn new(
        node: &str,
        engine: Engine,
        metric: AnnouncedMetric,
        publish: Publish,
        show: Show,
    ) -> Self {
        Self {
            assigned: format!("announcing from node \"{node}\" with protocol \"bgp\"").into(),
            announced: BTreeMap::new(),
            last_peers: Arc::default(),
            engine,
            metric,
            publish,
            show,
            unsaid: Vec::new(),
        }
    }

    /// Puts a decision about a Service into effect. What users read of it waits for
    /// [`say`](Self::say), so that of many routes none waits for words about another.
    pub(crate) fn act(
        &mut self,
        key: &ObjectKey,
        uid: Option<&Uid>,
        ips: Arc<[IpAddr]>,
        decision: Result<Vec<Route>, Reason>,
    ) {
        let now = decision.map(|routes| {
            let routes = Routes::from(routes);
            let peers = self.told(&routes);
            Announced { peers, routes, ips }
        });
        let before = self.announced.remove(key);
        let wanted = now.as_ref().ok();
        let routes = |it: Option<&Announced>| it.map(|it| it.routes.clone()).unwrap_or_default();
        let new = routes(wanted);
        if new != routes(before.as_ref()) {
            self.engine.contribute(key, new);
        }
        if let Some(now) = wanted {
            self.announced.insert(key.clone(), now.clone());
        }
        if before.is_none() || before.as_ref() != wanted {
            self.unsaid.push(Unsaid {
                key: key.clone(),
                uid: uid.cloned(),
                before,
                now,
            });
        }
    }

    /// Who is told of these routes.
    fn told(&mut self, routes: &[Route]) -> Arc<[String]> {
        let is_told = |peer: &&String| routes.iter().any(|it| it.audience.has(peer));
        let peers = self.engine.peers().iter().filter(is_told);
        if !self.last_peers.iter().eq(peers.clone()) {
            self.last_peers = peers.cloned().collect();
        }
        self.last_peers.clone()
    }

    /// As [that of Services](metallb_ipam::Claims::compact).
    pub(crate) fn compact(&mut self) {
        self.announced = std::mem::take(&mut self.announced).into_iter().collect();
        self.metric.compact();
    }

    /// Tells users of all that was put into effect.
    pub(crate) fn say(&mut self) {
        for unsaid in std::mem::take(&mut self.unsaid) {
            let Unsaid {
                key,
                uid,
                before,
                now,
            } = unsaid;
            match (now, before) {
                (Ok(now), before) => self.announces(&key, uid, &before.unwrap_or_default(), &now),
                (Err(reason), Some(before)) => self.withdraws(&key, &before, reason),
                (Err(reason), None) => tracing::debug!(
                    event = "serviceNotAnnounced",
                    service = key.to_string(),
                    protocol = "bgp",
                    reason = reason.as_str(),
                    "service is not announced from here"
                ),
            }
        }
    }

    fn announces(&self, key: &ObjectKey, uid: Option<Uid>, before: &Announced, now: &Announced) {
        if before.peers != now.peers {
            (self.show)(key, now.peers.clone());
        }
        if before.ips != now.ips {
            self.count(key, &before.ips, &now.ips);
            tracing::info!(
                event = "serviceAnnounced", service = key.to_string(), ip = ?now.ips,
                protocol = "bgp", "service has IP, announcing"
            );
            let (service, message) = (About::service(key, uid), self.assigned.clone());
            self.event(service, EventType::Normal, "nodeAssigned", message);
        }
    }

    fn withdraws(&self, key: &ObjectKey, before: &Announced, reason: Reason) {
        (self.show)(key, Arc::default());
        self.count(key, &before.ips, &[]);
        tracing::info!(
            event = "serviceWithdrawn", service = key.to_string(), ip = ?before.ips,
            protocol = "bgp", reason = reason.as_str(), "withdrawing service announcement"
        );
    }

    /// Of how many Services routers are told.
    pub(crate) fn announced(&self) -> usize {
        self.announced.len()
    }

    /// Publishes an Event.
    pub(crate) fn event(
        &self,
        about: About,
        kind: EventType,
        reason: &'static str,
        message: ArcStr,
    ) {
        (self.publish)(about, kind, reason, message);
    }

    fn count(&self, key: &ObjectKey, before: &[IpAddr], now: &[IpAddr]) {
        for ip in before.iter().filter(|ip| !now.contains(ip)) {
            self.metric.remove(key, *ip);
        }
        for ip in now {
            self.metric.set(key, *ip);
        }
    }
}
