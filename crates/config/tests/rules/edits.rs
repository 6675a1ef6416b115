//! What a change leaves in effect.

use metallb_config::{Config, InEffect};
use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, effects, said};

fn names(config: &Config) -> Vec<&str> {
    config.pools().keys().map(|name| &**name).collect()
}

#[test]
fn an_invalid_edit_of_a_pool_leaves_its_last_form() {
    let mut cluster = Cluster::new()
        .addresses("a", &["10.0.0.0/24"])
        .addresses("other", &["10.1.0.0/24"]);
    let before = cluster.read().config;

    cluster.pools[0]
        .spec
        .addresses
        .push("10.0.0.300".to_owned());
    let after = cluster.read_after(&before);
    assert_eq!(after.config, before);
    assert_eq!(effects(&after), [InEffect::LastForm]);
    assert!(said(&after)[0].contains("invalid CIDR \"10.0.0.300\""));
    // It still has its addresses, and the next change does not take them either.
    let mut cluster = cluster.addresses("young", &["10.0.0.9/32"]);
    let later = cluster.read_after(&after.config);
    assert_eq!(later.config, before);
    assert_eq!(effects(&later), [InEffect::LastForm, InEffect::Nothing]);
    // Mended, deleted, or made anew under the same name: it is as it is.
    let mut mended = cluster.clone();
    mended.pools[0].spec.addresses = vec!["10.2.0.0/24".to_owned()];
    let mended = mended.read_after(&later.config).config;
    assert_eq!(mended.pools()["a"].ranges()[0].to_string(), "10.2.0.0/24");
    assert_eq!(names(&mended), ["a", "other", "young"]);
    let mut deleted = cluster.clone();
    deleted.pools.remove(0);
    assert_eq!(
        names(&deleted.read_after(&later.config).config),
        ["other", "young"]
    );
    cluster.pools[0].metadata.uid = Some("another".to_owned());
    let made_anew = cluster.read_after(&later.config);
    assert_eq!(names(&made_anew.config), ["other", "young"]);
    assert_eq!(effects(&made_anew), [InEffect::Nothing]);
}

#[test]
fn an_edit_that_clashes_with_an_older_object_is_an_invalid_one() {
    let mut cluster = Cluster::new()
        .addresses("a", &["10.0.0.0/24"])
        .addresses("b", &["10.1.0.0/24"]);
    let before = cluster.read().config;
    cluster.pools[1].spec.addresses = vec!["10.0.0.0/16".to_owned()];
    let after = cluster.read_after(&before);
    assert_eq!(after.config, before);
    assert_eq!(effects(&after), [InEffect::LastForm]);
}

#[test]
fn a_last_form_gives_way_to_an_older_object() {
    let mut cluster = Cluster::new()
        .addresses("a", &["10.0.0.0/24"])
        .addresses("b", &["10.1.0.0/24"]);
    let before = cluster.read().config;
    // The older one takes the addresses of the younger, which is broken at the same time.
    cluster.pools[0].spec.addresses = vec!["10.0.0.0/8".to_owned()];
    cluster.pools[1].spec.addresses = vec!["nonsense".to_owned()];
    let after = cluster.read_after(&before);
    assert_eq!(names(&after.config), ["a"]);
    assert_eq!(effects(&after), [InEffect::Nothing]);
}

#[test]
fn an_invalid_edit_of_any_kind_leaves_the_last_form() {
    let cluster = Cluster::new()
        .addresses("pool", &["10.0.0.0/24"])
        .l2("l2", json!({"interfaces": ["eth0"]}))
        .bgp("bgp", json!({"localPref": 7, "communities": ["a"]}))
        .peer("peer", json!({"bfdProfile": "bfd", "holdTime": "30s"}))
        .bfd("bfd", json!({"receiveInterval": 50}))
        .community("names", &[("a", "1:2")])
        .node(&[])
        .complete();
    let before = cluster.read();
    assert_accepted(&before);

    let mut broken = cluster.clone();
    broken.pools[0].spec.addresses.clear();
    let twice = || vec!["a".to_owned(), "a".to_owned()];
    broken.l2_advertisements[0].spec.ip_address_pools = twice();
    broken.bgp_advertisements[0].spec.peers = twice();
    broken.peers[0].spec.my_asn = 0;
    broken.bfd_profiles[0].spec.minimum_ttl = Some(255);
    broken.communities[0].spec.communities[0].value = "1".to_owned();
    let mut config = before.config.clone();
    for _ in 0..3 {
        let after = broken.read_after(&config);
        assert_eq!(after.config, before.config);
        assert_eq!(effects(&after), [InEffect::LastForm; 6]);
        config = after.config;
    }
    // Nothing is left of what is gone.
    let none = Cluster::new().read_after(&config);
    assert_eq!(none.config, Config::default());
    // After a restart, nobody knows of the last forms.
    let restarted = broken.read();
    assert_eq!(restarted.config, Config::default());
    assert_eq!(effects(&restarted), [InEffect::Nothing; 6]);
    assert_accepted(&cluster.read_after(&config));
}

#[test]
fn the_last_form_of_an_advertisement_leaves_out_what_it_must_not_announce() {
    let mut cluster = Cluster::new()
        .addresses("pool", &["10.0.0.0/8"])
        .bgp("bgp", json!({"aggregationLength": 24}));
    let before = cluster.read().config;
    cluster.bgp_advertisements[0].spec.aggregation_length = 33;
    let cluster = cluster.addresses("small", &["1.1.1.0/28"]);
    let after = cluster.read_after(&before);
    assert_eq!(effects(&after), [InEffect::LastForm]);
    let announced = |pool| {
        let of = after
            .config
            .bgp_advertisements_of(&after.config.pools()[pool]);
        of.count() == 1
    };
    assert!(announced("pool") && !announced("small"));
}
