//! Stories of Services and pools. A small API server in here writes what is decided.

use metallb_crds::v1beta1::IPAddressPool;

use super::*;
use crate::fixtures::pool;
use crate::index::Touched;
use crate::service::WatchedService;

/// The index, the leader, and the statuses as they are written.
struct World {
    index: Index,
    decider: Decider,
    services: BTreeMap<String, WatchedService>,
    /// `Type Reason object: message` of all Events so far.
    events: Vec<String>,
    version: u64,
}

impl World {
    /// A controller that starts with these pools and Services.
    fn start(pools: &[IPAddressPool], services: &[WatchedService]) -> Self {
        let mut index = Index::new("");
        for pool in pools {
            index.apply_pool(pool.clone());
        }
        for service in services {
            index.apply_service(service);
        }
        let (decider, effects) = Decider::start(&mut index);
        let known = services
            .iter()
            .map(|service| (key_of(service), service.clone()))
            .collect();
        let mut world = Self {
            index,
            decider,
            services: known,
            events: Vec::new(),
            version: 100,
        };
        world.perform(effects);
        world.settle();
        world
    }

    fn apply(&mut self, service: WatchedService) {
        self.version += 1;
        let service = service.version(self.version);
        self.services.insert(key_of(&service), service.clone());
        self.tell(&service);
        self.settle();
    }

    fn delete(&mut self, key: &str) {
        self.services.remove(key);
        let key = service_key(key);
        if let Touched::Gone(key) = self.index.delete_service(&key) {
            self.decider.service_gone(&self.index, &key);
        }
        self.settle();
    }

    fn apply_pool(&mut self, pool: IPAddressPool) {
        self.index.apply_pool(pool);
        self.pools_changed();
    }

    fn delete_pool(&mut self, name: &str) {
        self.index.delete_pool(name);
        self.pools_changed();
    }

    fn pools_changed(&mut self) {
        let effects = self.decider.pools_changed(&mut self.index);
        self.perform(effects);
        self.settle();
    }

    fn tell(&mut self, service: &WatchedService) {
        match self.index.apply_service(service) {
            Touched::Nothing => {}
            Touched::Changed(key) => self.decider.service_changed(&self.index, &key),
            Touched::Gone(key) => self.decider.service_gone(&self.index, &key),
        }
    }

    /// Decides and writes until there is nothing to do.
    fn settle(&mut self) {
        for _ in 0..100 {
            let effects = self.decider.decide(&self.index);
            if effects.is_empty() {
                return;
            }
            self.perform(effects);
        }
        panic!("it does not come to rest: {:?}", self.events);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Event(note) => self.note(&note),
                Effect::Write(write) => self.write(&write),
                Effect::Abandon => unreachable!("this one always leads"),
            }
        }
    }

    fn write(&mut self, write: &Write) {
        let key = write.key.clone();
        let service = self.services.get_mut(key.to_string().as_str());
        if let Some(service) = service
            .filter(|s| s.metadata.resource_version.as_deref() == Some(&write.resource_version))
        {
            self.version += 1;
            let mut new = service.clone().version(self.version);
            if let Some(Assignment { pool, ips }) = &write.assignment {
                let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
                let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
                new = new.ingress(pool, &ips);
            } else {
                new.status.load_balancer.ingress.clear();
                new.metadata.annotations = None;
            }
            *service = new.clone();
            for note in &write.notes {
                self.note(note);
            }
            self.tell(&new);
        }
        self.decider.written(&self.index, &key);
    }

    fn note(&mut self, note: &Note) {
        let name = note.about.name.as_deref().unwrap();
        let event_type = note.event_type.as_str();
        self.events.push(format!(
            "{event_type} {} {name}: {}",
            note.reason, note.message
        ));
    }

    /// The status of a Service as `pool: ip ip`, empty when it has none.
    fn status(&self, key: &str) -> String {
        let service = &self.services[key];
        let ips: Vec<_> = service
            .status
            .load_balancer
            .ingress
            .iter()
            .map(|entry| entry.ip.as_str())
            .collect();
        let annotations = service.metadata.annotations.clone().unwrap_or_default();
        match annotations.get("metallb.io/ip-allocated-from-pool") {
            Some(pool) => format!("{pool}: {}", ips.join(" ")),
            None => ips.join(" "),
        }
    }

    fn take_events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }
}

fn key_of(service: &WatchedService) -> String {
    let meta = &service.metadata;
    format!(
        "{}/{}",
        meta.namespace.as_deref().unwrap(),
        meta.name.as_deref().unwrap()
    )
}

fn service_key(text: &str) -> ServiceKey {
    let (namespace, name) = text.split_once('/').unwrap();
    ServiceKey::new(namespace, name)
}

fn balancer(key: &str) -> WatchedService {
    WatchedService::test(key).load_balancer()
}

#[test]
fn the_lowest_address_goes_to_the_oldest_service() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[balancer("a/young").created(2), balancer("z/old").created(1)],
    );
    assert_eq!(world.status("z/old"), "pool: 192.0.2.0");
    assert_eq!(world.status("a/young"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        [
            "Normal IPAllocated old: Assigned IP [\"192.0.2.0\"]",
            "Normal IPAllocated young: Assigned IP [\"192.0.2.1\"]",
        ]
    );
}

#[test]
fn a_restart_takes_in_what_is_assigned_before_it_gives_out() {
    let held = balancer("ns/held")
        .created(9)
        .ingress("pool", &["192.0.2.0"]);
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[balancer("ns/waits").created(1), held],
    );
    assert_eq!(world.status("ns/held"), "pool: 192.0.2.0");
    assert_eq!(world.status("ns/waits"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        ["Normal IPAllocated waits: Assigned IP [\"192.0.2.1\"]"],
        "what is as it should be is not touched"
    );
}

#[test]
fn dual_stack_is_one_of_each_family() {
    for (policy, pools, status) in [
        (
            "RequireDualStack",
            pool("both", &["192.0.2.1/32", "2001:db8::1/128"]),
            "both: 192.0.2.1 2001:db8::1",
        ),
        (
            "PreferDualStack",
            pool("both", &["192.0.2.1/32", "2001:db8::1/128"]),
            "both: 192.0.2.1 2001:db8::1",
        ),
        (
            "PreferDualStack",
            pool("v4", &["192.0.2.1/32"]),
            "v4: 192.0.2.1",
        ),
        ("RequireDualStack", pool("v4", &["192.0.2.1/32"]), ""),
    ] {
        let world = World::start(&[pools], &[balancer("ns/dual").dual_stack(policy)]);
        assert_eq!(
            world.status("ns/dual"),
            status,
            "{policy}: {:?}",
            world.events
        );
    }
}

#[test]
fn the_second_family_comes_when_there_is_one() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.1/32"])],
        &[balancer("ns/dual").dual_stack("PreferDualStack")],
    );
    assert_eq!(
        world.take_events(),
        [
            "Normal IPAllocated dual: Assigned IP [\"192.0.2.1\"]",
            "Normal AdditionalAssignFailed dual: cannot assign additional IP in PreferDualStack: \
             no available IPs in pool \"pool\"",
        ]
    );
    world.apply_pool(pool("pool", &["192.0.2.1/32", "2001:db8::/64"]));
    assert_eq!(world.status("ns/dual"), "pool: 192.0.2.1 2001:db8::");
    assert_eq!(
        world.take_events(),
        ["Normal IPAllocated dual: Assigned additional IP \"2001:db8::\""]
    );
}

#[test]
fn an_exhausted_pool_is_told_once_and_a_freed_address_goes_to_who_waits() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.1/32"])],
        &[
            balancer("ns/first").created(1),
            balancer("ns/second").created(2),
            balancer("ns/third").created(3),
        ],
    );
    let refused = |name: &str| {
        format!(
            "Warning AllocationFailed {name}: Failed to allocate IP for \"ns/{name}\": no available IPs"
        )
    };
    assert_eq!(
        world.take_events()[1..],
        [refused("second"), refused("third")]
    );

    // Something else happens: no second complaint.
    world.apply(
        world.services["ns/second"]
            .clone()
            .annotation("note", "hello"),
    );
    world.apply_pool(pool("other", &["198.51.100.0/32"]));
    assert_eq!(world.status("ns/second"), "other: 198.51.100.0");
    assert_eq!(
        world.take_events().len(),
        1,
        "third is still refused, for the same reason"
    );

    world.delete("ns/first");
    assert_eq!(world.status("ns/third"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        ["Normal IPAllocated third: Assigned IP [\"192.0.2.1\"]"]
    );
}

#[test]
fn a_service_that_stops_being_a_balancer_is_cleared_and_its_address_freed() {
    for type_ in ["ClusterIP", "NodePort", "ExternalName"] {
        let mut world = World::start(
            &[pool("pool", &["192.0.2.1/32"])],
            &[
                balancer("ns/was").created(1),
                balancer("ns/waits").created(2),
            ],
        );
        assert_eq!(world.status("ns/was"), "pool: 192.0.2.1");
        world.apply(world.services["ns/was"].clone().type_(type_));
        assert_eq!(world.status("ns/was"), "", "{type_}");
        assert_eq!(world.status("ns/waits"), "pool: 192.0.2.1", "{type_}");
    }
}

#[test]
fn a_conflict_is_decided_again_and_gives_the_same_address() {
    let mut index = Index::new("");
    index.apply_pool(pool("pool", &["192.0.2.0/24"]));
    index.apply_service(&balancer("ns/web"));
    let (mut decider, _) = Decider::start(&mut index);
    let writes = |effects: Vec<Effect>| -> Vec<(Box<str>, String)> {
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Write(w) => {
                    Some((w.resource_version, w.assignment.unwrap().ips.to_string()))
                }
                Effect::Event(_) | Effect::Abandon => None,
            })
            .collect()
    };
    let first = "[\"192.0.2.0\"]".to_owned();
    assert_eq!(
        writes(decider.decide(&index)),
        [("1".into(), first.clone())]
    );
    // Somebody labels the Service while the write is on its way.
    index.apply_service(&balancer("ns/web").version(2).policy("SingleStack"));
    let key = service_key("ns/web");
    decider.service_changed(&index, &key);
    assert_eq!(writes(decider.decide(&index)), [], "one write at a time");
    decider.written(&index, &key);
    assert_eq!(writes(decider.decide(&index)), [("2".into(), first)]);
}

#[test]
fn news_from_before_our_write_changes_nothing() {
    let mut world = World::start(&[pool("pool", &["192.0.2.0/24"])], &[balancer("ns/web")]);
    world.take_events();
    world.tell(&balancer("ns/web").version(2));
    world.settle();
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.0");
    assert_eq!(world.take_events(), [""; 0]);
}

#[test]
fn an_invalid_pool_says_so_once_and_the_others_work() {
    let mut world = World::start(
        &[
            pool("bad", &["10.0.0.300/32"]),
            pool("good", &["192.0.2.0/24"]),
        ],
        &[balancer("ns/web")],
    );
    assert_eq!(world.status("ns/web"), "good: 192.0.2.0");
    let events = world.take_events();
    assert!(
        events[0].starts_with("Warning InvalidConfiguration bad: ")
            && events[0].contains("10.0.0.300"),
        "{events:?}"
    );
    world.apply_pool(pool("another", &["198.51.100.0/24"]));
    assert_eq!(world.take_events(), [""; 0], "told once");
    assert!(world.decider.is_stale());
    world.apply_pool(pool("bad", &["10.0.0.3/32"]));
    assert!(!world.decider.is_stale());
}

#[test]
fn an_invalid_edit_leaves_the_last_valid_form_in_effect() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[balancer("ns/old").created(1)],
    );
    world.apply_pool(pool("pool", &["192.0.2.9-192.0.2.1"]));
    world.apply(balancer("ns/new").created(2));
    assert_eq!(world.status("ns/old"), "pool: 192.0.2.0");
    assert_eq!(world.status("ns/new"), "pool: 192.0.2.1");
}

#[test]
fn what_is_held_from_an_invalid_pool_stays_over_a_restart() {
    let mut world = World::start(
        &[
            pool("broken", &["oops"]),
            pool("spare", &["198.51.100.0/24"]),
        ],
        &[balancer("ns/web").ingress("broken", &["192.0.2.7"])],
    );
    assert_eq!(world.status("ns/web"), "broken: 192.0.2.7");
    // Mended, with an older Service waiting that must not be given the address.
    world.apply(
        balancer("ns/greedy")
            .created(0)
            .annotation("metallb.io/address-pool", "broken"),
    );
    world.apply_pool(pool("broken", &["192.0.2.7-192.0.2.8"]));
    assert_eq!(world.status("ns/web"), "broken: 192.0.2.7");
    assert_eq!(world.status("ns/greedy"), "broken: 192.0.2.8");
    // Gone: now it is replaced, as upstream does.
    world.delete_pool("broken");
    assert_eq!(world.status("ns/web"), "spare: 198.51.100.0");
}

#[test]
fn no_pool_at_all_is_said_and_the_first_pool_helps() {
    let mut world = World::start(&[], &[balancer("ns/web")]);
    assert_eq!(
        world.take_events(),
        [
            "Warning AllocationFailed web: Failed to allocate IP for \"ns/web\": no IPAddressPool is \
          defined or valid"
        ]
    );
    world.apply_pool(pool("pool", &["192.0.2.0/24"]));
    assert_eq!(world.status("ns/web"), "pool: 192.0.2.0");
    world.delete_pool("pool");
    assert_eq!(world.status("ns/web"), "", "upstream clears too");
}

#[test]
fn an_address_that_left_its_pool_is_replaced_and_others_stay() {
    let mut world = World::start(
        &[pool("pool", &["192.0.2.0-192.0.2.1"])],
        &[balancer("ns/a").created(1), balancer("ns/b").created(2)],
    );
    world.take_events();
    world.apply_pool(pool("pool", &["192.0.2.1-192.0.2.3"]));
    assert_eq!(world.status("ns/a"), "pool: 192.0.2.2");
    assert_eq!(world.status("ns/b"), "pool: 192.0.2.1");
    assert_eq!(
        world.take_events(),
        [
            "Normal ClearAssignment a: current IP for \"ns/a\" not allowed by config, will attempt \
             for new IP assignment: [\"192.0.2.0\"] is not allowed in config",
            "Normal IPAllocated a: Assigned IP [\"192.0.2.2\"]",
        ]
    );
}

#[test]
fn two_that_hold_one_address_the_older_keeps_it() {
    let world = World::start(
        &[pool("pool", &["192.0.2.0/24"])],
        &[
            balancer("ns/young")
                .created(2)
                .ingress("pool", &["192.0.2.5"]),
            balancer("ns/old")
                .created(1)
                .ingress("pool", &["192.0.2.5"]),
        ],
    );
    assert_eq!(world.status("ns/old"), "pool: 192.0.2.5");
    assert_eq!(world.status("ns/young"), "pool: 192.0.2.0");
}

#[test]
fn a_renamed_pool_is_written_down() {
    let mut world = World::start(&[pool("old", &["192.0.2.0/24"])], &[balancer("ns/web")]);
    world.index.delete_pool("old");
    world.apply_pool(pool("new", &["192.0.2.0/24"]));
    assert_eq!(world.status("ns/web"), "new: 192.0.2.0");
}

#[test]
fn requests_are_met_or_refused_with_upstreams_words() {
    for (service, status, event) in [
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "192.0.2.9"),
            "pool: 192.0.2.9",
            "Normal IPAllocated",
        ),
        (
            balancer("ns/web").annotation("metallb.universe.tf/address-pool", "second"),
            "second: 198.51.100.0",
            "Normal IPAllocated",
        ),
        (
            balancer("ns/web").annotation("metallb.io/address-pool", "none"),
            "",
            "unknown pool \"none\"",
        ),
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "10.1.1.1"),
            "",
            "[\"10.1.1.1\"] is not allowed in config",
        ),
        (
            balancer("ns/web").annotation("metallb.io/loadBalancerIPs", "x"),
            "",
            "invalid metallb.io/loadBalancerIPs: \"x\"",
        ),
        (
            balancer("ns/web").policy("RequireDualStack"),
            "",
            "Warning notEnoughClusterIPs web: Service requires dual stack but not enough clusterips [10.96.0.1]",
        ),
        (
            balancer("ns/web").cluster_ips(&["None"]),
            "",
            "Warning noclusterIPsIPFamily",
        ),
    ] {
        let pools = [
            pool("pool", &["192.0.2.0/24"]),
            pool("second", &["198.51.100.0/24"]),
        ];
        let world = World::start(&pools, &[service]);
        assert_eq!(world.status("ns/web"), status, "{:?}", world.events);
        assert!(
            world.events.iter().any(|it| it.contains(event)),
            "{event}: {:?}",
            world.events
        );
    }
}

#[test]
fn only_services_of_our_class_are_served() {
    for (flag, class, served) in [
        ("", None, true),
        ("", Some("other"), false),
        ("ours", None, false),
        ("ours", Some("ours"), true),
    ] {
        let mut service = balancer("ns/web");
        if let Some(class) = class {
            service = service.class(class);
        }
        let touched = Index::new(flag).apply_service(&service);
        assert_eq!(
            touched != Touched::Nothing,
            served,
            "--lb-class={flag:?} class {class:?}"
        );
    }
}

#[test]
fn an_address_goes_on_when_the_status_that_shows_it_is_written() {
    let mut index = Index::new("");
    index.apply_pool(pool("pool", &["192.0.2.1/32"]));
    let first = WatchedService::test("ns/first").load_balancer();
    let holding = first.clone().ingress("pool", &["192.0.2.1"]);
    index.apply_service(&holding);
    index.apply_service(&WatchedService::test("ns/second").load_balancer().created(1));
    let (mut decider, _) = Decider::start(&mut index);
    let written = |effects: Vec<Effect>| -> Vec<String> {
        let writes = effects.into_iter().filter_map(|effect| match effect {
            Effect::Write(write) => Some(format!(
                "{}: {:?}",
                write.key.name(),
                write.assignment.map(|it| it.ips)
            )),
            Effect::Event(_) | Effect::Abandon => None,
        });
        writes.collect()
    };
    assert!(written(decider.decide(&index)).is_empty());
    let key = service_key("ns/first");
    index.apply_service(&holding.clone().type_("ClusterIP").version(2));
    decider.service_changed(&index, &key);
    // Its status is to be cleared, and until that is done the address is not free.
    assert_eq!(written(decider.decide(&index)), ["first: None"]);
    let cleared = first.type_("ClusterIP").version(3);
    assert_eq!(index.apply_service(&cleared), Touched::Gone(key.clone()));
    decider.service_gone(&index, &key);
    decider.written(&index, &key);
    assert_eq!(
        written(decider.decide(&index)),
        ["second: Some([\"192.0.2.1\"])"]
    );
}
