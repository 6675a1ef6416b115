//! What each version makes of the other's fields; what v1beta1 cannot say goes along.

use metallb_admission::convert;
use metallb_crds::names::V1BETA2_SPEC;
use serde_json::{Value, json};

use crate::{V1BETA1, V1BETA2, down, old_spec, peer, up, with};

fn kept(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][V1BETA2_SPEC].as_str()
}

#[test]
fn the_shared_fields_are_copied_as_they_are_written() {
    let mut stored = old_spec();
    stored["disableMP"] = json!(false);
    stored["dualStackAddressFamily"] = json!(false);
    assert_eq!(up(&old_spec()), peer(V1BETA2, &stored));
    assert_eq!(down(&stored), peer(V1BETA1, &old_spec()));
}

#[test]
fn timers_that_are_not_set_stay_so() {
    let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "1.2.3.4"});
    let stored = &up(&spec)["spec"];
    assert_eq!(
        (&stored["holdTime"], &stored["keepaliveTime"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(down(stored)["spec"], spec);
    // What is written is kept, 0s too.
    let never = with(
        with(spec, "holdTime", json!("0s")),
        "keepaliveTime",
        json!("0s"),
    );
    assert_eq!(up(&never)["spec"]["holdTime"], "0s");
    assert_eq!(down(&up(&never)["spec"])["spec"], never);
}

#[test]
fn what_means_unset_in_v1beta1_is_left_out_of_v1beta2() {
    let spec = json!({"myASN": 1, "peerASN": 0, "peerAddress": "", "peerPort": 0});
    assert_eq!(
        up(&spec)["spec"],
        json!({"myASN": 1, "disableMP": false, "dualStackAddressFamily": false})
    );
}

#[test]
fn what_v1beta1_cannot_say_goes_along_in_an_annotation() {
    let plain = up(&old_spec())["spec"].clone();
    assert_eq!(kept(&down(&plain)), None);
    for (field, value) in [
        ("dynamicASN", json!("external")),
        ("interface", json!("eth0")),
        ("localASN", json!(64512)),
        ("connectTime", json!("10s")),
        ("passwordSecret", json!({"name": "secret"})),
        ("enableGracefulRestart", json!(true)),
        ("enableGracefulRestart", json!(false)),
        ("vrf", json!("red")),
        ("disableMP", json!(true)),
        ("dualStackAddressFamily", json!(true)),
        ("aFieldOfTheFuture", json!({"a": [1]})),
        // Found by fuzzing: read again, it was another one in its last digit.
        ("aNumberOfTheFuture", json!(6.451_366_666_666_666_4e122_f64)),
        // Without values, which v1beta1 requires.
        (
            "nodeSelectors",
            json!([{"matchExpressions": [{"key": "k", "operator": "In", "values": []}]}]),
        ),
    ] {
        let spec = with(plain.clone(), field, value);
        let shown = down(&spec);
        assert!(kept(&shown).is_some(), "{field}");
        assert_eq!(
            convert(shown, V1BETA2).expect(field),
            peer(V1BETA2, &spec),
            "{field}"
        );
    }
}

#[test]
fn a_router_without_asn_or_address_is_shown_with_what_v1beta1_requires() {
    let spec = json!({"myASN": 1, "dynamicASN": "internal", "interface": "eth0"});
    let shown = down(&spec)["spec"].clone();
    assert_eq!(shown, json!({"myASN": 1, "peerASN": 0, "peerAddress": ""}));
}

#[test]
fn an_object_may_lack_its_spec() {
    let mut object = peer(V1BETA2, &json!({}));
    object.as_object_mut().expect("an object").remove("spec");
    let shown = convert(object.clone(), V1BETA1).expect("it can be shown");
    assert_eq!(shown["apiVersion"], V1BETA1);
    assert_eq!(convert(shown, V1BETA2), Ok(object));
}

#[test]
fn a_version_becomes_itself() {
    let object = peer(V1BETA1, &json!({"whatever": [null]}));
    assert_eq!(convert(object.clone(), V1BETA1), Ok(object));
}
