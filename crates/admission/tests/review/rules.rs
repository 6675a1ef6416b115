//! Each rule that upstream's webhooks refuse an object for, ours do, in the same words; and what
//! they let through is let through.

mod advertisements;
mod bfd_profiles;
mod communities;
mod peers;
mod pools;

use metallb_config::Kind;
use serde_json::{Value, json};

use crate::{Cluster, allowed, denied};

/// The object is refused for this reason at creation and at change.
fn assert_denied(row: u8, cluster: &Cluster, kind: Kind, spec: &Value, words: &str) {
    let created = denied(cluster.create(kind, "new", spec));
    assert!(
        created.contains(words),
        "row {row}: {spec}: {words:?} is not in {created:?}"
    );
    let changed = denied(cluster.update(kind, "new", &json!({"before": true}), spec));
    assert_eq!(created, changed, "row {row}");
}

fn assert_allowed(row: u8, cluster: &Cluster, kind: Kind, spec: &Value) {
    assert_eq!(
        cluster.create(kind, "new", spec),
        allowed(),
        "row {row}: {spec}"
    );
    let changed = cluster.update(kind, "new", &json!({"before": true}), spec);
    assert_eq!(changed, allowed(), "row {row}: {spec}");
}

fn pool(addresses: &[&str]) -> Value {
    json!({ "addresses": addresses })
}

/// A peer with other fields.
fn peer(fields: &Value) -> Value {
    let mut spec = json!({"myASN": 64512, "peerASN": 64513, "peerAddress": "10.0.0.1"});
    for (field, value) in fields.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    spec
}

fn expression(operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]})
}

fn twice() -> Value {
    json!([{"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b"}}])
}
