//! What cannot be converted, and where its mistake is.

use metallb_admission::convert;
use serde_json::{Value, json};

use crate::{V1BETA1, V1BETA2, peer};

#[test]
fn what_cannot_be_converted_says_why() {
    let selectors = |value: Value| peer(V1BETA2, &json!({"nodeSelectors": value}));
    let mut pool = peer(V1BETA1, &json!({}));
    pool["kind"] = json!("IPAddressPool");
    let mut bare = peer(V1BETA1, &json!({}));
    bare.as_object_mut().expect("an object").remove("metadata");
    for (object, to, error) in [
        (
            json!("text"),
            V1BETA2,
            "the object is a text, not an object",
        ),
        (
            json!({}),
            V1BETA2,
            "cannot convert kind \"\": only BGPPeer has more than one version",
        ),
        (pool, V1BETA2, "cannot convert kind \"IPAddressPool\""),
        (
            peer("metallb.io/v1", &json!({})),
            V1BETA2,
            "cannot convert \"metallb.io/v1\"",
        ),
        (peer("", &json!({})), V1BETA2, "cannot convert \"\""),
        (
            peer(V1BETA2, &json!({})),
            "metallb.io/v1",
            "cannot convert to \"metallb.io/v1\"",
        ),
        (
            peer(V1BETA2, &json!({})),
            "v1beta1",
            "cannot convert to \"v1beta1\"",
        ),
        (bare, V1BETA2, "metadata is null, not an object"),
        (
            peer(V1BETA2, &json!([1])),
            V1BETA1,
            "spec is a list, not an object",
        ),
        (
            selectors(json!(true)),
            V1BETA1,
            "spec.nodeSelectors is a boolean, not a list",
        ),
        (
            selectors(json!([{}, 3])),
            V1BETA1,
            "spec.nodeSelectors[1] is a number, not an object",
        ),
        (
            selectors(json!([{"matchExpressions": ["In"]}])),
            V1BETA1,
            "spec.nodeSelectors[0].matchExpressions[0] is a text, not an object",
        ),
    ] {
        let said = convert(object, to).expect_err(error).to_string();
        assert!(said.starts_with(error), "{said}");
    }
}
