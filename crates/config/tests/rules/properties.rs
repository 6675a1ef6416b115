//! What is true of any objects.

use metallb_config::{BgpAdvertisement, Config, Family, InEffect, Parsed, Pool, Report};
use proptest::prelude::*;
use proptest::sample::select as one_of;
use serde_json::{Value, json};

use crate::cluster::{Cluster, labels, object, peer_spec, select};

/// Objects that often clash: few names, few addresses, few ages.
fn cluster() -> impl Strategy<Value = Cluster> {
    let lists = (
        specs(pool_spec()),
        specs(l2_spec()),
        specs(bgp_spec()),
        specs(peer()),
        specs(bfd_spec()),
        specs(community_spec()),
    );
    let nodes = prop::collection::vec(one_of(vec!["1", "2", "3"]), 0..3);
    (lists, nodes, any::<bool>()).prop_map(|(lists, nodes, complete)| Cluster {
        pools: objects(lists.0),
        l2_advertisements: objects(lists.1),
        bgp_advertisements: objects(lists.2),
        peers: objects(lists.3),
        bfd_profiles: objects(lists.4),
        communities: objects(lists.5),
        nodes: nodes
            .into_iter()
            .map(|rack| labels(&[("rack", rack)]))
            .collect(),
        complete,
        ..Cluster::new()
    })
}

type Specs = Vec<(Option<u8>, Value)>;

/// Some specs, each with an age or without one.
fn specs(spec: impl Strategy<Value = Value>) -> impl Strategy<Value = Specs> {
    prop::collection::vec((prop::option::weighted(0.9, 0..4_u8), spec), 0..5)
}

/// Objects of these specs and ages, of different names.
fn objects<K: serde::de::DeserializeOwned>(specs: Specs) -> Vec<K> {
    let named = specs.into_iter().zip('a'..).map(|((age, spec), name)| {
        let created = age.map(|age| format!("2026-01-01T00:00:0{age}Z"));
        object(&name.to_string(), &created.unwrap_or_default(), spec)
    });
    named.collect()
}

fn some(entries: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(one_of(entries), 0..=most)
        .prop_map(|list| list.into_iter().map(str::to_owned).collect())
}

fn selectors() -> impl Strategy<Value = Vec<Value>> {
    let rack = one_of(vec!["1", "2", "3"]).prop_map(|rack| select("rack", rack));
    prop::collection::vec(rack, 0..2)
}

fn pool_spec() -> impl Strategy<Value = Value> {
    let addresses = &[
        "10.0.0.0/16",
        "10.0.1.0/24",
        "10.0.1.7-10.0.2.9",
        "10.1.0.0/24",
        "10.2.0.0/28",
        "fd00::/64",
        "fd00::1-fd00::9",
        "nonsense",
    ];
    some(addresses, 2).prop_map(|addresses| json!({ "addresses": addresses }))
}

fn l2_spec() -> impl Strategy<Value = Value> {
    (some(&["a", "b"], 2), some(&["eth0", "eth1"], 2), selectors()).prop_map(
        |(pools, interfaces, nodes)| {
            json!({"ipAddressPools": pools, "interfaces": interfaces, "nodeSelectors": nodes})
        },
    )
}

fn bgp_spec() -> impl Strategy<Value = Value> {
    let lengths = (one_of(vec![24, 28, 32, 33]), one_of(vec![64, 128]));
    let names = (some(&["a", "b"], 1), some(&["a", "b"], 2));
    let communities = some(&["1:2", "large:1:2:3", "x", "1"], 1);
    (lengths, 0..3_u32, names, communities, selectors()).prop_map(
        |((v4, v6), preference, (pools, peers), communities, nodes)| {
            json!({
                "aggregationLength": v4, "aggregationLengthV6": v6, "localPref": preference,
                "ipAddressPools": pools, "peers": peers, "communities": communities,
                "nodeSelectors": nodes,
            })
        },
    )
}

fn peer() -> impl Strategy<Value = Value> {
    let addresses = one_of(vec!["10.0.0.1", "10.0.0.2", "nowhere"]);
    let profiles = prop::option::of(one_of(vec!["a", "b", "x"]));
    let ids = prop::option::weighted(0.2, one_of(vec!["1.1.1.1"]));
    let vrfs = prop::option::of(one_of(vec!["red"]));
    (addresses, profiles, ids, vrfs, 0..3_u32, selectors()).prop_map(
        |(address, profile, id, vrf, asn, nodes)| {
            peer_spec(json!({
                "peerAddress": address, "bfdProfile": profile, "routerID": id, "vrf": vrf,
                "myASN": asn, "nodeSelectors": nodes,
            }))
        },
    )
}

fn bfd_spec() -> impl Strategy<Value = Value> {
    (any::<bool>(), one_of(vec![300, 5]))
        .prop_map(|(echo, interval)| json!({"echoMode": echo, "receiveInterval": interval}))
}

fn community_spec() -> impl Strategy<Value = Value> {
    (
        one_of(vec!["x", "y"]),
        one_of(vec!["1:2", "large:1:2:3", "1"]),
    )
        .prop_map(|(name, value)| json!({"communities": [{"name": name, "value": value}]}))
}

/// Each kind's objects, from the first `turn` on and then those before.
fn turned(cluster: &Cluster, turn: usize) -> Cluster {
    fn turn_list<T>(list: &mut [T], turn: usize) {
        let at = turn % list.len().max(1);
        list.rotate_left(at);
        if turn.is_multiple_of(2) {
            list.reverse();
        }
    }
    let mut turned = cluster.clone();
    turn_list(&mut turned.pools, turn);
    turn_list(&mut turned.l2_advertisements, turn);
    turn_list(&mut turned.bgp_advertisements, turn);
    turn_list(&mut turned.peers, turn);
    turn_list(&mut turned.bfd_profiles, turn);
    turn_list(&mut turned.communities, turn);
    turn_list(&mut turned.nodes, turn);
    turned
}

fn assert_same(a: &Parsed, b: &Parsed) -> Result<(), TestCaseError> {
    prop_assert_eq!(&a.config, &b.config);
    prop_assert_eq!(&a.rejected, &b.rejected);
    Ok(())
}

/// The objects without those of which nothing is in effect.
fn without_rejected(cluster: &Cluster, parsed: &Parsed) -> Cluster {
    fn keep<K: kube::ResourceExt>(list: &mut Vec<K>, gone: &[(String, String)], kind: &str) {
        list.retain(|it| {
            !gone
                .iter()
                .any(|(k, name)| k == kind && *name == it.name_any())
        });
    }
    let gone: Vec<_> = parsed
        .rejected
        .iter()
        .filter(|it| it.in_effect == InEffect::Nothing)
        .map(|it| (it.kind.to_string(), it.name.clone()))
        .collect();
    let mut kept = cluster.clone();
    keep(&mut kept.pools, &gone, "IPAddressPool");
    keep(&mut kept.l2_advertisements, &gone, "L2Advertisement");
    keep(&mut kept.bgp_advertisements, &gone, "BGPAdvertisement");
    keep(&mut kept.peers, &gone, "BGPPeer");
    keep(&mut kept.bfd_profiles, &gone, "BFDProfile");
    keep(&mut kept.communities, &gone, "Community");
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(metallb_seeds::cases(1_000)))]

    #[test]
    fn the_order_of_objects_changes_nothing(cluster in cluster(), before in cluster(), turn in 0..12_usize) {
        let before = before.read().config;
        let turned = turned(&cluster, turn);
        assert_same(&cluster.read_after(&before), &turned.read_after(&before))?;
    }

    #[test]
    fn what_is_rejected_harms_nothing_else(cluster in cluster()) {
        let all = cluster.read();
        let sound = without_rejected(&cluster, &all).read();
        prop_assert_eq!(&sound.config, &all.config);
        prop_assert!(sound.rejected.iter().all(|it| it.in_effect == InEffect::OtherPools));
    }

    #[test]
    fn without_a_change_nothing_changes(cluster in cluster(), before in cluster()) {
        let once = cluster.read_after(&before.read().config);
        let twice = cluster.read_after(&once.config);
        assert_same(&once, &twice)?;
    }

    /// As long as an object was never sound, the past does not matter.
    #[test]
    fn a_sound_object_is_as_it_is(cluster in cluster(), before in cluster()) {
        let alone = cluster.read();
        if alone.rejected.is_empty() {
            assert_same(&alone, &cluster.read_after(&before.read().config))?;
        }
    }

    #[test]
    fn no_address_is_in_two_pools(cluster in cluster(), before in cluster()) {
        let config = cluster.read_after(&before.read().config).config;
        let ranges: Vec<_> = config.pools().values().flat_map(Pool::ranges).collect();
        for (at, range) in ranges.iter().enumerate() {
            prop_assert!(!ranges[..at].iter().any(|other| range.overlaps(other)));
        }
    }

    /// By the rules themselves, pair by pair, without any of the indexes.
    #[test]
    fn no_two_routes_have_different_local_preferences(cluster in cluster(), before in cluster()) {
        let config = cluster.read_after(&before.read().config).config;
        for (pool, a, b) in pairs(&config) {
            let meet = cluster.nodes.iter().any(|it| a.scope.selects_node(it) && b.scope.selects_node(it));
            let same_peer = ["a", "b", "other"].iter().any(|it| a.selects_peer(it) && b.selects_peer(it));
            let same_route = (a.aggregation_v4 == b.aggregation_v4 && pool.has(Family::V4))
                || (a.aggregation_v6 == b.aggregation_v6 && pool.has(Family::V6));
            prop_assert!(!(meet && same_peer && same_route) || a.local_pref == b.local_pref);
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,30}", near in "[0-9a-f:./ -]{0,20}", number in any::<i64>()) {
        for text in [&text, &near] {
            let small = u16::try_from(number & 0xffff).expect("sixteen bits");
            let cluster = Cluster::new()
                .pool("a", json!({
                    "addresses": [text], "serviceAllocation": {
                        "priority": number, "namespaces": [text],
                        "serviceSelectors": [{"matchExpressions": [{"key": text, "operator": text}]}],
                    },
                }))
                .addresses("b", &[&format!("{text}-{near}"), &format!("{near}/{small}")])
                .l2("c", json!({"ipAddressPools": [text], "interfaces": [text], "nodeSelectors": [select(text, text)]}))
                .bgp("d", json!({
                    "communities": [text, format!("{near}:{small}")], "localPref": number,
                    "aggregationLength": i32::from(small), "aggregationLengthV6": -i32::from(small),
                }))
                .peer("e", json!({"peerAddress": text, "routerID": near, "sourceAddress": text}))
                .peer("f", json!({"holdTime": text, "keepaliveTime": near, "connectTime": text, "peerPort": small}))
                .peer("g", json!({"peerAddress": null, "interface": text, "vrf": near, "password": text, "bfdProfile": text}))
                .bfd("h", json!({"receiveInterval": small, "minimumTtl": small}))
                .community(text, &[(text, near.as_str()), (near.as_str(), text)]);
            for cluster in [cluster.clone(), cluster.clone().complete()] {
                let _ = Report::of(&cluster.read().rejected);
            }
        }
    }
}

type Pair<'a> = (&'a Pool, &'a BgpAdvertisement, &'a BgpAdvertisement);

/// Any two advertisements of any pool.
fn pairs(config: &Config) -> Vec<Pair<'_>> {
    let pools = config.pools().values();
    pools
        .flat_map(|pool| {
            let all: Vec<_> = config.bgp_advertisements_of(pool).collect();
            let of = all.clone();
            let pairs = all
                .into_iter()
                .flat_map(move |a| of.clone().into_iter().map(move |b| (a, b)));
            pairs.map(move |(a, b)| (pool, a, b)).collect::<Vec<_>>()
        })
        .collect()
}
