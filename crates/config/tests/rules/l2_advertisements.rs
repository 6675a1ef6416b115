//! Rows 42 to 45: advertisements by layer 2.

use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, assert_rejected, expression, labels, select};

const L2: &str = "L2Advertisement metallb-system/l2";

/// The advertisements that announce addresses of a pool.
fn announcing(cluster: &Cluster, pool: &str) -> Vec<String> {
    let config = cluster.read().config;
    let of = config.l2_advertisements_of(&config.pools()[pool]);
    of.map(|it| it.name.clone()).collect()
}

#[test]
fn row_42_pools_that_are_not_there_do_no_harm() {
    let selector = json!([select("zone", "a")]);
    // Of interfaces of their own, so that none of them says what another has said.
    let l2 = |name: &str, mut spec: serde_json::Value| {
        spec["interfaces"] = json!([name]);
        (name.to_owned(), spec)
    };
    let mut cluster = Cluster::new()
        .addresses("blue", &["10.0.0.0/24"])
        .labelled("zone", "a")
        .addresses("red", &["10.1.0.0/24"]);
    for (name, spec) in [
        l2("all", json!({})),
        l2("unknown", json!({"ipAddressPools": ["nobody"]})),
        l2("named", json!({"ipAddressPools": ["red", "nobody"]})),
        l2("labelled", json!({ "ipAddressPoolSelectors": selector })),
        l2(
            "both",
            json!({"ipAddressPools": ["red"], "ipAddressPoolSelectors": selector}),
        ),
    ] {
        cluster = cluster.l2(&name, spec);
    }
    assert_accepted(&cluster.read());
    assert_eq!(announcing(&cluster, "blue"), ["all", "both", "labelled"]);
    assert_eq!(announcing(&cluster, "red"), ["all", "both", "named"]);
}

#[test]
fn row_43_nothing_is_said_twice() {
    let read = Cluster::new()
        .l2("l2", json!({"ipAddressPools": ["a", "b", "a"]}))
        .read();
    assert_rejected(&read, L2, "duplicate definition of ipAddressPools \"a\"");
    for field in [
        "ipAddressPoolSelectors",
        "nodeSelectors",
        "serviceSelectors",
    ] {
        let spec = json!({ field: [select("a", "b"), {}, select("a", "b")] });
        let read = Cluster::new().l2("l2", spec).l2("good", json!({})).read();
        let reason = format!("duplicate definition of {field} \"a=b\"");
        assert_rejected(&read, L2, &reason);
        assert_eq!(
            read.config.l2_advertisements().keys().collect::<Vec<_>>(),
            ["good"]
        );
    }
    // Interfaces may be.
    let read = Cluster::new()
        .l2("l2", json!({"interfaces": ["eth1", "eth0", "eth1"]}))
        .read();
    assert_accepted(&read);
    let interfaces = &read.config.l2_advertisements()["l2"].interfaces;
    assert_eq!(interfaces.iter().collect::<Vec<_>>(), ["eth0", "eth1"]);
}

#[test]
fn row_44_preferences_can_be_understood() {
    let prefer =
        |selector| json!({"preferredNodeSelectors": [{"weight": 1, "preference": selector}]});
    let read = Cluster::new()
        .l2("l2", prefer(expression("a", "Surrounds", &[])))
        .read();
    assert_rejected(
        &read,
        L2,
        "invalid label selector in preferredNodeSelectors of advertisement \"l2\": \"Surrounds\" \
         is not a valid label selector operator",
    );
    assert_accepted(&Cluster::new().l2("l2", prefer(json!({}))).read());
}

#[test]
fn row_45_what_was_said_before_does_not_count_again() {
    let web = select("app", "web");
    let preferring = json!({"preferredNodeSelectors": [{"weight": 1, "preference": {}}]});
    let cluster = Cluster::new()
        .addresses("pool", &["10.0.0.0/24"])
        .labelled("zone", "a")
        .l2("a", json!({"interfaces": ["eth0", "eth1"]}))
        .l2(
            "b",
            json!({"interfaces": ["eth1", "eth0", "eth1"], "ipAddressPools": ["pool"]}),
        )
        .l2(
            "c",
            json!({
                "interfaces": ["eth1", "eth0"], "ipAddressPoolSelectors": [select("zone", "a")],
            }),
        )
        // These differ, in what is not about pools.
        .l2("d", json!({}))
        .l2("e", json!({"nodeSelectors": [web]}))
        .l2("f", json!({"serviceSelectors": [web]}))
        // Preferences add up.
        .l2("g", preferring.clone())
        .l2("h", preferring)
        .l2("i", json!({}));
    let read = cluster.read();
    assert_accepted(&read);
    assert_eq!(read.config.l2_advertisements().len(), 9);
    assert_eq!(announcing(&cluster, "pool"), ["a", "d", "e", "f", "g", "h"]);
}

#[test]
fn l2_advertisements_select_nodes_and_services() {
    let spec = json!({
        "nodeSelectors": [select("rack", "1"), select("rack", "2")],
        "serviceSelectors": [select("app", "web")],
        "preferredNodeSelectors": [
            {"weight": 10, "preference": select("fast", "yes")},
            {"weight": 1, "preference": {}},
        ],
    });
    let config = Cluster::new()
        .l2("l2", spec)
        .l2("open", json!({}))
        .read()
        .config;
    let [l2, open] = ["l2", "open"].map(|name| &config.l2_advertisements()[name]);
    for (node, selected, preference) in [
        (labels(&[("rack", "1")]), true, 1),
        (labels(&[("rack", "2"), ("fast", "yes")]), true, 11),
        // A node that it does not select is not preferred either.
        (labels(&[("rack", "3"), ("fast", "yes")]), false, 0),
    ] {
        let of = |it: &metallb_config::L2Advertisement| {
            (it.scope.selects_node(&node), it.preference(&node))
        };
        assert_eq!(of(l2), (selected, preference));
        assert_eq!(of(open), (true, 0));
    }
    let (web, db) = (labels(&[("app", "web")]), labels(&[("app", "db")]));
    assert!(l2.scope.selects_service(&web) && !l2.scope.selects_service(&db));
    assert!(open.scope.selects_service(&db) && open.interfaces.is_empty());
}

#[test]
fn an_l2_advertisement_is_defined_once() {
    let read = Cluster::new()
        .l2("l2", json!({}))
        .l2("l2", json!({}))
        .read();
    assert_rejected(&read, L2, "duplicate definition of l2advertisement \"l2\"");
}
