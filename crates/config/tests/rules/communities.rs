//! Rows 31 to 34: BGP communities, and names for them.

use metallb_config::{Community, InEffect};
use serde_json::json;

use crate::cluster::{Cluster, assert_accepted, assert_rejected, effects, said};

const NAMES: &str = "Community metallb-system/names";

/// The value is refused under a name, and in an advertisement that has it as it is.
#[track_caller]
fn assert_refused(value: &str, reason: &str) {
    let read = Cluster::new()
        .community("names", &[("a", "1:2"), ("bad", value)])
        .read();
    assert_rejected(
        &read,
        NAMES,
        &format!("parsing community \"bad\": {reason}"),
    );
    assert!(read.config.communities().is_empty());
    let read = Cluster::new()
        .bgp("bgp", json!({ "communities": [value] }))
        .complete()
        .read();
    let reason = format!("invalid community {value:?} in BGP advertisement");
    assert_rejected(&read, "BGPAdvertisement metallb-system/bgp", &reason);
}

#[test]
fn row_31_numbers_fit_and_large_ones_are_marked() {
    let number = |section: &str, value: &str, max: u32| {
        format!(
            "invalid community value: invalid section {section:?} of community {value:?}: write a \
             number up to {max}"
        )
    };
    for (value, section, max) in [
        ("99999999:1", "99999999", 65_535),
        ("1:99999999", "99999999", 65_535),
        ("65536:1", "65536", 65_535),
        ("1:", "", 65_535),
        (":", "", 65_535),
        ("+1:2", "+1", 65_535),
        ("-1:2", "-1", 65_535),
        ("1: 2", " 2", 65_535),
        ("no:export", "no", 65_535),
        ("large:1:x:3", "x", u32::MAX),
        ("large:4294967296:2:3", "4294967296", u32::MAX),
    ] {
        assert_refused(value, &number(section, value, max));
    }
    for value in ["lar:1:2:3", "1:2:3:4", "Large:1:2:3"] {
        assert_refused(
            value,
            &format!(
                "invalid community value: invalid marker for large community, expected community \
                 to be of format large:<uint32>:<uint32>:<uint32> but got {value:?} instead"
            ),
        );
    }
}

#[test]
fn row_32_communities_have_two_numbers_or_three_and_a_mark() {
    for value in ["1234", "1:2:3", "", "large:1:2:3:4", "no-export"] {
        assert_refused(value, &format!("invalid community format: {value}"));
    }
    for (value, community) in [
        ("0:0", Community::Standard(0, 0)),
        ("65535:65535", Community::Standard(65_535, 65_535)),
        ("0064512:1", Community::Standard(64_512, 1)),
        ("large:4294967295:0:1", Community::Large(u32::MAX, 0, 1)),
    ] {
        assert_eq!(value.parse(), Ok(community));
        assert_eq!(community.to_string().parse(), Ok(community));
    }
}

#[test]
fn row_33_a_name_is_given_once() {
    let reason = "duplicate definition of community \"a\"";
    let read = Cluster::new()
        .community("names", &[("a", "1:2"), ("a", "1:2")])
        .read();
    assert_rejected(&read, NAMES, reason);
    // In another object too: the older one stays, whole, and the younger goes, whole.
    let mut cluster = Cluster::new()
        .community("older", &[("a", "1:2")])
        .community("names", &[("b", "3:4"), ("a", "5:6")])
        .community("younger", &[("b", "7:8")]);
    for _ in 0..2 {
        let read = cluster.read();
        assert_rejected(&read, NAMES, reason);
        assert_eq!(
            read.config.communities().keys().collect::<Vec<_>>(),
            ["older", "younger"]
        );
        cluster.communities.reverse();
    }
    let twice = Cluster::new()
        .community("names", &[])
        .community("names", &[("a", "1:2")]);
    assert_rejected(
        &twice.read(),
        NAMES,
        "duplicate definition of communities \"names\"",
    );
}

#[test]
fn row_34_a_name_of_a_community_is_there() {
    let mut cluster = Cluster::new()
        .community("names", &[("a", "1:2"), ("b:c", "large:3:4:5")])
        .bgp(
            "bgp",
            json!({"communities": ["a", "b:c", "6:7", "my-alias"]}),
        )
        .complete();
    assert_rejected(
        &cluster.read(),
        "BGPAdvertisement metallb-system/bgp",
        "invalid community format: my-alias\ninvalid community \"my-alias\" in BGP advertisement",
    );
    // It may follow, as far as admission goes.
    cluster.complete = false;
    assert_accepted(&cluster.read());
    cluster.complete = true;
    let cluster = cluster.community("more", &[("my-alias", "8:9")]);
    let read = cluster.read();
    assert_accepted(&read);
    let communities = &read.config.bgp_advertisements()["bgp"].communities;
    let shown: Vec<_> = communities.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["1:2", "6:7", "8:9", "large:3:4:5"]);
}

#[test]
fn row_34_a_name_with_a_colon_is_a_community_to_admission() {
    let read = Cluster::new()
        .bgp("bgp", json!({"communities": ["1:2:3"]}))
        .read();
    let reason = "invalid community format: 1:2:3\n";
    assert_rejected(&read, "BGPAdvertisement metallb-system/bgp", reason);
}

#[test]
fn row_34_a_lost_name_leaves_what_it_stood_for_in_effect() {
    let mut cluster = Cluster::new()
        .community("names", &[("a", "1:2")])
        .bgp("bgp", json!({"communities": ["a"]}))
        .complete();
    let before = cluster.read().config;
    cluster.communities.clear();
    let after = cluster.read_after(&before);
    assert_eq!(
        after.config.bgp_advertisements(),
        before.bgp_advertisements()
    );
    assert_eq!(effects(&after), [InEffect::LastForm]);
    // A name that is no good any more still stands for what it did.
    let cluster = cluster.community("names", &[("a", "1")]);
    assert_eq!(said(&cluster.read_after(&before)).len(), 1);
    assert_eq!(cluster.read_after(&before).config, before);
}
