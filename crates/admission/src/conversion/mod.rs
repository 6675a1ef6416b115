//! `/convert`: BGPPeer in the version that a client asked for.
//!
//! A `ConversionReview` holds any number of objects, and either all of them are converted or the
//! review fails: the API server knows no answer in between. The message of a failure names each
//! object that could not be converted.

mod bgp_peer;

use kube::core::Status;
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use serde_json::{Value, json};

/// Why an object cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConversionError {
    /// It is not in a version that we know.
    #[error("cannot convert {0:?}: only metallb.io/v1beta1 and metallb.io/v1beta2 are known")]
    From(String),
    /// It is wanted in a version that we do not know.
    #[error("cannot convert to {0:?}: only metallb.io/v1beta1 and metallb.io/v1beta2 are known")]
    To(String),
    /// It is of a kind that has one version only.
    #[error("cannot convert kind {0:?}: only BGPPeer has more than one version")]
    Kind(String),
    /// A part of it that has to be looked into is something else.
    #[error("{field} is {found}, not {wanted}")]
    Type {
        /// Where.
        field: String,
        /// What should be there.
        wanted: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// What we kept in the annotation was edited.
    #[error(
        "annotation {annotation} is not what was kept there ({error}): take it back from the \
         object as the API server shows it, or remove it to drop what v1beta1 cannot say"
    )]
    Kept {
        /// The annotation's key.
        annotation: &'static str,
        /// What is wrong with its value.
        error: String,
    },
}

/// Answers a `ConversionReview`.
pub fn convert_review(review: ConversionReview) -> ConversionReview {
    let Ok(mut request) = ConversionRequest::from_review(review) else {
        let status = failure("the ConversionReview has no request");
        return ConversionResponse::invalid(status).into_review();
    };
    let objects = std::mem::take(&mut request.objects);
    let mut converted = Vec::with_capacity(objects.len());
    let mut failures = Vec::new();
    for object in objects {
        let name = name(&object);
        match convert(object, &request.desired_api_version) {
            Ok(object) => converted.push(object),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    let response = ConversionResponse::for_request(request);
    if failures.is_empty() {
        response.success(converted)
    } else {
        response.failure(failure(&failures.join("; ")))
    }
    .into_review()
}

/// A `ConversionReview` that asks for nothing, to see whether somebody answers.
pub fn probe() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "ConversionReview",
        "request": { "uid": "probe", "desiredAPIVersion": V1BETA1, "objects": [] },
    })
}

/// The object in the version `to`, such as `metallb.io/v1beta2`. Its metadata stays as it is, but
/// for the annotation that holds what v1beta1 cannot say.
pub fn convert(object: Value, to: &str) -> Result<Value, ConversionError> {
    if !object.is_object() {
        return Err(wrong_type("the object", "an object", &object));
    }
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (kind, from) = (text("kind"), text("apiVersion"));
    if kind != "BGPPeer" {
        return Err(ConversionError::Kind(kind));
    }
    match (from.as_str(), to) {
        (V1BETA1 | V1BETA2, _) if from == to => Ok(object),
        (V1BETA1, V1BETA2) => bgp_peer::to_v1beta2(object),
        (V1BETA2, V1BETA1) => bgp_peer::to_v1beta1(object),
        (V1BETA1 | V1BETA2, _) => Err(ConversionError::To(to.to_owned())),
        _ => Err(ConversionError::From(from)),
    }
}

/// The old version, with its group.
const V1BETA1: &str = "metallb.io/v1beta1";
/// The version that is stored, with its group.
const V1BETA2: &str = "metallb.io/v1beta2";

fn failure(message: &str) -> Status {
    Status::failure(message, "ConversionFailed")
}

/// How people know the object.
fn name(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or("object without kind");
    let name = text("/metadata/name").unwrap_or_default();
    match text("/metadata/namespace") {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn wrong_type(field: impl Into<String>, wanted: &'static str, found: &Value) -> ConversionError {
    ConversionError::Type {
        field: field.into(),
        wanted,
        found: match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        },
    }
}
