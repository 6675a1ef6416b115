//! Whatever the API server lets through: nothing is lost on the way, and edits are there.

use metallb_admission::convert;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{V1BETA1, V1BETA2, peer};

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
