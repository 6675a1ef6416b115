//! What follows from decisions: commands first, then words.

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
    let assigned = "web Normal nodeAssigned announcing from node \"n1\" with protocol \"layer2\"";
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
    let (events, commands) = seen.apply(Decision::NoInterface(announcement("192.0.2.1").into()));
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
