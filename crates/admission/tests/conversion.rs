//! `BGPPeers` from one version to the other and back: nothing is lost, edits win, errors say where.

use kube::core::conversion::{ConversionRequest, ConversionReview};
use kube::core::response::StatusSummary;
use metallb_admission::{convert, convert_review, probe};
use metallb_crds::names::V1BETA2_SPEC;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

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

/// What a client of v1beta1 sees, changes and writes back, as it is stored then.
fn edited(spec: &Value, edit: impl FnOnce(&mut Value)) -> Value {
    let mut shown = down(spec);
    edit(&mut shown["spec"]);
    convert(shown, V1BETA2).expect("it can be stored in v1beta2")["spec"].take()
}

fn kept(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][V1BETA2_SPEC].as_str()
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

fn review(objects: &[Value]) -> Value {
    let review = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "ConversionReview",
        "request": {"uid": "705ab4f5", "desiredAPIVersion": V1BETA1, "objects": objects},
    });
    let review: ConversionReview = serde_json::from_value(review).expect("a review");
    serde_json::to_value(convert_review(review)).expect("plain data")
}

#[test]
fn a_review_of_several_objects_is_answered_in_their_order() {
    let one = peer(
        V1BETA2,
        &json!({"myASN": 1, "peerASN": 2, "peerAddress": "1.2.3.4"}),
    );
    let mut two = one.clone();
    two["metadata"]["name"] = json!("tor2");
    let answer = review(&[one.clone(), two.clone(), peer(V1BETA1, &json!({}))]);
    assert_eq!(answer["apiVersion"], "apiextensions.k8s.io/v1");
    assert_eq!(answer["kind"], "ConversionReview");
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    assert_eq!(answer["response"]["result"]["status"], "Success");
    assert_eq!(
        answer["response"]["convertedObjects"],
        json!([
            convert(one, V1BETA1).expect("one"),
            convert(two, V1BETA1).expect("two"),
            peer(V1BETA1, &json!({})),
        ])
    );
    assert_eq!(review(&[])["response"]["convertedObjects"], json!([]));
}

#[test]
fn a_review_fails_with_the_reason_for_each_bad_object() {
    let good = peer(V1BETA2, &json!({}));
    let mut cluster_wide = peer(V1BETA2, &json!(4));
    cluster_wide["metadata"] = json!({"name": "lost"});
    let answer = review(&[peer(V1BETA2, &json!("s")), good, cluster_wide, json!(null)]);
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    assert_eq!(answer["response"]["result"]["status"], "Failure");
    assert_eq!(
        answer["response"]["result"]["message"],
        "BGPPeer metallb-system/tor1: spec is a text, not an object; \
         BGPPeer lost: spec is a number, not an object; \
         object without kind : the object is null, not an object"
    );
    assert_eq!(answer["response"]["convertedObjects"], json!([]));
}

#[test]
fn a_review_without_a_request_is_answered_too() {
    let review = ConversionReview {
        types: kube::core::TypeMeta::default(),
        request: None::<ConversionRequest>,
        response: None,
    };
    let response = convert_review(review).response.expect("an answer");
    assert_eq!(response.result.status, Some(StatusSummary::Failure));
    assert_eq!(
        response.result.message,
        "the ConversionReview has no request"
    );
}

#[test]
fn whoever_only_wants_to_know_whether_somebody_is_there_gets_an_answer() {
    let review = serde_json::from_value(probe()).expect("a review");
    let response = convert_review(review).response.expect("an answer");
    assert_eq!(response.uid, "probe");
    assert_eq!(response.result.status, Some(StatusSummary::Success));
}

// --- properties ---

fn text() -> impl Strategy<Value = Value> {
    "[a-z0-9.:]{0,6}".prop_map(Value::from)
}

fn optional(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop::option::of(value)
}

/// Some of these fields.
fn fields(
    of: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Map<String, Value>> {
    of.into_iter()
        .map(|(name, value)| optional(value).prop_map(move |value| (name, value)))
        .collect::<Vec<_>>()
        .prop_map(|fields| {
            let set = fields.into_iter();
            set.filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect()
        })
}

fn selectors(min_values: usize) -> impl Strategy<Value = Value> {
    let values = prop::collection::vec(text(), min_values..3).prop_map(Value::from);
    let values = if min_values == 0 {
        optional(values).boxed()
    } else {
        values.prop_map(Some).boxed()
    };
    let expression = (text(), text(), values).prop_map(|(key, operator, values)| {
        let mut expression = json!({"key": key, "operator": operator});
        if let Some(values) = values {
            expression["values"] = values;
        }
        expression
    });
    let selector = fields(vec![
        (
            "matchLabels",
            prop::collection::hash_map("[a-z]{1,3}", text(), 0..3)
                .prop_map(|labels| Value::Object(labels.into_iter().collect()))
                .boxed(),
        ),
        (
            "matchExpressions",
            prop::collection::vec(expression, 0..3)
                .prop_map(Value::from)
                .boxed(),
        ),
    ]);
    prop::collection::vec(selector.prop_map(Value::from), 0..3).prop_map(Value::from)
}

fn number() -> BoxedStrategy<Value> {
    (0..3u32).prop_map(Value::from).boxed()
}

fn boolean() -> BoxedStrategy<Value> {
    any::<bool>().prop_map(Value::from).boxed()
}

fn common(min_values: usize) -> Vec<(&'static str, BoxedStrategy<Value>)> {
    vec![
        ("myASN", number()),
        ("peerASN", number()),
        ("peerAddress", text().boxed()),
        ("sourceAddress", text().boxed()),
        ("peerPort", (1..3u32).prop_map(Value::from).boxed()),
        ("holdTime", text().boxed()),
        ("keepaliveTime", text().boxed()),
        ("routerID", text().boxed()),
        ("nodeSelectors", selectors(min_values).boxed()),
        ("password", text().boxed()),
        ("bfdProfile", text().boxed()),
        ("ebgpMultiHop", boolean()),
    ]
}

/// Whatever the API server lets through in v1beta1, but for `peerPort: 0`, which comes back as
/// not set.
fn any_v1beta1() -> impl Strategy<Value = Value> {
    let required = (number(), text());
    (fields(common(1)), required).prop_map(|(mut spec, (asn, address))| {
        spec.entry("myASN").or_insert(json!(1));
        spec.entry("peerASN").or_insert(asn);
        spec.entry("peerAddress").or_insert(address);
        spec.into()
    })
}

/// Whatever the API server lets through in v1beta2, and more.
fn any_v1beta2() -> impl Strategy<Value = Value> {
    let mut all = common(0);
    all.extend([
        ("localASN", number()),
        ("dynamicASN", text().boxed()),
        ("interface", text().boxed()),
        ("connectTime", text().boxed()),
        (
            "passwordSecret",
            text().prop_map(|name| json!({"name": name})).boxed(),
        ),
        ("enableGracefulRestart", boolean()),
        ("vrf", text().boxed()),
        ("disableMP", boolean()),
        ("dualStackAddressFamily", boolean()),
        ("aFieldOfTheFuture", number()),
        ("vrf", Just(Value::Null).boxed()),
    ]);
    fields(all).prop_map(Value::from)
}

proptest! {
    #[test]
    fn nothing_is_lost_on_the_way_through_v1beta1(spec in any_v1beta2()) {
        let object = peer(V1BETA2, &spec);
        let shown = convert(object.clone(), V1BETA1).expect("down");
        prop_assert_eq!(convert(shown, V1BETA2).expect("up"), object);
    }

    #[test]
    fn nothing_is_lost_on_the_way_through_v1beta2(spec in any_v1beta1()) {
        let object = peer(V1BETA1, &spec);
        let stored = convert(object.clone(), V1BETA2).expect("up");
        prop_assert_eq!(convert(stored, V1BETA1).expect("down"), object);
    }

    #[test]
    fn an_edit_in_v1beta1_is_there_and_nothing_else_is_touched(
        spec in any_v1beta2(),
        edit in any_v1beta1(),
    ) {
        let mut shown = convert(peer(V1BETA2, &spec), V1BETA1).expect("down");
        shown["spec"] = edit;
        let stored = convert(shown.clone(), V1BETA2).expect("up");
        let again = convert(stored.clone(), V1BETA1).expect("down again");
        for field in ["myASN", "peerASN", "sourceAddress", "peerPort", "holdTime", "routerID"] {
            let (said, says) = (&shown["spec"][field], &again["spec"][field]);
            let empty = |value: &Value| value.is_null() || *value == json!("") || *value == json!(0);
            prop_assert!(said == says || (empty(said) && empty(says)), "{}", field);
        }
        for field in ["localASN", "connectTime", "vrf", "aFieldOfTheFuture", "disableMP"] {
            let before = spec.get(field);
            // A default is as good as nothing.
            let after = stored["spec"].get(field).filter(|it| before.is_some() || **it != json!(false));
            prop_assert_eq!(before, after, "{}", field);
        }
    }
}
