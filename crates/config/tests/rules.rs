//! Every rule that makes an object part of the configuration or not, by objects as users write
//! them. The numbers are those of the rules' list in upstream's order.

use metallb_config::{
    AddrRange, Config, Family, InEffect, Kind, Labels, Objects, Parsed, Pool, Rejected, parse,
    reparse,
};
use metallb_crds::v1beta1::{IPAddressPool, L2Advertisement};
use serde_json::{Value, json};

fn object<K: serde::de::DeserializeOwned>(name: &str, created: &str, spec: &Value) -> K {
    let mut object = json!({
        "apiVersion": "metallb.io/v1beta1",
        "metadata": {"name": name, "namespace": "metallb-system", "uid": format!("uid-{name}")},
        "spec": spec,
    });
    if !created.is_empty() {
        object["metadata"]["creationTimestamp"] = json!(format!("2026-01-01T00:00:{created}Z"));
    }
    serde_json::from_value(object).expect("an object of its kind")
}

fn pool(name: &str, created: &str, addresses: &[&str]) -> IPAddressPool {
    object(name, created, &json!({ "addresses": addresses }))
}

fn read_pools(pools: &[IPAddressPool]) -> Parsed {
    parse(&Objects {
        pools,
        ..Objects::default()
    })
}

fn read_l2(l2_advertisements: &[L2Advertisement]) -> Parsed {
    parse(&Objects {
        l2_advertisements,
        ..Objects::default()
    })
}

fn names(config: &Config) -> Vec<&str> {
    config.pools().keys().map(String::as_str).collect()
}

fn reasons(rejected: &[Rejected]) -> Vec<String> {
    rejected.iter().map(ToString::to_string).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The pool is refused for this reason, alone and beside one that is sound and overlaps nothing.
fn assert_rejected(rule: u8, spec: &Value, reason: &str) {
    let bad: IPAddressPool = object("bad", "01", spec);
    let alone = Pool::try_from(&bad).expect_err(reason).to_string();
    assert!(alone.contains(reason), "rule {rule}: {alone}");

    let Parsed { config, rejected } = read_pools(&[bad, pool("good", "02", &["10.0.0.0/24"])]);
    assert_eq!(names(&config), ["good"], "rule {rule}");
    let [rejected] = &rejected[..] else {
        panic!("rule {rule}: {rejected:?}")
    };
    assert_eq!(
        (rejected.kind, rejected.in_effect),
        (Kind::IPAddressPool, InEffect::Nothing)
    );
    assert_eq!(
        (&*rejected.namespace, &*rejected.name),
        ("metallb-system", "bad")
    );
    assert_eq!(rejected.uid.as_deref(), Some("uid-bad"));
    assert_eq!(rejected.error.to_string(), alone);
    assert_eq!(
        rejected.to_string(),
        format!("IPAddressPool metallb-system/bad: {alone}")
    );
}

#[test]
fn pools_with_bad_addresses_say_why_and_harm_no_other() {
    for (rule, addresses, reason) in [
        (1, vec![], "pool has no prefixes defined"),
        (
            2,
            vec!["1.2.3.4"],
            "invalid CIDR \"1.2.3.4\" in pool \"bad\": invalid CIDR \"1.2.3.4\"",
        ),
        (
            4,
            vec!["100.200.300.400/24"],
            "invalid CIDR \"100.200.300.400/24\" in pool",
        ),
        (4, vec!["1.2.3.0/33"], "invalid CIDR \"1.2.3.0/33\" in pool"),
        (
            4,
            vec!["10.5.0.0/24", "10.0.0.300"],
            "invalid CIDR \"10.0.0.300\" in pool",
        ),
        (4, vec!["some text"], "invalid CIDR \"some text\" in pool"),
        (
            5,
            vec!["1.66.66.66-1.66.66.1"],
            "start IP \"1.66.66.66\" is after the end IP",
        ),
        (7, vec!["1.1.1.1-fc00::1"], "are not of the same IP family"),
        (
            8,
            vec!["10.0.0.0/8", "10.0.0.0/16"],
            "CIDR \"10.0.0.0/16\" in pool \"bad\" overlaps with already defined CIDR \
             \"10.0.0.0/8\" in pool \"bad\"",
        ),
        (
            8,
            vec!["10.0.0.0/24", "10.0.0.0/24"],
            "overlaps with already defined CIDR",
        ),
        (
            8,
            vec!["10.0.0.9-10.0.0.20", "10.0.0.1-10.0.0.9"],
            "overlaps with already defined CIDR",
        ),
    ] {
        assert_rejected(rule, &json!({ "addresses": addresses }), reason);
    }
}

#[test]
fn pools_for_nobody_in_particular_say_why_and_harm_no_other() {
    let twice = json!([{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}]);
    let expression = |expression: Value| json!([{ "matchExpressions": [expression] }]);
    for (rule, allocation, reason) in [
        (
            10,
            json!({"namespaces": ["a", "b", "a"]}),
            "duplicate definition in namespaces field: \"a\"",
        ),
        (
            11,
            json!({ "namespaceSelectors": twice }),
            "duplicate definition of namespaceSelectors \"a=b\"",
        ),
        (
            11,
            json!({ "serviceSelectors": twice }),
            "duplicate definition of serviceSelectors \"a=b\"",
        ),
        (
            13,
            json!({"serviceSelectors": expression(json!({"key": "a", "operator": "Surrounds"}))}),
            "invalid service label selector in ip pool \"bad\": \"Surrounds\" is not a valid label \
             selector operator",
        ),
        (
            13,
            json!({"namespaceSelectors": expression(json!({"key": "", "operator": "Exists"}))}),
            "invalid namespace label selector in ip pool \"bad\": key \"\"",
        ),
    ] {
        let spec = json!({"addresses": ["10.9.0.0/24"], "serviceAllocation": allocation});
        assert_rejected(rule, &spec, reason);
    }
}

#[test]
fn good_pools() {
    for (rule, addresses, ranges) in [
        (3, json!(["10.0.0.5/24"]), vec!["10.0.0.0/24"]),
        (
            6,
            json!(["192.168.9.1 - 192.168.9.5"]),
            vec!["192.168.9.1-192.168.9.5"],
        ),
        (
            8,
            json!(["10.0.1.0/24", "10.0.0.0/24"]),
            vec!["10.0.1.0/24", "10.0.0.0/24"],
        ),
        (
            8,
            json!(["10.0.0.0/24", "fd00::/64"]),
            vec!["10.0.0.0/24", "fd00::/64"],
        ),
    ] {
        let read: IPAddressPool = object("pool", "01", &json!({ "addresses": addresses }));
        let read = Pool::try_from(&read).unwrap_or_else(|error| panic!("rule {rule}: {error}"));
        let listed: Vec<_> = read.ranges().iter().map(ToString::to_string).collect();
        assert_eq!(listed, ranges, "rule {rule}");
        assert!(read.auto_assign && !read.avoid_buggy_ips && read.service_allocation.is_none());
    }
    let read: IPAddressPool = object(
        "pool",
        "01",
        &json!({"addresses": ["10.0.0.0/24"], "autoAssign": false, "avoidBuggyIPs": true}),
    );
    let read = Pool::try_from(&read).unwrap();
    assert!(!read.auto_assign && read.avoid_buggy_ips);
    assert!(read.is_for("any", &labels(&[]), &labels(&[])));
}

#[test]
fn pools_are_for_some_services() {
    let [a, b, none] = [
        &labels(&[("app", "a")]),
        &labels(&[("app", "b")]),
        &labels(&[]),
    ];
    let select = |value: &str| json!({"matchLabels": {"app": value}});
    for (allocation, yes, no) in [
        // Rule 12: only a priority is for everybody.
        (json!({"priority": 3}), vec![("x", none, none)], vec![]),
        (json!({}), vec![("x", none, none)], vec![]),
        (
            json!({"namespaces": ["x"]}),
            vec![("x", none, a)],
            vec![("y", none, a)],
        ),
        (
            json!({"namespaceSelectors": [select("a"), select("b")]}),
            vec![("x", a, none), ("x", b, none)],
            // No namespace matches: nobody, even by name.
            vec![("x", none, none)],
        ),
        (
            json!({"namespaces": ["x"], "namespaceSelectors": [select("a")]}),
            vec![("x", none, none), ("y", a, none)],
            vec![("y", b, none)],
        ),
        (
            json!({"serviceSelectors": [select("a"), select("b")]}),
            vec![("x", none, a), ("x", none, b)],
            vec![("x", a, none)],
        ),
        (
            json!({"namespaces": ["x"], "serviceSelectors": [select("a")]}),
            vec![("x", none, a)],
            vec![("x", none, b), ("y", none, a)],
        ),
    ] {
        let spec = json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": allocation});
        let pool = Pool::try_from(&object::<IPAddressPool>("pool", "01", &spec)).unwrap();
        for (namespace, namespace_labels, service) in yes {
            assert!(
                pool.is_for(namespace, namespace_labels, service),
                "{allocation}"
            );
        }
        for (namespace, namespace_labels, service) in no {
            assert!(
                !pool.is_for(namespace, namespace_labels, service),
                "{allocation}"
            );
        }
    }
}

#[test]
fn of_two_pools_that_clash_the_older_stays() {
    let old = || pool("b-old", "01", &["10.0.0.0/16", "fd00::/64"]);
    let said = |range, young, with| {
        vec![format!(
            "IPAddressPool metallb-system/{young}: CIDR \"{range}\" in pool \"{young}\" overlaps \
             with already defined CIDR \"{with}\" in pool \"b-old\""
        )]
    };
    // Rule 8, in whatever way they overlap, whichever comes first in the list.
    for (young, with) in [
        ("10.0.0.0/16", "10.0.0.0/16"),
        ("10.0.0.0/8", "10.0.0.0/16"),
        ("10.0.3.0/24", "10.0.0.0/16"),
        ("10.0.255.255-10.1.0.4", "10.0.0.0/16"),
        ("9.255.255.1-10.0.0.0", "10.0.0.0/16"),
        ("fd00::5-fd00::9", "fd00::/64"),
        ("::/0", "fd00::/64"),
    ] {
        let newer = || pool("a-young", "02", &["172.16.0.0/24", young]);
        for pools in [[old(), newer()], [newer(), old()]] {
            let Parsed { config, rejected } = read_pools(&pools);
            assert_eq!(names(&config), ["b-old"]);
            assert_eq!(reasons(&rejected), said(young, "a-young", with));
            // Nothing of the young one is left.
            assert!(config.pool_of(&["172.16.0.1".parse().unwrap()]).is_none());
        }
    }
    // Of the same age, the name decides; one that is being created is the youngest.
    let twin = pool("c-twin", "01", &["10.0.0.0/24"]);
    assert_eq!(names(&read_pools(&[twin, old()]).config), ["b-old"]);
    let unborn = pool("a-unborn", "", &["10.0.0.0/24"]);
    assert_eq!(names(&read_pools(&[unborn, old()]).config), ["b-old"]);
}

#[test]
fn only_sound_pools_stand_in_the_way() {
    let bad = pool("bad", "01", &["10.0.0.0/24", "10.0.0.300"]);
    let young = pool("young", "02", &["10.0.0.0/24"]);
    let clashing = pool("clashing", "03", &["10.0.0.0/16", "10.7.0.0/24"]);
    let youngest = pool("youngest", "04", &["10.7.0.0/24"]);
    let Parsed { config, rejected } = read_pools(&[bad, young, clashing, youngest]);
    assert_eq!(names(&config), ["young", "youngest"]);
    let rejected: Vec<_> = rejected.iter().map(|it| &*it.name).collect();
    assert_eq!(rejected, ["bad", "clashing"]);
}

#[test]
fn a_pool_is_defined_once() {
    // Rule 9; admission looks at an object beside its former self.
    let pools = [
        pool("a", "01", &["10.0.0.0/24"]),
        pool("a", "", &["10.1.0.0/24"]),
    ];
    let Parsed { config, rejected } = read_pools(&pools);
    assert_eq!(config.pools()["a"].ranges()[0].to_string(), "10.0.0.0/24");
    assert_eq!(
        reasons(&rejected),
        ["IPAddressPool metallb-system/a: duplicate definition of pool \"a\""]
    );
}

#[test]
fn an_invalid_edit_leaves_the_last_form_in_effect() {
    let read = |pools: &[IPAddressPool], before: &Config| {
        reparse(
            &Objects {
                pools,
                ..Objects::default()
            },
            before,
        )
    };
    let other = || pool("other", "02", &["10.1.0.0/24"]);
    let before = read_pools(&[pool("a", "01", &["10.0.0.0/24"]), other()]).config;

    let broken = || pool("a", "01", &["10.0.0.0/24", "10.0.0.300"]);
    let after = read(&[broken(), other()], &before);
    assert_eq!(after.config, before);
    assert_eq!(after.rejected[0].in_effect, InEffect::LastForm);
    assert!(
        after.rejected[0]
            .to_string()
            .contains("invalid CIDR \"10.0.0.300\"")
    );
    // It still has its addresses, and the next change does not take them either.
    let young = pool("young", "03", &["10.0.0.9/32"]);
    let later = read(&[broken(), other(), young.clone()], &after.config);
    assert_eq!(later.config, before);
    assert_eq!(later.rejected.len(), 2);
    // Mended, deleted, or made anew under the same name: it is as it is.
    let mended = read(&[pool("a", "01", &["10.2.0.0/24"]), other()], &later.config);
    assert_eq!(
        mended.config.pools()["a"].ranges()[0].to_string(),
        "10.2.0.0/24"
    );
    assert_eq!(names(&read(&[other()], &later.config).config), ["other"]);
    let mut anew = broken();
    anew.metadata.uid = Some("another".to_owned());
    let made_anew = read(&[anew, other(), young], &later.config);
    assert_eq!(names(&made_anew.config), ["other", "young"]);
    assert_eq!(made_anew.rejected[0].in_effect, InEffect::Nothing);
    // An edit that clashes with an older pool is an invalid edit too.
    let clash = read(
        &[
            pool("a", "01", &["10.0.0.0/24"]),
            pool("other", "02", &["10.0.0.0/16"]),
        ],
        &before,
    );
    assert_eq!(clash.config, before);
}

#[test]
fn pools_are_found_by_their_addresses() {
    let config = read_pools(&[
        pool(
            "a",
            "01",
            &["10.0.0.0/24", "fd00::/64", "10.2.0.1-10.2.0.9"],
        ),
        pool("b", "02", &["10.1.0.0/24", "fd01::/64"]),
    ])
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
        assert_eq!(
            config.pool_of(&ips).map(|pool| &*pool.name),
            found,
            "{ips:?}"
        );
    }
    let families: Vec<_> = config.pools()["a"]
        .ranges()
        .iter()
        .map(AddrRange::family)
        .collect();
    assert_eq!(families, [Family::V4, Family::V6, Family::V4]);
}

#[test]
fn bad_l2_advertisements_say_why() {
    let twice = json!([{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}]);
    let operator = json!([{"matchExpressions": [{"key": "a", "operator": "Surrounds"}]}]);
    for (rule, spec, reason) in [
        (
            43,
            json!({"ipAddressPools": ["a", "b", "a"]}),
            "duplicate definition of ipAddressPools \"a\"",
        ),
        (
            43,
            json!({"ipAddressPoolSelectors": twice}),
            "duplicate definition of ipAddressPoolSelectors \"a=b\"",
        ),
        (
            43,
            json!({"nodeSelectors": twice}),
            "duplicate definition of nodeSelectors \"a=b\"",
        ),
        (
            43,
            json!({"serviceSelectors": twice}),
            "duplicate definition of serviceSelectors \"a=b\"",
        ),
        (
            13,
            json!({"nodeSelectors": operator}),
            "invalid label selector in nodeSelectors of advertisement \"bad\": \"Surrounds\" is not a valid label selector operator",
        ),
        (
            13,
            json!({"serviceSelectors": operator}),
            "invalid label selector in serviceSelectors of",
        ),
        (
            13,
            json!({"ipAddressPoolSelectors": operator}),
            "in ipAddressPoolSelectors of",
        ),
        (
            44,
            json!({"preferredNodeSelectors": [{"weight": 1, "preference": operator[0]}]}),
            "invalid label selector in preferredNodeSelectors of",
        ),
    ] {
        let good = object("good", "02", &json!({}));
        let Parsed { config, rejected } = read_l2(&[object("bad", "01", &spec), good]);
        let said = reasons(&rejected);
        assert!(
            said.len() == 1 && said[0].contains(reason),
            "rule {rule}: {said:?}"
        );
        assert!(
            said[0].starts_with("L2Advertisement metallb-system/bad: "),
            "{said:?}"
        );
        let names: Vec<_> = config
            .l2_advertisements()
            .keys()
            .map(|name| &**name)
            .collect();
        assert_eq!(names, ["good"], "rule {rule}");
    }
}

#[test]
fn l2_advertisements_select_pools() {
    let mut blue = pool("blue", "01", &["10.0.0.0/24"]);
    blue.metadata.labels = Some(labels(&[("zone", "a")]));
    let red = pool("red", "02", &["10.1.0.0/24"]);
    let zone = json!([{"matchLabels": {"zone": "a"}}]);
    let l2: Vec<L2Advertisement> = [
        ("all", json!({})),
        // Rule 42.
        ("unknown", json!({"ipAddressPools": ["nobody"]})),
        ("named", json!({"ipAddressPools": ["red", "nobody"]})),
        ("labelled", json!({"ipAddressPoolSelectors": zone})),
        (
            "union",
            json!({"ipAddressPools": ["red"], "ipAddressPoolSelectors": zone}),
        ),
        // Rule 45.
        (
            "union-again",
            json!({"ipAddressPools": ["red"], "ipAddressPoolSelectors": zone}),
        ),
    ]
    .iter()
    .map(|(name, spec)| object(name, "03", spec))
    .collect();
    let Parsed { config, rejected } = parse(&Objects {
        pools: &[blue, red],
        l2_advertisements: &l2,
        ..Objects::default()
    });
    assert_eq!(rejected, []);
    let of = |pool: &str| -> Vec<_> {
        config
            .l2_advertisements_of(&config.pools()[pool])
            .map(|it| &*it.name)
            .collect()
    };
    assert_eq!(of("blue"), ["all"]);
    assert_eq!(of("red"), ["all"]);
}

#[test]
fn l2_advertisements_select_nodes_and_services() {
    let spec = json!({
        "nodeSelectors": [{"matchLabels": {"rack": "1"}}, {"matchLabels": {"rack": "2"}}],
        "serviceSelectors": [{"matchLabels": {"app": "web"}}],
        "interfaces": ["eth1", "eth0", "eth1"],
        "preferredNodeSelectors": [
            {"weight": 10, "preference": {"matchLabels": {"fast": "yes"}}},
            {"weight": 1, "preference": {}},
        ],
    });
    let config = read_l2(&[object("l2", "01", &spec), object("open", "01", &json!({}))]).config;
    let (l2, open) = (
        &config.l2_advertisements()["l2"],
        &config.l2_advertisements()["open"],
    );
    for (node, selected, preference) in [
        (labels(&[("rack", "1")]), true, 1),
        (labels(&[("rack", "2"), ("fast", "yes")]), true, 11),
        // A node that it does not select is not preferred either.
        (labels(&[("rack", "3"), ("fast", "yes")]), false, 0),
    ] {
        assert_eq!(
            (l2.scope.selects_node(&node), l2.preference(&node)),
            (selected, preference)
        );
        assert_eq!(
            (open.scope.selects_node(&node), open.preference(&node)),
            (true, 0)
        );
    }
    let (web, db) = (labels(&[("app", "web")]), labels(&[("app", "db")]));
    assert!(
        l2.scope.selects_service(&web)
            && !l2.scope.selects_service(&db)
            && open.scope.selects_service(&db)
    );
    assert_eq!(l2.interfaces.iter().collect::<Vec<_>>(), ["eth0", "eth1"]);
    assert!(open.interfaces.is_empty());
}

#[test]
fn an_invalid_edit_of_an_l2_advertisement_leaves_its_last_form() {
    let before = read_l2(&[object("l2", "01", &json!({"interfaces": ["eth0"]}))]).config;
    let broken = [object("l2", "01", &json!({"ipAddressPools": ["a", "a"]}))];
    let after = reparse(
        &Objects {
            l2_advertisements: &broken,
            ..Objects::default()
        },
        &before,
    );
    assert_eq!(after.config, before);
    assert_eq!(after.rejected[0].in_effect, InEffect::LastForm);
}
