//! Who gets which address, rule by rule.

use std::net::IpAddr;

use metallb_config::{AddrRange, Config, Family, Pool, ServiceAllocation};
use metallb_ipam::{
    Allocator, Assignment, Counters, Families, Ips, PoolsChanged, Refusal, Request, ServiceKey,
    Usage,
};

const V4: Families = Families::One(Family::V4);
const V6: Families = Families::One(Family::V6);
const BOTH: Families = Families::Both;
const PREFER: Families = Families::PreferBoth { first: Family::V4 };
const PREFER_V6: Families = Families::PreferBoth { first: Family::V6 };

/// What is asked for beside the families.
type Ask = fn(&mut Request<'_>);

/// An allocator and its pools, as a story tells them.
#[derive(Default)]
struct Story {
    pools: Vec<Pool>,
    allocator: Allocator,
}

impl Story {
    /// Pools with these addresses, in this order.
    fn of(pools: &[(&str, &str)]) -> Self {
        let mut story = Self::default();
        for (name, ranges) in pools {
            story.pools.push(pool(name, ranges));
        }
        story.apply();
        story
    }

    fn with(pools: Vec<Pool>) -> Self {
        let mut story = Self {
            pools,
            ..Self::default()
        };
        story.apply();
        story
    }

    fn apply(&mut self) -> PoolsChanged {
        let mut config = Config::default();
        for pool in &self.pools {
            config.add_pool(pool.clone()).expect("sound pools");
        }
        self.allocator.set_pools(&config)
    }

    /// The addresses that `name` is given, or why not.
    fn allocate(&mut self, name: &str, families: Families) -> String {
        self.ask(name, |request| request.families = families)
    }

    fn ask(&mut self, name: &str, ask: impl FnOnce(&mut Request<'_>)) -> String {
        let key = key(name);
        let mut request = Request::new(&key, 0, V4);
        ask(&mut request);
        said(self.allocator.allocate(&request))
    }

    fn adopt(&mut self, name: &str, created: i64, addresses: &str) -> String {
        let key = key(name);
        let request = Request::new(&key, created, families(addresses));
        match self.allocator.adopt(&request, &ips(addresses)) {
            Ok(adopted) if adopted.displaced.is_empty() => said(Ok(adopted.assignment)),
            Ok(adopted) => {
                format!(
                    "{}, not {:?}",
                    said(Ok(adopted.assignment)),
                    adopted.displaced
                )
            }
            Err(refusal) => said(Err(refusal)),
        }
    }

    fn holds(&self, name: &str) -> Option<String> {
        self.allocator
            .assignment(&key(name))
            .map(|held| said(Ok(held.clone())))
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name)
}

fn pool(name: &str, ranges: &str) -> Pool {
    let ranges = ranges
        .split_whitespace()
        .map(|it| it.parse().expect("a range"));
    Pool::new(name, ranges.collect()).expect("a sound pool")
}

fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace()
        .map(|ip| ip.parse().expect("an address"))
        .collect()
}

fn these(text: &str) -> Ips {
    Ips::try_from(&*ips(text)).expect("addresses of one Service")
}

fn families(addresses: &str) -> Families {
    Families::of_cluster_ips(&ips(addresses), false).unwrap_or(BOTH)
}

/// `pool: address address`, or the refusal.
fn said(result: Result<Assignment, Refusal>) -> String {
    match result {
        Ok(Assignment { pool, ips }) => {
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            format!("{pool}: {}", ips.join(" "))
        }
        Err(refusal) => refusal.to_string(),
    }
}

#[test]
fn the_lowest_free_address_is_next() {
    let mut story = Story::of(&[("p", "10.0.0.0/30")]);
    for (name, got) in [
        ("a", "p: 10.0.0.0"),
        ("b", "p: 10.0.0.1"),
        ("c", "p: 10.0.0.2"),
    ] {
        assert_eq!(story.allocate(name, V4), got);
        // Who asks again keeps what he has.
        assert_eq!(story.allocate(name, V4), got);
    }
    let freed = story.allocator.release(&key("b"));
    assert_eq!(freed.map(|it| it.ips), Some(these("10.0.0.1")));
    assert_eq!(story.allocator.release(&key("b")), None);
    assert_eq!(story.allocate("d", V4), "p: 10.0.0.1");
    assert_eq!(story.allocate("e", V4), "p: 10.0.0.3");
    assert_eq!(story.allocate("f", V4), "no available IPs");
    assert_eq!(story.allocator.holder(ips("10.0.0.3")[0]), Some(&key("e")));
}

#[test]
fn ranges_are_used_up_in_the_order_of_the_pool() {
    let mut story = Story::of(&[("p", "10.0.9.0/32 fd00::7-fd00::8 10.0.1.0-10.0.1.1")]);
    for (name, families, got) in [
        ("a", V4, "p: 10.0.9.0"),
        ("b", V4, "p: 10.0.1.0"),
        ("c", V6, "p: fd00::7"),
        ("d", V4, "p: 10.0.1.1"),
        ("e", V4, "no available IPs"),
        ("f", V6, "p: fd00::8"),
    ] {
        assert_eq!(story.allocate(name, families), got);
    }
}

#[test]
fn pools_are_used_up_in_the_order_of_their_names() {
    let mut hidden = pool("a-hidden", "10.9.0.0/24");
    hidden.auto_assign = false;
    let mut story = Story::with(vec![
        pool("z", "10.0.0.0/32"),
        hidden,
        pool("b", "10.1.0.0/32"),
    ]);
    assert_eq!(story.allocate("a", V4), "b: 10.1.0.0");
    assert_eq!(story.allocate("b", V4), "z: 10.0.0.0");
    assert_eq!(story.allocate("c", V4), "no available IPs");
    // One that is not for everybody is given to those who name it.
    assert_eq!(
        story.ask("c", |it| it.pool = Some("a-hidden")),
        "a-hidden: 10.9.0.0"
    );
    let wanted = these("10.9.0.7");
    assert_eq!(
        story.ask("d", |it| it.ips = Some(wanted)),
        "a-hidden: 10.9.0.7"
    );
}

#[test]
fn buggy_addresses_are_left_out() {
    let mut avoiding = pool("p", "10.0.0.254-10.0.1.2 10.0.2.0/32 fd00::ff-fd00::100");
    avoiding.avoid_buggy_ips = true;
    let mut story = Story::with(vec![avoiding]);
    let usage = |total, in_use| Usage { total, in_use };
    let start = Counters {
        ipv4: usage(3, 0),
        ipv6: usage(2, 0),
        services: 0,
    };
    assert_eq!(story.allocator.counters("p"), Some(start));
    for (name, families, got) in [
        ("a", V4, "p: 10.0.0.254"),
        ("b", V4, "p: 10.0.1.1"),
        ("c", V4, "p: 10.0.1.2"),
        ("d", V4, "no available IPs"),
        ("e", V6, "p: fd00::ff"),
        ("f", V6, "p: fd00::100"),
    ] {
        assert_eq!(story.allocate(name, families), got);
    }
    for buggy in ["10.0.0.255", "10.0.1.0", "10.0.2.0"] {
        let refused = format!("[\"{buggy}\"] is not allowed in config");
        assert_eq!(story.ask("g", |it| it.ips = Some(these(buggy))), refused);
        assert_eq!(story.adopt("g", 0, buggy), refused);
        assert_eq!(story.allocator.holder(ips(buggy)[0]), None);
    }
}

#[test]
fn capacities() {
    for (ranges, avoid, ipv4, ipv6) in [
        ("10.0.0.0/24", false, 256, 0),
        ("10.0.0.0/24", true, 254, 0),
        ("10.0.0.0/16", true, 65_536 - 512, 0),
        ("10.0.0.0/32", true, 0, 0),
        ("10.0.0.1/32", true, 1, 0),
        ("10.0.0.128/25", true, 127, 0),
        ("10.0.0.255-10.0.1.0", true, 0, 0),
        ("0.0.0.0/0", false, 1 << 32, 0),
        ("0.0.0.0/0", true, 254 << 24, 0),
        ("10.0.0.0/24 fd00::/120", false, 256, 256),
        ("fd00::/66", true, 0, 1 << 62),
        ("fd00::/64", true, 0, i64::MAX),
        ("::/0", false, 0, i64::MAX),
    ] {
        let mut pool = pool("p", ranges);
        pool.avoid_buggy_ips = avoid;
        let story = Story::with(vec![pool]);
        let counters = story.allocator.counters("p").expect("the pool");
        assert_eq!(
            (counters.ipv4.total, counters.ipv6.total),
            (ipv4, ipv6),
            "{ranges} {avoid}"
        );
    }
    assert_eq!(Story::default().allocator.counters("p"), None);
}

#[test]
fn all_of_ipv6_is_not_too_much() {
    let mut story = Story::of(&[("p", "::/0")]);
    assert_eq!(story.allocate("a", V6), "p: ::");
    let last_but_one = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe";
    assert_eq!(
        story.adopt("b", 0, last_but_one),
        format!("p: {last_but_one}")
    );
    assert_eq!(story.allocate("c", V6), "p: ::1");
}

#[test]
fn two_families_come_from_one_pool() {
    let pools = [
        ("a4", "10.0.0.0/31"),
        ("b6", "fd00::/127"),
        ("c", "10.1.0.0/32 fd01::/127"),
    ];
    for (families, got) in [
        (
            V4,
            [
                "a4: 10.0.0.0",
                "a4: 10.0.0.1",
                "c: 10.1.0.0",
                "no available IPs",
            ],
        ),
        (V6, ["b6: fd00::", "b6: fd00::1", "c: fd01::", "c: fd01::1"]),
        (
            BOTH,
            [
                "c: 10.1.0.0 fd01::",
                "no available IPs",
                "no available IPs",
                "no available IPs",
            ],
        ),
        // Rather one than none; the first family before the second.
        (
            PREFER,
            [
                "c: 10.1.0.0 fd01::",
                "a4: 10.0.0.0",
                "a4: 10.0.0.1",
                "b6: fd00::",
            ],
        ),
        // In this order whatever the first family is.
        (
            PREFER_V6,
            [
                "c: 10.1.0.0 fd01::",
                "b6: fd00::",
                "b6: fd00::1",
                "c: fd01::1",
            ],
        ),
    ] {
        let mut story = Story::of(&pools);
        let given: Vec<_> = (0..4)
            .map(|n| story.allocate(&n.to_string(), families))
            .collect();
        assert_eq!(given, got, "{families:?}");
    }
}

#[test]
fn a_pool_can_be_asked_for() {
    let pools = [
        ("a", "10.0.0.0/24"),
        ("b", "10.1.0.0/32 fd01::/127"),
        ("c", "10.2.0.0/32"),
    ];
    let mut story = Story::of(&pools);
    let mut ask = |name: &str, pool: &'static str, families| {
        story.ask(name, |it| (it.pool, it.families) = (Some(pool), families))
    };
    assert_eq!(ask("1", "b", BOTH), "b: 10.1.0.0 fd01::");
    assert_eq!(
        ask("2", "b", V4),
        "no available IPs in pool \"b\" for ipv4 IPFamily"
    );
    assert_eq!(
        ask("2", "b", BOTH),
        "no available IPs in pool \"b\" for dual IPFamily"
    );
    assert_eq!(ask("2", "b", PREFER), "b: fd01::1");
    assert_eq!(ask("3", "b", PREFER), "no available IPs in pool \"b\"");
    assert_eq!(
        ask("3", "c", V6),
        "no available IPs in pool \"c\" for ipv6 IPFamily"
    );
    assert_eq!(ask("3", "d", V4), "unknown pool \"d\"");
    assert_eq!(ask("3", "c", V4), "c: 10.2.0.0");
    // Who asks for another pool gives up what he has.
    assert_eq!(ask("3", "a", V4), "a: 10.0.0.0");
    assert_eq!(ask("4", "c", V4), "c: 10.2.0.0");
}

#[test]
fn addresses_can_be_asked_for() {
    let mut story = Story::of(&[
        ("a", "10.0.0.0/24 fd00::/64"),
        ("b", "10.1.0.0/24 fd01::/64"),
    ]);
    assert_eq!(story.allocate("old", V4), "a: 10.0.0.0");
    let mut ask = |ips, pool, families| {
        let ips = Some(these(ips));
        story.ask("new", |it| {
            (it.ips, it.pool, it.families) = (ips, pool, families);
        })
    };
    assert_eq!(ask("10.1.0.9", None, V4), "b: 10.1.0.9");
    assert_eq!(ask("10.1.0.9", Some("b"), V4), "b: 10.1.0.9");
    // In the order in which they are asked for.
    assert_eq!(ask("fd00::5 10.0.0.5", None, BOTH), "a: fd00::5 10.0.0.5");
    // The other order is no other request.
    assert_eq!(ask("10.0.0.5 fd00::5", None, PREFER), "a: fd00::5 10.0.0.5");
    for (ips, pool, families, refusal) in [
        (
            "10.1.0.9",
            Some("a"),
            V4,
            "requested loadBalancer IP(s) [\"10.1.0.9\"] is not compatible with requested address \
             pool a",
        ),
        (
            "10.2.0.1",
            None,
            V4,
            "[\"10.2.0.1\"] is not allowed in config",
        ),
        (
            "10.0.0.5 fd01::5",
            None,
            BOTH,
            "[\"10.0.0.5\" \"fd01::5\"] is not allowed in config",
        ),
        (
            "10.0.0.5",
            None,
            V6,
            "requested loadBalancer IP(s) [\"10.0.0.5\"] does not match the ipFamily of the service",
        ),
        (
            "10.0.0.5",
            None,
            BOTH,
            "requested loadBalancer IP(s) [\"10.0.0.5\"] does not match the \
          ipFamily of the service",
        ),
        (
            "10.0.0.5",
            None,
            PREFER,
            "requested loadBalancer IP(s) [\"10.0.0.5\"] does not match \
          the ipFamily of the service",
        ),
        (
            "10.0.0.0",
            None,
            V4,
            "address \"10.0.0.0\" is in use by default/old: existing service does not allow sharing",
        ),
    ] {
        assert_eq!(ask(ips, pool, families), refusal);
    }
    // Nothing is held after a refusal.
    assert_eq!(story.holds("new"), None);
}

#[test]
fn reserved_pools_go_first_by_priority() {
    let reserved = |name: &str, range: &str, priority| {
        let mut pool = pool(name, range);
        let namespaces = ["default".to_owned()].into();
        pool.service_allocation = Some(ServiceAllocation {
            priority,
            namespaces,
            ..ServiceAllocation::default()
        });
        pool
    };
    let mut foreign = reserved("foreign", "10.7.0.0/24", 1);
    foreign
        .service_allocation
        .as_mut()
        .expect("it has one")
        .namespaces = ["other".to_owned()].into();
    let mut unasked = reserved("unasked", "10.8.0.0/24", 1);
    unasked.auto_assign = false;
    let mut story = Story::with(vec![
        pool("general", "10.0.0.0/32"),
        reserved("zero", "10.1.0.0/32", 0),
        reserved("y-twenty", "10.2.0.0/32", 20),
        reserved("x-twenty", "10.3.0.0/32", 20),
        reserved("z-one", "10.4.0.0/32", 1),
        foreign,
        unasked,
    ]);
    for got in [
        "z-one: 10.4.0.0",
        "x-twenty: 10.3.0.0",
        "y-twenty: 10.2.0.0",
        "zero: 10.1.0.0",
        "general: 10.0.0.0",
        "no available IPs",
    ] {
        assert_eq!(story.allocate(got, V4), got);
    }
    let refused = "pool foreign not compatible for ip assignment";
    assert_eq!(story.ask("f", |it| it.pool = Some("foreign")), refused);
    assert_eq!(
        story.ask("f", |it| it.ips = Some(these("10.7.0.3"))),
        refused
    );
    assert_eq!(story.adopt("f", 0, "10.7.0.3"), refused);
    assert_eq!(
        story.ask("f", |it| it.pool = Some("unasked")),
        "unasked: 10.8.0.0"
    );
}

#[test]
fn a_reserved_pool_with_one_family_goes_before_general_ones_with_both() {
    let mut reserved = pool("reserved", "10.1.0.0/24");
    reserved.service_allocation = Some(ServiceAllocation::default());
    let mut story = Story::with(vec![pool("general", "10.0.0.0/24 fd00::/64"), reserved]);
    assert_eq!(story.allocate("a", PREFER), "reserved: 10.1.0.0");
    assert_eq!(story.allocate("b", BOTH), "general: 10.0.0.0 fd00::");
}

#[test]
fn what_is_held_is_kept_while_it_is_what_is_asked_for() {
    let mut story = Story::of(&[("a", "10.0.0.0/24 fd00::/64"), ("b", "10.1.0.0/24")]);
    let adopt = |story: &mut Story, held: &str, ask: Ask| {
        let key = key("s");
        let mut request = Request::new(&key, 0, families(held));
        ask(&mut request);
        said(
            story
                .allocator
                .adopt(&request, &ips(held))
                .map(|adopted| adopted.assignment),
        )
    };
    let cases: [(&str, Ask, &str); 14] = [
        ("10.0.0.7", |_| (), "a: 10.0.0.7"),
        ("fd00::7 10.0.0.7", |_| (), "a: fd00::7 10.0.0.7"),
        (
            "fd00::7 10.0.0.7",
            |it| it.ips = Some(these("10.0.0.7 fd00::7")),
            "a: fd00::7 10.0.0.7",
        ),
        ("10.0.0.7", |it| it.families = PREFER, "a: 10.0.0.7"),
        (
            "10.0.0.7",
            |it| it.families = BOTH,
            "IP for wrong family assigned: [\"10.0.0.7\"] to a service of IPFamily dual",
        ),
        (
            "10.0.0.7 fd00::7",
            |it| it.families = V6,
            "IP for wrong family assigned: [\"10.0.0.7\" \"fd00::7\"] to a service of IPFamily ipv6",
        ),
        (
            "10.0.0.7",
            |it| it.families = V6,
            "IP for wrong family assigned: [\"10.0.0.7\"] to a service of IPFamily ipv6",
        ),
        ("10.0.0.7", |it| it.pool = Some("a"), "a: 10.0.0.7"),
        (
            "10.0.0.7",
            |it| it.pool = Some("b"),
            "[\"10.0.0.7\"] is in pool \"a\", and the service requests address pool \"b\"",
        ),
        (
            "10.0.0.7",
            |it| it.ips = Some(these("10.0.0.8")),
            "[\"10.0.0.7\"] is not what the service requests: [\"10.0.0.8\"]",
        ),
        (
            "10.9.0.7",
            |_| (),
            "[\"10.9.0.7\"] is not allowed in config",
        ),
        (
            "10.1.0.7 fd00::7",
            |_| (),
            "[\"10.1.0.7\" \"fd00::7\"] is not allowed in config",
        ),
        (
            "10.0.0.7 10.0.0.8",
            |_| (),
            "\"10.0.0.7\" \"10.0.0.8\" has the same family",
        ),
        ("", |_| (), "no addresses"),
    ];
    for (held, ask, refusal) in cases {
        assert_eq!(adopt(&mut story, held, ask), refusal);
        assert_eq!(
            story.holds("s").is_some(),
            refusal.starts_with("a: "),
            "{refusal}"
        );
    }
}

#[test]
fn of_two_that_hold_one_address_the_older_keeps_it() {
    // The status of both says so, whichever is seen first.
    let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/64")]);
    assert_eq!(story.adopt("old", 100, "10.0.0.5"), "p: 10.0.0.5");
    let refused =
        "address \"10.0.0.5\" is in use by default/old: existing service does not allow sharing";
    assert_eq!(story.adopt("young", 200, "10.0.0.5 fd00::5"), refused);
    assert_eq!(story.holds("young"), None);

    let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/64")]);
    assert_eq!(
        story.adopt("young", 200, "10.0.0.5 fd00::5"),
        "p: 10.0.0.5 fd00::5"
    );
    assert_eq!(story.adopt("younger", 300, "10.0.0.6"), "p: 10.0.0.6");
    assert_eq!(
        story.adopt("old", 100, "10.0.0.5"),
        "p: 10.0.0.5, not [default/young]"
    );
    // The other gets new ones; what it had beside the address is free.
    assert_eq!(story.holds("young"), None);
    assert_eq!(story.allocate("young", BOTH), "p: 10.0.0.0 fd00::");

    // Two at once, of which one is older.
    let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/64")]);
    story.adopt("oldest", 1, "10.0.0.5");
    story.adopt("young", 3, "fd00::5");
    assert!(
        story
            .adopt("old", 2, "10.0.0.5 fd00::5")
            .contains("in use by default/oldest")
    );
    assert_eq!(story.holds("young").as_deref(), Some("p: fd00::5"));

    // Of one age, the name decides.
    let mut story = Story::of(&[("p", "10.0.0.0/24")]);
    story.adopt("b", 1, "10.0.0.5");
    assert_eq!(
        story.adopt("a", 1, "10.0.0.5"),
        "p: 10.0.0.5, not [default/b]"
    );
    assert!(
        story
            .adopt("b", 1, "10.0.0.5")
            .contains("in use by default/a")
    );

    // Asking for an address of a younger one is in vain: it is not a conflict of records.
    assert!(
        story
            .ask("0", |it| it.ips = Some(these("10.0.0.5")))
            .contains("in use by default/a")
    );
}

#[test]
fn the_second_family_can_be_added() {
    let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/127"), ("q", "10.1.0.0/24")]);
    let add = |story: &mut Story, name: &str, families| {
        let key = key(name);
        let added = story.allocator.add_family(&Request::new(&key, 0, families));
        added
            .map(|added| added.map(|it| said(Ok(it))))
            .map_err(|refusal| refusal.to_string())
    };
    story.adopt("a", 0, "10.0.0.9");
    for families in [V4, BOTH] {
        assert_eq!(add(&mut story, "a", families), Ok(None));
    }
    // The address that was there stays the first.
    assert_eq!(
        add(&mut story, "a", PREFER),
        Ok(Some("p: 10.0.0.9 fd00::".to_owned()))
    );
    assert_eq!(add(&mut story, "a", PREFER), Ok(None));
    story.adopt("b", 0, "fd00::1");
    assert_eq!(
        add(&mut story, "b", PREFER),
        Ok(Some("p: fd00::1 10.0.0.0".to_owned()))
    );
    story.adopt("c", 0, "10.0.0.7");
    let refused = "no available IPs in pool \"p\" for ipv6 IPFamily".to_owned();
    assert_eq!(add(&mut story, "c", PREFER), Err(refused));
    assert_eq!(story.holds("c").as_deref(), Some("p: 10.0.0.7"));
    story.adopt("d", 0, "10.1.0.7");
    // Never from another pool.
    assert!(add(&mut story, "d", PREFER).is_err());
    assert_eq!(add(&mut story, "nobody", PREFER), Ok(None));
}

#[test]
fn pool_edits_move_only_what_left_all_pools() {
    let start = || {
        let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/64"), ("q", "10.1.0.0/24")]);
        story.adopt("both", 0, "10.0.0.5 fd00::5");
        story.adopt("four", 0, "10.0.0.255");
        story.adopt("other", 0, "10.1.0.5");
        story
    };
    let keys = |names: &[&str]| names.iter().map(|name| key(name)).collect::<Vec<_>>();
    for (pools, lost, renamed) in [
        // Nothing, another order, more, less but not theirs.
        ("p=10.0.0.0/24 fd00::/64;q=10.1.0.0/24", vec![], vec![]),
        ("p=fd00::/64 10.0.0.0/24;q=10.1.0.0/24", vec![], vec![]),
        (
            "p=10.0.0.0/24 fd00::/48;q=10.1.0.0/16;r=10.2.0.0/24",
            vec![],
            vec![],
        ),
        (
            "p=10.0.0.5/32 10.0.0.255/32 fd00::5/128;q=10.1.0.5/32",
            vec![],
            vec![],
        ),
        // Renamed, swapped, merged.
        (
            "x=10.0.0.0/24 fd00::/64;q=10.1.0.0/24",
            vec![],
            vec!["both", "four"],
        ),
        (
            "q=10.0.0.0/24 fd00::/64;p=10.1.0.0/24",
            vec![],
            vec!["both", "four", "other"],
        ),
        ("p=10.0.0.0/15 fd00::/64", vec![], vec!["other"]),
        // Split between Services, and between the addresses of one.
        (
            "p=10.0.0.0/25 fd00::/64;r=10.0.0.128/25;q=10.1.0.0/24",
            vec![],
            vec!["four"],
        ),
        (
            "p=10.0.0.0/24;r=fd00::/64;q=10.1.0.0/24",
            vec!["both"],
            vec![],
        ),
        // A dual-stack pool became a single one; a range shrank; a pool or all are gone.
        ("p=10.0.0.0/24;q=10.1.0.0/24", vec!["both"], vec![]),
        (
            "p=10.0.0.0/25 fd00::/64;q=10.1.0.0/24",
            vec!["four"],
            vec![],
        ),
        ("q=10.1.0.0/24", vec!["both", "four"], vec![]),
        ("", vec!["both", "four", "other"], vec![]),
    ] {
        let mut story = start();
        let parts = pools
            .split_terminator(';')
            .map(|it| it.split_once('=').expect("a pool"));
        story.pools = parts.map(|(name, ranges)| pool(name, ranges)).collect();
        let expected = PoolsChanged {
            lost: keys(&lost),
            renamed: keys(&renamed),
        };
        assert_eq!(story.apply(), expected, "{pools}");
        for (name, held) in [("both", "10.0.0.5 fd00::5"), ("four", "10.0.0.255")] {
            let holds = story.holds(name);
            let ips = holds
                .as_deref()
                .and_then(|it| it.split_once(": "))
                .map(|(_, ips)| ips);
            assert_eq!(ips, (!lost.contains(&name)).then_some(held), "{pools}");
        }
        let services: usize = story
            .allocator
            .all_counters()
            .map(|(_, it)| it.services)
            .sum();
        assert_eq!(services, 3 - lost.len(), "{pools}");
    }
}

#[test]
fn avoiding_buggy_addresses_takes_them_away() {
    let mut story = Story::of(&[("p", "10.0.0.0/24")]);
    for (name, ip) in [
        ("zero", "10.0.0.0"),
        ("one", "10.0.0.1"),
        ("last", "10.0.0.255"),
    ] {
        story.adopt(name, 0, ip);
    }
    story.pools[0].avoid_buggy_ips = true;
    let changed = story.apply();
    assert_eq!(
        changed,
        PoolsChanged {
            lost: vec![key("last"), key("zero")],
            renamed: vec![]
        }
    );
    assert_eq!(story.allocate("zero", V4), "p: 10.0.0.2");
}

#[test]
fn what_a_pool_says_of_services_is_no_change_of_addresses() {
    let mut story = Story::of(&[("p", "10.0.0.0/24")]);
    story.adopt("a", 0, "10.0.0.9");
    story.pools[0].auto_assign = false;
    story.pools[0].service_allocation = Some(ServiceAllocation {
        namespaces: ["other".to_owned()].into(),
        ..Default::default()
    });
    assert_eq!(story.apply(), PoolsChanged::default());
    assert_eq!(story.holds("a").as_deref(), Some("p: 10.0.0.9"));
    // It shows when the Service is looked at again.
    assert_eq!(
        story.adopt("a", 0, "10.0.0.9"),
        "pool p not compatible for ip assignment"
    );
    assert_eq!(story.allocate("b", V4), "no available IPs");
}

#[test]
fn counters_follow() {
    let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/120"), ("q", "10.1.0.0/31")]);
    story.allocate("a", BOTH);
    story.allocate("b", V4);
    story.allocate("c", V6);
    story.ask("d", |it| it.pool = Some("q"));
    story.allocator.release(&key("b"));
    let usage = |total, in_use| Usage { total, in_use };
    let counters: Vec<_> = story.allocator.all_counters().collect();
    let expected = [
        (
            "p",
            Counters {
                ipv4: usage(256, 1),
                ipv6: usage(256, 2),
                services: 2,
            },
        ),
        (
            "q",
            Counters {
                ipv4: usage(2, 1),
                ipv6: usage(0, 0),
                services: 1,
            },
        ),
    ];
    assert_eq!(counters, expected);
    assert_eq!(counters[0].1.ipv6.available(), 254);
}

#[test]
fn many_ranges_cost_no_more_than_one() {
    // Found by their order, not by looking at each.
    let ranges = (0..100_000).map(|n| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255));
    let ranges: Vec<AddrRange> = ranges.map(|it| it.parse().expect("a range")).collect();
    let mut story = Story::with(vec![Pool::new("p", ranges.clone()).expect("a sound pool")]);
    for (n, range) in ranges.iter().enumerate() {
        let key = key(&n.to_string());
        let given = story
            .allocator
            .allocate(&Request::new(&key, 0, V4))
            .expect("one is left");
        assert_eq!(given.ips[0], range.first());
    }
    assert_eq!(story.allocate("late", V4), "no available IPs");
}
