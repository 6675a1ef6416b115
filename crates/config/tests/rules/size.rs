//! As much as there can be. A cost that grows with the square of it would not end here.

use metallb_config::Pool;
use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, labels, said, select};

/// The `n`th network of 256 addresses.
fn network(n: u32) -> String {
    format!("{}.{}.{}.0/24", 10 + (n >> 16), n >> 8 & 255, n & 255)
}

#[test]
fn ten_thousand_pools() {
    let mut cluster = Cluster::new();
    for n in 0..10_000 {
        cluster = cluster.addresses(
            &format!("pool-{n}"),
            &[&network(n), &format!("fd00:{n:x}::/64")],
        );
    }
    let mut read = cluster.read();
    assert_accepted(&read);
    assert_eq!(read.config.pools().len(), 10_000);
    let found = read
        .config
        .pool_of(&["10.39.15.7".parse().unwrap()])
        .unwrap();
    assert_eq!(found.name, "pool-9999");
    // One change after the other, good and bad ones.
    for n in 0..20_u32 {
        let at = usize::try_from(n * 499).unwrap();
        let text = if n % 2 == 0 {
            network(60_000 + n)
        } else {
            network(0)
        };
        cluster.pools[at].spec.addresses = vec![text];
        read = cluster.read_after(&read.config);
        assert_eq!(read.config.pools().len(), 10_000);
    }
    // Nine of them want what the first of them got.
    assert_eq!(said(&read).len(), 9);
}

#[test]
fn ten_thousand_pools_of_which_one_is_good() {
    let mut cluster = Cluster::new().addresses("all", &["0.0.0.0/0"]);
    for n in 0..10_000 {
        cluster = cluster.addresses(&format!("pool-{n}"), &[&network(n)]);
    }
    let read = cluster.read();
    assert_eq!(
        (read.config.pools().len(), read.rejected.len()),
        (1, 10_000)
    );
    assert_eq!(cluster.read_after(&read.config).rejected, read.rejected);
}

#[test]
fn a_pool_of_a_million_networks() {
    let addresses: Vec<_> = (0..1_000_000)
        .map(|n| {
            format!(
                "{}.{}.{}.{}/32",
                10 + (n >> 24),
                n >> 16 & 255,
                n >> 8 & 255,
                n & 255
            )
        })
        .collect();
    let mut cluster = Cluster::new()
        .pool("pool", json!({ "addresses": [] }))
        .bgp("bgp", json!({}));
    cluster.pools[0].spec.addresses = addresses;
    let read = cluster.read();
    assert_accepted(&read);
    let pool: &Pool = &read.config.pools()["pool"];
    assert_eq!(pool.ranges().len(), 1_000_000);
    let last = ["10.15.66.63".parse().unwrap()];
    assert_eq!(read.config.pool_of(&last).map(|it| &*it.name), Some("pool"));
    // The last of them is there once more.
    cluster.pools[0]
        .spec
        .addresses
        .push("10.15.66.63-10.15.66.63".to_owned());
    assert!(
        said(&cluster.read())[0].contains("overlaps with already defined CIDR \"10.15.66.63/32\"")
    );
}

#[test]
fn as_many_addresses_as_there_are() {
    for text in [
        "10.0.0.0/8",
        "10.0.0.0-10.255.255.255",
        "0.0.0.0-255.255.255.255",
        "::/0",
        "::1-ffff::",
    ] {
        let cluster = Cluster::new().addresses("pool", &[text]).bgp(
            "bgp",
            json!({"aggregationLength": 8, "aggregationLengthV6": 16}),
        );
        assert_accepted(&cluster.read());
    }
}

#[test]
fn many_advertisements_of_many_pools_to_many_peers_from_many_nodes() {
    let mut cluster = Cluster::new()
        .complete()
        .bfd("echo", json!({"echoMode": true}));
    cluster.nodes = (0..1_000)
        .map(|n| labels(&[("node", &n.to_string())]))
        .collect();
    for n in 0..2_000 {
        cluster = cluster.addresses(&format!("pool-{n}"), &[&network(n)]);
    }
    for n in 0..200 {
        let address = format!("10.255.{}.{}", n / 100, n % 100);
        cluster = cluster.peer(
            &format!("peer-{n}"),
            json!({"peerAddress": address, "bfdProfile": "echo"}),
        );
        // Half of them of all pools, with as many local preferences; the nodes tell them apart.
        let name = format!("bgp-{n}");
        let from = json!([select("node", &n.to_string())]);
        cluster = match n % 2 {
            0 => cluster.bgp(&name, json!({"localPref": n, "nodeSelectors": from})),
            _ => cluster.bgp(
                &name,
                json!({"ipAddressPools": [format!("pool-{n}")], "nodeSelectors": from}),
            ),
        };
    }
    let read = cluster.read();
    assert_accepted(&read);
    assert_eq!(
        read.config
            .bgp_advertisements_of(&read.config.pools()["pool-1999"])
            .count(),
        100
    );
}

#[test]
fn long_lists_of_selectors_and_names() {
    let selectors: Vec<_> = (0..5_000).map(|n| select("a", &n.to_string())).collect();
    let names: Vec<_> = (0..20_000).map(|n| format!("name-{n}")).collect();
    let read = Cluster::new()
        .bgp(
            "bgp",
            json!({
                "nodeSelectors": selectors, "serviceSelectors": selectors,
                "ipAddressPools": names, "peers": names,
            }),
        )
        .l2(
            "l2",
            json!({"ipAddressPoolSelectors": selectors, "ipAddressPools": names}),
        )
        .read();
    assert_accepted(&read);
}

#[test]
fn names_at_their_limits_and_texts_in_any_writing() {
    let name = "n".repeat(253);
    let pool = Cluster::new()
        .pool(&name, json!({"addresses": ["10.0.0.0/24"], "serviceAllocation": {"namespaces": ["n".repeat(63)]}}))
        .l2(&name, json!({"ipAddressPools": [name], "interfaces": ["n".repeat(15)]}))
        .bgp(&name, json!({"ipAddressPools": [name], "peers": [name]}))
        .peer(&name, json!({}))
        .bfd(&name, json!({}))
        .community(&name, &[(&name, "1:2")]);
    assert_accepted(&pool.read());

    let text = "пул-\u{1f980}-\u{202e}ab\u{0}";
    let read = Cluster::new()
        .addresses("a", &[text])
        .l2("b", json!({"ipAddressPools": [text, text]}))
        .bgp("c", json!({"communities": [format!("{text}:1")]}))
        .peer("d", json!({"peerAddress": text}))
        .peer("e", json!({"holdTime": text}))
        .community("f", &[(text, text)])
        .read();
    assert_eq!(read.rejected.len(), 6);
    // A message has no character that could turn a terminal upside down.
    let shown: String = said(&read).concat();
    assert!(!shown.contains(['\u{202e}', '\u{0}']), "{shown}");
    // Names and passwords are whatever they are.
    let read = Cluster::new()
        .community("a", &[(text, "1:2")])
        .bgp("b", json!({"communities": [text]}))
        .peer("c", json!({"password": text, "vrf": text}))
        .complete()
        .read();
    assert_accepted(&read);
}
