//! Who keeps which address, rule by rule.

mod story;

use metallb_config::ServiceAllocation;
use metallb_ipam::{Counters, PoolsChanged, Request, Usage};
use story::{Ask, BOTH, PREFER, Story, V4, V6, families, ips, key, pool, said, these};

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
    let cases: [(&str, Ask, &str); 16] = [
        ("10.0.0.7", |_| (), "a: 10.0.0.7"),
        ("fd00::7 10.0.0.7", |_| (), "a: fd00::7 10.0.0.7"),
        (
            "fd00::7 10.0.0.7",
            |it| it.ips = Some(these("10.0.0.7 fd00::7")),
            "a: fd00::7 10.0.0.7",
        ),
        ("10.0.0.7", |it| it.families = PREFER, "a: 10.0.0.7"),
        // It asked for one, and was given the other family beside it later.
        (
            "10.0.0.7 fd00::7",
            |it| (it.families, it.ips) = (PREFER, Some(these("fd00::7"))),
            "a: 10.0.0.7 fd00::7",
        ),
        (
            "10.0.0.7 fd00::7",
            |it| (it.families, it.ips) = (PREFER, Some(these("fd00::8"))),
            "[\"10.0.0.7\" \"fd00::7\"] is not what the service requests: [\"fd00::8\"]",
        ),
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
    let refused = "can't change sharing key for \"default/young\", address also in use by \
                   default/old: existing service does not allow sharing on \"10.0.0.5\"";
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
            .contains("also in use by default/oldest")
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
            .contains("also in use by default/a")
    );

    // Asking for an address of a younger one is in vain: it is not a conflict of records.
    assert!(
        story
            .ask("0", |it| it.ips = Some(these("10.0.0.5")))
            .contains("also in use by default/a")
    );
}

#[test]
fn who_is_refused_something_else_keeps_what_it_has() {
    let mut story = Story::of(&[("p", "10.0.0.0/24")]);
    story.adopt("a", 1, "10.0.0.9");
    story.adopt("b", 0, "10.0.0.8");
    story.adopt("a", 1, "10.0.1.9");
    story.adopt("a", 1, "10.0.0.8");
    assert_eq!(story.holds("a").as_deref(), Some("p: 10.0.0.9"));
    assert_eq!(story.holds("b").as_deref(), Some("p: 10.0.0.8"));
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
fn what_a_status_still_shows_goes_to_nobody_else() {
    let mut story = Story::of(&[("p", "10.0.0.1-10.0.0.2")]);
    story.adopt("a", 0, "10.0.0.1");
    // It is told to move, and the status is not written yet.
    assert_eq!(
        story.ask("a", |it| it.ips = Some(these("10.0.0.2"))),
        "p: 10.0.0.2"
    );
    assert!(
        story
            .allocator
            .linger(&key("a"), &ips("10.0.0.1"))
            .is_empty()
    );
    assert_eq!(story.allocate("b", V4), "no available IPs");
    assert_eq!(
        story.ask("b", |it| it.ips = Some(these("10.0.0.1"))),
        "address \"10.0.0.1\" is being given up by default/a"
    );
    // Also not when the pool loses the address and has it again.
    story.pools = vec![pool("p", "10.0.0.2-10.0.0.3")];
    story.apply();
    story.pools = vec![pool("p", "10.0.0.1-10.0.0.2")];
    story.apply();
    assert_eq!(story.allocate("b", V4), "no available IPs");
    // The one that gives it up may think again.
    assert_eq!(story.adopt("a", 0, "10.0.0.1"), "p: 10.0.0.1");
    story.allocator.release(&key("a"));
    story.allocator.linger(&key("a"), &ips("10.0.0.1"));
    assert_eq!(story.allocate("a", V4), "p: 10.0.0.1");
    story.allocator.release(&key("a"));
    assert_eq!(story.allocate("b", V4), "p: 10.0.0.2");
    // Written, and free.
    assert_eq!(story.allocator.linger(&key("a"), &[]), *ips("10.0.0.1"));
    assert_eq!(story.allocate("c", V4), "p: 10.0.0.1");
}

#[test]
fn an_address_that_lingers_on_two_is_free_when_both_let_go() {
    let mut story = Story::of(&[("p", "10.0.0.1/32")]);
    for name in ["a", "b"] {
        story.allocator.linger(&key(name), &ips("10.0.0.1"));
    }
    assert!(story.allocator.linger(&key("a"), &[]).is_empty());
    assert_eq!(story.allocate("c", V4), "no available IPs");
    assert_eq!(story.allocator.linger(&key("b"), &[]), *ips("10.0.0.1"));
    assert_eq!(story.allocate("c", V4), "p: 10.0.0.1");
}
