//! Why a Service was refused, pool by pool.

mod story;

use metallb_config::ServiceAllocation;
use metallb_ipam::Request;
use story::{BOTH, Story, V4, V6, key, pool, ports, said, these};

impl Story {
    fn explain(&self, limit: usize, ask: impl FnOnce(&mut Request<'_>)) -> String {
        let key = key("s");
        let mut request = Request::new(&key, 0, V4);
        ask(&mut request);
        self.allocator.explain(&request, limit).to_string()
    }

    /// `how` is sharing key, backend key and port.
    fn explain_sharing(&self, how: [&str; 3], pool: Option<&str>) -> String {
        let (key, ports) = (key("s"), ports(how[2]));
        let mut request = Request::new(&key, 0, V4);
        (request.sharing_key, request.backend_key, request.ports) = (how[0], how[1], &ports);
        request.pool = pool;
        self.allocator.explain(&request, 9).to_string()
    }

    fn share(&mut self, name: &str, how: [&str; 3]) -> String {
        let (key, ports) = (key(name), ports(how[2]));
        let mut request = Request::new(&key, 0, V4);
        (request.sharing_key, request.backend_key, request.ports) = (how[0], how[1], &ports);
        said(self.allocator.allocate(&request))
    }
}

fn story() -> Story {
    let mut hidden = pool("hidden", "10.1.0.0/24");
    hidden.auto_assign = false;
    let mut foreign = pool("foreign", "10.2.0.0/24");
    foreign.service_allocation = Some(ServiceAllocation {
        namespaces: ["other".to_owned()].into(),
        ..ServiceAllocation::default()
    });
    let mut avoiding = pool("avoiding", "10.3.0.0/32 fd03::/64");
    avoiding.avoid_buggy_ips = true;
    let full = pool("full", "10.0.0.0/32");
    let mut story = Story::with(vec![hidden, foreign, avoiding, full]);
    assert_eq!(story.allocate("first", V4), "full: 10.0.0.0");
    story
}

#[test]
fn every_pool_has_its_reason() {
    let story = story();
    assert_eq!(
        story.explain(9, |_| ()),
        "no available IPs in pool \"avoiding\" for ipv4 IPFamily; \
         no available IPs in pool \"full\"; \
         pool foreign not compatible for ip assignment; \
         pool hidden is for those who ask for it: its autoAssign is false"
    );
    assert_eq!(
        story.explain(9, |it| it.families = BOTH),
        "no available IPs in pool \"avoiding\" for dual IPFamily; \
         no available IPs in pool \"full\"; \
         pool foreign not compatible for ip assignment; \
         pool hidden is for those who ask for it: its autoAssign is false"
    );
    // A pool that has something is none that refuses.
    let v6 = story.explain(9, |it| it.families = V6);
    assert!(!v6.contains("avoiding"), "{v6}");
}

#[test]
fn what_is_asked_for_is_explained() {
    let story = story();
    for (pool, reason) in [
        ("full", "no available IPs in pool \"full\""),
        ("foreign", "pool foreign not compatible for ip assignment"),
        ("hidden", ""),
        ("nowhere", ""),
    ] {
        assert_eq!(story.explain(9, |it| it.pool = Some(pool)), reason);
    }
    for (ips, families, reason) in [
        (
            "10.0.0.0",
            V4,
            "can't change sharing key for \"default/s\", address also in use by default/first: \
             existing service does not allow sharing on \"10.0.0.0\"",
        ),
        (
            "10.2.0.9",
            V4,
            "pool foreign not compatible for ip assignment",
        ),
        (
            "10.3.0.0",
            V4,
            "pool avoiding does not give out \"10.3.0.0\": it has avoidBuggyIPs",
        ),
        (
            "10.1.0.9 fd03::9",
            BOTH,
            "pool hidden has \"10.1.0.9\" but not the other address: both must be in one pool; \
             pool avoiding has \"fd03::9\" but not the other address: both must be in one pool",
        ),
        ("10.1.0.9", V4, ""),
        ("10.9.0.9", V4, ""),
    ] {
        let ips = Some(these(ips));
        let explained = story.explain(9, |it| (it.ips, it.families) = (ips, families));
        assert_eq!(explained, reason);
    }
}

#[test]
fn many_pools_make_no_long_message() {
    let mut pools: Vec<_> = (0..10_000)
        .map(|n| pool(&format!("p{n:05}"), &format!("fd00:{n:x}::/64")))
        .collect();
    for pool in &mut pools[..9_999] {
        pool.auto_assign = false;
    }
    let story = Story::with(pools);
    // Those that could have had something first.
    assert_eq!(
        story.explain(2, |_| ()),
        "no available IPs in pool \"p09999\" for ipv4 IPFamily; \
         pool p00000 is for those who ask for it: its autoAssign is false; and 9998 more pools"
    );
    assert_eq!(story.explain(0, |_| ()), "; and 10000 more pools");
}

#[test]
fn a_full_pool_that_others_share_says_why_not_with_this_one() {
    let mut story = Story::of(&[("full", "10.0.0.0/31")]);
    assert_eq!(story.share("a", ["k", "", "tcp/80"]), "full: 10.0.0.0");
    assert_eq!(
        story.share("b", ["k", "app=web", "tcp/80"]),
        "full: 10.0.0.1"
    );
    let full = "no available IPs in pool \"full\"";
    let in_use = "can't change sharing key for \"default/s\", address also in use by";
    for (sharing, backend, wanted, more) in [
        ("", "", "tcp/80", String::new()),
        ("other", "", "tcp/80", String::new()),
        (
            "k",
            "",
            "tcp/443 tcp/80",
            " and none to share: port TCP/80 is already in use on \"10.0.0.0\" by default/a".into(),
        ),
        (
            "k",
            "app=web",
            "tcp/80",
            " and none to share: port TCP/80 is already in use on \"10.0.0.1\" by default/b".into(),
        ),
        (
            "k",
            "app=api",
            "tcp/81",
            format!(
                " and none to share: {in_use} default/a: backend key \"app=api\" does not match \
                 existing sharing key \"\" on \"10.0.0.0\""
            ),
        ),
    ] {
        for pool in [None, Some("full")] {
            let explained = story.explain_sharing([sharing, backend, wanted], pool);
            assert_eq!(explained, format!("{full}{more}"));
        }
    }
}
