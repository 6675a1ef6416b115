//! Does the difference between the routes that were decided before and now: to the protocol
//! thread first, then what users read of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use metallb_bgp::rib::Route;
use metallb_kit::events::EventType;
use metallb_kit::watch::ObjectKey;
use tokio::sync::mpsc;

use super::BgpCommand;
use crate::apply::Publish;
use crate::metrics::AnnouncedMetric;
use crate::reason::Reason;

/// Shows to which peers a Service is announced from here; to none, that it is not.
pub(crate) type Show = Box<dyn Fn(&ObjectKey, Arc<[String]>)>;

/// What is told to routers, and the means to change it.
pub(crate) struct BgpApply {
    node: String,
    announced: BTreeMap<ObjectKey, Announced>,
    /// Who was told of the last one: Services mostly have that in common, and so share it.
    last_peers: Arc<[String]>,
    commands: mpsc::UnboundedSender<BgpCommand>,
    metric: AnnouncedMetric,
    publish: Publish,
    show: Show,
}

#[derive(Debug, Default)]
struct Announced {
    /// Who is told, in order.
    peers: Arc<[String]>,
    routes: Vec<Route>,
    ips: Vec<IpAddr>,
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
        node: String,
        commands: mpsc::UnboundedSender<BgpCommand>,
        metric: AnnouncedMetric,
        publish: Publish,
        show: Show,
    ) -> Self {
        Self {
            node,
            announced: BTreeMap::new(),
            last_peers: Arc::default(),
            commands,
            metric,
            publish,
            show,
        }
    }

    /// Puts a decision about a Service into effect. `peers` are all that this node speaks with, in
    /// order.
    pub(crate) fn act<'a>(
        &mut self,
        key: &ObjectKey,
        uid: Option<&str>,
        ips: &[IpAddr],
        peers: impl Iterator<Item = &'a String> + Clone,
        decision: Result<Vec<Route>, Reason>,
    ) {
        let before = self.announced.remove(key);
        match decision {
            Ok(routes) => {
                let is_told = |peer: &&String| routes.iter().any(|it| it.audience.has(peer));
                let peers = self.shared(peers.filter(is_told));
                let ips = ips.to_vec();
                let now = Announced { peers, routes, ips };
                self.announce(key, uid, before, now);
            }
            Err(reason) => self.withdraw(key, before, reason),
        }
    }

    fn shared<'a>(&mut self, peers: impl Iterator<Item = &'a String> + Clone) -> Arc<[String]> {
        if !self.last_peers.iter().eq(peers.clone()) {
            self.last_peers = peers.cloned().collect();
        }
        self.last_peers.clone()
    }

    fn announce(
        &mut self,
        key: &ObjectKey,
        uid: Option<&str>,
        before: Option<Announced>,
        now: Announced,
    ) {
        let Announced { peers, routes, ips } = before.unwrap_or_default();
        if routes != now.routes {
            self.send(BgpCommand::Contribute(key.clone(), now.routes.clone()));
        }
        if peers != now.peers {
            (self.show)(key, now.peers.clone());
        }
        if ips != now.ips {
            self.count(key, &ips, &now.ips);
            tracing::info!(
                event = "serviceAnnounced", service = key.to_string(), ip = ?now.ips,
                protocol = "bgp", "service has IP, announcing"
            );
            let message = format!(
                "announcing from node \"{}\" with protocol \"bgp\"",
                self.node
            );
            self.event(
                service(key, uid),
                EventType::Normal,
                "nodeAssigned",
                &message,
            );
        }
        self.announced.insert(key.clone(), now);
    }

    fn withdraw(&mut self, key: &ObjectKey, before: Option<Announced>, reason: Reason) {
        let Some(before) = before else {
            tracing::debug!(
                event = "serviceNotAnnounced",
                service = key.to_string(),
                protocol = "bgp",
                reason = reason.as_str(),
                "service is not announced from here"
            );
            return;
        };
        self.send(BgpCommand::Contribute(key.clone(), Vec::new()));
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

    /// Tells the protocol thread.
    pub(crate) fn send(&self, command: BgpCommand) {
        // The thread is gone only when the process ends.
        let _ = self.commands.send(command);
    }

    /// Publishes an Event.
    pub(crate) fn event(
        &self,
        object: ObjectReference,
        kind: EventType,
        reason: &str,
        message: &str,
    ) {
        (self.publish)(object, kind, reason, message);
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

fn service(key: &ObjectKey, uid: Option<&str>) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Service".to_owned()),
        namespace: Some(key.namespace.to_string()),
        name: Some(key.name.to_string()),
        uid: uid.map(str::to_owned),
        ..ObjectReference::default()
    }
}
