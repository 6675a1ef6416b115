//! Who may share an address with whom, rule by rule.

mod story;

use metallb_config::ServiceAllocation;
use metallb_ipam::{Families, Request, Usage};
use story::{BOTH, PREFER, Story, V4, V6, adopted, families, ips, key, pool, ports, said, these};

/// How a Service shares: `key backend port port…`, with `-` for an empty key.
type How<'a> = &'a str;

impl Story {
    /// The addresses that `name` is given, or why not.
    fn share(&mut self, name: &str, how: How<'_>, wants: Families) -> String {
        self.share_asking(name, how, |it| it.families = wants)
    }

    fn share_asking(
        &mut self,
        name: &str,
        how: How<'_>,
        ask: impl FnOnce(&mut Request<'_>),
    ) -> String {
        let key = key(name);
        let how = read(how);
        let mut request = Request::new(&key, 0, V4);
        (request.sharing_key, request.backend_key) = (how.0, how.1);
        request.ports = &how.2;
        ask(&mut request);
        said(self.allocator.allocate(&request))
    }

    /// What comes of a status that holds `addresses`, and who had to make room.
    fn adopt_shared(&mut self, name: &str, created: i64, how: How<'_>, addresses: &str) -> String {
        let key = key(name);
        let how = read(how);
        let mut request = Request::new(&key, created, families(addresses));
        (request.sharing_key, request.backend_key) = (how.0, how.1);
        request.ports = &how.2;
        adopted(self.allocator.adopt(&request, &ips(addresses)))
    }
}

fn read(how: How<'_>) -> (&str, &str, Vec<metallb_ipam::Port>) {
    let mut parts = how
        .splitn(3, ' ')
        .map(|part| if part == "-" { "" } else { part });
    let (key, backend) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    (key, backend, ports(parts.next().unwrap_or("")))
}

#[test]
fn an_address_is_shared_when_keys_are_equal_and_ports_differ() {
    let in_use =
        "can't change sharing key for \"default/new\", address also in use by default/old: ";
    for (old, new, refusal) in [
        ("k - tcp/80", "k - tcp/81", None),
        ("k - tcp/80", "k - udp/80", None),
        ("k - tcp/80 udp/53", "k - tcp/53 udp/80 sctp/80", None),
        // Both local, with the same endpoints.
        ("k app=web tcp/80", "k app=web tcp/81", None),
        (
            "k - tcp/80",
            "k - tcp/443 tcp/80",
            Some("port TCP/80 is already in use on \"10.0.0.0\" by default/old".to_owned()),
        ),
        (
            "k - udp/53",
            "k - udp/53",
            Some("port UDP/53 is already in use on \"10.0.0.0\" by default/old".to_owned()),
        ),
        (
            "- - tcp/80",
            "k - tcp/81",
            Some(format!("{in_use}existing service does not allow sharing")),
        ),
        (
            "- - tcp/80",
            "- - tcp/81",
            Some(format!("{in_use}existing service does not allow sharing")),
        ),
        (
            "k - tcp/80",
            "- - tcp/81",
            Some(format!("{in_use}new service does not allow sharing")),
        ),
        (
            "k - tcp/80",
            "l - tcp/81",
            Some(format!(
                "{in_use}sharing key \"l\" does not match existing sharing key \"k\""
            )),
        ),
        // One local and one not; both local and not the same endpoints.
        (
            "k - tcp/80",
            "k app=web tcp/81",
            Some(format!(
                "{in_use}backend key \"app=web\" does not match existing sharing key \"\""
            )),
        ),
        (
            "k app=web tcp/80",
            "k - tcp/81",
            Some(format!(
                "{in_use}backend key \"\" does not match existing sharing key \"app=web\""
            )),
        ),
        (
            "k app=web tcp/80",
            "k app=api tcp/81",
            Some(format!(
                "{in_use}backend key \"app=api\" does not match existing sharing key \"app=web\""
            )),
        ),
    ] {
        let start = || {
            let mut story = Story::of(&[("p", "10.0.0.0/31")]);
            assert_eq!(story.share("old", old, V4), "p: 10.0.0.0");
            story
        };
        let got = if refusal.is_none() {
            "p: 10.0.0.0"
        } else {
            "p: 10.0.0.1"
        };
        assert_eq!(start().share("new", new, V4), got, "{old} {new}");
        // The same by name, and as a record.
        let wanted = Some(these("10.0.0.0"));
        let refusal = refusal.map(|it| {
            let on = if it.starts_with("port") {
                ""
            } else {
                " on \"10.0.0.0\""
            };
            format!("{it}{on}")
        });
        let expected = refusal.as_deref().unwrap_or("p: 10.0.0.0");
        assert_eq!(
            start().share_asking("new", new, |it| it.ips = wanted),
            expected
        );
        assert_eq!(start().adopt_shared("new", 1, new, "10.0.0.0"), expected);
    }
}

#[test]
fn the_lowest_address_that_is_free_or_can_be_shared() {
    let mut story = Story::of(&[("p", "10.0.0.0/29")]);
    for (name, how, got) in [
        ("alone", "- - tcp/80", "p: 10.0.0.0"),
        ("a80", "k - tcp/80", "p: 10.0.0.1"),
        ("b80", "k - tcp/80", "p: 10.0.0.2"),
        // There is a lower one to join than the lowest free one.
        ("a81", "k - tcp/81", "p: 10.0.0.1"),
        ("b81", "k - tcp/81", "p: 10.0.0.2"),
        ("c", "k - tcp/80 tcp/81", "p: 10.0.0.3"),
        ("d", "k - tcp/82", "p: 10.0.0.1"),
        ("local", "k app=web tcp/83", "p: 10.0.0.4"),
    ] {
        assert_eq!(story.share(name, how, V4), got, "{name}");
    }
    // A lower free one goes before a higher one to join.
    story.allocator.release(&key("alone"));
    assert_eq!(story.share("e", "k - tcp/90", V4), "p: 10.0.0.0");
    assert_eq!(
        story.holders("10.0.0.1"),
        ["default/a80", "default/a81", "default/d"]
    );
    // Whoever is left keeps the address.
    for name in ["a80", "a81"] {
        story.allocator.release(&key(name));
    }
    assert_eq!(story.share("f", "k - tcp/82", V4), "p: 10.0.0.0");
    assert_eq!(story.share("g", "k - tcp/82", V4), "p: 10.0.0.2");
    assert_eq!(story.holders("10.0.0.1"), ["default/d"]);
}

#[test]
fn a_pool_without_free_addresses_has_some_to_join() {
    let mut reserved = pool("reserved", "10.9.0.0/32");
    reserved.service_allocation = Some(ServiceAllocation::default());
    let mut story = Story::with(vec![
        pool("a", "10.0.0.0/32"),
        pool("b", "10.1.0.0/31 fd01::/128"),
        pool("c", "10.2.0.0/24 fd02::/64"),
    ]);
    for (name, how, families, got) in [
        ("1", "- - tcp/1", V4, "a: 10.0.0.0"),
        ("2", "k - tcp/1", V4, "b: 10.1.0.0"),
        ("3", "k - tcp/2", BOTH, "b: 10.1.0.0 fd01::"),
        ("4", "l - tcp/2", V4, "b: 10.1.0.1"),
        ("5", "- - tcp/1", V4, "c: 10.2.0.0"),
        // Pools before it are looked at too, though they have nothing free.
        ("6", "k - tcp/3", V4, "b: 10.1.0.0"),
        ("7", "k - tcp/3", V6, "b: fd01::"),
        ("8", "k - tcp/4", BOTH, "b: 10.1.0.0 fd01::"),
        ("9", "l - tcp/3", V4, "b: 10.1.0.1"),
        // One family of two is not enough.
        ("10", "l - tcp/4", BOTH, "c: 10.2.0.1 fd02::"),
        ("11", "k - tcp/1", V4, "c: 10.2.0.2"),
        ("12", "k - tcp/1 tcp/9", PREFER, "c: 10.2.0.3 fd02::1"),
    ] {
        assert_eq!(story.share(name, how, families), got, "{name}");
    }
    let ask = |story: &mut Story, how| story.share_asking("x", how, |it| it.pool = Some("b"));
    assert_eq!(ask(&mut story, "k - tcp/9"), "b: 10.1.0.0");
    // The port is free on its IPv6 address alone.
    assert_eq!(
        ask(&mut story, "k - tcp/1"),
        "no available IPs in pool \"b\" for ipv4 IPFamily"
    );
    assert_eq!(
        ask(&mut story, "m - tcp/9"),
        "no available IPs in pool \"b\""
    );
    // Reserved pools go before the others, to be joined too.
    story.pools.push(reserved);
    story.apply();
    assert_eq!(story.share("13", "k - tcp/10", V4), "reserved: 10.9.0.0");
    assert_eq!(story.share("14", "k - tcp/11", V4), "reserved: 10.9.0.0");
    assert_eq!(story.share("15", "k - tcp/11", V4), "b: 10.1.0.0");
}

#[test]
fn both_families_can_be_shared() {
    let mut story = Story::of(&[("p", "10.0.0.0/30 fd00::/126")]);
    assert_eq!(story.share("a", "k - tcp/1", V4), "p: 10.0.0.0");
    assert_eq!(story.share("b", "k - tcp/1", V6), "p: fd00::");
    // With one in one family, with another in the other.
    assert_eq!(story.share("c", "k - tcp/2", BOTH), "p: 10.0.0.0 fd00::");
    assert_eq!(story.share("d", "k - tcp/3", PREFER), "p: 10.0.0.0 fd00::");
    let wanted = Some(these("10.0.0.0 fd00::"));
    let ask = |it: &mut Request<'_>| (it.families, it.ips) = (BOTH, wanted);
    assert_eq!(
        story.share_asking("e", "k - tcp/4", ask),
        "p: 10.0.0.0 fd00::"
    );
    // The port is taken in one family.
    assert_eq!(
        story.share_asking("f", "k - tcp/1", |it| (it.families, it.ips) =
            (BOTH, wanted)),
        "port TCP/1 is already in use on \"10.0.0.0\" by default/a"
    );
    let counters = story.allocator.counters("p").expect("the pool");
    let usage = Usage {
        total: 4,
        in_use: 1,
    };
    assert_eq!(
        (counters.ipv4, counters.ipv6, counters.services),
        (usage, usage, 5)
    );
    // One of those who share asks for the other family.
    story.share("g", "k - tcp/9", V4);
    let key = key("g");
    let added = story.allocator.add_family(&Request::new(&key, 0, PREFER));
    let added = added.expect("there is one").expect("it lacks one");
    assert_eq!(said(Ok(added)), "p: 10.0.0.0 fd00::");
}

#[test]
fn who_shares_in_another_way_from_now_on() {
    let start = || {
        let mut story = Story::of(&[("p", "10.0.0.0/30")]);
        story.share("a", "k - tcp/1", V4);
        story
    };
    // A sole user may change all of it in place.
    for how in ["l - tcp/1", "k app=web tcp/1", "k - tcp/2", "- - tcp/1"] {
        let mut story = start();
        assert_eq!(story.share("a", how, V4), "p: 10.0.0.0");
        let mut story = start();
        assert_eq!(story.adopt_shared("a", 0, how, "10.0.0.0"), "p: 10.0.0.0");
        // The new way is in effect.
        let joins = if how == "k - tcp/2" {
            "p: 10.0.0.0"
        } else {
            "p: 10.0.0.1"
        };
        assert_eq!(story.share("b", "k - tcp/1", V4), joins, "{how}");
    }
    // One among others moves, however old it is; they stay.
    let in_use = "can't change sharing key for \"default/a\", address also in use by \
                  default/b,default/c: ";
    for (how, refusal) in [
        (
            "l - tcp/1",
            format!(
                "{in_use}sharing key \"l\" does not match existing sharing key \"k\" on \"10.0.0.0\""
            ),
        ),
        (
            "- - tcp/1",
            format!("{in_use}new service does not allow sharing on \"10.0.0.0\""),
        ),
        (
            "k x=y tcp/1",
            format!(
                "{in_use}backend key \"x=y\" does not match existing sharing key \"\" on \"10.0.0.0\""
            ),
        ),
        (
            "k - tcp/3",
            "port TCP/3 is already in use on \"10.0.0.0\" by default/c".to_owned(),
        ),
    ] {
        let others = |story: &mut Story| {
            story.share("b", "k - tcp/2", V4);
            story.share("c", "k - tcp/3", V4);
        };
        let mut story = start();
        others(&mut story);
        assert_eq!(story.adopt_shared("a", -9, how, "10.0.0.0"), refusal);
        assert_eq!(story.holders("10.0.0.0"), ["default/b", "default/c"]);
        let mut story = start();
        others(&mut story);
        assert_eq!(story.share("a", how, V4), "p: 10.0.0.1");
        assert_eq!(story.holders("10.0.0.0"), ["default/b", "default/c"]);
    }
    // A port more or less that is nobody else's changes nothing.
    let mut story = start();
    story.share("b", "k - tcp/2", V4);
    assert_eq!(story.share("a", "k - tcp/7 tcp/8", V4), "p: 10.0.0.0");
    assert_eq!(story.share("c", "k - tcp/1", V4), "p: 10.0.0.0");
    assert_eq!(story.share("d", "k - tcp/8", V4), "p: 10.0.0.1");
}

#[test]
fn of_records_that_cannot_share_the_older_keeps_the_address() {
    let start = || {
        let mut story = Story::of(&[("p", "10.0.0.0/24 fd00::/64")]);
        story.adopt_shared("a", 10, "k - tcp/1", "10.0.0.5");
        story.adopt_shared("b", 20, "k - tcp/2", "10.0.0.5 fd00::5");
        story.adopt_shared("c", 30, "k - tcp/3", "10.0.0.5");
        story
    };
    for (created, how, outcome) in [
        (15, "k - tcp/4", "p: 10.0.0.5"),
        // Only with whom it cannot share counts.
        (15, "k - tcp/3 tcp/4", "p: 10.0.0.5, not [default/c]"),
        (
            15,
            "k - tcp/2 tcp/3",
            "p: 10.0.0.5, not [default/b, default/c]",
        ),
        (
            15,
            "k - tcp/1 tcp/3",
            "port TCP/1 is already in use on \"10.0.0.5\" by default/a",
        ),
        (
            5,
            "l - tcp/9",
            "p: 10.0.0.5, not [default/a, default/b, default/c]",
        ),
        (
            5,
            "- - tcp/9",
            "p: 10.0.0.5, not [default/a, default/b, default/c]",
        ),
        (
            15,
            "l - tcp/9",
            "can't change sharing key for \"default/new\", address also in use by \
             default/a,default/b,default/c: sharing key \"l\" does not match existing sharing key \
             \"k\" on \"10.0.0.5\"",
        ),
    ] {
        let mut story = start();
        let said = story.adopt_shared("new", created, how, "10.0.0.5");
        assert_eq!(said, outcome, "{created} {how}");
        assert_eq!(story.holds("new").is_some(), outcome.starts_with("p: "));
        // What a displaced one had beside it is free.
        let displaced = outcome.contains("not [") && outcome.contains("default/b");
        assert_eq!(story.holders("fd00::5").is_empty(), displaced);
        assert_eq!(story.holds("b").is_none(), displaced);
    }
}

#[test]
fn those_who_share_move_together() {
    let mut story = Story::of(&[("p", "10.0.0.0/30 fd00::/64"), ("q", "10.1.0.0/24")]);
    story.share("a", "k - tcp/1", V4);
    story.share("b", "k - tcp/2", BOTH);
    story.share("c", "k - tcp/3", V4);
    // The pool has another name; one that has addresses of two pools now loses both.
    story.pools = vec![pool("r", "10.0.0.0/30"), pool("s", "fd00::/64")];
    let changed = story.apply();
    assert_eq!(
        (changed.lost, changed.renamed),
        (vec![key("b")], vec![key("a"), key("c")])
    );
    assert_eq!(story.holders("10.0.0.0"), ["default/a", "default/c"]);
    // They still share, and can be joined.
    assert_eq!(story.share("d", "k - tcp/2", V4), "r: 10.0.0.0");
    assert_eq!(story.share("e", "k - tcp/2", V4), "r: 10.0.0.1");
    story.pools = vec![pool("q", "10.1.0.0/24")];
    let changed = story.apply();
    assert_eq!(changed.lost, ["a", "c", "d", "e"].map(key));
    assert_eq!(story.share("f", "k - tcp/1", V4), "q: 10.1.0.0");
}

#[test]
fn nobody_joins_where_a_status_still_shows_the_address() {
    let mut story = Story::of(&[("p", "10.0.0.0/30")]);
    story.share("a", "k - tcp/1", V4);
    story.share("b", "k - tcp/2", V4);
    // It shares with others from now on, and its status is not written yet.
    assert_eq!(story.share("a", "l - tcp/1", V4), "p: 10.0.0.1");
    story.allocator.linger(&key("a"), &ips("10.0.0.0"));
    assert_eq!(story.share("c", "k - tcp/1", V4), "p: 10.0.0.2");
    // Who was there stays.
    assert_eq!(story.share("b", "k - tcp/2", V4), "p: 10.0.0.0");
    story.allocator.linger(&key("a"), &[]);
    assert_eq!(story.share("d", "k - tcp/1", V4), "p: 10.0.0.0");
}

#[test]
fn a_message_names_a_few() {
    let mut story = Story::of(&[("p", "10.0.0.0/24")]);
    for n in 0..20 {
        story.share(&format!("s{n:02}"), &format!("k - tcp/{n}"), V4);
    }
    assert_eq!(
        story.share_asking("x", "- - tcp/1", |it| it.ips = Some(these("10.0.0.0"))),
        "can't change sharing key for \"default/x\", address also in use by \
         default/s00,default/s01,default/s02,default/s03,default/s04 and 15 more: new service \
         does not allow sharing on \"10.0.0.0\""
    );
}

#[test]
fn many_conflicts_cost_little() {
    // All with one key and one port, as a template would have it: none can join another.
    let mut story = Story::of(&[("p", "10.0.0.0/16")]);
    for n in 0..20_000 {
        let given = story.share(&n.to_string(), "k - tcp/443", V4);
        assert_eq!(given, format!("p: 10.0.{}.{}", n >> 8, n & 255));
    }
    assert_eq!(story.share("other", "k - tcp/80", V4), "p: 10.0.0.0");
    // And as many on one address as there are ports.
    for n in 1..20_000 {
        let given = story.share(&format!("l{n}"), &format!("l - tcp/{n}"), V4);
        assert_eq!(given, "p: 10.0.78.32");
    }
    let last = story.holders("10.0.78.32");
    assert_eq!(last.len(), 19_999);
    let counters = story.allocator.counters("p").expect("the pool");
    assert_eq!((counters.ipv4.in_use, counters.services), (20_001, 40_000));
}
