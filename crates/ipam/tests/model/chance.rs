//! Services, pools and addresses by chance: few enough of each to get into each other's way.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use metallb_config::{Family, Labels, Pool, Selector, ServiceAllocation};
use metallb_ipam::{Families, Port, Protocol};
use metallb_seeds::Dice;

use crate::naive::{Ask, How};

/// All Services there can be.
pub(crate) fn services() -> Vec<String> {
    let name = |n: usize| format!("{}/{n}", NAMESPACES[n % 2]);
    (0..10).map(name).collect()
}

/// All addresses there can be: few enough to be used up, with some that end in .255 and .0.
pub(crate) fn universe() -> Vec<IpAddr> {
    let v4 = (0..8u8).map(|n| [10, 0, u8::from(n > 3), 252u8.wrapping_add(n)].into());
    let v6 = (0..6u16).map(|n| [0xfd00, 0, 0, 0, 0, 0, 0, n].into());
    v4.chain(v6).collect()
}

pub(crate) fn service(dice: &mut Dice) -> String {
    dice.pick(&services())
}

pub(crate) fn ask(dice: &mut Dice) -> Ask {
    let service = service(dice);
    let of_blue = service.starts_with("blue");
    Ask {
        created: number(dice.below(4)),
        labels: labels("app", dice.pick(&["web", "api"])),
        namespace_labels: labels("env", if of_blue { "test" } else { "live" }),
        families: families(dice),
        pool: dice.percent(10).then(|| pool_name(dice)),
        ips: dice.percent(10).then(|| ips(dice)),
        how: how(dice),
        service,
    }
}

pub(crate) fn families(dice: &mut Dice) -> Families {
    let one = [Families::One(Family::V4), Families::One(Family::V6)];
    let prefer = [Family::V4, Family::V6].map(|first| Families::PreferBoth { first });
    match dice.below(4) {
        0 | 1 => dice.pick(&one),
        2 => dice.pick(&prefer),
        _ => Families::Both,
    }
}

pub(crate) fn how(dice: &mut Dice) -> How {
    let ports = (0..=dice.below(2)).map(|_| {
        let protocol = dice.pick(&[Protocol::Tcp, Protocol::Udp]);
        Port::new(protocol, dice.pick(&[53, 80, 443]))
    });
    let ports = ports.collect();
    How {
        key: dice.pick(&["", "", "one", "one", "two"]),
        backend: dice.pick(&["", "", "", "app=web"]),
        ports,
    }
}

pub(crate) fn ips(dice: &mut Dice) -> Vec<IpAddr> {
    let all = universe();
    let first = dice.pick(&all);
    let mut ips = vec![first];
    if dice.percent(40) {
        let others: Vec<_> = all
            .into_iter()
            .filter(|ip| ip.is_ipv4() != first.is_ipv4())
            .collect();
        ips.push(dice.pick(&others));
    }
    ips
}

/// A pool, or nothing if the ranges that come up overlap.
pub(crate) fn pool(dice: &mut Dice) -> Option<Pool> {
    let all = universe();
    let ranges = (0..=dice.below(3)).filter_map(|_| {
        let (a, b) = (dice.pick(&all), dice.pick(&all));
        let range = format!("{}-{}", a.min(b), a.max(b));
        (a.is_ipv4() == b.is_ipv4()).then(|| range.parse().expect("a range"))
    });
    let ranges = ranges.collect();
    let mut pool = Pool::new(pool_name(dice), ranges).ok()?;
    pool.auto_assign = dice.percent(85);
    pool.avoid_buggy_ips = dice.percent(30);
    pool.service_allocation = dice.percent(30).then(|| allocation(dice));
    Some(pool)
}

pub(crate) fn allocation(dice: &mut Dice) -> ServiceAllocation {
    let namespaces = NAMESPACES.into_iter().filter(|_| dice.percent(40));
    let namespaces = namespaces.map(str::to_owned).collect();
    let selectors = |dice: &mut Dice, key: &str, values: &[&str]| {
        let chosen = dice.percent(25).then(|| selector(key, dice.pick(values)));
        chosen.into_iter().collect()
    };
    ServiceAllocation {
        priority: number(dice.below(4)) - 1,
        namespaces,
        namespace_selectors: selectors(dice, "env", &["test", "live", "none"]),
        service_selectors: selectors(dice, "app", &["web", "api"]),
    }
}

pub(crate) fn pool_name(dice: &mut Dice) -> String {
    dice.pick(&["a", "b", "c", "d"]).to_owned()
}

fn selector(key: &str, value: &str) -> Selector {
    let selector = LabelSelector {
        match_labels: Some(labels(key, value)),
        ..LabelSelector::default()
    };
    Selector::try_from(&selector).expect("a sound selector")
}

fn labels(key: &str, value: &str) -> Labels {
    [(key.to_owned(), value.to_owned())].into()
}

fn number(of: usize) -> i64 {
    i64::try_from(of).expect("a few")
}

const NAMESPACES: [&str; 2] = ["blue", "red"];
