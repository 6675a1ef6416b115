//! Row 46: a pool, an advertisement, a peer and its BFD profile.

use metallb_config::InEffect;
use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, assert_rejected, effects};

/// IPv6 and IPv4 pools, a peer that is sent echo packets and one that is not.
fn cluster() -> Cluster {
    Cluster::new()
        .addresses("v4", &["10.0.0.0/24"])
        .addresses("v6", &["10.1.0.0/24", "fd00::/64"])
        .bfd("echo", json!({"echoMode": true}))
        .bfd("plain", json!({}))
        .peer("with-echo", json!({"bfdProfile": "echo"}))
        .peer(
            "without",
            json!({"bfdProfile": "plain", "peerAddress": "10.0.0.2"}),
        )
        .complete()
}

#[test]
fn row_46_bfd_echo_is_for_ipv4_alone() {
    let reason = "pool v6 has bgpadvertisement bgp which references peer with-echo which has bfd \
                  echo enabled, which is not possible";
    for spec in [json!({}), json!({"peers": ["without", "with-echo"]})] {
        let read = cluster().bgp("bgp", spec).read();
        assert_rejected(&read, "BGPAdvertisement metallb-system/bgp", reason);
        assert_eq!(effects(&read), [InEffect::OtherPools]);
        let bgp = &read.config.bgp_advertisements()["bgp"];
        let pools = read.config.pools();
        assert!(bgp.announces(&pools["v4"]) && !bgp.announces(&pools["v6"]));
    }
    for spec in [
        json!({"peers": ["without", "nobody"]}),
        json!({"ipAddressPools": ["v4"]}),
    ] {
        assert_accepted(&cluster().bgp("bgp", spec).read());
    }
    // Without knowing the profile, nobody knows of the echo.
    let mut cluster = cluster().bgp("bgp", json!({}));
    cluster.complete = false;
    cluster.bfd_profiles.clear();
    assert_accepted(&cluster.read());
}

#[test]
fn rejected_objects_are_told_by_kind_and_then_by_age() {
    let read = Cluster::new()
        .community("z", &[("a", "1")])
        .community("y", &[("a", "1")])
        .bfd("x", json!({"minimumTtl": 0}))
        .peer("w", json!({"myASN": 0}))
        .bgp("v", json!({"aggregationLength": 33}))
        .l2("u", json!({"ipAddressPools": ["a", "a"]}))
        .addresses("t", &[])
        .addresses("s", &[])
        .read();
    let told: Vec<_> = read
        .rejected
        .iter()
        .map(|it| format!("{} {}", it.kind, it.name))
        .collect();
    assert_eq!(
        told,
        [
            "IPAddressPool t",
            "IPAddressPool s",
            "L2Advertisement u",
            "BGPAdvertisement v",
            "BGPPeer w",
            "BFDProfile x",
            "Community z",
            "Community y",
        ]
    );
}
