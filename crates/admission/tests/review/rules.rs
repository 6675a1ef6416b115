//! Each rule that upstream's webhooks refuse an object for, ours do, in the same words; and what
//! they let through is let through.

use metallb_config::Kind::{
    self, BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement,
};
use serde_json::{Value, json};

use crate::{Cluster, allowed, denied};

/// The object is refused for this reason at creation and at change.
fn assert_denied(row: u8, cluster: &Cluster, kind: Kind, spec: &Value, words: &str) {
    let created = denied(cluster.create(kind, "new", spec));
    assert!(
        created.contains(words),
        "row {row}: {spec}: {words:?} is not in {created:?}"
    );
    let changed = denied(cluster.update(kind, "new", &json!({"before": true}), spec));
    assert_eq!(created, changed, "row {row}");
}

fn assert_allowed(row: u8, cluster: &Cluster, kind: Kind, spec: &Value) {
    assert_eq!(
        cluster.create(kind, "new", spec),
        allowed(),
        "row {row}: {spec}"
    );
    let changed = cluster.update(kind, "new", &json!({"before": true}), spec);
    assert_eq!(changed, allowed(), "row {row}: {spec}");
}

fn pool(addresses: &[&str]) -> Value {
    json!({ "addresses": addresses })
}

fn pool_for(allocation: &Value) -> Value {
    json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": allocation})
}

/// A peer with other fields.
fn peer(fields: &Value) -> Value {
    let mut spec = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1"});
    for (field, value) in fields.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    spec
}

fn expression(operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]})
}

fn twice() -> Value {
    json!([{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}])
}

#[test]
fn rows_01_to_08_of_pools() {
    let cluster = Cluster::default()
        .with(IPAddressPool, "old", &pool(&["10.0.0.0/8"]))
        .with(IPAddressPool, "bad", &pool(&["nonsense"]));
    for (row, addresses, words) in [
        (1, vec![], "pool has no prefixes defined"),
        (2, vec!["1.2.3.4"], "invalid CIDR \"1.2.3.4\""),
        (
            4,
            vec!["100.200.300.400/24"],
            "invalid CIDR \"100.200.300.400/24\"",
        ),
        (4, vec!["1.2.3.0/33"], "invalid CIDR \"1.2.3.0/33\""),
        (
            5,
            vec!["1.66.66.66-1.66.66.1"],
            "start IP \"1.66.66.66\" is after the end IP",
        ),
        // Upstream takes it for a pool of no addresses.
        (7, vec!["1.1.1.1-fc00::1"], "not of the same IP family"),
        (
            8,
            vec!["10.0.0.0/16"],
            "CIDR \"10.0.0.0/16\" in pool \"new\" overlaps with already defined CIDR \"10.0.0.0/8\"",
        ),
        (
            8,
            vec!["11.0.0.0/8", "11.0.0.0/8"],
            "overlaps with already defined CIDR",
        ),
    ] {
        assert_denied(row, &cluster, IPAddressPool, &pool(&addresses), words);
    }
    for (row, addresses) in [
        (3, vec!["11.0.0.5/24"]),
        (6, vec!["192.168.9.1 - 192.168.9.5"]),
        (8, vec!["11.0.0.0/24", "fd00::/64"]),
    ] {
        assert_allowed(row, &cluster, IPAddressPool, &pool(&addresses));
    }
}

#[test]
fn rows_10_to_13_of_pools_for_some_services() {
    let cluster = Cluster::default();
    for (row, allocation, words) in [
        (
            10,
            json!({"namespaces": ["a", "a"]}),
            "duplicate definition in namespaces field",
        ),
        (
            11,
            json!({"namespaceSelectors": twice()}),
            "duplicate definition of namespaceSelectors",
        ),
        (
            11,
            json!({"serviceSelectors": twice()}),
            "duplicate definition of serviceSelectors",
        ),
        (
            13,
            json!({"serviceSelectors": [expression("Surrounds", &[])]}),
            "\"Surrounds\" is not a valid label selector operator",
        ),
        (
            13,
            json!({"namespaceSelectors": [expression("In", &["b", "b"])]}),
            "duplicate definition of match expression value in label selector \"b\"",
        ),
    ] {
        assert_denied(row, &cluster, IPAddressPool, &pool_for(&allocation), words);
    }
    for (row, allocation) in [
        (12, json!({"priority": 5})),
        (12, json!({"priority": -5})),
        (
            13,
            json!({"serviceSelectors": [expression("NotIn", &["b", "c"])]}),
        ),
    ] {
        assert_allowed(row, &cluster, IPAddressPool, &pool_for(&allocation));
    }
}

#[test]
fn rows_13_to_28_of_peers() {
    let cluster = Cluster::default();
    for (row, fields, words) in [
        (
            13,
            json!({"nodeSelectors": twice()}),
            "duplicate definition of nodeSelectors",
        ),
        (
            13,
            json!({"nodeSelectors": [expression("Surrounds", &[])]}),
            "\"Surrounds\" is not a valid label selector operator",
        ),
        (14, json!({"myASN": 0}), "missing local ASN"),
        (15, json!({"peerASN": 0}), "missing peer ASN and dynamicASN"),
        (
            15,
            json!({"peerASN": null}),
            "missing peer ASN and dynamicASN",
        ),
        (
            16,
            json!({"dynamicASN": "external"}),
            "both peer ASN and dynamicASN specified",
        ),
        (
            17,
            json!({"peerASN": 64512, "ebgpMultiHop": true}),
            "invalid ebgp-multihop parameter set for an ibgp peer",
        ),
        (
            18,
            json!({"peerAddress": null}),
            "peer has no Address or Interface specified",
        ),
        (
            18,
            json!({"peerAddress": "", "interface": ""}),
            "peer has no Address or Interface specified",
        ),
        (
            18,
            json!({"interface": "eth0"}),
            "peer has both Address and Interface specified",
        ),
        (
            19,
            json!({"peerAddress": "1.2.3.400"}),
            "invalid BGPPeer address \"1.2.3.400\"",
        ),
        (20, json!({"routerID": "1"}), "invalid router ID \"1\""),
        (
            20,
            json!({"sourceAddress": "here"}),
            "invalid source IP \"here\"",
        ),
        (22, json!({"holdTime": "1s"}), "must be 0 or >=3s"),
        (22, json!({"holdTime": "2.9s"}), "must be 0 or >=3s"),
        (
            23,
            json!({"holdTime": "3s", "keepaliveTime": "4s"}),
            "must be lower than holdTime",
        ),
    ] {
        assert_denied(row, &cluster, BGPPeer, &peer(&fields), words);
    }
    for (row, fields) in [
        (
            17,
            json!({"peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true}),
        ),
        (20, json!({"routerID": "2001:db8::1"})),
        (21, json!({"holdTime": "90s"})),
        (21, json!({"keepaliveTime": "1s"})),
        (21, json!({"holdTime": "0s", "keepaliveTime": "0s"})),
        (22, json!({"holdTime": "0.5s"})),
        (23, json!({"holdTime": "3s", "keepaliveTime": "3s"})),
        // What is named may come later, and is not looked at.
        (
            24,
            json!({"password": "a", "passwordSecret": {"name": "b"}}),
        ),
        (25, json!({"passwordSecret": {"name": "b"}})),
        (28, json!({"bfdProfile": "unknown"})),
    ] {
        assert_allowed(row, &cluster, BGPPeer, &peer(&fields));
    }
}

/// With another name it is another peer, but for FRR.
#[test]
fn row_29_equal_peers() {
    let cluster = |bgp_type| Cluster::in_mode(bgp_type).with(BGPPeer, "old", &peer(&json!({})));
    assert_allowed(29, &cluster("native"), BGPPeer, &peer(&json!({})));
    assert_denied(
        29,
        &cluster("frr"),
        BGPPeer,
        &peer(&json!({})),
        "peer 10.0.0.1 already exists",
    );
}

#[test]
fn row_30_profiles_are_left_to_the_schema() {
    let cluster = Cluster::default();
    for spec in [json!({"receiveInterval": 5}), json!({"minimumTtl": 255})] {
        assert_allowed(30, &cluster, BFDProfile, &spec);
    }
    // Also in native mode, where they have no effect.
    assert_allowed(30, &Cluster::in_mode("native"), BFDProfile, &json!({}));
}

#[test]
fn rows_31_to_34_of_communities() {
    let named = |name: &str, value: &str| json!({"communities": [{"name": name, "value": value}]});
    let cluster = Cluster::default().with(Community, "old", &named("taken", "1:1"));
    for (row, value, words) in [
        (31, "99999999:1", "invalid community value: "),
        (31, "1:99999999", "invalid community value: "),
        (31, "lar:1:2:3", "invalid community value: "),
        (31, "large:1:x:3", "invalid community value: "),
        (32, "1234", "invalid community format: 1234"),
        (32, "1:2:3", "invalid community format: 1:2:3"),
    ] {
        assert_denied(row, &cluster, Community, &named("a", value), words);
        // Without the colon it could be the name of one.
        if value.contains(':') {
            let advertisement = json!({"communities": [value]});
            assert_denied(row, &cluster, BGPAdvertisement, &advertisement, words);
        }
    }
    let duplicate = "duplicate definition of community \"taken\"";
    assert_denied(33, &cluster, Community, &named("taken", "2:2"), duplicate);
    let twice =
        json!({"communities": [{"name": "a", "value": "1:1"}, {"name": "a", "value": "1:1"}]});
    assert_denied(
        33,
        &cluster,
        Community,
        &twice,
        "duplicate definition of community \"a\"",
    );
    for value in ["0:0", "65535:65535", "large:4294967295:0:1"] {
        assert_allowed(31, &cluster, Community, &named("a", value));
    }
    for names in [
        json!(["unknown"]),
        json!(["unknown", "unknown"]),
        json!(["1234", ""]),
    ] {
        assert_allowed(
            34,
            &cluster,
            BGPAdvertisement,
            &json!({ "communities": names }),
        );
    }
}

#[test]
fn rows_35_to_45_of_advertisements() {
    let cluster = Cluster::default();
    for field in ["ipAddressPools", "peers"] {
        let spec = json!({ field: ["a", "b", "a"] });
        let words = format!("duplicate definition of {field} \"a\"");
        assert_denied(35, &cluster, BGPAdvertisement, &spec, &words);
    }
    assert_denied(
        43,
        &cluster,
        L2Advertisement,
        &json!({"ipAddressPools": ["a", "a"]}),
        "duplicate definition of ipAddressPools \"a\"",
    );
    let communities = json!({"communities": ["1:1", "1:1"]});
    assert_denied(
        35,
        &cluster,
        BGPAdvertisement,
        &communities,
        "duplicate definition of community \"1:1\"",
    );
    for field in [
        "ipAddressPoolSelectors",
        "nodeSelectors",
        "serviceSelectors",
    ] {
        for (row, kind) in [(35, BGPAdvertisement), (43, L2Advertisement)] {
            let words = format!("duplicate definition of {field}");
            assert_denied(row, &cluster, kind, &json!({ field: twice() }), &words);
            let bad = json!({ field: [expression("Surrounds", &[])] });
            assert_denied(
                13,
                &cluster,
                kind,
                &bad,
                "\"Surrounds\" is not a valid label selector operator",
            );
        }
    }
    let preferred = json!({"preferredNodeSelectors": [{"weight": 1, "preference": expression("Surrounds", &[])}]});
    assert_denied(
        44,
        &cluster,
        L2Advertisement,
        &preferred,
        "\"Surrounds\" is not a valid label selector operator",
    );
    assert_denied(
        36,
        &cluster,
        BGPAdvertisement,
        &json!({"aggregationLength": 33}),
        "invalid aggregation length",
    );
    assert_denied(
        36,
        &cluster,
        BGPAdvertisement,
        &json!({"aggregationLengthV6": 129}),
        "invalid aggregation length",
    );
    for (row, kind, spec) in [
        (6, BGPAdvertisement, json!({"aggregationLengthV6": 0})),
        (
            42,
            BGPAdvertisement,
            json!({"ipAddressPools": ["unknown"], "peers": ["unknown"]}),
        ),
        (
            42,
            L2Advertisement,
            json!({"ipAddressPools": ["unknown"], "interfaces": ["eth0", "eth0"]}),
        ),
    ] {
        assert_allowed(row, &cluster, kind, &spec);
    }
    // Rows 41 and 45: the same under another name.
    let both = Cluster::default()
        .with(BGPAdvertisement, "old", &json!({}))
        .with(L2Advertisement, "old", &json!({}))
        .with(IPAddressPool, "p", &pool(&["10.0.0.0/24"]));
    assert_allowed(41, &both, BGPAdvertisement, &json!({}));
    assert_allowed(45, &both, L2Advertisement, &json!({}));
}

#[test]
fn rows_37_and_38_of_aggregation() {
    let cluster = Cluster::default()
        .with(IPAddressPool, "narrow", &pool(&["1.1.1.0/28"]))
        .with(IPAddressPool, "range", &pool(&["2.2.2.10-2.2.2.15"]));
    let of =
        |pool: &str, length: u8| json!({"ipAddressPools": [pool], "aggregationLength": length});
    assert_denied(
        37,
        &cluster,
        BGPAdvertisement,
        &of("narrow", 26),
        "invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28",
    );
    assert_denied(
        37,
        &cluster,
        BGPAdvertisement,
        &of("range", 24),
        "invalid aggregation length 24: prefix 30",
    );
    assert_denied(
        37,
        &cluster,
        BGPAdvertisement,
        &json!({"aggregationLength": 24}),
        "invalid aggregation length 24",
    );
    assert_allowed(37, &cluster, BGPAdvertisement, &of("range", 30));
    assert_allowed(37, &cluster, BGPAdvertisement, &of("unknown", 1));
    let for_some = json!({"aggregationLength": 30, "serviceSelectors": [{}]});
    assert_denied(
        38,
        &cluster,
        BGPAdvertisement,
        &for_some,
        "serviceSelectors and aggregationLength are mutually exclusive",
    );
}

#[test]
fn rows_39_and_40_of_local_preferences() {
    let old = json!({"localPref": 100, "peers": ["a"], "nodeSelectors": [{"matchLabels": {"rack": "1"}}]});
    let cluster = Cluster::default()
        .with(IPAddressPool, "p", &pool(&["10.0.0.0/24"]))
        .with(BGPAdvertisement, "old", &old)
        .with_node(&[("rack", "1")])
        .with_node(&[("rack", "2")]);
    for spec in [
        json!({"localPref": 200}),
        json!({"localPref": 200, "peers": ["b", "a"]}),
        json!({}),
    ] {
        assert_denied(
            39,
            &cluster,
            BGPAdvertisement,
            &spec,
            "local preferernce 100 was already set for the same type of BGP update",
        );
    }
    for spec in [
        json!({"localPref": 100}),
        json!({"localPref": 200, "peers": ["b"]}),
        json!({"localPref": 200, "nodeSelectors": [{"matchLabels": {"rack": "2"}}]}),
        json!({"localPref": 200, "aggregationLength": 24}),
        json!({"localPref": 200, "serviceSelectors": [{}]}),
        json!({"localPref": 200, "ipAddressPools": ["other"]}),
    ] {
        assert_allowed(40, &cluster, BGPAdvertisement, &spec);
    }
}

/// This needs the peers' profiles, which the webhook does not see.
#[test]
fn row_46_echo_over_ipv6_is_seen_later() {
    let cluster = Cluster::default()
        .with(IPAddressPool, "p", &pool(&["fd00::/64"]))
        .with(BGPPeer, "r", &peer(&json!({"bfdProfile": "echo"})));
    assert_allowed(46, &cluster, BGPAdvertisement, &json!({}));
}

// --- what a backend cannot do ---

#[test]
fn native_mode() {
    let native = Cluster::in_mode("native").with(IPAddressPool, "p6", &pool(&["fd00::/64"]));
    for (fields, words) in [
        (
            json!({"keepaliveTime": "1s"}),
            "peer 10.0.0.1 has keepalive-time set on native bgp mode",
        ),
        (
            json!({"vrf": "red"}),
            "peer 10.0.0.1 has vrf set on native bgp mode",
        ),
        (
            json!({"connectTime": "1s"}),
            "peer 10.0.0.1 has connect time set on native bgp mode",
        ),
        (
            json!({"enableGracefulRestart": true}),
            "peer 10.0.0.1 has EnableGracefulRestart flag set on native bgp mode",
        ),
        (
            json!({"dualStackAddressFamily": true}),
            "peer 10.0.0.1 has dualstackaddressfamily flag set on native bgp mode",
        ),
        (
            json!({"peerASN": null, "dynamicASN": "external"}),
            "peer 10.0.0.1 has dynamicASN set on native bgp mode",
        ),
        (
            json!({"interface": "eth0"}),
            "peer 10.0.0.1 has interface set on native bgp mode",
        ),
        (
            json!({"localASN": 5}),
            "peer 10.0.0.1 has localASN set on native bgp mode",
        ),
    ] {
        assert_denied(0, &native, BGPPeer, &peer(&fields), words);
        assert_eq!(
            Cluster::default().create(BGPPeer, "new", &peer(&fields)) == allowed(),
            fields.get("interface").is_none()
        );
    }
    // At creation it is let through with a warning.
    let disabled = denied(native.update(
        BGPPeer,
        "new",
        &peer(&json!({})),
        &peer(&json!({"disableMP": true})),
    ));
    assert_eq!(
        disabled,
        "peer 10.0.0.1 has disable MP flag set on native bgp mode"
    );
    assert_allowed(
        0,
        &native,
        BGPPeer,
        &peer(&json!({"keepaliveTime": "0s", "enableGracefulRestart": false})),
    );

    assert_denied(
        0,
        &native,
        BGPAdvertisement,
        &json!({}),
        "pool \"p6\" has ipv6 CIDR fd00::/64, native bgp mode does not support ipv6",
    );
    assert_allowed(
        0,
        &native,
        BGPAdvertisement,
        &json!({"ipAddressPools": ["another"]}),
    );
    assert_allowed(0, &native, L2Advertisement, &json!({}));
    assert_allowed(0, &native, IPAddressPool, &pool(&["fd01::/64"]));

    let large = "native BGP mode only supports legacy communities";
    assert_denied(
        0,
        &native,
        BGPAdvertisement,
        &json!({"ipAddressPools": ["a"], "communities": ["large:1:2:3"]}),
        large,
    );
    assert_denied(
        0,
        &native,
        Community,
        &json!({"communities": [{"name": "a", "value": "large:1:2:3"}]}),
        large,
    );
}

#[test]
fn frr_mode() {
    let old = json!({"routerID": "10.9.9.9", "nodeSelectors": [{"matchLabels": {"rack": "1"}}]});
    let rack = |fields: &Value, rack: &str| {
        let mut spec = peer(fields);
        spec["nodeSelectors"] = json!([{"matchLabels": {"rack": rack}}]);
        spec
    };
    for bgp_type in ["frr", "frr-k8s"] {
        let no_nodes = Cluster::in_mode(bgp_type).with(BGPPeer, "old", &peer(&old));
        let cluster = Cluster::in_mode(bgp_type)
            .with(BGPPeer, "old", &peer(&old))
            .with_node(&[("rack", "1")])
            .with_node(&[("rack", "2")]);
        for (fields, words) in [
            (
                json!({"peerAddress": "10.0.0.2"}),
                "in FRR mode peers selecting the same node must all have the same RouterID",
            ),
            (
                json!({"peerAddress": "10.0.0.2", "routerID": "10.8.8.8"}),
                "has RouterID different from",
            ),
            (
                json!({"routerID": "10.9.9.9"}),
                "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ),
            (
                json!({"peerAddress": "10.0.0.2", "routerID": "10.9.9.9", "myASN": 7}),
                "in FRR mode peers selecting the same node must have the same myAsn within the same VRF",
            ),
        ] {
            assert_denied(0, &cluster, BGPPeer, &peer(&fields), words);
            assert_denied(0, &cluster, BGPPeer, &rack(&fields, "1"), words);
            assert_allowed(0, &cluster, BGPPeer, &rack(&fields, "2"));
            // Without nodes to tell them apart, every two meet.
            assert_denied(0, &no_nodes, BGPPeer, &rack(&fields, "2"), words);
            // Other backends do not mind.
            let any = Cluster::in_mode("something").with(BGPPeer, "old", &peer(&old));
            assert_allowed(0, &any, BGPPeer, &peer(&fields));
        }
        let other_vrf = json!({"routerID": "10.9.9.9", "vrf": "red", "myASN": 7});
        assert_allowed(0, &cluster, BGPPeer, &peer(&other_vrf));
    }
}
