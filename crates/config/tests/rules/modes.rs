//! What upstream's backends do not have is taken, since one engine has it all; but for what it does
//! not have yet.

use metallb_config::Mode;
use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, assert_rejected};

const PEER: &str = "BGPPeer metallb-system/peer";

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
fn native_takes_every_field_of_peers_but_interface() {
    for spec in [
        json!({"bfdProfile": "fast"}),
        json!({"keepaliveTime": "10s"}),
        json!({"vrf": "red"}),
        json!({"connectTime": "10s"}),
        json!({"enableGracefulRestart": true}),
        json!({"disableMP": true}),
        json!({"dualStackAddressFamily": true}),
        json!({"peerASN": null, "dynamicASN": "internal"}),
        json!({"localASN": 7}),
    ] {
        for mode in [Mode::Any, Mode::Native, Mode::Frr] {
            let cluster = Cluster::new().peer("peer", spec.clone());
            assert_accepted(&cluster.mode(mode).read());
        }
    }
    let on = json!({"peerAddress": null, "interface": "eth0"});
    let cluster = Cluster::new().peer("peer", on);
    assert_accepted(&cluster.clone().mode(Mode::Frr).read());
    assert_rejected(
        &cluster.mode(Mode::Native).read(),
        PEER,
        "peer eth0 has interface set on native bgp mode",
    );
}

#[test]
fn native_has_bfd_ipv6_and_large_communities() {
    let cluster = Cluster::new()
        .addresses("dual", &["10.1.0.0/24", "fd00::/64"])
        .bfd("fast", json!({}))
        .community("names", &[("a", "1:2"), ("b", "large:1:2:3")])
        .bgp("bgp", json!({"communities": ["b", "large:4:5:6"]}));
    assert_accepted(&cluster.mode(Mode::Native).read());
}

#[test]
fn frr_has_router_ids_and_asns_by_peer_and_neighbours_twice() {
    for (older, newer) in [
        (
            json!({"routerID": "1.1.1.1"}),
            json!({"routerID": "1.1.1.2", "peerAddress": "10.0.0.2"}),
        ),
        (json!({}), json!({})),
        (json!({}), json!({"peerPort": 1790})),
        (json!({}), json!({"peerAddress": "10.0.0.2", "myASN": 7})),
    ] {
        let cluster = Cluster::new().peer("older", older).peer("peer", newer);
        assert_accepted(&cluster.mode(Mode::Frr).read());
    }
}
