//! Communities, by name and by value.

use metallb_config::Kind::{BGPAdvertisement, Community};
use serde_json::json;

use super::{assert_allowed, assert_denied};
use crate::Cluster;

#[test]
fn rows_31_to_34_of_communities() {
    let named = |name: &str, value: &str| json!({"communities": [{"name": name, "value": value}]});
    let cluster = Cluster::default().with(Community, "old", &named("taken", "1:1"));
    for (row, value, words) in [
        (31, "99999999:1", "invalid community value: "),
        (31, "1:99999999", "invalid community value: "),
        (31, "lar:1:2:3", "invalid community value: "),
        (31, "large:1:x:3", "invalid community value: "),
        (32, "1234", "invalid community format: 1234"),
        (32, "1:2:3", "invalid community format: 1:2:3"),
    ] {
        assert_denied(row, &cluster, Community, &named("a", value), words);
        // Without the colon it could be the name of one.
        if value.contains(':') {
            let advertisement = json!({"communities": [value]});
            assert_denied(row, &cluster, BGPAdvertisement, &advertisement, words);
        }
    }
    let duplicate = "duplicate definition of community \"taken\"";
    assert_denied(33, &cluster, Community, &named("taken", "2:2"), duplicate);
    let twice =
        json!({"communities": [{"name": "a", "value": "1:1"}, {"name": "a", "value": "1:1"}]});
    assert_denied(
        33,
        &cluster,
        Community,
        &twice,
        "duplicate definition of community \"a\"",
    );
    for value in ["0:0", "65535:65535", "large:4294967295:0:1"] {
        assert_allowed(31, &cluster, Community, &named("a", value));
    }
    for names in [
        json!(["unknown"]),
        json!(["unknown", "unknown"]),
        json!(["1234", ""]),
    ] {
        assert_allowed(
            34,
            &cluster,
            BGPAdvertisement,
            &json!({ "communities": names }),
        );
    }
}
