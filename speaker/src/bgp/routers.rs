//! What the brain does about BGP: tells who speaks with routers which there are and what they are
//! told, and users what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metallb_kit::events::{About, EventType, Uid};
use metallb_kit::watch::ObjectKey;
use tokio::sync::watch;

use super::{BgpApply, SessionNews};
use crate::decide::{Own, routes};
use crate::index::Index;
use crate::reason::Reason;

/// The state of it.
#[derive(Debug)]
pub(crate) struct Routers {
    apply: BgpApply,
    /// The Secrets to be read.
    secrets: watch::Sender<BTreeSet<String>>,
    problems: BTreeMap<String, String>,
    /// Since when somebody wants to stop this node.
    draining: Option<Instant>,
    /// Routers have had the time to prefer others.
    withdrawn: bool,
}

impl Routers {
    pub(crate) fn new(apply: BgpApply, secrets: watch::Sender<BTreeSet<String>>) -> Self {
        Self {
            apply,
            secrets,
            problems: BTreeMap::new(),
            draining: None,
            withdrawn: false,
        }
    }

    /// Names the Secrets in which passwords are.
    pub(crate) fn ask_for_secrets(&self, index: &Index) {
        let names = index.configuration.secret_names();
        self.secrets.send_if_modified(|before| {
            let is_new = *before != names;
            *before = names;
            is_new
        });
    }

    /// Has it decided what routers are told of a Service.
    pub(crate) fn decide(&mut self, index: &Index, own: &Own, key: &ObjectKey) {
        let decision = if self.withdrawn {
            Err(Reason::Draining)
        } else {
            routes(index, own, key)
        };
        let service = index.services.get(key);
        let uid = service.and_then(|service| service.uid.as_ref());
        let ips = service.map(|service| service.shared_ips());
        self.apply.act(key, uid, ips.unwrap_or_default(), decision);
    }

    /// A Service is no longer ours.
    pub(crate) fn forget(&mut self, key: &ObjectKey, reason: Reason) {
        self.apply.act(key, None, Arc::default(), Err(reason));
    }

    /// Tells users of all that was decided.
    pub(crate) fn say(&mut self) {
        self.apply.say();
    }

    /// Tells who speaks with routers which there are, when they are others than before.
    pub(crate) fn follow(&mut self, index: &Index, own: &Own) {
        let problems = self.apply.engine.follow(index, own);
        for (peer, problem) in &problems {
            if self.problems.get(peer) != Some(problem) {
                tracing::error!(
                    op = "setPeers",
                    peer,
                    problem,
                    "this peer is not spoken with"
                );
                self.event(index, peer, EventType::Warning, "peerUnusable", problem);
            }
        }
        self.problems = problems;
    }

    /// Takes in what became of a session.
    pub(crate) fn session(&self, index: &Index, own: &Own, peer: &str, news: &SessionNews) {
        let node = &own.node;
        let Some(with) = self.apply.engine.setup(peer) else {
            return;
        };
        let (kind, reason, message) = match news {
            SessionNews::Up => (
                EventType::Normal,
                "sessionUp",
                format!("BGP session of node \"{node}\" with {with} is established"),
            ),
            SessionNews::Down(why) => (
                EventType::Warning,
                "sessionDown",
                format!("BGP session of node \"{node}\" with {with} is down: {why}"),
            ),
            SessionNews::Failed(why) => (
                EventType::Warning,
                "sessionFailed",
                format!("node \"{node}\" has no BGP session with {with}: {why}"),
            ),
            SessionNews::Several(one, other) => (
                EventType::Warning,
                "severalRouters",
                format!(
                    "{one} and {other} both advertise themselves to node \"{node}\" as {with}: \
                     the session is with whichever takes it first; give each an interface of its \
                     own, or use peerAddress"
                ),
            ),
        };
        self.event(index, peer, kind, reason, &message);
    }

    fn event(
        &self,
        index: &Index,
        peer: &str,
        kind: EventType,
        reason: &'static str,
        message: &str,
    ) {
        let namespace = index.configuration.namespace_of_peer(peer);
        let uid = index.configuration.config().peers().get(peer);
        let about = About {
            api_version: "metallb.io/v1beta2".into(),
            kind: "BGPPeer".into(),
            key: ObjectKey::new(namespace.as_deref().unwrap_or_default(), peer),
            uid: uid.and_then(|peer| peer.uid.as_deref()).map(Uid::from),
            resource_version: None,
        };
        self.apply.event(about, kind, reason, message.into());
    }

    /// Takes no more memory than it has to, once everything was decided and said.
    pub(crate) fn compact(&mut self) {
        self.apply.compact();
    }

    /// Takes in whether somebody wants to stop this node. True if everything is to be decided
    /// anew.
    pub(crate) fn drain(&mut self, now: Instant, drains: bool) -> bool {
        if drains != self.draining.is_some() {
            self.draining = drains.then_some(now);
            self.apply.engine.shut_down_gracefully(drains);
        }
        let withdrawn = self
            .draining
            .is_some_and(|since| now >= since + PREFER_OTHERS);
        std::mem::replace(&mut self.withdrawn, withdrawn) != withdrawn
    }

    /// When [`drain`](Self::drain) has something else to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.draining.filter(|_| !self.withdrawn)?;
        Some(since + PREFER_OTHERS)
    }

    /// Of how many Services routers are told.
    pub(crate) fn announced(&self) -> usize {
        self.apply.announced()
    }
}

#[cfg(test)]
use super::{Backend, Engine};

#[cfg(test)]
impl Routers {
    /// One whose words nobody hears.
    pub(crate) fn unheard(node: &str, metric: crate::metrics::AnnouncedMetric) -> Self {
        let (commands, _) = tokio::sync::mpsc::unbounded_channel();
        let publish = Box::new(|_, _, _: &str, _| ());
        let show = Box::new(|_: &ObjectKey, _| ());
        let engine = Engine::built_in(Backend::Native, commands);
        let apply = BgpApply::new(node, engine, metric, publish, show);
        let (secrets, _) = watch::channel(BTreeSet::new());
        Self::new(apply, secrets)
    }
}

/// How long routers have to prefer other nodes, before routes are withdrawn (RFC 8326 section 4).
const PREFER_OTHERS: Duration = Duration::from_secs(5);
