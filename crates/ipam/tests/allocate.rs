//! Who gets which address, rule by rule.

mod story;

use metallb_config::{AddrRange, Pool, ServiceAllocation};
use metallb_ipam::{Counters, Request, Usage};
use story::{BOTH, PREFER, PREFER_V6, Story, V4, V6, key, pool, these};

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
    assert_eq!(story.holders("10.0.0.3"), ["default/e"]);
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
        assert!(story.holders(buggy).is_empty());
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
            "can't change sharing key for \"default/new\", address also in use by default/old: \
             existing service does not allow sharing on \"10.0.0.0\"",
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

#[test]
fn many_pools_cost_no_more_than_one() {
    // Those that are used up are not looked at again.
    let names: Vec<_> = (0..10_000).map(|n| format!("p{n:05}")).collect();
    let range = |n: usize| format!("10.{}.{}.{}/32", n >> 16, n >> 8 & 255, n & 255);
    let pools = names
        .iter()
        .enumerate()
        .map(|(n, name)| pool(name, &range(n)));
    let mut story = Story::with(pools.collect());
    for name in &names {
        let given = story.allocate(name, PREFER);
        assert_eq!(given.split(':').next(), Some(&**name));
    }
    assert_eq!(story.allocate("late", PREFER), "no available IPs");
    story.allocator.release(&key("p00042"));
    assert_eq!(story.allocate("late", PREFER), "p00042: 10.0.0.42");
}
