//! What a client of v1beta1 changes is changed, and nothing else.

use metallb_admission::convert;
use metallb_crds::names::V1BETA2_SPEC;
use serde_json::{Value, json};

use crate::{V1BETA1, V1BETA2, down, old_spec, peer, up, with};

/// What a client of v1beta1 sees, changes and writes back, as it is stored then.
fn edited(spec: &Value, edit: impl FnOnce(&mut Value)) -> Value {
    let mut shown = down(spec);
    edit(&mut shown["spec"]);
    convert(shown, V1BETA2).expect("it can be stored in v1beta2")["spec"].take()
}

#[test]
fn edits_in_v1beta1_win_and_the_rest_survives() {
    let spec = json!({
        "myASN": 1, "dynamicASN": "external", "interface": "eth0", "vrf": "red", "holdTime": "9s",
        "bfdProfile": "fast", "passwordSecret": {"name": "s"}, "disableMP": false,
        "dualStackAddressFamily": true, "peerPort": 179,
        "nodeSelectors": [{"matchExpressions": [{"key": "k", "operator": "Exists"}]}],
    });
    let changed = |field: &str, value: Value| with(spec.clone(), field, value);
    let without = |mut spec: Value, field: &str| {
        spec.as_object_mut().expect("an object").remove(field);
        spec
    };
    let set = |field: &'static str, value: Value| edited(&spec, move |shown| shown[field] = value);
    assert_eq!(edited(&spec, |_| ()), spec);
    assert_eq!(set("myASN", json!(7)), changed("myASN", json!(7)));
    assert_eq!(
        set("holdTime", json!("30s")),
        changed("holdTime", json!("30s"))
    );
    assert_eq!(
        set("routerID", json!("1.1.1.1")),
        changed("routerID", json!("1.1.1.1"))
    );
    assert_eq!(
        set("nodeSelectors", json!([])),
        changed("nodeSelectors", json!([]))
    );
    assert_eq!(
        edited(&spec, |shown| {
            shown
                .as_object_mut()
                .expect("an object")
                .remove("bfdProfile");
        }),
        without(spec.clone(), "bfdProfile")
    );
    // What says the same in another way gives way.
    assert_eq!(
        set("peerASN", json!(7)),
        without(changed("peerASN", json!(7)), "dynamicASN")
    );
    assert_eq!(
        set("peerAddress", json!("1.2.3.4")),
        without(changed("peerAddress", json!("1.2.3.4")), "interface")
    );
    assert_eq!(
        set("password", json!("x")),
        without(changed("password", json!("x")), "passwordSecret")
    );
}

#[test]
fn a_go_client_that_leaves_out_zero_values_edits_nothing() {
    let spec = json!({
        "myASN": 1, "dynamicASN": "external", "interface": "eth0", "ebgpMultiHop": false,
        "password": "", "peerPort": 179, "disableMP": false, "dualStackAddressFamily": false,
        "nodeSelectors": [{"matchLabels": {}, "matchExpressions": []}, {}],
    });
    assert_eq!(
        edited(&spec, |shown| {
            let shown = shown.as_object_mut().expect("an object");
            shown.remove("ebgpMultiHop");
            shown.remove("password");
            shown["nodeSelectors"] = json!([{}, {}]);
        }),
        spec
    );
}

#[test]
fn without_the_annotation_the_object_is_what_v1beta1_says() {
    let spec = with(up(&old_spec())["spec"].clone(), "vrf", json!("red"));
    let mut shown = down(&spec);
    shown["metadata"]["annotations"]
        .as_object_mut()
        .expect("they are there")
        .clear();
    let stored = convert(shown, V1BETA2).expect("it can be stored");
    assert_eq!(stored["spec"], up(&old_spec())["spec"]);
}

#[test]
fn the_annotation_is_never_seen_in_v1beta2_and_a_false_one_is_not_believed() {
    let mut stored = peer(V1BETA2, &up(&old_spec())["spec"]);
    stored["metadata"]["annotations"] = json!({ V1BETA2_SPEC: "nonsense" });
    let shown = convert(stored, V1BETA1).expect("it can be read");
    assert_eq!(shown["metadata"].get("annotations"), None);
    assert_eq!(shown["spec"], old_spec());

    let mut written = peer(V1BETA1, &old_spec());
    written["metadata"]["annotations"] = json!({ V1BETA2_SPEC: "nonsense" });
    let error = convert(written, V1BETA2)
        .expect_err("it is not what was kept")
        .to_string();
    assert!(
        error
            .starts_with("annotation metallb.io/v1beta2-spec is not what was kept there (expected"),
        "{error}"
    );
}
