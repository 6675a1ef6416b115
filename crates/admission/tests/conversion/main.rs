//! `BGPPeers` from one version to the other and back: nothing is lost, edits win, errors say where.

mod edits;
mod properties;
mod refusals;
mod reviews;
mod there_and_back;

use metallb_admission::convert;
use serde_json::{Value, json};

const V1BETA1: &str = "metallb.io/v1beta1";
const V1BETA2: &str = "metallb.io/v1beta2";

fn peer(version: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": "BGPPeer",
        "metadata": {
            "name": "tor1",
            "namespace": "metallb-system",
            "uid": "0c9a8d74",
            "resourceVersion": "7",
            "labels": {"rack": "1"},
            "annotations": {"example.com/owner": "net"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": spec,
        "status": {},
    })
}

fn down(spec: &Value) -> Value {
    convert(peer(V1BETA2, spec), V1BETA1).expect("it can be shown in v1beta1")
}

fn up(spec: &Value) -> Value {
    convert(peer(V1BETA1, spec), V1BETA2).expect("it can be stored in v1beta2")
}

/// All that v1beta1 has.
fn old_spec() -> Value {
    json!({
        "myASN": 42, "peerASN": 142, "peerAddress": "1.2.3.4", "peerPort": 1179,
        "holdTime": "180s", "keepaliveTime": "1s", "routerID": "10.20.30.40",
        "sourceAddress": "10.20.30.40", "ebgpMultiHop": true, "bfdProfile": "default",
        "password": "nopass",
        "nodeSelectors": [{
            "matchLabels": {"foo": "bar"},
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["quux"]}],
        }],
    })
}

fn with(mut spec: Value, field: &str, value: Value) -> Value {
    spec[field] = value;
    spec
}
