//! What upstream's backends cannot do is taken whichever is in use, as one engine does it.

use metallb_config::Kind::{BGPAdvertisement, BGPPeer, Community, IPAddressPool};
use serde_json::json;

use super::{assert_allowed, assert_denied, peer, pool};
use crate::Cluster;

#[test]
fn native_mode() {
    let native = Cluster::in_mode("native").with(IPAddressPool, "p6", &pool(&["fd00::/64"]));
    for fields in [
        json!({"keepaliveTime": "1s"}),
        json!({"vrf": "red"}),
        json!({"connectTime": "1s"}),
        json!({"enableGracefulRestart": true}),
        json!({"dualStackAddressFamily": true}),
        json!({"peerASN": null, "dynamicASN": "external"}),
        json!({"localASN": 5}),
    ] {
        assert_allowed(0, &native, BGPPeer, &peer(&fields));
    }
    assert_allowed(0, &native, BGPAdvertisement, &json!({}));
    let large = json!({"communities": [{"name": "a", "value": "large:1:2:3"}]});
    assert_allowed(0, &native, Community, &large);
    // What the engine does not have yet.
    let on = peer(&json!({"peerAddress": null, "interface": "eth0"}));
    let words = "peer eth0 has interface set on native bgp mode";
    assert_denied(0, &native, BGPPeer, &on, words);
}

#[test]
fn frr_mode() {
    for bgp_type in ["frr", "frr-k8s"] {
        let old = json!({"routerID": "10.9.9.9"});
        let cluster = Cluster::in_mode(bgp_type).with(BGPPeer, "old", &peer(&old));
        for fields in [
            json!({"peerAddress": "10.0.0.2", "routerID": "10.8.8.8"}),
            json!({"routerID": "10.9.9.9"}),
            json!({"peerAddress": "10.0.0.2", "myASN": 7}),
        ] {
            assert_allowed(0, &cluster, BGPPeer, &peer(&fields));
        }
    }
}
