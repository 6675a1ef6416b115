//! Rows 35 to 42: advertisements by BGP.

use std::num::NonZeroU32;

use metallb_config::InEffect;
use serde_json::{Value, json};

use crate::cluster::{Cluster, assert_accepted, assert_rejected, effects, said, select};

const BGP: &str = "BGPAdvertisement metallb-system/bgp";

#[track_caller]
fn assert_refused(spec: Value, reason: &str) {
    let read = Cluster::new()
        .bgp("bgp", spec)
        .bgp("good", json!({}))
        .read();
    assert_rejected(&read, BGP, reason);
    assert_eq!(effects(&read), [InEffect::Nothing]);
    assert_eq!(
        read.config.bgp_advertisements().keys().collect::<Vec<_>>(),
        ["good"]
    );
}

/// The advertisements that announce addresses of a pool.
fn announcing(cluster: &Cluster, pool: &str) -> Vec<String> {
    let config = cluster.read().config;
    let of = config.bgp_advertisements_of(&config.pools()[pool]);
    of.map(|it| it.name.clone()).collect()
}

#[test]
fn row_35_nothing_is_said_twice() {
    for (field, entries, reason) in [
        (
            "communities",
            json!(["1:2", "3:4", "1:2"]),
            "duplicate definition of community \"1:2\"",
        ),
        (
            "peers",
            json!(["a", "b", "a"]),
            "duplicate definition of peers \"a\"",
        ),
        (
            "ipAddressPools",
            json!(["a", "a"]),
            "duplicate definition of ipAddressPools \"a\"",
        ),
    ] {
        assert_refused(json!({ field: entries }), reason);
    }
    for field in [
        "ipAddressPoolSelectors",
        "nodeSelectors",
        "serviceSelectors",
    ] {
        assert_refused(
            json!({ field: [select("a", "b"), select("a", "b")] }),
            &format!("duplicate definition of {field} \"a=b\""),
        );
    }
}

#[test]
fn row_36_no_prefix_is_longer_than_an_address() {
    assert_refused(
        json!({"aggregationLength": 33}),
        "invalid aggregation length 33 for IPv4",
    );
    assert_refused(
        json!({"aggregationLengthV6": 129}),
        "invalid aggregation length 129 for IPv6",
    );
    // No number is so large that it could not be read.
    assert_refused(
        json!({"aggregationLength": 99_999_999_999_i64}),
        "invalid aggregation length 99999999999 for IPv4",
    );
    let read = Cluster::new()
        .bgp(
            "least",
            json!({"aggregationLength": 1, "aggregationLengthV6": 0}),
        )
        .bgp("less", json!({"aggregationLengthV6": -99_999_999_999_i64}))
        .bgp(
            "most",
            json!({"aggregationLength": 32, "aggregationLengthV6": 128}),
        )
        .bgp("none", json!({}))
        .read();
    assert_accepted(&read);
    let lengths = read.config.bgp_advertisements().values();
    let lengths: Vec<_> = lengths
        .map(|it| (it.aggregation_v4, it.aggregation_v6))
        .collect();
    assert_eq!(lengths, [(1, 0), (32, 0), (32, 128), (32, 128)]);
}

#[test]
fn row_37_a_route_has_no_more_addresses_than_the_pool() {
    for (addresses, field, length, prefix, named) in [
        ("1.1.1.0/28", "aggregationLength", 26, 28, "1.1.1.0/28"),
        (
            "1.1.1.10-1.1.1.15",
            "aggregationLength",
            24,
            30,
            "1.1.1.10-1.1.1.15",
        ),
        (
            "1.1.1.10-1.1.1.15",
            "aggregationLength",
            29,
            30,
            "1.1.1.10-1.1.1.15",
        ),
        ("fd00::/64", "aggregationLengthV6", 63, 64, "fd00::/64"),
        ("fd00::/64", "aggregationLengthV6", -1, 64, "fd00::/64"),
    ] {
        let cluster = Cluster::new()
            .addresses("a-small", &["2.0.0.0/8", addresses])
            .addresses("large", &["3.0.0.0/8", "fc00::/8"])
            .bgp("bgp", json!({ field: length }));
        let length = length.max(0);
        assert_rejected(
            &cluster.read(),
            BGP,
            &format!(
                "invalid aggregation length {length}: prefix {prefix} in this pool is more \
                 specific than the aggregation length for addresses {named}"
            ),
        );
    }
    for (addresses, field, length) in [
        ("1.1.1.0/28", "aggregationLength", 28),
        ("1.1.1.0/28", "aggregationLengthV6", 0),
        ("1.1.1.10-1.1.1.15", "aggregationLength", 30),
        ("fd00::/64", "aggregationLengthV6", 64),
        ("fd00::/64", "aggregationLength", 1),
    ] {
        let cluster = Cluster::new()
            .addresses("pool", &[addresses])
            .bgp("bgp", json!({ field: length }));
        assert_accepted(&cluster.read());
        assert_eq!(announcing(&cluster, "pool"), ["bgp"]);
    }
}

/// Nor does an advertisement go because of a pool that somebody adds or edits.
#[test]
fn row_37_other_pools_are_announced_nevertheless() {
    let mut cluster = Cluster::new()
        .bgp("bgp", json!({"aggregationLength": 26}))
        .addresses("large", &["2.0.0.0/8"])
        .addresses("small", &["1.1.1.0/28"]);
    assert_eq!(effects(&cluster.read()), [InEffect::OtherPools]);
    assert_eq!(announcing(&cluster, "large"), ["bgp"]);
    assert_eq!(announcing(&cluster, "small"), Vec::<String>::new());
    // As soon as the pool is mended, all of it is in effect.
    let before = cluster.read().config;
    cluster.pools[1].spec.addresses = vec!["1.1.0.0/16".to_owned()];
    assert_accepted(&cluster.read_after(&before));
    assert_eq!(announcing(&cluster, "small"), ["bgp"]);
    // Pools that it is not about never matter.
    let cluster = Cluster::new()
        .addresses("large", &["2.0.0.0/8"])
        .addresses("small", &["1.1.1.0/28"])
        .bgp(
            "bgp",
            json!({"aggregationLength": 26, "ipAddressPools": ["large"]}),
        );
    assert_accepted(&cluster.read());
}

#[test]
fn row_38_some_services_have_routes_of_their_own_only() {
    let web = select("app", "web");
    for (field, length) in [("aggregationLength", 24), ("aggregationLengthV6", 64)] {
        assert_refused(
            json!({ field: length, "serviceSelectors": [web] }),
            &format!(
                "serviceSelectors and {field} are mutually exclusive, both cannot be set in bgp"
            ),
        );
    }
    let spec = json!({
        "aggregationLength": 32, "aggregationLengthV6": 128, "serviceSelectors": [web],
    });
    assert_accepted(&Cluster::new().bgp("bgp", spec).read());
}

/// Two advertisements of the pools `v4`, `v6` and `dual`, on two nodes.
fn two(older: Value, newer: Value) -> Cluster {
    Cluster::new()
        .node(&[("rack", "1")])
        .node(&[("rack", "2")])
        .bgp("older", older)
        .bgp("bgp", newer)
        .addresses("v4", &["1.0.0.0/8"])
        .addresses("v6", &["fc00::/8"])
        .addresses("dual", &["2.0.0.0/8", "fd00::/8"])
}

#[test]
fn row_39_a_route_has_one_local_preference() {
    let on_rack = |rack: &str| json!([select("rack", rack)]);
    for (older, newer, had, wanted) in [
        (
            json!({"localPref": 100}),
            json!({"localPref": 200}),
            100,
            200,
        ),
        // None is one too.
        (json!({}), json!({"localPref": 200}), 0, 200),
        (json!({"localPref": 100}), json!({}), 100, 0),
        (
            json!({"localPref": 1, "peers": ["a", "b"]}),
            json!({"localPref": 2, "peers": ["b", "c"]}),
            1,
            2,
        ),
        (
            json!({"localPref": 1, "peers": ["a"]}),
            json!({"localPref": 2}),
            1,
            2,
        ),
        (
            json!({"localPref": 1, "nodeSelectors": on_rack("1")}),
            json!({"localPref": 2}),
            1,
            2,
        ),
        (
            json!({"localPref": 1, "aggregationLength": 24, "ipAddressPools": ["dual"]}),
            json!({"localPref": 2, "ipAddressPools": ["dual"]}),
            1,
            2,
        ),
    ] {
        let mut cluster = two(older, newer);
        let reason = format!(
            "invalid local preference {wanted}: local preferernce {had} was already set for the \
             same type of BGP update. Check existing BGP advertisements with common pools and \
             aggregation lengths"
        );
        for _ in 0..2 {
            let read = cluster.read();
            assert_rejected(&read, BGP, &reason);
            assert_eq!(announcing(&cluster, "dual"), ["older"]);
            cluster.bgp_advertisements.reverse();
        }
    }
}

#[test]
fn row_40_different_routes_have_their_own_local_preferences() {
    let on_rack = |rack: &str| json!([select("rack", rack)]);
    let [v4, v6, dual] = [json!(["v4"]), json!(["v6"]), json!(["dual"])];
    let web = json!([select("app", "web")]);
    for (older, newer) in [
        (json!({"localPref": 1}), json!({"localPref": 1})),
        (
            json!({"localPref": 1, "nodeSelectors": on_rack("1")}),
            json!({"localPref": 2, "nodeSelectors": on_rack("2")}),
        ),
        (
            json!({"localPref": 1, "peers": ["a"]}),
            json!({"localPref": 2, "peers": ["b"]}),
        ),
        (
            json!({"localPref": 1, "ipAddressPools": v4, "aggregationLength": 24}),
            json!({"localPref": 2, "ipAddressPools": v4}),
        ),
        (
            json!({"localPref": 1, "ipAddressPools": v6, "aggregationLengthV6": 64}),
            json!({"localPref": 2, "ipAddressPools": v6}),
        ),
        (
            json!({"localPref": 1, "ipAddressPools": dual, "aggregationLength": 24,
                   "aggregationLengthV6": 64}),
            json!({"localPref": 2, "ipAddressPools": dual}),
        ),
        (
            json!({"localPref": 1, "serviceSelectors": web}),
            json!({"localPref": 2}),
        ),
        (
            json!({"localPref": 1}),
            json!({"localPref": 2, "serviceSelectors": web}),
        ),
        (
            json!({"localPref": 1, "ipAddressPools": v4}),
            json!({"localPref": 2, "ipAddressPools": v6}),
        ),
    ] {
        assert_accepted(&two(older, newer).read());
    }
    // Nobody knows of any node.
    let mut cluster = two(json!({"localPref": 1}), json!({"localPref": 2}));
    cluster.nodes.clear();
    assert_accepted(&cluster.read());
}

#[test]
fn row_39_only_what_is_announced_stands_in_the_way() {
    // The first is no good for the pool, so the second has it; the third is younger than that.
    let cluster = Cluster::new()
        .node(&[])
        .addresses("pool", &["1.1.1.0/28"])
        .bgp("a", json!({"localPref": 1, "aggregationLength": 24}))
        .bgp("b", json!({"localPref": 2}))
        .bgp("c", json!({"localPref": 3}));
    assert_eq!(announcing(&cluster, "pool"), ["b"]);
    assert_eq!(said(&cluster.read()).len(), 2);
}

#[test]
fn row_41_an_advertisement_is_defined_once() {
    let read = Cluster::new()
        .bgp("bgp", json!({"localPref": 1}))
        .bgp("bgp", json!({"localPref": 1}))
        .read();
    assert_rejected(&read, BGP, "duplicate definition of bgpadvertisements");
    // Of two names, two may say the same.
    let same = Cluster::new().bgp("a", json!({})).bgp("b", json!({}));
    assert_accepted(&same.read());
}

#[test]
fn row_42_what_is_not_there_is_not_announced() {
    let cluster = Cluster::new()
        .addresses("blue", &["10.0.0.0/24"])
        .labelled("zone", "a")
        .addresses("red", &["10.1.0.0/24"])
        .bgp("all", json!({}))
        .bgp(
            "unknown",
            json!({"ipAddressPools": ["nobody"], "peers": ["nobody"]}),
        )
        .bgp("named", json!({"ipAddressPools": ["red", "nobody"]}))
        .bgp(
            "labelled",
            json!({"ipAddressPoolSelectors": [select("zone", "a")]}),
        )
        .bgp(
            "both",
            json!({
                "ipAddressPools": ["red"], "ipAddressPoolSelectors": [select("zone", "a")],
            }),
        )
        .complete();
    assert_accepted(&cluster.read());
    assert_eq!(announcing(&cluster, "blue"), ["all", "both", "labelled"]);
    assert_eq!(announcing(&cluster, "red"), ["all", "both", "named"]);
    let config = cluster.read().config;
    let [all, unknown] = ["all", "unknown"].map(|it| &config.bgp_advertisements()[it]);
    assert!(all.selects_peer("somebody"));
    assert!(unknown.selects_peer("nobody") && !unknown.selects_peer("somebody"));
}

#[test]
fn what_else_an_advertisement_says_is_read() {
    let read = Cluster::new()
        .bgp("none", json!({"localPref": 0}))
        .bgp("some", json!({"localPref": 2_147_483_647}))
        .read();
    assert_accepted(&read);
    let of = |name| read.config.bgp_advertisements()[name].local_pref;
    assert_eq!(of("none"), None);
    assert_eq!(of("some").map(NonZeroU32::get), Some(2_147_483_647));
    for number in [-1_i64, 4_294_967_296] {
        let reason = format!("invalid local preference {number}: ");
        assert_refused(json!({ "localPref": number }), &reason);
    }
}
