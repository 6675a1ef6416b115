//! Does the difference between what was decided before and what is decided now: commands to the
//! protocol thread first, then what users read of it: Events, metrics, one line of log.

mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use arcstr::ArcStr;
use metallb_kit::events::{About, EventType, Uid};
use metallb_kit::watch::ObjectKey;
use metallb_l2::{Interfaces, Rival};
use tokio::sync::mpsc;

use crate::addresses::{Addresses, Command};
use crate::decide::{Announcement, Decision};
use crate::metrics::AnnouncedMetric;
use crate::reason::Reason;

/// Publishes an Event: about what, of which type, reason, message.
pub(crate) type Publish = Box<dyn Fn(About, EventType, &'static str, ArcStr)>;

/// Shows on which interfaces a Service is announced from here, or that it is not.
pub(crate) type Show = Box<dyn Fn(&ObjectKey, Option<&Interfaces>)>;

/// What is in effect, and the means to change it.
pub(crate) struct Apply {
    node: String,
    /// The words for a Service that is announced from here: the same for all.
    assigned: ArcStr,
    /// What was decided last, but for what [goes without saying](Decision::goes_without_saying):
    /// most of thousands of Services are somebody else's to announce.
    decided: BTreeMap<ObjectKey, Decision>,
    addresses: Addresses,
    /// What is not announced before it is known that nobody else has it.
    probed: BTreeSet<IpAddr>,
    commands: mpsc::UnboundedSender<Command>,
    announced: AnnouncedMetric,
    publish: Publish,
    show: Show,
    unsaid: Vec<Unsaid>,
}

/// What is in effect, and not told of yet.
struct Unsaid {
    key: ObjectKey,
    /// That of the Service, for Events.
    uid: Option<Uid>,
    before: Option<Decision>,
    decision: Decision,
}

impl fmt::Debug for Apply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Apply")
            .field("decided", &self.decided)
            .finish_non_exhaustive()
    }
}

impl Apply {
    pub(crate) fn new(
        node: String,
        commands: mpsc::UnboundedSender<Command>,
        announced: AnnouncedMetric,
        publish: Publish,
        show: Show,
    ) -> Self {
        Self {
            assigned: words::assigned(&node).into(),
            node,
            decided: BTreeMap::new(),
            addresses: Addresses::default(),
            probed: BTreeSet::new(),
            commands,
            announced,
            publish,
            show,
            unsaid: Vec::new(),
        }
    }

    /// Puts a decision into effect. `uid` is that of the Service. What users read of it waits for
    /// [`say`](Self::say), so that of many addresses none waits for words about another. `probe`
    /// says that addresses are asked for before they are used.
    pub(crate) fn act(
        &mut self,
        key: &ObjectKey,
        uid: Option<&Uid>,
        decision: Decision,
        probe: bool,
    ) {
        let before = self.decided.get(key);
        if before == Some(&decision) {
            return;
        }
        let goes_without_saying = decision.goes_without_saying();
        if before.is_none() && goes_without_saying {
            words::log(key, None, &decision);
            return;
        }
        self.command(key, &decision, probe);
        let before = if goes_without_saying {
            self.decided.remove(key)
        } else {
            self.decided.insert(key.clone(), decision.clone())
        };
        self.unsaid.push(Unsaid {
            key: key.clone(),
            uid: uid.cloned(),
            before,
            decision,
        });
    }

    /// Tells users of all that was put into effect.
    pub(crate) fn say(&mut self) {
        for unsaid in std::mem::take(&mut self.unsaid) {
            self.say_one(&unsaid);
        }
    }

    fn say_one(&self, unsaid: &Unsaid) {
        let Unsaid {
            key,
            uid,
            before,
            decision,
        } = unsaid;
        let uid = uid.as_ref();
        let old = before.as_ref().and_then(Decision::announced);
        let new = decision.announced();
        words::log(key, before.as_ref(), decision);
        self.count(key, old, new);
        let is_probed = |it: &&Announcement| it.ips.iter().any(|ip| self.is_probed(*ip));
        let shown = new.filter(|it| !is_probed(it));
        if old.map(|it| &it.interfaces) != shown.map(|it| &it.interfaces) {
            (self.show)(key, shown.map(|it| &it.interfaces));
        }
        match decision {
            // What is asked for first is announced when that was in vain.
            Decision::Announce(new) if new.ips.iter().any(|ip| self.is_probed(*ip)) => {}
            Decision::Announce(new) if old.is_none_or(|old| old.ips != new.ips) => {
                self.assigned(key, uid);
            }
            Decision::NoInterface(failed) => {
                for ip in &failed.ips {
                    let message = words::failed(*ip, &self.node);
                    self.event(
                        key,
                        uid,
                        EventType::Warning,
                        "announceFailed",
                        message.into(),
                    );
                }
            }
            Decision::Announce(_) | Decision::Withhold(_) => {}
        }
    }

    /// Of how many Services addresses are announced.
    pub(crate) fn announced(&self) -> usize {
        self.addresses.services()
    }

    /// Announces an address again, if it is announced.
    pub(crate) fn remind(&self, ip: IpAddr) {
        if self.addresses.is_wanted(ip) {
            // The thread is gone only when the process ends.
            let _ = self.commands.send(Command::Again(ip));
        }
    }

    /// Whether the address is not announced yet, as somebody else may have it.
    pub(crate) fn is_probed(&self, ip: IpAddr) -> bool {
        self.probed.contains(&ip)
    }

    /// Another station has an address. If it is not announced yet, it is not.
    pub(crate) fn refuse(&self, ip: IpAddr) {
        if self.is_probed(ip) {
            // The thread is gone only when the process ends.
            let _ = self.commands.send(Command::Refuse(ip));
        }
    }

    /// Nobody had an address that was asked for, which these Services show; each with its uid.
    pub(crate) fn begun<'a>(
        &mut self,
        ip: IpAddr,
        services: impl Iterator<Item = (&'a ObjectKey, Option<&'a Uid>)>,
    ) {
        if !self.probed.remove(&ip) {
            return;
        }
        tracing::info!(op = "layer2", %ip, "nobody else has the address: it is announced");
        for (key, uid) in services {
            let Some(it) = self.decided.get(key).and_then(Decision::announced) else {
                continue;
            };
            if !it.ips.iter().any(|ip| self.is_probed(*ip)) {
                (self.show)(key, Some(&it.interfaces));
                self.assigned(key, uid);
            }
        }
    }

    /// Says that a station that is no node uses the address of a Service.
    pub(crate) fn conflict(&self, key: &ObjectKey, uid: Option<&Uid>, rival: Rival) {
        let Rival { ip, mac } = rival;
        tracing::warn!(op = "layer2", service = key.to_string(), %ip, %mac, "address conflict");
        let is_probed = self.is_probed(ip);
        if is_probed {
            (self.show)(key, None);
        }
        let text = words::conflict(rival, is_probed);
        self.event(key, uid, EventType::Warning, "addressConflict", text.into());
    }

    fn command(&mut self, key: &ObjectKey, decision: &Decision, probe: bool) {
        let mut commands = Vec::new();
        let ips = decision.announced().map_or(&[][..], |it| &it.ips);
        // What is announced already is nobody else's, whatever else is new about it.
        let new = ips
            .iter()
            .filter(|ip| probe && !self.addresses.is_wanted(**ip));
        let new: Vec<_> = new.copied().collect();
        self.addresses
            .want(key, decision.announced(), &mut commands);
        self.probed.extend(&new);
        for command in commands {
            let command = match command {
                Command::Announce(ip, interfaces) if new.contains(&ip) => {
                    Command::Probe(ip, interfaces)
                }
                Command::Withdraw(ip) => {
                    self.probed.remove(&ip);
                    if is_taken_over(decision) {
                        Command::Yield(ip)
                    } else {
                        Command::Withdraw(ip)
                    }
                }
                other => other,
            };
            // The thread is gone only when the process ends.
            let _ = self.commands.send(command);
        }
    }

    fn count(&self, key: &ObjectKey, old: Option<&Announcement>, new: Option<&Announcement>) {
        let ips = |it: Option<&Announcement>| it.map(|it| it.ips.clone()).unwrap_or_default();
        let (old, new) = (ips(old), ips(new));
        for ip in old.iter().filter(|ip| !new.contains(ip)) {
            self.announced.remove(key, *ip);
        }
        for ip in new {
            self.announced.set(key, ip);
        }
    }

    fn assigned(&self, key: &ObjectKey, uid: Option<&Uid>) {
        let message = self.assigned.clone();
        self.event(key, uid, EventType::Normal, "nodeAssigned", message);
    }

    fn event(
        &self,
        key: &ObjectKey,
        uid: Option<&Uid>,
        kind: EventType,
        reason: &'static str,
        text: ArcStr,
    ) {
        (self.publish)(About::service(key, uid.cloned()), kind, reason, text);
    }
}

/// Whether another speaker announces instead.
fn is_taken_over(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Withhold(Reason::NotOwner | Reason::UpstreamAnnounces)
    )
}

#[cfg(test)]
mod tests;
