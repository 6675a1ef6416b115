//! Rows 1 to 13: pools of addresses, and label selectors wherever they are.

use metallb_config::{AddrRange, Family, InEffect, Labels, Pool};
use metallb_crds::v1beta1::IPAddressPool;
use serde_json::{Value, json};

use crate::cluster::{
    Cluster, assert_accepted, assert_rejected, expression, labels, object, said, select,
};

/// The pool `bad` is refused for this reason, and the one beside it is not.
#[track_caller]
fn assert_refused(spec: &Value, reason: &str) {
    let cluster = Cluster::new()
        .pool("bad", spec.clone())
        .addresses("good", &["10.99.0.0/24"]);
    let read = cluster.read();
    assert_rejected(&read, "IPAddressPool metallb-system/bad", reason);
    assert_eq!(read.config.pools().keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(read.rejected[0].in_effect, InEffect::Nothing);
    assert_eq!(read.rejected[0].uid.as_deref(), Some("uid-bad"));
    let alone = Pool::try_from(&cluster.pools[0]).expect_err(reason);
    assert_eq!(read.rejected[0].error.to_string(), alone.to_string());
}

#[track_caller]
fn assert_addresses_refused(addresses: &[&str], reason: &str) {
    assert_refused(&json!({ "addresses": addresses }), reason);
}

/// The addresses as the pool `pool` has them.
fn ranges(addresses: &[&str]) -> Vec<String> {
    let read = Cluster::new().addresses("pool", addresses).read();
    assert_accepted(&read);
    let pool = &read.config.pools()["pool"];
    pool.ranges().iter().map(ToString::to_string).collect()
}

#[test]
fn row_01_a_pool_has_addresses() {
    assert_addresses_refused(&[], "pool has no prefixes defined");
}

#[test]
fn row_02_a_single_address_has_a_mask() {
    assert_addresses_refused(
        &["1.2.3.4"],
        "invalid CIDR \"1.2.3.4\" in pool \"bad\": invalid CIDR \"1.2.3.4\"",
    );
    assert_addresses_refused(
        &["2001:db8::1"],
        "invalid CIDR \"2001:db8::1\" in pool \"bad\"",
    );
    assert_eq!(ranges(&["1.2.3.4/32"]), ["1.2.3.4/32"]);
}

#[test]
fn row_03_bits_right_of_the_mask_do_not_count() {
    assert_eq!(ranges(&["10.0.0.5/24"]), ["10.0.0.0/24"]);
    assert_eq!(ranges(&["2001:db8::42/64"]), ["2001:db8::/64"]);
}

#[test]
fn row_04_what_is_no_network_is_refused() {
    for text in [
        "100.200.300.400/24",
        "1.2.3.0/33",
        "some text",
        "",
        "10.0.0.0/8/8",
        " 10.0.0.0/8",
    ] {
        assert_addresses_refused(
            &["10.5.0.0/24", text],
            &format!("invalid CIDR {text:?} in pool"),
        );
    }
}

#[test]
fn row_05_a_range_does_not_end_before_it_begins() {
    assert_addresses_refused(
        &["1.66.66.66-1.66.66.1"],
        "start IP \"1.66.66.66\" is after the end IP \"1.66.66.1\"",
    );
}

#[test]
fn row_06_the_ends_of_a_range_are_trimmed() {
    assert_eq!(
        ranges(&["192.168.9.1 - 192.168.9.5"]),
        ["192.168.9.1-192.168.9.5"]
    );
    // Upstream splits a range; here it stays one. The networks that it is made of are the same.
    for (text, shortest) in [
        ("192.168.9.1-192.168.9.5", 31),
        ("192.168.9.4-192.168.9.4", 32),
        ("1.1.1.10-1.1.1.15", 30),
        ("10.0.0.0-10.255.255.255", 8),
        ("10.0.0.1-10.255.255.255", 9),
        ("0.0.0.0-255.255.255.255", 0),
        ("fc00::1-fc00::4", 127),
        ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0),
    ] {
        let range: AddrRange = text.parse().unwrap();
        assert_eq!(range.shortest_prefix(), shortest, "{text}");
    }
}

/// Upstream accepts it, with no addresses (docs/compatibility.md).
#[test]
fn row_07_a_range_has_one_family() {
    assert_addresses_refused(&["1.1.1.1-fc00::1"], "are not of the same IP family");
    assert_addresses_refused(&["fc00::1-1.1.1.1"], "are not of the same IP family");
}

#[test]
fn row_08_addresses_overlap_within_a_pool() {
    for (addresses, range, with) in [
        (["10.0.0.0/8", "10.0.0.0/16"], "10.0.0.0/16", "10.0.0.0/8"),
        (["10.0.0.0/24", "10.0.0.0/24"], "10.0.0.0/24", "10.0.0.0/24"),
        (
            ["10.0.0.9-10.0.0.20", "10.0.0.1-10.0.0.9"],
            "10.0.0.1-10.0.0.9",
            "10.0.0.9-10.0.0.20",
        ),
        (
            ["fd00::/64", "fd00::7-fd00::8"],
            "fd00::7-fd00::8",
            "fd00::/64",
        ),
    ] {
        let reason = format!(
            "CIDR {range:?} in pool \"bad\" overlaps with already defined CIDR {with:?} in pool \
             \"bad\""
        );
        assert_addresses_refused(&addresses, &reason);
    }
    assert_eq!(
        ranges(&["10.0.1.0/24", "10.0.0.0/24", "fd00::/64"]),
        ["10.0.1.0/24", "10.0.0.0/24", "fd00::/64"]
    );
}

#[test]
fn row_08_of_two_pools_that_overlap_the_older_stays() {
    for (young, with) in [
        ("10.0.0.0/16", "10.0.0.0/16"),
        ("10.0.0.0/8", "10.0.0.0/16"),
        ("10.0.3.0/24", "10.0.0.0/16"),
        ("10.0.255.255-10.1.0.4", "10.0.0.0/16"),
        ("9.255.255.1-10.0.0.0", "10.0.0.0/16"),
        ("fd00::5-fd00::9", "fd00::/64"),
        ("::/0", "fd00::/64"),
    ] {
        let mut cluster = Cluster::new()
            .addresses("b-old", &["10.0.0.0/16", "fd00::/64"])
            .addresses("a-young", &["172.16.0.0/24", young]);
        for _ in 0..2 {
            let read = cluster.read();
            assert_eq!(
                said(&read),
                [format!(
                    "IPAddressPool metallb-system/a-young: CIDR \"{young}\" in pool \"a-young\" \
                     overlaps with already defined CIDR \"{with}\" in pool \"b-old\""
                )]
            );
            // Nothing of the young one is left.
            assert!(
                read.config
                    .pool_of(&["172.16.0.1".parse().unwrap()])
                    .is_none()
            );
            // Whichever comes first in the list.
            cluster.pools.reverse();
        }
    }
}

#[test]
fn row_08_of_the_same_age_the_name_decides_and_the_unborn_is_the_youngest() {
    let names = |pools: Vec<IPAddressPool>| {
        let cluster = Cluster {
            pools,
            ..Cluster::new()
        };
        cluster
            .read()
            .config
            .pools()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let pool = |name, created| object(name, created, json!({"addresses": ["10.0.0.0/24"]}));
    let old = "2026-01-01T00:00:00Z";
    assert_eq!(names(vec![pool("c", old), pool("b", old)]), ["b"]);
    assert_eq!(names(vec![pool("a", ""), pool("b", old)]), ["b"]);
}

#[test]
fn row_08_only_sound_pools_stand_in_the_way() {
    let read = Cluster::new()
        .addresses("bad", &["10.0.0.0/24", "10.0.0.300"])
        .addresses("young", &["10.0.0.0/24"])
        .addresses("clashing", &["10.0.0.0/16", "10.7.0.0/24"])
        .addresses("youngest", &["10.7.0.0/24"])
        .read();
    let names: Vec<_> = read.config.pools().keys().collect();
    assert_eq!(names, ["young", "youngest"]);
    let rejected: Vec<_> = read.rejected.iter().map(|it| &*it.name).collect();
    assert_eq!(rejected, ["bad", "clashing"]);
}

#[test]
fn row_09_a_pool_is_defined_once() {
    let read = Cluster::new()
        .addresses("a", &["10.0.0.0/24"])
        .addresses("a", &["10.1.0.0/24"])
        .read();
    let kept = &read.config.pools()["a"];
    assert_eq!(kept.ranges()[0].to_string(), "10.0.0.0/24");
    assert_rejected(
        &read,
        "IPAddressPool metallb-system/a",
        "duplicate definition of pool \"a\"",
    );
    // Nothing of the second is left.
    assert!(
        read.config
            .pool_of(&["10.1.0.1".parse().unwrap()])
            .is_none()
    );
}

/// A pool for the Services that `allocation` says.
fn allocation(allocation: &Value) -> Value {
    json!({"addresses": ["10.9.0.0/24"], "serviceAllocation": allocation})
}

#[test]
fn row_10_a_namespace_is_named_once() {
    assert_refused(
        &allocation(&json!({"namespaces": ["a", "b", "a"]})),
        "duplicate definition in namespaces field: \"a\"",
    );
}

#[test]
fn row_11_a_selector_is_there_once() {
    for field in ["namespaceSelectors", "serviceSelectors"] {
        assert_refused(
            &allocation(&json!({ field: [select("a", "b"), {}, select("a", "b")] })),
            &format!("duplicate definition of {field} \"a=b\""),
        );
        // Values have no order.
        assert_refused(
            &allocation(&json!({ field: [
                expression("a", "In", &["b", "c"]), expression("a", "In", &["c", "b"]),
            ] })),
            &format!("duplicate definition of {field} \"a in (b,c)\""),
        );
    }
}

#[test]
fn row_12_a_priority_alone_is_for_every_service() {
    let none = labels(&[]);
    for spec in [
        json!({"addresses": ["10.0.0.0/24"]}),
        allocation(&json!({"priority": 3})),
        allocation(&json!({"priority": -3})),
        allocation(&json!({})),
    ] {
        let read = Cluster::new().pool("pool", spec).read();
        assert_accepted(&read);
        assert!(read.config.pools()["pool"].is_for("any", &none, &none));
    }
}

#[test]
fn row_13_a_selector_can_be_understood() {
    let bad = [
        (
            expression("a", "Surrounds", &[]),
            "\"Surrounds\" is not a valid label selector operator",
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": ""}]}),
            "\"\" is not a valid label selector operator",
        ),
        (expression("", "Exists", &[]), "key \"\": invalid label key"),
        (
            expression("a", "In", &["b", "c", "b"]),
            "duplicate definition of match expression value in label selector \"b\"",
        ),
        (
            json!({"matchExpressions": [
                {"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Exists"},
            ]}),
            "duplicate definition of match expressions \"a\"",
        ),
        (
            expression("a", "NotIn", &[]),
            "for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            expression("a", "DoesNotExist", &["b"]),
            "values set must be empty for exists and does not exist",
        ),
        (select("a", "a b"), "invalid label value \"a b\""),
    ];
    for (selector, reason) in bad {
        for (field, what) in [
            ("namespaceSelectors", "namespace"),
            ("serviceSelectors", "service"),
        ] {
            assert_refused(
                &allocation(&json!({ field: [selector.clone()] })),
                &format!("invalid {what} label selector in ip pool \"bad\": "),
            );
            assert_refused(&allocation(&json!({ field: [selector.clone()] })), reason);
        }
        for field in [
            "ipAddressPoolSelectors",
            "nodeSelectors",
            "serviceSelectors",
        ] {
            let spec = json!({ field: [selector.clone()] });
            let read = Cluster::new().l2("bad", spec.clone()).read();
            assert_rejected(&read, "L2Advertisement metallb-system/bad", reason);
            let read = Cluster::new().bgp("bad", spec).read();
            assert_rejected(&read, "BGPAdvertisement metallb-system/bad", reason);
            if !reason.starts_with("duplicate") {
                let what = format!("invalid label selector in {field} of advertisement \"bad\": ");
                assert_rejected(&read, "BGPAdvertisement metallb-system/bad", &what);
            }
        }
        let peer = json!({ "nodeSelectors": [selector] });
        let read = Cluster::new().peer("bad", peer).read();
        assert_rejected(&read, "BGPPeer metallb-system/bad", reason);
    }
}

#[test]
fn pools_are_for_some_services() {
    let [a, b, none] = [
        &labels(&[("app", "a")]),
        &labels(&[("app", "b")]),
        &labels(&[]),
    ];
    let app = |value| select("app", value);
    for (spec, yes, no) in [
        (
            json!({"namespaces": ["x"]}),
            vec![("x", none, a)],
            vec![("y", none, a)],
        ),
        (
            json!({"namespaceSelectors": [app("a"), app("b")]}),
            vec![("x", a, none), ("x", b, none)],
            // No namespace matches: nobody, even by name.
            vec![("x", none, none)],
        ),
        (
            json!({"namespaces": ["x"], "namespaceSelectors": [app("a")]}),
            vec![("x", none, none), ("y", a, none)],
            vec![("y", b, none)],
        ),
        (
            json!({"serviceSelectors": [app("a"), app("b")]}),
            vec![("x", none, a), ("x", none, b)],
            vec![("x", a, none)],
        ),
        (
            json!({"namespaces": ["x"], "serviceSelectors": [app("a")]}),
            vec![("x", none, a)],
            vec![("x", none, b), ("y", none, a)],
        ),
    ] {
        let read = Cluster::new().pool("pool", allocation(&spec)).read();
        let pool = &read.config.pools()["pool"];
        let is_for = |(namespace, labels, service): &(&str, &Labels, &Labels)| {
            pool.is_for(namespace, labels, service)
        };
        assert!(yes.iter().all(is_for), "{spec}");
        assert!(!no.iter().any(is_for), "{spec}");
    }
}

#[test]
fn what_a_pool_says_is_read() {
    let read = Cluster::new()
        .pool("a", json!({"addresses": ["10.0.0.0/24"]}))
        .pool(
            "b",
            json!({"addresses": ["10.1.0.0/24"], "autoAssign": false, "avoidBuggyIPs": true}),
        )
        .read();
    let pools = read.config.pools();
    assert!(pools["a"].auto_assign && !pools["a"].avoid_buggy_ips);
    assert!(pools["a"].service_allocation.is_none());
    assert!(!pools["b"].auto_assign && pools["b"].avoid_buggy_ips);
}

#[test]
fn pools_are_found_by_their_addresses() {
    let config = Cluster::new()
        .addresses("a", &["10.0.0.0/24", "fd00::/64", "10.2.0.1-10.2.0.9"])
        .addresses("b", &["10.1.0.0/24", "fd01::/64"])
        .read()
        .config;
    for (ips, found) in [
        (vec!["10.0.0.0"], Some("a")),
        (vec!["10.0.0.255"], Some("a")),
        (vec!["10.2.0.9"], Some("a")),
        (vec!["10.1.0.7"], Some("b")),
        (vec!["10.0.0.1", "fd00::7"], Some("a")),
        (vec!["fd01::1", "10.1.0.1"], Some("b")),
        (vec!["10.0.0.1", "fd01::1"], None),
        (vec!["10.0.0.1", "10.9.0.1"], None),
        (vec!["10.0.1.0"], None),
        (vec!["10.2.0.0"], None),
        (vec!["9.255.255.255"], None),
        (vec!["::1"], None),
        (vec!["ffff::1"], None),
        (vec![], None),
    ] {
        let ips: Vec<_> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let pool = config.pool_of(&ips).map(|pool| &*pool.name);
        assert_eq!(pool, found, "{ips:?}");
    }
    let ranges = config.pools()["a"].ranges().iter();
    let families: Vec<_> = ranges.map(AddrRange::family).collect();
    assert_eq!(families, [Family::V4, Family::V6, Family::V4]);
}
