//! What a BGP backend cannot do is refused while it is the one in use.

use metallb_config::Kind::{BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};
use serde_json::{Value, json};

use super::{assert_allowed, assert_denied, peer, pool};
use crate::{Cluster, allowed, denied};

#[test]
fn native_mode() {
    let native = Cluster::in_mode("native").with(IPAddressPool, "p6", &pool(&["fd00::/64"]));
    for (fields, words) in [
        (
            json!({"keepaliveTime": "1s"}),
            "peer 10.0.0.1 has keepalive-time set on native bgp mode",
        ),
        (
            json!({"vrf": "red"}),
            "peer 10.0.0.1 has vrf set on native bgp mode",
        ),
        (
            json!({"connectTime": "1s"}),
            "peer 10.0.0.1 has connect time set on native bgp mode",
        ),
        (
            json!({"enableGracefulRestart": true}),
            "peer 10.0.0.1 has EnableGracefulRestart flag set on native bgp mode",
        ),
        (
            json!({"dualStackAddressFamily": true}),
            "peer 10.0.0.1 has dualstackaddressfamily flag set on native bgp mode",
        ),
        (
            json!({"peerASN": null, "dynamicASN": "external"}),
            "peer 10.0.0.1 has dynamicASN set on native bgp mode",
        ),
        (
            json!({"interface": "eth0"}),
            "peer 10.0.0.1 has interface set on native bgp mode",
        ),
        (
            json!({"localASN": 5}),
            "peer 10.0.0.1 has localASN set on native bgp mode",
        ),
    ] {
        assert_denied(0, &native, BGPPeer, &peer(&fields), words);
        assert_eq!(
            Cluster::default().create(BGPPeer, "new", &peer(&fields)) == allowed(),
            fields.get("interface").is_none()
        );
    }
    // At creation it is let through with a warning.
    let disabled = denied(native.update(
        BGPPeer,
        "new",
        &peer(&json!({})),
        &peer(&json!({"disableMP": true})),
    ));
    assert_eq!(
        disabled,
        "peer 10.0.0.1 has disable MP flag set on native bgp mode"
    );
    assert_allowed(
        0,
        &native,
        BGPPeer,
        &peer(&json!({"keepaliveTime": "0s", "enableGracefulRestart": false})),
    );

    assert_denied(
        0,
        &native,
        BGPAdvertisement,
        &json!({}),
        "pool \"p6\" has ipv6 CIDR fd00::/64, native bgp mode does not support ipv6",
    );
    assert_allowed(
        0,
        &native,
        BGPAdvertisement,
        &json!({"ipAddressPools": ["another"]}),
    );
    assert_allowed(0, &native, L2Advertisement, &json!({}));
    assert_allowed(0, &native, IPAddressPool, &pool(&["fd01::/64"]));

    let large = "native BGP mode only supports legacy communities";
    assert_denied(
        0,
        &native,
        BGPAdvertisement,
        &json!({"ipAddressPools": ["a"], "communities": ["large:1:2:3"]}),
        large,
    );
    assert_denied(
        0,
        &native,
        Community,
        &json!({"communities": [{"name": "a", "value": "large:1:2:3"}]}),
        large,
    );
}

#[test]
fn frr_mode() {
    let old = json!({"routerID": "10.9.9.9", "nodeSelectors": [{"matchLabels": {"rack": "1"}}]});
    let rack = |fields: &Value, rack: &str| {
        let mut spec = peer(fields);
        spec["nodeSelectors"] = json!([{"matchLabels": {"rack": rack}}]);
        spec
    };
    for bgp_type in ["frr", "frr-k8s"] {
        let no_nodes = Cluster::in_mode(bgp_type).with(BGPPeer, "old", &peer(&old));
        let cluster = Cluster::in_mode(bgp_type)
            .with(BGPPeer, "old", &peer(&old))
            .with_node(&[("rack", "1")])
            .with_node(&[("rack", "2")]);
        for (fields, words) in [
            (
                json!({"peerAddress": "10.0.0.2"}),
                "in FRR mode peers selecting the same node must all have the same RouterID",
            ),
            (
                json!({"peerAddress": "10.0.0.2", "routerID": "10.8.8.8"}),
                "has RouterID different from",
            ),
            (
                json!({"routerID": "10.9.9.9"}),
                "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
            ),
            (
                json!({"peerAddress": "10.0.0.2", "routerID": "10.9.9.9", "myASN": 7}),
                "in FRR mode peers selecting the same node must have the same myAsn within the same VRF",
            ),
        ] {
            assert_denied(0, &cluster, BGPPeer, &peer(&fields), words);
            assert_denied(0, &cluster, BGPPeer, &rack(&fields, "1"), words);
            assert_allowed(0, &cluster, BGPPeer, &rack(&fields, "2"));
            // Without nodes to tell them apart, every two meet.
            assert_denied(0, &no_nodes, BGPPeer, &rack(&fields, "2"), words);
            // Other backends do not mind.
            let any = Cluster::in_mode("something").with(BGPPeer, "old", &peer(&old));
            assert_allowed(0, &any, BGPPeer, &peer(&fields));
        }
        let other_vrf = json!({"routerID": "10.9.9.9", "vrf": "red", "myASN": 7});
        assert_allowed(0, &cluster, BGPPeer, &peer(&other_vrf));
    }
}
