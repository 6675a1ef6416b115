use metallb_kit::watch::Change;
use serde_json::{Value, json};

use super::fixtures::{Cluster, apply, service, slice, touches_web, web};
use super::*;

#[test]
fn a_service_event_touches_that_service_and_only_when_it_says_something_new() {
    let mut index = Cluster::of(&["a"]).index;
    let same = service("web", json!({ "resourceVersion": "99" }), &["192.0.2.1"]);
    assert_eq!(index.service(apply(same)), Touched::Nothing);
    let moved = service("web", json!({}), &["192.0.2.2"]);
    assert_eq!(index.service(apply(moved)), touches_web());
    assert_eq!(
        index.service(Change::Delete(web())),
        Touched::Gone(web(), Reason::ServiceDeleted)
    );
    assert_eq!(index.service(Change::Delete(web())), Touched::Nothing);
}

#[test]
fn services_of_other_types_and_classes_are_not_ours() {
    let typed = |type_: &str, class: Option<&str>| {
        let mut object = service("web", json!({}), &["192.0.2.1"]);
        object["spec"] = json!({ "type": type_, "loadBalancerClass": class });
        object
    };
    for (own, type_, class, ours) in [
        (None, "LoadBalancer", None, true),
        (None, "LoadBalancer", Some("x"), false),
        (Some("x"), "LoadBalancer", Some("x"), true),
        (Some("x"), "LoadBalancer", None, false),
        (None, "ClusterIP", None, false),
        (None, "NodePort", None, false),
    ] {
        let mut index = Index::new(own.map(str::to_owned), None);
        let touched = index.service(apply(typed(type_, class)));
        assert_eq!(
            touched == touches_web(),
            ours,
            "we {own:?}, it {type_} {class:?}"
        );
    }
    let mut index = Cluster::of(&["a"]).index;
    let gone = Touched::Gone(web(), Reason::NotLoadBalancer);
    assert_eq!(index.service(apply(typed("ClusterIP", None))), gone);
}

#[test]
fn which_endpoints_can_serve() {
    for (conditions, serves) in [
        (json!({}), true),
        (json!({ "ready": true }), true),
        (json!({ "ready": false }), false),
        (json!({ "ready": false, "serving": false }), false),
        // It terminates but still serves.
        (
            json!({ "ready": false, "serving": true, "terminating": true }),
            true,
        ),
        // publishNotReadyAddresses.
        (json!({ "ready": true, "serving": false }), true),
    ] {
        let mut endpoints = Endpoints::default();
        let object = slice(
            "web",
            json!([{ "nodeName": "a", "conditions": conditions }]),
        );
        let object = serde_json::from_value(object).unwrap();
        endpoints.apply(&object, &BTreeMap::new());
        assert_eq!(endpoints.serve(&web()), serves, "{conditions}");
        assert_eq!(endpoints.serve_on(&web(), "a"), serves, "{conditions}");
        assert!(!endpoints.serve_on(&web(), "b"));
    }
}

#[test]
fn a_slice_touches_its_service_when_serving_nodes_change() {
    let mut index = Cluster::of(&["a", "b"]).index;
    let at = |nodes: &[&str], ip: &str| {
        let endpoints: Vec<_> = nodes
            .iter()
            .map(|node| json!({ "nodeName": node, "addresses": [ip] }))
            .collect();
        apply(slice("web", json!(endpoints)))
    };
    assert_eq!(
        index.slice(at(&["a", "b"], "10.0.0.1")),
        Touched::Nothing,
        "only its address"
    );
    assert_eq!(index.slice(at(&["a"], "10.0.0.1")), touches_web());
    assert_eq!(
        index.slice(Change::Delete(ObjectKey::new("default", "web-1"))),
        touches_web()
    );
    assert!(!index.endpoints.serve(&web()));
    // No Service of ours has that name.
    let other = json!([{ "nodeName": "a" }]);
    assert_eq!(index.slice(apply(slice("other", other))), Touched::Nothing);
    // An empty list comes as null.
    assert_eq!(index.slice(apply(slice("web", json!(null)))), touches_web());
}

#[test]
fn several_slices_count_together() {
    let mut endpoints = Endpoints::default();
    let first = slice("web", json!([{ "nodeName": "a" }]));
    let mut second = slice("web", json!([{ "nodeName": "b" }]));
    second["metadata"]["name"] = json!("web-2");
    for object in [first, second] {
        let object = serde_json::from_value(object).unwrap();
        endpoints.apply(&object, &BTreeMap::new());
    }
    assert!(endpoints.serve_on(&web(), "a") && endpoints.serve_on(&web(), "b"));
    endpoints.delete(&ObjectKey::new("default", "web-1"));
    assert!(!endpoints.serve_on(&web(), "a") && endpoints.serve_on(&web(), "b"));
}

#[test]
fn a_node_counts_when_its_labels_or_its_network_change() {
    let mut index = Cluster::of(&["a"]).index;
    let node = |labels, status: &str| {
        apply(json!({
            "metadata": { "name": "a", "labels": labels },
            "spec": { "unschedulable": status == "cordoned" },
            "status": { "conditions": [
                { "type": "Ready", "status": "False" },
                { "type": "NetworkUnavailable", "status": status },
            ] },
        }))
    };
    assert_eq!(index.node(node(json!({}), "False")), Touched::Nothing);
    assert_eq!(index.node(node(json!({}), "cordoned")), Touched::Nothing);
    assert_eq!(index.node(node(json!({}), "True")), Touched::Everything);
    assert_eq!(
        index.node(node(json!({ "zone": "x" }), "True")),
        Touched::Everything
    );
    assert_eq!(
        index.node(Change::Delete(ObjectKey::new("", "a"))),
        Touched::Everything
    );
}

#[test]
fn an_invalid_pool_is_left_out_and_the_others_stay() {
    let mut cluster = Cluster::of(&["a"]);
    let bad = json!({
        "metadata": { "namespace": "metallb-system", "name": "bad" },
        "spec": { "addresses": ["10.0.0.300"] },
    });
    assert_eq!(
        cluster.index.configuration.pool(apply(bad)),
        Touched::Everything
    );
    assert_eq!(cluster.index.configuration.rejected().len(), 1);
    assert_eq!(cluster.announcers(), ["a"]);
    cluster
        .index
        .configuration
        .pool(Change::Delete(ObjectKey::new("metallb-system", "bad")));
    assert!(cluster.index.configuration.rejected().is_empty());
}

#[test]
fn an_invalid_edit_leaves_the_last_valid_form_in_effect() {
    let cluster = Cluster::of(&["a"])
        .pool("pool", json!({ "addresses": ["192.0.2.9-192.0.2.1"] }))
        .advertisement(
            "all",
            json!({ "nodeSelectors": [
            { "matchExpressions": [{ "key": "zone", "operator": "Surrounds" }] }
        ] }),
        );
    assert_eq!(cluster.index.configuration.rejected().len(), 2);
    assert_eq!(cluster.announcers(), ["a"]);
    let mended = cluster.pool("pool", json!({ "addresses": ["198.51.100.0/24"] }));
    assert_eq!(mended.index.configuration.rejected().len(), 1);
    assert!(
        mended.announcers().is_empty(),
        "the address is in no pool any more"
    );
}

#[test]
fn what_was_assigned_from_an_invalid_pool_stays_announced_over_a_restart() {
    let from = |pool: &str| json!({ "annotations": { "metallb.io/ip-allocated-from-pool": pool } });
    let start = |metadata: Value| {
        Cluster::of(&["a"])
            .pool("other", json!({ "addresses": ["oops"] }))
            .pool("broken", json!({ "addresses": ["203.0.113.0/33"] }))
            .service_at("web", metadata, &["203.0.113.1"])
    };
    assert_eq!(start(from("broken")).announcers(), ["a"]);
    assert!(
        start(from("pool")).announcers().is_empty(),
        "that one is good and has it not"
    );
    assert!(start(from("gone")).announcers().is_empty());
    assert!(start(json!({})).announcers().is_empty());
    // Advertisements are for it as ever.
    let selected = |labels| {
        let advertisement = json!({ "ipAddressPoolSelectors": [{ "matchLabels": labels }] });
        start(from("broken")).advertisement("all", advertisement)
    };
    assert_eq!(selected(json!({ "name": "broken" })).announcers(), ["a"]);
    assert!(selected(json!({ "name": "other" })).announcers().is_empty());
}

#[test]
fn a_status_of_a_pool_changes_nothing() {
    let mut cluster = Cluster::of(&["a"]);
    let pool = json!({
        "metadata": {
            "namespace": "metallb-system", "name": "pool", "labels": { "name": "pool" },
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "addresses": ["192.0.2.0/24", "2001:db8::/64"] },
        "status": {
            "assignedIPv4": 1, "assignedIPv6": 0, "availableIPv4": 255, "availableIPv6": 0
        },
    });
    assert_eq!(
        cluster.index.configuration.pool(apply(pool)),
        Touched::Nothing
    );
}

#[test]
fn speakers_are_the_pods_that_run_somewhere() {
    let mut index = Index::new(None, None);
    let pod = |name: &str, node: Option<&str>, ip: Option<&str>, phase: &str| {
        apply(json!({
            "metadata": { "namespace": "metallb-system", "name": name },
            "spec": { "nodeName": node }, "status": { "podIP": ip, "phase": phase },
        }))
    };
    assert_eq!(
        index.pod(pod("p1", Some("a"), Some("10.0.0.1"), "Running")),
        Touched::Speakers
    );
    assert_eq!(
        index.pod(pod("p1", Some("a"), Some("10.0.0.1"), "Running")),
        Touched::Nothing
    );
    assert_eq!(
        index.pod(pod("p2", Some("b"), None, "Pending")),
        Touched::Nothing
    );
    assert_eq!(
        index.pod(pod("p3", None, None, "Pending")),
        Touched::Nothing
    );
    assert_eq!(
        index.pod(pod("p4", Some("c"), Some("10.0.0.3"), "Failed")),
        Touched::Nothing
    );
    assert_eq!(
        index.pod(pod("p2", Some("b"), Some("fd00::2"), "Running")),
        Touched::Speakers
    );
    let speakers = index.speakers.peers();
    assert_eq!(speakers.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        index.pod(pod("p1", Some("a"), Some("10.0.0.1"), "Failed")),
        Touched::Speakers
    );
}
