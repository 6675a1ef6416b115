//! Golden files of what old configurations become; and what is said of those that are no good.

use super::*;

fn convert(config: &str) -> Result<(String, Vec<String>)> {
    converted(config, true)
}

fn refused(config: &str) -> String {
    let error = convert(config).expect_err("it should be refused");
    format!("{error:#}")
}

/// Every key that there was.
const EVERYTHING: &str = r#"
peers:
- my-asn: 64500
  peer-asn: 64501
  peer-address: 192.0.2.241
  source-address: 192.0.2.11
  peer-port: 1179
  hold-time: 3m
  keepalive-time: 1500ms
  router-id: 192.0.2.1
  password: secret
  bfd-profile: Fast_Profile
  ebgp-multihop: true
  node-selectors:
  - match-labels:
      example.com/rack: one
    match-expressions:
    - key: example.com/edge
      operator: In
      values: ["yes", "true"]
- {my-asn: 64500, peer-asn: 64500, peer-address: "2001:db8::f1"}
bgp-communities:
  late: 64500:200
  early: 64500:100
address-pools:
- name: 1st_Pool
  protocol: bgp
  addresses: [198.51.100.0/24, 2001:db8:1::/64]
  auto-assign: false
  avoid-buggy-ips: true
  bgp-advertisements:
  - aggregation-length: 24
    aggregation-length-v6: 64
    localpref: 200
    communities: [early, 64500:300]
  - {}
- {name: plain-bgp, protocol: bgp, addresses: [203.0.113.0/25]}
- {name: local, protocol: layer2, addresses: [192.0.2.128-192.0.2.159]}
- {name: nowhere, protocol: l2, addresses: [192.0.2.160/28]}
bfd-profiles:
- name: Fast_Profile
  receive-interval: 100
  transmit-interval: 100
  detect-multiplier: 5
  echo-interval: 50
  echo-mode: false
  passive-mode: true
  minimum-ttl: 254
"#;

#[test]
fn every_key_becomes_a_field() {
    let (objects, warnings) = convert(EVERYTHING).expect("it is good");
    insta::assert_snapshot!(objects);
    insta::assert_snapshot!("what_is_told", warnings.join("\n"));
}

#[test]
fn a_config_map_says_the_namespace() {
    let map = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config\n{namespace}data:\n  config: |\n    address-pools:\n    - name: local\n      protocol: layer2\n      addresses: [192.0.2.128/28]\n"
        )
    };
    for (line, namespace) in [("  namespace: lb\n", "lb"), ("", "metallb-system")] {
        let (objects, warnings) = converted(&map(line), false).expect("it is good");
        let said = format!("namespace: {namespace}\n");
        assert_eq!(objects.matches(&said).count(), 2, "{objects}");
        assert!(warnings.is_empty());
    }
}

#[test]
fn what_is_no_good_is_refused_with_the_reason() {
    for (config, words) in [
        ("peers: [{colour: red}]", "unknown field"),
        (
            "peers: [{my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, hold-time: 2s}]",
            "invalid hold time \"2s\": must be 0 or >=3s",
        ),
        (
            "peers: [{my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, hold-time: soon}]",
            "invalid hold time \"soon\"",
        ),
        (
            "address-pools: [{name: '12', protocol: bgp, addresses: [192.0.2.0/24]}]",
            "failed to make IpAddressPool K8S compatible: 12",
        ),
        (
            "address-pools: [{name: pool, protocol: bgp, addresses: [192.0.2.0/33]}]",
            "IPAddressPool metallb-system/pool",
        ),
        (
            "peers: [{my-asn: 1, peer-asn: 2, peer-address: 192.0.2.1, bfd-profile: none}]",
            "BGPPeer metallb-system/peer1",
        ),
    ] {
        let said = refused(config);
        assert!(said.contains(words), "{config}: {said}");
    }
    for (map, words) in [
        ("kind: Secret\ndata: {config: x}", "not a configmap"),
        (
            "kind: ConfigMap\ndata: {other: x}",
            "bad ConfigMap: no data",
        ),
    ] {
        let error = converted(map, false).expect_err("it should be refused");
        assert!(format!("{error:#}").contains(words), "{error:#}");
    }
}
