//! Does the difference between what was decided before and what is decided now: commands to the
//! protocol thread first, then what users read of it: Events, metrics, one line of log.

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
            assigned: nodes_message(&node).into(),
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
            log(key, None, &decision);
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
        let old = before.as_ref().and_then(announced);
        let new = announced(decision);
        log(key, before.as_ref(), decision);
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
                    let message = failed_message(*ip, &self.node);
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
            let Some(it) = self.decided.get(key).and_then(announced) else {
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
        let (used, then) = if self.is_probed(ip) {
            (self.show)(key, None);
            (
                "used",
                "; until then it is not announced, and asked for every 10 s",
            )
        } else {
            ("also used", "")
        };
        let text = format!(
            "the address \"{ip}\" is {used} by {mac}, which is no node of this cluster: find that \
             station and give it another address{then}"
        );
        self.event(key, uid, EventType::Warning, "addressConflict", text.into());
    }

    fn command(&mut self, key: &ObjectKey, decision: &Decision, probe: bool) {
        let mut commands = Vec::new();
        let ips = announced(decision).map_or(&[][..], |it| &it.ips);
        // What is announced already is nobody else's, whatever else is new about it.
        let new = ips
            .iter()
            .filter(|ip| probe && !self.addresses.is_wanted(**ip));
        let new: Vec<_> = new.copied().collect();
        self.addresses.want(key, announced(decision), &mut commands);
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

fn announced(decision: &Decision) -> Option<&Announcement> {
    match decision {
        Decision::Announce(announcement) => Some(announcement),
        Decision::NoInterface(_) | Decision::Withhold(_) => None,
    }
}

/// Whether another speaker announces instead.
fn is_taken_over(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Withhold(Reason::NotOwner | Reason::UpstreamAnnounces)
    )
}

fn nodes_message(node: &str) -> String {
    format!("announcing from node \"{node}\" with protocol \"layer2\"")
}

fn failed_message(ip: IpAddr, node: &str) -> String {
    format!(
        "the interfaces specified by LB IP \"{ip}\" doesn't exist in assigned node \"{node}\" with \
         protocol \"layer2\""
    )
}

fn log(key: &ObjectKey, before: Option<&Decision>, now: &Decision) {
    let service = || key.to_string();
    match (before.and_then(announced), now) {
        (_, Decision::Announce(it)) => tracing::info!(
            event = "serviceAnnounced", service = service(), ip = ?it.ips, pool = it.pool,
            protocol = "layer2", interfaces = it.interfaces.to_string(),
            "service has IP, announcing"
        ),
        (_, Decision::NoInterface(it)) => tracing::warn!(
            op = "setBalancer", event = "announceFailed", service = service(), ip = ?it.ips,
            protocol = "layer2", interfaces = it.interfaces.to_string(),
            "this node is to announce the service but has none of the interfaces"
        ),
        (Some(old), Decision::Withhold(reason)) => tracing::info!(
            event = "serviceWithdrawn", service = service(), ip = ?old.ips, protocol = "layer2",
            reason = reason.as_str(), "withdrawing service announcement"
        ),
        (None, Decision::Withhold(reason @ (Reason::InvalidIp | Reason::IpNotAllowed))) => {
            tracing::error!(
                op = "setBalancer",
                service = service(),
                reason = reason.as_str(),
                "the service's address is not one that the configuration allows"
            );
        }
        (None, Decision::Withhold(reason @ Reason::AddressInUse)) => tracing::warn!(
            op = "setBalancer",
            service = service(),
            reason = reason.as_str(),
            "an older service has the service's address and does not share it"
        ),
        (None, Decision::Withhold(reason)) => tracing::debug!(
            event = "serviceNotAnnounced",
            service = service(),
            protocol = "layer2",
            reason = reason.as_str(),
            "service is not announced from here"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use metallb_kit::metrics::Metrics;

    use super::*;

    struct Seen {
        apply: Apply,
        events: Rc<RefCell<Vec<String>>>,
        commands: mpsc::UnboundedReceiver<Command>,
        metrics: Metrics,
    }

    impl Seen {
        fn new() -> Self {
            let metrics = Metrics::new();
            let events = Rc::new(RefCell::new(Vec::new()));
            let (queue, commands) = mpsc::unbounded_channel();
            let log = Rc::clone(&events);
            let publish: Publish = Box::new(move |about, kind, reason, message| {
                let name = about.key.name();
                log.borrow_mut()
                    .push(format!("{name} {} {reason} {message}", kind.as_str()));
            });
            let announced = AnnouncedMetric::new(&metrics, "n1");
            Self {
                apply: Apply::new("n1".into(), queue, announced, publish, Box::new(|_, _| ())),
                events,
                commands,
                metrics,
            }
        }

        /// The Events and the number of commands that follow.
        fn apply(&mut self, decision: Decision) -> (Vec<String>, usize) {
            self.apply.act(
                &ObjectKey::new("ns", "web"),
                Some(&Uid::from("u1")),
                decision,
                false,
            );
            let commands = std::iter::from_fn(|| self.commands.try_recv().ok()).count();
            assert!(self.events.borrow().is_empty(), "the network comes first");
            self.apply.say();
            (self.events.borrow_mut().split_off(0), commands)
        }

        /// The addresses in the metric.
        fn announced(&self) -> Vec<String> {
            let text = self.metrics.text();
            let lines = text
                .lines()
                .filter(|line| line.starts_with("metallb_speaker_announced{"));
            lines
                .map(|line| line.split('"').nth(1).unwrap().to_owned())
                .collect()
        }
    }

    fn announcement(ip: &str) -> Announcement {
        let ips = vec![ip.parse().unwrap()];
        Announcement {
            pool: "pool".into(),
            ips,
            interfaces: Interfaces::All,
        }
    }

    #[test]
    fn events_tell_of_changes_only() {
        let mut seen = Seen::new();
        let announce = |ip| Decision::Announce(announcement(ip).into());
        let assigned =
            "web Normal nodeAssigned announcing from node \"n1\" with protocol \"layer2\"";
        assert_eq!(
            seen.apply(announce("192.0.2.1")),
            (vec![assigned.to_owned()], 1)
        );
        assert_eq!(seen.announced(), ["192.0.2.1"]);
        assert_eq!(seen.apply(announce("192.0.2.1")), (vec![], 0));
        assert_eq!(
            seen.apply(announce("192.0.2.2")),
            (vec![assigned.to_owned()], 2)
        );
        assert_eq!(seen.announced(), ["192.0.2.2"]);
        assert_eq!(
            seen.apply(Decision::Withhold(Reason::NotOwner)),
            (vec![], 1)
        );
        assert!(seen.announced().is_empty());
        assert_eq!(
            seen.apply(announce("192.0.2.2")),
            (vec![assigned.to_owned()], 1)
        );
        assert_eq!(
            seen.apply(Decision::Withhold(Reason::ServiceDeleted)),
            (vec![], 1)
        );
        assert!(
            seen.apply.decided.is_empty(),
            "nothing of a deleted Service is kept"
        );
    }

    #[test]
    fn only_what_is_new_is_asked_for_and_announced_when_that_was_in_vain() {
        let mut seen = Seen::new();
        let (key, ips) = (ObjectKey::new("ns", "web"), ["192.0.2.1", "192.0.2.2"]);
        let [one, two] = ips.map(|ip| ip.parse::<IpAddr>().unwrap());
        seen.apply(Decision::Announce(announcement(ips[0]).into()));
        // Another address is added, and both are on one interface alone from now on.
        let mut both = announcement(ips[0]);
        both.ips.push(two);
        both.interfaces = Interfaces::Named(["eth0".to_owned()].into());
        let interfaces = both.interfaces.clone();
        let decision = Decision::Announce(both.into());
        seen.apply.act(&key, Some(&Uid::from("u1")), decision, true);
        seen.apply.say();
        let commands: Vec<_> = std::iter::from_fn(|| seen.commands.try_recv().ok()).collect();
        let announce = Command::Announce(one, interfaces.clone());
        assert_eq!(commands, [announce, Command::Probe(two, interfaces)]);
        assert!(!seen.apply.is_probed(one) && seen.apply.is_probed(two));
        assert!(
            seen.events.borrow().is_empty(),
            "nothing new is announced yet"
        );
        for _ in 0..2 {
            seen.apply
                .begun(two, [(&key, Some(&Uid::from("u1")))].into_iter());
        }
        assert_eq!(seen.events.borrow().len(), 1, "{:?}", seen.events);
    }

    #[test]
    fn a_missing_interface_is_a_warning_and_nothing_is_announced() {
        let mut seen = Seen::new();
        let (events, commands) =
            seen.apply(Decision::NoInterface(announcement("192.0.2.1").into()));
        assert_eq!(
            events,
            [
                "web Warning announceFailed the interfaces specified by LB IP \"192.0.2.1\" doesn't \
              exist in assigned node \"n1\" with protocol \"layer2\""
            ]
        );
        assert_eq!(commands, 0);
        assert!(seen.announced().is_empty());
    }
}
