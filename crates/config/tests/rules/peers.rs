//! Rows 14 to 29: routers to speak BGP with.

use metallb_config::{Asn, Config, InEffect, Password, Peer, PeerAddress, RemoteAsn, Timers};
use serde_json::{Value, json};

use crate::cluster::{
    Cluster, assert_accepted, assert_rejected, effects, expression, labels, object, peer_spec,
    said, select,
};

const PEER: &str = "BGPPeer metallb-system/peer";

/// The one peer, with what `spec` says beside what it must say.
#[track_caller]
fn accepted(spec: Value) -> Peer {
    let read = Cluster::new().peer("peer", spec).read();
    assert_accepted(&read);
    read.config.peers()["peer"].clone()
}

#[track_caller]
fn assert_refused(spec: Value, reason: &str) {
    let read = Cluster::new().peer("peer", spec).read();
    assert_rejected(&read, PEER, reason);
    assert!(read.config.peers().is_empty());
}

#[test]
fn row_14_the_nodes_have_an_asn() {
    assert_refused(json!({"myASN": 0}), "missing local ASN");
    assert_eq!(
        accepted(json!({"myASN": 4_294_967_295_u32})).my_asn.get(),
        u32::MAX
    );
}

#[test]
fn row_15_the_router_has_an_asn() {
    assert_refused(json!({"peerASN": null}), "missing peer ASN and dynamicASN");
    assert_refused(json!({"peerASN": 0}), "missing peer ASN and dynamicASN");
    let RemoteAsn::Number(asn) = accepted(json!({"peerASN": 7})).remote_asn else {
        panic!("a number")
    };
    assert_eq!(asn.get(), 7);
}

#[test]
fn row_16_the_router_has_one_asn() {
    assert_refused(
        json!({"dynamicASN": "internal"}),
        "both peer ASN and dynamicASN specified",
    );
    for (text, remote) in [
        ("internal", RemoteAsn::Internal),
        ("external", RemoteAsn::External),
    ] {
        let peer = accepted(json!({"peerASN": null, "dynamicASN": text}));
        assert_eq!(peer.remote_asn, remote);
    }
}

#[test]
fn row_17_a_router_of_the_same_as_is_not_many_hops_away() {
    assert_refused(
        json!({"peerASN": 64512, "ebgpMultiHop": true}),
        "invalid ebgp-multihop parameter set for an ibgp peer",
    );
    assert!(!accepted(json!({"peerASN": 64512})).ebgp_multi_hop);
    assert!(accepted(json!({"ebgpMultiHop": true})).ebgp_multi_hop);
    // Upstream looks at the number alone.
    let internal = json!({"peerASN": null, "dynamicASN": "internal", "ebgpMultiHop": true});
    assert!(accepted(internal).ebgp_multi_hop);
}

#[test]
fn row_18_a_router_is_at_an_address_or_on_an_interface() {
    for nowhere in [
        json!({"peerAddress": null}),
        json!({"peerAddress": "", "interface": ""}),
    ] {
        assert_refused(nowhere, "peer has no Address or Interface specified");
    }
    assert_refused(
        json!({"interface": "eth0"}),
        "peer has both Address and Interface specified",
    );
    let peer = accepted(json!({"peerAddress": null, "interface": "eth0"}));
    assert_eq!(peer.address, PeerAddress::Interface("eth0".to_owned()));
    assert_refused(
        json!({"peerAddress": null, "interface": "eth0\nneighbor"}),
        "interface for peer \"metallb-system\"/\"peer\" contains invalid characters",
    );
}

#[test]
fn row_19_an_address_is_one() {
    for text in [
        "1.2.3.400",
        "router.example",
        " 10.0.0.1",
        "10.0.0.1/32",
        "fe80::1%eth0",
        "010.0.0.1",
    ] {
        let reason = format!("invalid BGPPeer address {text:?}");
        assert_refused(json!({ "peerAddress": text }), &reason);
    }
    for (text, ip) in [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ] {
        let peer = accepted(json!({ "peerAddress": text }));
        assert_eq!(peer.address, PeerAddress::Ip(ip.parse().unwrap()));
    }
}

#[test]
fn row_20_router_id_and_source_address_are_addresses() {
    assert_refused(json!({"routerID": "1234"}), "invalid router ID \"1234\"");
    assert_refused(
        json!({"sourceAddress": "10.0.0"}),
        "invalid source IP \"10.0.0\"",
    );
    let peer = accepted(json!({"routerID": "10.0.0.7", "sourceAddress": "fd00::7"}));
    assert_eq!(peer.router_id, Some("10.0.0.7".parse().unwrap()));
    assert_eq!(peer.source_address, Some("fd00::7".parse().unwrap()));
    let peer = accepted(json!({"routerID": "", "sourceAddress": ""}));
    assert_eq!((peer.router_id, peer.source_address), (None, None));
    // BGP has 32 bits for it, and yet upstream lets it pass.
    assert!(accepted(json!({"routerID": "fd00::7"})).router_id.is_some());
}

#[test]
fn row_21_of_one_timer_the_other_follows() {
    let some = |hold, keepalive| Some(Timers { hold, keepalive });
    for (hold, keepalive, timers) in [
        (json!(null), json!(null), None),
        (json!(""), json!(""), None),
        (json!("90s"), json!(null), some(90, 30)),
        (json!("1m30s"), json!(null), some(90, 30)),
        (json!("4s"), json!(null), some(4, 1)),
        (json!(null), json!("10s"), some(30, 10)),
        (json!(null), json!("1500ms"), some(4, 1)),
        (json!("0s"), json!("0s"), some(0, 0)),
        (json!("0"), json!(null), some(0, 0)),
        (json!(null), json!("0s"), some(0, 0)),
        (json!("1.5h"), json!("20s"), some(5400, 20)),
        (json!("9s"), json!("9s"), some(9, 9)),
        (json!("90s"), json!("0s"), some(90, 0)),
        // Once a second is as often as BGP has it.
        (json!("90s"), json!("300ms"), some(90, 1)),
        // More than BGP can say is the most that it can.
        (json!("100h"), json!("50h"), some(65_535, 65_535)),
    ] {
        let peer = accepted(json!({"holdTime": hold, "keepaliveTime": keepalive}));
        assert_eq!(peer.timers, timers, "{hold} {keepalive}");
    }
    for (field, reason) in [
        (
            "holdTime",
            "invalid BGPPeer timers: holdTime: time: invalid duration \"90\"",
        ),
        (
            "keepaliveTime",
            "invalid BGPPeer timers: keepaliveTime: time: invalid duration \"90\"",
        ),
        (
            "connectTime",
            "invalid BGPPeer timers: connectTime: time: invalid duration \"90\"",
        ),
    ] {
        assert_refused(json!({ field: "90" }), reason);
    }
}

#[test]
fn row_22_a_hold_time_is_zero_or_three_seconds_at_least() {
    for (hold, shown) in [("1s", "1s"), ("2s", "2s"), ("2.9s", "2.9s"), ("-5s", "-5s")] {
        let reason =
            format!("invalid BGPPeer timers: invalid hold time \"{shown}\": must be 0 or >=3s");
        assert_refused(json!({ "holdTime": hold }), &reason);
    }
    assert_refused(
        json!({"keepaliveTime": "500ms"}),
        "invalid hold time \"1.5s\"",
    );
    // Whole seconds count.
    let timers = accepted(json!({"holdTime": "500ms"})).timers;
    assert_eq!(
        timers,
        Some(Timers {
            hold: 0,
            keepalive: 0
        })
    );
    let timers = accepted(json!({"holdTime": "3.9s"})).timers;
    assert_eq!(
        timers,
        Some(Timers {
            hold: 3,
            keepalive: 1
        })
    );
}

#[test]
fn row_23_a_keepalive_time_is_not_above_the_hold_time() {
    assert_refused(
        json!({"holdTime": "30s", "keepaliveTime": "31s"}),
        "invalid BGPPeer timers: invalid keepaliveTime \"31s\", must be lower than holdTime \"30s\"",
    );
    assert_refused(
        json!({"holdTime": "0s", "keepaliveTime": "1s"}),
        "invalid keepaliveTime \"1s\", must be lower than holdTime \"0ns\"",
    );
    assert_refused(
        json!({"holdTime": "90s", "keepaliveTime": "-1s"}),
        "invalid keepaliveTime \"-1s\"",
    );
}

#[test]
fn row_24_a_password_has_one_place() {
    let secret = json!({"name": "password"});
    assert_refused(
        json!({"password": "plain", "passwordSecret": secret}),
        "can not have both password and secret ref set in peer config \"metallb-system\"/\"peer\"",
    );
    assert_refused(
        json!({"password": "two\nlines"}),
        "password for peer \"metallb-system\"/\"peer\" contains invalid characters",
    );
    let plain = accepted(json!({"password": "plain", "passwordSecret": {"namespace": "x"}}));
    let Some(Password::Plain(password)) = &plain.password else {
        panic!("{plain:?}")
    };
    assert_eq!(password.reveal(), b"plain");
    assert!(
        !format!("{plain:?}").contains("plain"),
        "nobody sees it: {plain:?}"
    );
    assert_eq!(
        accepted(json!({"password": "", "passwordSecret": secret})).password,
        Some(Password::Secret {
            name: "password".to_owned(),
            value: None
        })
    );
}

/// A cluster whose peer names the Secret `password`, and whatever Secret is there.
fn with_secret(name: &str, secret_type: &str, data: &[(&str, &str)]) -> Cluster {
    Cluster::new()
        .secret(name, secret_type, data)
        .peer(
            "peer",
            json!({"passwordSecret": {"name": "password", "namespace": "ignored"}}),
        )
        .complete()
}

const BASIC: &str = "kubernetes.io/basic-auth";

#[test]
fn row_25_a_secret_is_there() {
    let mut cluster = with_secret("other", BASIC, &[("password", "secret")]);
    assert_rejected(
        &cluster.read(),
        PEER,
        "secret ref not found for peer config \"metallb-system\"/\"peer\"\nfailed to parse peer \
         peer password secret",
    );
    // It may follow, as far as admission goes.
    cluster.complete = false;
    assert_accepted(&cluster.read());
    // Somebody else looks after passwords.
    cluster.complete = true;
    cluster.secrets.clear();
    assert_accepted(&cluster.read());

    let read = with_secret("password", BASIC, &[("password", "secret")]).read();
    assert_accepted(&read);
    let Some(Password::Secret {
        value: Some(value), ..
    }) = &read.config.peers()["peer"].password
    else {
        panic!("{read:?}")
    };
    assert_eq!(value.reveal(), b"secret");
    assert!(
        !format!("{:?}", read.config).contains("[115"),
        "nobody sees it"
    );
}

#[test]
fn row_26_a_secret_is_for_passwords() {
    let read = with_secret("password", "Opaque", &[("password", "secret")]).read();
    assert_rejected(
        &read,
        PEER,
        "secret type mismatch on \"metallb-system\"/\"password\", type \
         \"kubernetes.io/basic-auth\" is expected \nfailed to parse peer peer password secret",
    );
}

#[test]
fn row_27_a_secret_holds_a_password() {
    let read = with_secret("password", BASIC, &[("username", "me")]).read();
    let reason = "password not specified in the secret \"metallb-system\"/\"password\"\n";
    assert_rejected(&read, PEER, reason);
    let read = with_secret("password", BASIC, &[("password", "secret\n")]).read();
    let reason = "password secret for peer \"metallb-system\"/\"peer\" contains invalid characters";
    assert_rejected(&read, PEER, reason);
}

#[test]
fn row_28_a_bfd_profile_is_there() {
    let mut cluster = Cluster::new()
        .bfd("fast", json!({"receiveInterval": 50}))
        .peer("peer", json!({"bfdProfile": "slow"}));
    let read = cluster.read();
    assert_accepted(&read);
    let bfd = read.config.peers()["peer"].bfd.clone().unwrap();
    assert_eq!((&*bfd.profile, bfd.settings), ("slow", None));
    cluster.complete = true;
    let reason = "peer peer referencing non existing bfd profile slow";
    assert_rejected(&cluster.read(), PEER, reason);

    cluster = cluster.bfd("slow", json!({"receiveInterval": 500}));
    let read = cluster.read();
    assert_accepted(&read);
    let settings = read.config.peers()["peer"].bfd.clone().unwrap().settings;
    assert_eq!(settings.unwrap().receive_interval.as_millis(), 500);
    // A profile that is no good is not there.
    cluster = cluster.bfd("bad", json!({"receiveInterval": 1}));
    let cluster = cluster.peer(
        "other",
        json!({"bfdProfile": "bad", "peerAddress": "10.0.0.2"}),
    );
    assert_eq!(said(&cluster.read()).len(), 2);
}

#[test]
fn row_28_a_lost_profile_or_secret_leaves_what_it_said_in_effect() {
    let mut cluster = with_secret("password", BASIC, &[("password", "secret")])
        .bfd("fast", json!({"receiveInterval": 50}))
        .peer(
            "watched",
            json!({"bfdProfile": "fast", "peerAddress": "10.0.0.2"}),
        );
    let before = cluster.read();
    assert_accepted(&before);
    cluster.bfd_profiles.clear();
    cluster.secrets[0].metadata.name = Some("renamed".to_owned());
    let after = cluster.read_after(&before.config);
    assert_eq!(after.config.peers(), before.config.peers());
    assert_eq!(effects(&after), [InEffect::LastForm, InEffect::LastForm]);
}

#[test]
fn row_29_a_peer_is_defined_once() {
    let read = Cluster::new()
        .peer("peer", json!({}))
        .peer("peer", json!({"peerAddress": "10.0.0.9"}))
        .read();
    assert_rejected(&read, PEER, "peer peer already exists");
    let address = &read.config.peers()["peer"].address;
    assert_eq!(*address, PeerAddress::Ip("10.0.0.1".parse().unwrap()));
    // Two of different names may be the same otherwise.
    let read = Cluster::new()
        .peer("a", json!({}))
        .peer("b", json!({}))
        .read();
    assert_accepted(&read);
}

#[test]
fn what_else_a_peer_says_is_read() {
    let peer = accepted(json!({}));
    assert_eq!(
        (peer.port.get(), peer.connect_time, &peer.vrf),
        (179, None, &None)
    );
    assert!(peer.local_asn.is_none() && peer.bfd.is_none() && peer.password.is_none());
    assert!(!peer.graceful_restart && !peer.dual_stack);
    assert!(peer.selects_node(&labels(&[])));

    let peer = accepted(json!({
        "peerPort": 1790, "localASN": 65000, "connectTime": "2m", "vrf": "red",
        "enableGracefulRestart": true, "dualStackAddressFamily": true,
        "nodeSelectors": [select("rack", "1"), expression("edge", "Exists", &[])],
    }));
    assert_eq!((peer.port.get(), peer.connect_time), (1790, Some(120)));
    assert_eq!(peer.local_asn.map(Asn::get), Some(65_000));
    assert_eq!(peer.vrf.as_deref(), Some("red"));
    assert!(peer.graceful_restart && peer.dual_stack);
    assert!(peer.selects_node(&labels(&[("rack", "1")])));
    assert!(peer.selects_node(&labels(&[("edge", "")])));
    assert!(!peer.selects_node(&labels(&[("rack", "2")])));

    // What v1beta1 leaves out is 0 after its conversion.
    assert_eq!(accepted(json!({"peerPort": 0})).port.get(), 179);
    assert_refused(
        json!({"vrf": "red\r"}),
        "VRF name for peer \"metallb-system\"/\"peer\" contains invalid characters",
    );
    assert_refused(
        json!({"nodeSelectors": [{}, {}]}),
        "duplicate definition of nodeSelectors \"\"\nfailed to convert peer peer node selector",
    );
    for (time, reason) in [
        (
            "0s",
            "connect time should be between 1 seconds to 65535: \"0s\"",
        ),
        (
            "65536s",
            "connect time should be between 1 seconds to 65535: \"65536s\"",
        ),
        (
            "1500ms",
            "connect time should contain a whole number of seconds: \"1500ms\"",
        ),
    ] {
        assert_refused(json!({ "connectTime": time }), reason);
    }
}

#[test]
fn a_peer_without_creation_time_is_the_youngest() {
    let mut cluster = Cluster::new().peer("peer", json!({}));
    let unborn = object("peer", "", peer_spec(json!({"peerAddress": "10.0.0.9"})));
    cluster.peers.insert(0, unborn);
    let config: Config = cluster.read().config;
    let address = &config.peers()["peer"].address;
    assert_eq!(*address, PeerAddress::Ip("10.0.0.1".parse().unwrap()));
}
