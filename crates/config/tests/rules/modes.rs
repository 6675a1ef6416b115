//! What a BGP mode does not have, for as long as our engine does not have it either.

use metallb_config::{InEffect, Mode};
use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, assert_rejected, effects, select};

const PEER: &str = "BGPPeer metallb-system/peer";
const BGP: &str = "BGPAdvertisement metallb-system/bgp";

#[test]
fn modes_are_named_by_the_environment() {
    for (name, controller, speaker) in [
        ("native", Mode::Native, Mode::Native),
        ("frr", Mode::Frr, Mode::Frr),
        ("frr-k8s", Mode::Frr, Mode::Frr),
        ("", Mode::Any, Mode::Frr),
        ("frr-k8s-external", Mode::Any, Mode::Frr),
    ] {
        assert_eq!(Mode::of_controller(name), controller);
        assert_eq!(Mode::of_speaker(name), speaker);
    }
}

#[test]
fn native_refuses_fields_of_peers() {
    for (spec, words) in [
        (json!({"bfdProfile": "fast"}), "bfd-profile"),
        (json!({"keepaliveTime": "10s"}), "keepalive-time"),
        (json!({"vrf": "red"}), "vrf"),
        (json!({"connectTime": "10s"}), "connect time"),
        (
            json!({"enableGracefulRestart": true}),
            "EnableGracefulRestart flag",
        ),
        (json!({"disableMP": true}), "disable MP flag"),
        (
            json!({"dualStackAddressFamily": true}),
            "dualstackaddressfamily flag",
        ),
        (
            json!({"peerASN": null, "dynamicASN": "internal"}),
            "dynamicASN",
        ),
        (json!({"localASN": 7}), "localASN"),
    ] {
        let cluster = Cluster::new().peer("peer", spec);
        let read = cluster.clone().mode(Mode::Native).read();
        let reason = format!("peer 10.0.0.1 has {words} set on native bgp mode");
        assert_rejected(&read, PEER, &reason);
        for mode in [Mode::Any, Mode::Frr] {
            assert_accepted(&cluster.clone().mode(mode).read());
        }
    }
    let read = Cluster::new()
        .peer("peer", json!({"peerAddress": null, "interface": "eth0"}))
        .mode(Mode::Native)
        .read();
    assert_rejected(
        &read,
        PEER,
        "peer eth0 has interface set on native bgp mode",
    );
    for spec in [
        json!({"keepaliveTime": "0s", "holdTime": "90s"}),
        json!({"holdTime": "90s", "sourceAddress": "10.0.0.9", "routerID": "10.0.0.9"}),
        json!({"peerAddress": "fd00::1", "ebgpMultiHop": true, "password": "secret"}),
        json!({"enableGracefulRestart": false, "disableMP": false, "vrf": "", "localASN": 0}),
    ] {
        assert_accepted(&Cluster::new().peer("peer", spec).mode(Mode::Native).read());
    }
}

#[test]
fn native_has_no_bfd() {
    let cluster = Cluster::new().bfd("fast", json!({}));
    assert_accepted(&cluster.read());
    let read = cluster.mode(Mode::Native).read();
    assert_rejected(
        &read,
        "BFDProfile metallb-system/fast",
        "bfd profiles section set",
    );
}

#[test]
fn native_announces_no_ipv6() {
    let cluster = Cluster::new()
        .addresses("v4", &["10.0.0.0/24"])
        .addresses("dual", &["10.1.0.0/24", "fd00::/64"])
        .bgp("bgp", json!({}));
    assert_accepted(&cluster.read());
    let read = cluster.mode(Mode::Native).read();
    let reason = "pool \"dual\" has ipv6 CIDR fd00::/64, native bgp mode does not support ipv6";
    assert_rejected(&read, BGP, reason);
    assert_eq!(effects(&read), [InEffect::OtherPools]);
    // For layer 2 there may be such pools.
    let read = Cluster::new()
        .addresses("v4", &["10.0.0.0/24"])
        .addresses("dual", &["10.1.0.0/24", "fd00::/64"])
        .bgp("bgp", json!({"ipAddressPools": ["v4"]}))
        .mode(Mode::Native)
        .read();
    assert_accepted(&read);
}

#[test]
fn native_has_no_large_communities() {
    let read = Cluster::new()
        .bgp("bgp", json!({"communities": ["1:2", "large:1:2:3"]}))
        .mode(Mode::Native)
        .read();
    assert_rejected(
        &read,
        BGP,
        "native BGP mode only supports legacy communities, BGP advertisement \"bgp\" has non \
         legacy community \"large:1:2:3\"",
    );
    let read = Cluster::new()
        .community("names", &[("a", "1:2"), ("b", "large:1:2:3")])
        .mode(Mode::Native)
        .read();
    assert_rejected(
        &read,
        "Community metallb-system/names",
        "native BGP mode only supports legacy communities, BGP community CR \"names\" has non \
         legacy community \"b\" large:1:2:3",
    );
    let named = Cluster::new()
        .community("names", &[("a", "1:2")])
        .bgp("bgp", json!({"communities": ["a", "3:4"]}))
        .mode(Mode::Native);
    assert_accepted(&named.read());
}

#[test]
fn frr_has_one_router_id_one_asn_a_vrf_and_each_neighbour_once() {
    let same = "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers \
                selecting the same node";
    for (older, newer, reason) in [
        (
            json!({"routerID": "1.1.1.1"}),
            json!({"routerID": "1.1.1.2", "peerAddress": "10.0.0.2"}),
            "peer 10.0.0.2 has RouterID different from 10.0.0.1, in FRR mode peers selecting the \
             same node must all have the same RouterID",
        ),
        (
            json!({"routerID": "1.1.1.1"}),
            json!({"peerAddress": "10.0.0.2", "vrf": "red"}),
            "peer 10.0.0.2-red has RouterID different from 10.0.0.1, in FRR mode",
        ),
        (json!({}), json!({}), same),
        // The port does not tell them apart.
        (json!({}), json!({"peerPort": 1790}), same),
        (
            json!({"peerAddress": null, "interface": "eth0", "vrf": "red"}),
            json!({"peerAddress": null, "interface": "eth0", "vrf": "red"}),
            "peer eth0-red already exists, FRR mode",
        ),
        (
            json!({}),
            json!({"peerAddress": "10.0.0.2", "myASN": 7}),
            "peer 10.0.0.2 has myAsn different from 10.0.0.1, in FRR mode peers selecting the \
             same node must have the same myAsn within the same VRF",
        ),
    ] {
        let mut cluster = Cluster::new().peer("z-older", older).peer("peer", newer);
        assert_accepted(&cluster.read());
        for _ in 0..2 {
            let read = cluster.clone().mode(Mode::Frr).read();
            assert_rejected(&read, PEER, reason);
            assert_eq!(read.config.peers().keys().collect::<Vec<_>>(), ["z-older"]);
            cluster.peers.reverse();
        }
    }
    for newer in [
        json!({"peerAddress": "10.0.0.2"}),
        json!({"vrf": "red", "myASN": 7}),
        json!({"peerAddress": "fd00::1", "peerASN": 7}),
    ] {
        let cluster = Cluster::new().peer("older", json!({})).peer("peer", newer);
        assert_accepted(&cluster.mode(Mode::Frr).read());
    }
}

#[test]
fn frr_peers_of_different_nodes_have_nothing_to_do_with_one_another() {
    let on_rack = |rack: &str, asn: u32| {
        json!({
            "nodeSelectors": [select("rack", rack)], "myASN": asn,
            "routerID": format!("1.1.1.{rack}"),
        })
    };
    let mut cluster = Cluster::new()
        .node(&[("rack", "1")])
        .node(&[("rack", "2")])
        .peer("one", on_rack("1", 1))
        .peer("two", on_rack("2", 2))
        // Of no node at all.
        .peer("three", on_rack("3", 3))
        .mode(Mode::Frr);
    assert_accepted(&cluster.read());
    cluster.nodes.clear();
    // Without any nodes, they may meet.
    let read = cluster.read();
    assert_eq!(read.config.peers().keys().collect::<Vec<_>>(), ["one"]);
    assert_eq!(read.rejected.len(), 2);
    // A peer of all nodes meets each of them.
    let read = cluster
        .node(&[("rack", "1")])
        .node(&[("rack", "2")])
        .peer("peer", json!({"routerID": "1.1.1.1", "myASN": 1}))
        .read();
    assert_rejected(&read, PEER, "peer 10.0.0.1");
}

#[test]
fn the_nodes_may_come_in_any_order() {
    let on = |rack: &str| json!({ "nodeSelectors": [select("rack", rack)] });
    let nodes = [[("rack", "2")], [("rack", "3")]];
    for order in [[0, 1], [1, 0]] {
        let mut cluster = Cluster::new();
        for (name, address, rack) in [("a", "10.0.0.1", "2"), ("c", "10.0.0.2", "3")] {
            let mut spec = on(rack);
            spec["peerAddress"] = json!(address);
            cluster = cluster.peer(name, spec);
        }
        let newer = json!({ "peerAddress": "10.0.0.3", "routerID": "1.1.1.1" });
        cluster = cluster.peer("peer", newer).mode(Mode::Frr);
        for node in order {
            cluster = cluster.node(&nodes[node]);
        }
        // It clashes with another peer on each of them.
        let reason = "peer 10.0.0.3 has RouterID different from 10.0.0.1, in FRR mode peers \
                      selecting the same node must all have the same RouterID";
        assert_rejected(&cluster.read(), PEER, reason);
    }
}
