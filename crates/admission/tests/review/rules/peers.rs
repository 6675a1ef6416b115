//! BGP peers.

use metallb_config::Kind::BGPPeer;
use serde_json::json;

use super::{assert_allowed, assert_denied, expression, peer, twice};
use crate::Cluster;

#[test]
fn rows_13_to_28_of_peers() {
    let cluster = Cluster::default();
    for (row, fields, words) in [
        (
            13,
            json!({"nodeSelectors": twice()}),
            "duplicate definition of nodeSelectors",
        ),
        (
            13,
            json!({"nodeSelectors": [expression("Surrounds", &[])]}),
            "\"Surrounds\" is not a valid label selector operator",
        ),
        (14, json!({"myASN": 0}), "missing local ASN"),
        (15, json!({"peerASN": 0}), "missing peer ASN and dynamicASN"),
        (
            15,
            json!({"peerASN": null}),
            "missing peer ASN and dynamicASN",
        ),
        (
            16,
            json!({"dynamicASN": "external"}),
            "both peer ASN and dynamicASN specified",
        ),
        (
            17,
            json!({"peerASN": 64512, "ebgpMultiHop": true}),
            "invalid ebgp-multihop parameter set for an ibgp peer",
        ),
        (
            18,
            json!({"peerAddress": null}),
            "peer has no Address or Interface specified",
        ),
        (
            18,
            json!({"peerAddress": "", "interface": ""}),
            "peer has no Address or Interface specified",
        ),
        (
            18,
            json!({"interface": "eth0"}),
            "peer has both Address and Interface specified",
        ),
        (
            19,
            json!({"peerAddress": "1.2.3.400"}),
            "invalid BGPPeer address \"1.2.3.400\"",
        ),
        (20, json!({"routerID": "1"}), "invalid router ID \"1\""),
        (
            20,
            json!({"sourceAddress": "here"}),
            "invalid source IP \"here\"",
        ),
        (22, json!({"holdTime": "1s"}), "must be 0 or >=3s"),
        (22, json!({"holdTime": "2.9s"}), "must be 0 or >=3s"),
        (
            23,
            json!({"holdTime": "3s", "keepaliveTime": "4s"}),
            "must be lower than holdTime",
        ),
    ] {
        assert_denied(row, &cluster, BGPPeer, &peer(&fields), words);
    }
    for (row, fields) in [
        (
            17,
            json!({"peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true}),
        ),
        (20, json!({"routerID": "2001:db8::1"})),
        (21, json!({"holdTime": "90s"})),
        (21, json!({"keepaliveTime": "1s"})),
        (21, json!({"holdTime": "0s", "keepaliveTime": "0s"})),
        (22, json!({"holdTime": "0.5s"})),
        (23, json!({"holdTime": "3s", "keepaliveTime": "3s"})),
        // What is named may come later, and is not looked at.
        (
            24,
            json!({"password": "a", "passwordSecret": {"name": "b"}}),
        ),
        (25, json!({"passwordSecret": {"name": "b"}})),
        (28, json!({"bfdProfile": "unknown"})),
    ] {
        assert_allowed(row, &cluster, BGPPeer, &peer(&fields));
    }
}

/// With another name it is another peer, but for FRR.
#[test]
fn row_29_equal_peers() {
    // Refused by upstream's FRR alone: two sessions with one router are no harm. Nor are other
    // identifiers and numbers for other routers.
    let cluster = Cluster::default().with(BGPPeer, "old", &peer(&json!({"routerID": "10.9.9.9"})));
    for fields in [
        json!({"routerID": "10.9.9.9"}),
        json!({"peerAddress": "10.0.0.2", "routerID": "10.8.8.8"}),
        json!({"peerAddress": "10.0.0.2", "myASN": 7}),
    ] {
        assert_allowed(29, &cluster, BGPPeer, &peer(&fields));
    }
}

#[test]
fn what_upstreams_backends_cannot_do_is_taken() {
    for fields in [
        json!({"bfdProfile": "fast"}),
        json!({"keepaliveTime": "1s"}),
        json!({"vrf": "red"}),
        json!({"connectTime": "1s"}),
        json!({"enableGracefulRestart": true}),
        json!({"dualStackAddressFamily": true}),
        json!({"peerASN": null, "dynamicASN": "external"}),
        json!({"localASN": 5}),
    ] {
        assert_allowed(0, &Cluster::default(), BGPPeer, &peer(&fields));
    }
}
