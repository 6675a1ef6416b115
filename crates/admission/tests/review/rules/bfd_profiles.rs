//! BFD profiles: the schema alone refuses one at creation and at change.

use metallb_config::Kind::BFDProfile;
use serde_json::json;

use super::assert_allowed;
use crate::Cluster;

#[test]
fn row_30_profiles_are_left_to_the_schema() {
    let cluster = Cluster::default();
    for spec in [json!({"receiveInterval": 5}), json!({"minimumTtl": 255})] {
        assert_allowed(30, &cluster, BFDProfile, &spec);
    }
}
