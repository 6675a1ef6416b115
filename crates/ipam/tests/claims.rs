//! Who keeps an address that several statuses show: the same for those who announce as for the one
//! who gives.

mod story;

use std::collections::BTreeSet;
use std::net::IpAddr;

use metallb_config::ObjectKey;
use metallb_ipam::{Allocator, Claim, Claims, Request, Share};
use metallb_seeds::{Dice, for_each_seed};
use story::{BOTH, Story, V4, V6, ips, key, pool, ports};

/// A Service, as far as it claims addresses.
struct Shown {
    created: i64,
    ips: Vec<IpAddr>,
    share: Option<Share>,
}

impl Claim for Shown {
    fn created(&self) -> i64 {
        self.created
    }

    fn ips(&self) -> &[IpAddr] {
        &self.ips
    }

    fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }
}

/// Says that `name` shows these addresses; gives those for whom it may make a difference.
fn show(
    claims: &mut Claims<Shown>,
    name: &str,
    created: i64,
    shown: &str,
    how: &str,
) -> Vec<String> {
    let (sharing, used) = how.split_once(' ').unwrap_or(("", ""));
    let share = Share::new(sharing, "", &ports(used));
    let ips = ips(shown);
    let service = Shown {
        created,
        ips,
        share,
    };
    let others = claims.insert(&key(name), service);
    others.iter().map(|it| it.name().to_owned()).collect()
}

/// Who has the address of this one instead of it.
fn keeper<'a>(claims: &'a Claims<Shown>, name: &str) -> Option<&'a str> {
    claims.keeper_instead_of(&key(name)).map(ObjectKey::name)
}

#[test]
fn the_oldest_keeps_what_cannot_be_shared() {
    let mut claims = Claims::default();
    assert!(show(&mut claims, "young", 2, "10.0.0.1", "").is_empty());
    assert_eq!(keeper(&claims, "young"), None);
    assert_eq!(
        show(&mut claims, "old", 1, "10.0.0.1 fd00::1", ""),
        ["young"]
    );
    assert_eq!(keeper(&claims, "old"), None);
    assert_eq!(keeper(&claims, "young"), Some("old"));
    // Its other address is another's, who is older still: it keeps nothing.
    assert_eq!(
        show(&mut claims, "oldest", 0, "fd00::1", ""),
        ["old", "young"]
    );
    assert_eq!(keeper(&claims, "old"), Some("oldest"));
    assert_eq!(keeper(&claims, "young"), None);
    // Two that may share, and a third that may not with one of them.
    show(&mut claims, "a", 3, "10.0.0.2", "k tcp/1");
    assert!(show(&mut claims, "b", 4, "10.0.0.2", "k tcp/2").is_empty());
    assert_eq!(show(&mut claims, "c", 5, "10.0.0.2", "k tcp/2"), ["b"]);
    let kept = ["a", "b", "c"].map(|name| keeper(&claims, name));
    assert_eq!(kept, [None, None, Some("b")]);
    // It shows something else, or nothing.
    assert_eq!(show(&mut claims, "b", 4, "10.0.0.3", "k tcp/2"), ["c"]);
    assert_eq!(keeper(&claims, "c"), None);
    let (_, others) = claims.remove(&key("oldest"));
    assert_eq!(others, BTreeSet::from([key("old"), key("young")]));
    assert_eq!(keeper(&claims, "young"), Some("old"));
    assert_eq!(keeper(&claims, "unknown"), None);
}

#[test]
fn those_who_share_go_together_over_both_families() {
    let mut claims = Claims::default();
    let mut shows = |name: &str, shown: &str| drop(show(&mut claims, name, 0, shown, ""));
    shows("dual", "10.0.0.1 fd00::1");
    shows("four", "10.0.0.1");
    shows("six", "fd00::1");
    shows("other", "10.0.0.2");
    let group = |claims: &Claims<Shown>, name: &str| {
        let group = claims.group(&key(name));
        group
            .iter()
            .map(|it| it.name().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(group(&claims, "four"), ["dual", "four", "six"]);
    assert_eq!(group(&claims, "other"), ["other"]);
    assert_eq!(group(&claims, "unknown"), ["unknown"]);
    show(&mut claims, "dual", 0, "10.0.0.2", "");
    assert_eq!(group(&claims, "four"), ["four"]);
    assert_eq!(group(&claims, "other"), ["dual", "other"]);
    for name in ["dual", "four", "six", "other"] {
        claims.remove(&key(name));
    }
    let left = ips("10.0.0.1 10.0.0.2 fd00::1").into_iter();
    assert_eq!(left.flat_map(|ip| claims.on(ip)).count(), 0);
}

#[test]
fn as_the_allocator_adopts() {
    let test = "cargo test -p metallb-ipam --test claims as_the_allocator";
    for_each_seed(test, 2_000, |seed| {
        let mut dice = Dice::new(seed);
        let mut claims = Claims::default();
        let mut services = Vec::new();
        for n in 0..2 + dice.below(9) {
            let shown = dice.pick(&[
                "10.0.0.1",
                "10.0.0.2",
                "fd00::1",
                "10.0.0.1 fd00::1",
                "10.0.0.2 fd00::2",
            ]);
            let how = dice.pick(&["", "k tcp/1", "k tcp/2", "k tcp/1 tcp/2", "l tcp/3"]);
            let created = i64::try_from(dice.below(6)).expect("a few");
            let name = n.to_string();
            show(&mut claims, &name, created, shown, how);
            services.push((created, key(&name), shown, how));
        }
        // One of them shows something else by now.
        let (created, changed, _, how) = services[0].clone();
        show(&mut claims, changed.name(), created, "10.0.0.2", how);
        services[0].2 = "10.0.0.2";
        services.sort();
        let mut allocator = Story::with(vec![pool("p", "10.0.0.0/24 fd00::/64")]).allocator;
        for (created, key, shown, how) in &services {
            let adopted = adopt(&mut allocator, *created, key, shown, how);
            assert_eq!(
                adopted,
                claims.keeper_instead_of(key).is_none(),
                "{key:?} of {services:?}"
            );
        }
    });
}

fn adopt(allocator: &mut Allocator, created: i64, key: &ObjectKey, shown: &str, how: &str) -> bool {
    let (sharing, used) = how.split_once(' ').unwrap_or(("", ""));
    let (shown, used) = (ips(shown), ports(used));
    let families = match (&shown[..], shown[0].is_ipv4()) {
        ([_], true) => V4,
        ([_], false) => V6,
        _ => BOTH,
    };
    let mut request = Request::new(key, created, families);
    (request.sharing_key, request.ports) = (sharing, &used);
    allocator.adopt(&request, &shown).is_ok()
}
