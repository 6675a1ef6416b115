//! BGP and L2 advertisements.

use metallb_config::Kind::{BGPAdvertisement, BGPPeer, IPAddressPool, L2Advertisement};
use serde_json::json;

use super::{assert_allowed, assert_denied, expression, peer, pool, twice};
use crate::Cluster;

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
