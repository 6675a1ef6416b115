//! The cases of upstream's golden files, and those beyond.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` reads better without a `&`"
)]

use metallb_kit::watch::Change;
use serde_json::{Value, json};

use super::super::peers;
use super::*;
use crate::decide::{Own, routes};
use crate::index::fixtures::Cluster;

fn own() -> Own {
    Own {
        node: "a".to_owned(),
        ..Own::default()
    }
}

/// What is written on node `a` about the Services of these names.
fn written_as(
    cluster: &Cluster,
    services: &[&str],
    draining: bool,
    passwords: Passwords,
) -> Option<FRRConfigurationSpec> {
    let (wanted, problems) = peers(&cluster.index, &own());
    assert!(problems.is_empty(), "{problems:?}");
    let mut rib = Rib::default();
    for name in services {
        let key = ObjectKey::new("default", name);
        let routes = routes(&cluster.index, &own(), &key).expect("it is told");
        rib.contribute(&key, routes);
    }
    configuration(&wanted, &rib, draining, passwords)
}

fn written(cluster: &Cluster, services: &[&str]) -> Value {
    let spec = written_as(cluster, services, false, Passwords::Told).expect("something is wanted");
    json!(spec)
}

/// The one neighbour.
fn neighbor(spec: Value) -> Value {
    neighbor_as(&Cluster::of(&["a"]).peer("router", spec), Passwords::Told)
}

fn neighbor_as(cluster: &Cluster, passwords: Passwords) -> Value {
    let spec = written_as(cluster, &[], false, passwords).expect("something is wanted");
    json!(spec)["bgp"]["routers"][0]["neighbors"][0].clone()
}

fn at(ip: &str, more: Value) -> Value {
    let mut spec = json!({ "peerAddress": ip });
    let fields = spec.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().expect("an object"));
    spec
}

#[test]
fn the_object_is_for_the_node_and_says_all_there_is() {
    let cluster = Cluster::of(&["a", "b"])
        .peer("router", at("10.2.2.254", json!({ "holdTime": "90s" })))
        .bgp("all", json!({}));
    let expected = json!({
        "bgp": { "routers": [{
            "asn": 64500,
            "neighbors": [{
                "asn": 64501, "address": "10.2.2.254", "port": 179,
                "holdTime": "1m30s", "keepaliveTime": "30s",
                "toAdvertise": { "allowed": { "prefixes": ["192.0.2.1/32"] } },
            }],
            "prefixes": ["192.0.2.1/32"],
        }] },
        "nodeSelector": { "matchLabels": { "kubernetes.io/hostname": "a" } },
    });
    assert_eq!(written(&cluster, &["web"]), expected);
}

#[test]
fn the_node_is_found_by_the_name_that_it_gives_itself() {
    let cluster = Cluster::of(&["a"])
        .node("a", json!({ "kubernetes.io/hostname": "a.example" }))
        .peer("router", at("10.2.2.254", json!({})));
    let selector = &written(&cluster, &[])["nodeSelector"]["matchLabels"];
    assert_eq!(*selector, json!({ "kubernetes.io/hostname": "a.example" }));
}

#[test]
fn each_field_of_a_peer_is_written() {
    let plain = json!({
        "asn": 64501, "address": "10.2.2.254", "port": 179, "toAdvertise": { "allowed": {} },
    });
    for (field, more, written) in [
        ("none", json!({}), json!({})),
        ("iBGP", json!({ "peerASN": 64500 }), json!({ "asn": 64500 })),
        (
            "IPv6",
            json!({ "peerAddress": "2001:db8::fe" }),
            json!({ "address": "2001:db8::fe" }),
        ),
        (
            "localASN",
            json!({ "localASN": 300 }),
            json!({ "localASN": 300 }),
        ),
        (
            "sourceAddress",
            json!({ "sourceAddress": "10.1.1.1" }),
            json!({ "sourceaddress": "10.1.1.1" }),
        ),
        (
            "peerPort",
            json!({ "peerPort": 1179 }),
            json!({ "port": 1179 }),
        ),
        (
            "dynamicASN",
            json!({ "peerASN": null, "dynamicASN": "internal" }),
            json!({ "asn": null, "dynamicASN": "internal" }),
        ),
        (
            "dynamicASN",
            json!({ "peerASN": null, "dynamicASN": "external" }),
            json!({ "asn": null, "dynamicASN": "external" }),
        ),
        (
            "interface",
            json!({ "peerAddress": null, "interface": "net0" }),
            json!({ "address": null, "interface": "net0" }),
        ),
        (
            "ebgpMultiHop",
            json!({ "ebgpMultiHop": true }),
            json!({ "ebgpMultiHop": true }),
        ),
        (
            "enableGracefulRestart",
            json!({ "enableGracefulRestart": true }),
            json!({ "enableGracefulRestart": true }),
        ),
        (
            "dualStackAddressFamily",
            json!({ "dualStackAddressFamily": true }),
            json!({ "dualStackAddressFamily": true }),
        ),
        (
            "timers",
            json!({ "holdTime": "2h", "keepaliveTime": "61s", "connectTime": "2s" }),
            json!({ "holdTime": "2h0m0s", "keepaliveTime": "1m1s", "connectTime": "2s" }),
        ),
        (
            "timers of zero",
            json!({ "holdTime": "0s" }),
            json!({ "holdTime": "0s", "keepaliveTime": "0s" }),
        ),
        (
            "password",
            json!({ "password": "secret" }),
            json!({ "password": "secret" }),
        ),
    ] {
        let mut expected = plain.clone();
        let fields = expected.as_object_mut().expect("an object");
        fields.extend(written.as_object().cloned().expect("an object"));
        fields.retain(|_, it| !it.is_null());
        assert_eq!(neighbor(at("10.2.2.254", more)), expected, "{field}");
    }
}

#[test]
fn a_secret_is_told_or_named() {
    let named = || {
        let secret = json!({ "passwordSecret": { "name": "md5" } });
        Cluster::of(&["a"]).peer("router", at("10.2.2.254", secret))
    };
    let secret = json!({
        "metadata": { "name": "md5", "namespace": "metallb-system" },
        "type": "kubernetes.io/basic-auth", "data": { "password": "c2VjcmV0" },
    });
    let mut told = named();
    let secrets = vec![serde_json::from_value(secret).expect("a Secret")];
    told.index.configuration.secrets(secrets);
    let neighbor = neighbor_as(&told, Passwords::Told);
    assert_eq!(neighbor["password"], "secret");
    assert_eq!(neighbor["passwordSecret"], Value::Null);
    // FRR-K8s looks for it: it need not be where we are.
    let mut by_name = Cluster::of(&["a"]);
    by_name.index.configuration.leave_secrets_to_others();
    let secret = json!({ "passwordSecret": { "name": "md5" } });
    let by_name = by_name.peer("router", at("10.2.2.254", secret));
    let neighbor = neighbor_as(&by_name, Passwords::ByName);
    assert_eq!(neighbor["password"], Value::Null);
    assert_eq!(neighbor["passwordSecret"], json!({ "name": "md5" }));
    assert_eq!(by_name.index.configuration.secret_names().len(), 0);
    let hidden = written_as(&told, &[], false, Passwords::Told);
    assert!(!format!("{hidden:?}").contains("secret\""), "{hidden:?}");
}

#[test]
fn routers_and_neighbours_are_in_upstreams_order() {
    let cluster = Cluster::of(&["a"])
        .peer("1", at("10.2.2.9", json!({})))
        .peer("2", at("10.2.2.10", json!({})))
        .peer(
            "3",
            at(
                "10.2.2.11",
                json!({ "peerASN": 9, "routerID": "10.1.1.254" }),
            ),
        )
        .peer("4", at("10.2.2.9", json!({ "vrf": "red", "myASN": 7 })));
    let routers = &written(&cluster, &[])["bgp"]["routers"];
    let row = |it: &Value| {
        let neighbors = it["neighbors"].as_array().cloned().unwrap_or_default();
        let at: Vec<_> = neighbors.iter().map(|it| it["address"].clone()).collect();
        json!([it["asn"], it["id"], it["vrf"], at])
    };
    let rows: Vec<_> = routers
        .as_array()
        .expect("a list")
        .iter()
        .map(row)
        .collect();
    let main = ["10.2.2.10", "10.2.2.9", "10.2.2.11"];
    let expected = [
        json!([64500, "10.1.1.254", null, main]),
        json!([7, null, "red", ["10.2.2.9"]]),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn advertisements_say_who_is_told_what() {
    let all = json!({ "communities": ["1111:2222", "large:1:2:3"], "localPref": 300 });
    let more = json!({
        "communities": ["3333:4444"], "peers": ["one"],
        "aggregationLength": 24, "aggregationLengthV6": 112,
    });
    let cluster = Cluster::of(&["a"])
        .peer("one", at("10.2.2.1", json!({})))
        .peer("two", at("10.2.2.2", json!({})))
        .service_at("other", json!({}), &["192.0.2.10", "2001:db8::1"])
        .endpoints("other", &["a"])
        .bgp("all", all)
        .bgp("more", more);
    let router = written(&cluster, &["web", "other"])["bgp"]["routers"][0].clone();
    let hosts = ["192.0.2.1/32", "192.0.2.10/32", "2001:db8::1/128"];
    let with_all = |community: &str| json!({ "community": community, "prefixes": hosts });
    let two = json!({
        "allowed": { "prefixes": hosts },
        "withLocalPref": [{ "localPref": 300, "prefixes": hosts }],
        "withCommunity": [with_all("1111:2222"), with_all("large:1:2:3")],
    });
    assert_eq!(router["neighbors"][1]["toAdvertise"], two);
    let both = ["192.0.2.0/24", "2001:db8::/112"];
    let one = json!({
        "allowed": { "prefixes": [both[0], hosts[0], hosts[1], both[1], hosts[2]] },
        "withLocalPref": [{ "localPref": 300, "prefixes": hosts }],
        "withCommunity": [
            with_all("1111:2222"),
            { "community": "3333:4444", "prefixes": both },
            with_all("large:1:2:3"),
        ],
    });
    assert_eq!(router["neighbors"][0]["toAdvertise"], one);
    assert_eq!(router["prefixes"], one["allowed"]["prefixes"]);
}

#[test]
fn the_same_is_said_by_the_same_bytes() {
    let build = |peers: [&str; 2], services: [&str; 2]| {
        let cluster = Cluster::of(&["a"])
            .service_at("other", json!({}), &["192.0.2.10"])
            .endpoints("other", &["a"])
            .bgp("all", json!({ "communities": ["9:9", "10:10"] }));
        let cluster = peers.into_iter().fold(cluster, |cluster, name| {
            let ip = format!("10.2.2.{}", name.len());
            cluster.peer(name, at(&ip, json!({})))
        });
        serde_json::to_string(&written_as(&cluster, &services, false, Passwords::Told))
            .expect("it is JSON")
    };
    let one = build(["a", "bb"], ["web", "other"]);
    assert_eq!(one, build(["bb", "a"], ["other", "web"]));
}

#[test]
fn profiles_are_written_whether_or_not_a_router_has_them() {
    let cluster = Cluster::of(&["a"])
        .bfd_profile("default", json!({}))
        .bfd_profile(
            "all",
            json!({
                "receiveInterval": 60, "transmitInterval": 70, "detectMultiplier": 5,
                "echoInterval": 90, "echoMode": true, "passiveMode": true, "minimumTtl": 60,
            }),
        );
    // FRR's own defaults stand where the profile is silent.
    let expected = json!({
        "routers": [],
        "bfdProfiles": [
            {
                "name": "all", "receiveInterval": 60, "transmitInterval": 70,
                "detectMultiplier": 5, "echoInterval": 90, "echoMode": true,
                "passiveMode": true, "minimumTtl": 60,
            },
            {
                "name": "default", "receiveInterval": 300, "transmitInterval": 300,
                "detectMultiplier": 3, "echoInterval": 50, "echoMode": false,
                "passiveMode": false, "minimumTtl": 254,
            },
        ],
    });
    assert_eq!(written(&cluster, &[])["bgp"], expected);
    let watched = cluster.peer("router", at("10.2.2.254", json!({ "bfdProfile": "all" })));
    assert_eq!(neighbor_as(&watched, Passwords::Told)["bfdProfile"], "all");
}

#[test]
fn nothing_is_written_where_nothing_is_wanted() {
    let elsewhere = json!({ "nodeSelectors": [{ "matchLabels": { "rack": "b" } }] });
    let cluster = Cluster::of(&["a"]).peer("router", at("10.2.2.254", elsewhere));
    assert_eq!(written_as(&cluster, &[], false, Passwords::Told), None);
}

#[test]
fn a_node_that_is_drained_has_routers_prefer_others() {
    let cluster = Cluster::of(&["a"])
        .peer("router", at("10.2.2.254", json!({})))
        .bgp("all", json!({}));
    let spec = written_as(&cluster, &["web"], true, Passwords::Told);
    let neighbor = &json!(spec)["bgp"]["routers"][0]["neighbors"][0];
    let expected = json!([{ "community": "65535:0", "prefixes": ["192.0.2.1/32"] }]);
    assert_eq!(neighbor["toAdvertise"]["withCommunity"], expected);
}

/// FRR-K8s would refuse all of the node; so the younger one is left out, and told why.
#[test]
fn of_two_that_frr_cannot_have_together_the_older_one_stays() {
    for (younger, words) in [
        (
            at("10.2.2.3", json!({ "myASN": 64999 })),
            "myASN is 64999, and FRR has one for all routers of a VRF: 64500, from BGPPeer older",
        ),
        (
            at("10.2.2.3", json!({ "routerID": "10.1.1.2" })),
            "routerID is 10.1.1.2, and FRR has one for all routers of a VRF: 10.1.1.1, from BGPPeer older",
        ),
        (
            at("10.2.2.2", json!({ "peerPort": 1179 })),
            "FRR speaks with 10.2.2.2 once, as BGPPeer older says",
        ),
        (
            at("10.2.2.3", json!({ "routerID": "fd00::1" })),
            "routerID fd00::1 is no IPv4 address",
        ),
    ] {
        let mut younger = json!({
            "metadata": {
                "name": "newer", "namespace": "metallb-system",
                "creationTimestamp": "2027-01-01T00:00:00Z",
            },
            "spec": younger,
        });
        for (field, value) in [("myASN", 64500), ("peerASN", 64501)] {
            let spec = younger["spec"].as_object_mut().expect("an object");
            spec.entry(field).or_insert_with(|| json!(value));
        }
        let mut cluster = Cluster::of(&["a"]);
        let object = serde_json::from_value(younger).expect("a BGPPeer");
        cluster.index.configuration.bgp_peer(Change::Apply(object));
        let older = at("10.2.2.2", json!({ "routerID": "10.1.1.1" }));
        let cluster = cluster.peer("older", older);
        let (wanted, problems) = peers(&cluster.index, &own());
        assert_eq!(wanted.names().collect::<Vec<_>>(), ["older"]);
        let problem = &problems["newer"];
        assert!(problem.starts_with(words), "{problem}");
    }
}
