use metallb_bgp::rib::RouteAttributes;
use metallb_bgp::wire::LargeCommunity;
use serde_json::json;

use super::*;
use crate::index::fixtures::Cluster;

/// What node `a` tells of the Service `web`: prefixes, or the reason against it.
fn told(cluster: &Cluster) -> Result<Vec<String>, &'static str> {
    let own = Own {
        node: "a".to_owned(),
        ignore_exclude_lb: false,
    };
    let key = ObjectKey::new("default", "web");
    let routes = routes(&cluster.index, &own, &key).map_err(Reason::as_str)?;
    Ok(routes.iter().map(|it| it.prefix.to_string()).collect())
}

fn cluster() -> Cluster {
    Cluster::of(&["a", "b"]).bgp("all", json!({}))
}

#[test]
fn a_service_with_endpoints_is_told_from_every_node() {
    assert_eq!(told(&cluster()), Ok(vec!["192.0.2.1/32".to_owned()]));
    let both = cluster().ips("web", &["192.0.2.1", "2001:db8::1"]);
    let expected = ["192.0.2.1/32", "2001:db8::1/128"].map(str::to_owned);
    assert_eq!(told(&both), Ok(expected.into()));
}

#[test]
fn each_reason_against_it_in_upstreams_order() {
    let label = || json!({ "node.kubernetes.io/exclude-from-external-load-balancers": "" });
    let on_b = json!({ "nodeSelectors": [{ "matchLabels": { "rack": "b" } }] });
    let for_x = json!({ "serviceSelectors": [{ "matchLabels": { "app": "x" } }] });
    for (cluster, reason) in [
        (Cluster::of(&["a"]), "notOwner"),
        (Cluster::of(&["a"]).bgp("all", on_b), "notOwner"),
        (
            Cluster::of(&["a"]).bgp("all", for_x),
            "noMatchingAdvertisement",
        ),
        (
            cluster()
                .bgp("one", json!({ "serviceSelectors": [{}], "localPref": 1 }))
                .bgp("two", json!({ "serviceSelectors": [{}], "localPref": 2 })),
            "conflictingAdvertisements",
        ),
        (cluster().no_network("a"), "nodeNetworkUnavailable"),
        (cluster().node("a", label()), "nodeLabeledExcludeBalancers"),
        (
            cluster().local("web").endpoints("web", &["b"]),
            "noLocalEndpoints",
        ),
        (cluster().endpoints("web", &[]), "noEndpoints"),
        (cluster().ips("web", &[]), "noIPAllocated"),
        (cluster().ips("web", &["203.0.113.1"]), "ipNotAllowed"),
    ] {
        assert_eq!(told(&cluster), Err(reason));
    }
    // What is against another node is none of ours.
    let fine = cluster().no_network("b").node("b", label());
    assert!(told(&fine).is_ok());
    assert!(told(&cluster().local("web").endpoints("web", &["a"])).is_ok());
}

#[test]
fn preferences_are_in_conflict_only_where_one_peer_is_told_one_route() {
    let one = json!({ "serviceSelectors": [{}], "localPref": 1, "peers": ["r1"] });
    let two = json!({ "serviceSelectors": [{}], "localPref": 2, "peers": ["r2"] });
    let apart = Cluster::of(&["a"]).bgp("one", one).bgp("two", two);
    assert_eq!(told(&apart).map(|it| it.len()), Ok(2));
}

#[test]
fn an_advertisement_says_how_long_the_prefixes_are_and_what_is_said_of_them() {
    let spec = json!({
        "aggregationLength": 24, "localPref": 7, "peers": ["r1"],
        "communities": ["65535:65281", "64512:1", "large:64512:1:2"],
    });
    let cluster = Cluster::of(&["a"])
        .bgp("some", spec)
        .ips("web", &["192.0.2.77"]);
    let own = Own {
        node: "a".to_owned(),
        ..Own::default()
    };
    let key = ObjectKey::new("default", "web");
    let routes = routes(&cluster.index, &own, &key).expect("it is told");
    let [route] = &routes[..] else {
        panic!("{routes:?}");
    };
    assert_eq!(route.prefix.to_string(), "192.0.2.0/24");
    assert!(route.audience.has("r1") && !route.audience.has("r2"));
    let expected = RouteAttributes {
        local_pref: Some(7),
        communities: [0xffff_ff01, 0xfc00_0001].into(),
        large_communities: [LargeCommunity(64512, 1, 2)].into(),
    };
    assert_eq!(*route.attributes, expected);
}
