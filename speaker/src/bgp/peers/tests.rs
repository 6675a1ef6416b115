use serde_json::{Value, json};

use super::*;
use crate::index::fixtures::Cluster;

fn own() -> Own {
    Own {
        node: "a".to_owned(),
        ..Own::default()
    }
}

fn cluster(spec: Value) -> Cluster {
    let mut spec = spec;
    let fields = spec.as_object_mut().expect("an object");
    fields
        .entry("peerAddress")
        .or_insert_with(|| json!("192.0.2.9"));
    Cluster::of(&["a"]).peer("router", spec)
}

fn setup(spec: Value, backend: Backend) -> PeerSetup {
    let (mut setups, problems) = peers(&cluster(spec).index, &own(), backend);
    assert!(problems.is_empty(), "{problems:?}");
    setups
        .remove("router")
        .expect("it is a router of this node")
}

#[test]
fn defaults_are_those_of_the_backend() {
    let of = |backend| setup(json!({}), backend);
    let native = of(Backend::of("native"));
    let frr = of(Backend::of("frr"));
    assert_eq!(of(Backend::of("frr-k8s")), frr);
    assert_eq!(
        (native.settings.hold_time, frr.settings.hold_time),
        (90, 180)
    );
    assert_eq!(
        (native.settings.keepalive, frr.settings.keepalive),
        (30, 60)
    );
    assert_eq!(
        (native.settings.local_pref, frr.settings.local_pref),
        (0, 100)
    );
    assert_eq!((native.tcp.on_link, frr.tcp.on_link), (false, true));
    let internal = setup(json!({ "peerASN": 64500 }), Backend::Frr);
    assert!(!internal.tcp.on_link);
    let far = setup(json!({ "ebgpMultiHop": true }), Backend::Frr);
    assert_eq!((far.tcp.on_link, far.tcp.hop_limit), (false, None));
}

#[test]
fn each_field_of_a_peer_counts() {
    let plain = setup(json!({}), Backend::Frr);
    assert_eq!(plain.to_string(), "192.0.2.9:179");
    assert_eq!(plain.settings.families, [Family::V4].into());
    let with = |spec| setup(spec, Backend::Frr);
    let settings = |spec| with(spec).settings;
    assert_eq!(settings(json!({ "localASN": 7 })).local_as, 7);
    assert_eq!(settings(json!({ "myASN": 64999 })).local_as, 64999);
    let asn = json!({ "peerASN": null, "dynamicASN": "external" });
    assert_eq!(settings(asn).remote_as, RemoteAs::External);
    let timers = json!({ "holdTime": "30s", "keepaliveTime": "5s", "connectTime": "9s" });
    let timers = settings(timers);
    assert_eq!((timers.hold_time, timers.keepalive), (30, 5));
    assert_eq!(timers.connect_retry, Duration::from_secs(9));
    let id = settings(json!({ "routerID": "10.9.8.7" })).identifier;
    assert_eq!(id, Ipv4Addr::new(10, 9, 8, 7));
    let restart = settings(json!({ "enableGracefulRestart": true })).graceful_restart;
    assert_eq!(restart, Some(120));
    let both = settings(json!({ "dualStackAddressFamily": true })).families;
    assert_eq!(both, Family::ALL.into());
    assert_eq!(with(json!({ "peerPort": 1790 })).port, 1790);
    let source = with(json!({ "sourceAddress": "192.0.2.1" })).tcp.source;
    assert_eq!(source, Some([192, 0, 2, 1].into()));
    let red = with(json!({ "vrf": "red" }));
    assert_eq!(
        (red.tcp.device.as_deref(), red.vrf.as_deref()),
        (Some("red"), Some("red"))
    );
    let secret = with(json!({ "password": "secret" })).tcp.password;
    assert_eq!(secret, Some(TcpPassword(b"secret".to_vec())));
    assert!(!format!("{:?}", with(json!({ "password": "secret" }))).contains("secret"));
}

#[test]
fn an_identifier_is_the_nodes_own_and_always_the_same() {
    let first = setup(json!({}), Backend::Frr).settings.identifier;
    assert_eq!(first, setup(json!({}), Backend::Native).settings.identifier);
    assert!(!first.is_unspecified());
    let (_, problems) = peers(
        &cluster(json!({ "routerID": "fd00::1" })).index,
        &own(),
        Backend::Frr,
    );
    assert_eq!(problems["router"], "routerID fd00::1 is no IPv4 address");
}

#[test]
fn a_peer_on_an_interface_is_on_the_link_and_told_of_both_families() {
    for backend in [Backend::Native, Backend::Frr, Backend::FrrK8s] {
        let on = json!({
            "peerAddress": "", "interface": "eth0", "myASN": 64500, "peerASN": 64501,
            "sourceAddress": "192.0.2.1",
        });
        let setup = setup(on, backend);
        assert_eq!(setup.to_string(), "the router on eth0");
        assert_eq!(setup.settings.families, Family::ALL.into());
        assert!(setup.settings.v6_next_hops);
        assert_eq!((setup.tcp.on_link, setup.tcp.hop_limit), (true, Some(255)));
        assert_eq!(setup.tcp.source, None);
    }
}

#[test]
fn a_peer_that_does_not_select_the_node_is_none_of_it() {
    let elsewhere = json!({ "nodeSelectors": [{ "matchLabels": { "rack": "b" } }] });
    let (setups, problems) = peers(&cluster(elsewhere).index, &own(), Backend::Frr);
    assert!(setups.is_empty() && problems.is_empty());
}

#[test]
fn a_profile_says_how_a_peer_is_watched() {
    let profile = json!({
        "transmitInterval": 50, "receiveInterval": 70, "detectMultiplier": 5, "passiveMode": true,
        "minimumTtl": 200, "echoMode": true, "echoInterval": 40,
    });
    let watched = |peer: Value| {
        let cluster = cluster(peer).bfd_profile("fast", profile.clone());
        let (mut setups, _) = peers(&cluster.index, &own(), Backend::Frr);
        setups.remove("router").expect("it is there").bfd
    };
    assert_eq!(watched(json!({})), None);
    let BfdSetup {
        minimum_ttl,
        settings,
    } = watched(json!({ "bfdProfile": "fast" })).expect("it is watched");
    assert_eq!(minimum_ttl, None);
    assert_eq!(settings.transmit, Duration::from_millis(50));
    assert_eq!(settings.receive, Duration::from_millis(70));
    assert_eq!((settings.detect_multiplier, settings.passive), (5, true));
    let echo = Some(Duration::from_millis(40));
    assert_eq!(
        (settings.echo_receive, settings.echo_transmit),
        (echo, echo)
    );
    let v6 = json!({ "bfdProfile": "fast", "peerAddress": "2001:db8::9" });
    let settings = watched(v6).expect("it is watched").settings;
    assert_eq!(
        (settings.echo_receive, settings.echo_transmit),
        (None, None)
    );
    let far = json!({ "bfdProfile": "fast", "ebgpMultiHop": true });
    let far = watched(far).expect("it is watched");
    assert_eq!(far.minimum_ttl, Some(200));
    let none = |it: BfdSetup| (it.settings.echo_receive, it.settings.echo_transmit) == (None, None);
    assert!(none(far));
    let on = json!({
        "peerAddress": "", "interface": "eth0", "bfdProfile": "fast", "ebgpMultiHop": true,
    });
    let on = watched(on).expect("it is watched");
    assert_eq!(on.minimum_ttl, None);
    assert!(none(on));
    // A peer whose profile is not there is no good until it is.
    let lost = cluster(json!({ "bfdProfile": "slow" }));
    assert!(peers(&lost.index, &own(), Backend::Frr).0.is_empty());
}
