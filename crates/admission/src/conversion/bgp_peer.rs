//! BGPPeer between v1beta1 and v1beta2.
//!
//! The fields that both versions have are copied as they are written. What v1beta1 cannot say (a
//! router known by its interface, dual-stack sessions, a password in a Secret, …) goes along in an
//! annotation: the whole v1beta2 spec, where leaving it out would lose something. On the way back
//! each field that was edited in v1beta1 wins over what was kept, and the annotation is gone.
//!
//! Timers that are not set stay so in both directions. Upstream makes `0s` of them on the way up,
//! a session that never times out, which nobody asked for; a `0s` that somebody wrote is kept.

use metallb_crds::names::V1BETA2_SPEC;
use serde_json::{Map, Value, json};

use super::{ConversionError, V1BETA1, V1BETA2, wrong_type};

type Fields = Map<String, Value>;

/// What both versions have, under the same name and with the same meaning.
const SHARED: &[&str] = &[
    "myASN",
    "peerASN",
    "peerAddress",
    "sourceAddress",
    "peerPort",
    "holdTime",
    "keepaliveTime",
    "routerID",
    "nodeSelectors",
    "password",
    "bfdProfile",
    "ebgpMultiHop",
];

/// Fields that say the same in another way: whoever sets the first in v1beta1 means it instead of
/// the second, which v1beta1 does not show.
const INSTEAD_OF: &[(&str, &str)] = &[
    ("peerASN", "dynamicASN"),
    ("peerAddress", "interface"),
    ("password", "passwordSecret"),
];

pub(super) fn to_v1beta1(mut object: Value) -> Result<Value, ConversionError> {
    // In v1beta2 the annotation says nothing; left there, it would be believed later.
    take_annotation(&mut object)?;
    if let Some(spec) = spec(&object)? {
        let lowered = lower(spec)?;
        let kept = (raise(&lowered)? != *spec).then(|| Value::from(spec.clone()).to_string());
        object["spec"] = lowered.into();
        if let Some(kept) = kept {
            object["metadata"]["annotations"][V1BETA2_SPEC] = kept.into();
        }
    }
    object["apiVersion"] = V1BETA1.into();
    Ok(object)
}

pub(super) fn to_v1beta2(mut object: Value) -> Result<Value, ConversionError> {
    let kept = take_annotation(&mut object)?.map(|text| read_kept(&text));
    let kept = kept.transpose()?;
    if let Some(spec) = spec(&object)? {
        object["spec"] = match kept {
            Some(kept) => merge(kept, spec)?,
            None => raise(spec)?,
        }
        .into();
    }
    object["apiVersion"] = V1BETA2.into();
    Ok(object)
}

/// A v1beta2 spec as far as v1beta1 can say it.
fn lower(spec: &Fields) -> Result<Fields, ConversionError> {
    let mut lowered = shared(spec);
    // Required in v1beta1; upstream fills them the same way.
    lowered.entry("peerASN").or_insert_with(|| json!(0));
    lowered.entry("peerAddress").or_insert_with(|| json!(""));
    for_each_expression(&mut lowered, |expression| {
        expression.entry("values").or_insert_with(|| json!([]));
    })?;
    Ok(lowered)
}

/// A v1beta1 spec in v1beta2, with the defaults that the API server would add.
fn raise(spec: &Fields) -> Result<Fields, ConversionError> {
    let mut raised = shared(spec);
    // In v1beta1 these values mean that it is not set; in v1beta2 it has to be left out.
    for field in ["peerASN", "peerAddress", "peerPort"] {
        if raised.get(field).is_some_and(says_nothing) {
            raised.remove(field);
        }
    }
    for_each_expression(&mut raised, |expression| {
        if expression.get("values").is_some_and(says_nothing) {
            expression.remove("values");
        }
    })?;
    for off in ["disableMP", "dualStackAddressFamily"] {
        raised.insert(off.to_owned(), json!(false));
    }
    Ok(raised)
}

/// The kept v1beta2 spec with the edits that were made in v1beta1 since.
fn merge(mut kept: Fields, edited: &Fields) -> Result<Fields, ConversionError> {
    let shown = lower(&kept)?;
    let mut raised = raise(edited)?;
    let changed: Vec<_> = SHARED
        .iter()
        .filter(|field| meaning(field, &shown) != meaning(field, edited))
        .collect();
    for field in &changed {
        match raised.remove(**field) {
            Some(value) => kept.insert((**field).to_owned(), value),
            None => kept.remove(**field),
        };
    }
    for (set, other) in INSTEAD_OF {
        let says = kept.get(*set).is_some_and(|value| !says_nothing(value));
        if says && changed.contains(&set) {
            kept.remove(*other);
        }
    }
    Ok(kept)
}

/// What a v1beta1 field says, whether it is written out or left out, as Go clients leave out what
/// has its zero value.
fn meaning(field: &str, spec: &Fields) -> Value {
    let mut one = Fields::new();
    if let Some(value) = spec.get(field).filter(|value| !says_nothing(value)) {
        one.insert(field.to_owned(), value.clone());
    }
    let Some(Value::Array(selectors)) = one.get_mut("nodeSelectors") else {
        return one.into();
    };
    for selector in selectors.iter_mut().filter_map(Value::as_object_mut) {
        selector.retain(|_, part| !says_nothing(part));
    }
    one.into()
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn shared(spec: &Fields) -> Fields {
    SHARED
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), spec.get(*field)?.clone())))
        .collect()
}

/// Calls `change` with each expression of each node selector.
fn for_each_expression(
    spec: &mut Fields,
    change: impl Fn(&mut Fields),
) -> Result<(), ConversionError> {
    let Some(selectors) = spec.get_mut("nodeSelectors") else {
        return Ok(());
    };
    let field = "spec.nodeSelectors";
    for (i, selector) in list(field, selectors)?.iter_mut().enumerate() {
        let field = format!("{field}[{i}]");
        let Some(expressions) = fields(&field, selector)?.get_mut("matchExpressions") else {
            continue;
        };
        let field = format!("{field}.matchExpressions");
        for (i, expression) in list(&field, expressions)?.iter_mut().enumerate() {
            change(fields(&format!("{field}[{i}]"), expression)?);
        }
    }
    Ok(())
}

/// The entries of a list; none where there is null.
fn list<'a>(field: &str, value: &'a mut Value) -> Result<&'a mut [Value], ConversionError> {
    match value {
        Value::Array(list) => Ok(list),
        Value::Null => Ok(&mut []),
        other => Err(wrong_type(field, "a list", other)),
    }
}

fn fields<'a>(field: &str, value: &'a mut Value) -> Result<&'a mut Fields, ConversionError> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(wrong_type(field, "an object", other)),
    }
}

/// The object's spec, which it may lack.
fn spec(object: &Value) -> Result<Option<&Fields>, ConversionError> {
    match object.get("spec") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(spec)) => Ok(Some(spec)),
        Some(other) => Err(wrong_type("spec", "an object", other)),
    }
}

/// Removes what was kept.
fn take_annotation(object: &mut Value) -> Result<Option<Value>, ConversionError> {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(wrong_type("metadata", "an object", &object["metadata"]));
    };
    let annotations = metadata.get_mut("annotations");
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return Ok(None);
    };
    let kept = annotations.remove(V1BETA2_SPEC);
    if kept.is_some() && annotations.is_empty() {
        metadata.remove("annotations");
    }
    Ok(kept)
}

fn read_kept(annotation: &Value) -> Result<Fields, ConversionError> {
    let text = annotation.as_str().unwrap_or_default();
    serde_json::from_str(text).map_err(|error| ConversionError::Kept {
        annotation: V1BETA2_SPEC,
        error: error.to_string(),
    })
}
