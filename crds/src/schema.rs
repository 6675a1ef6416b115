//! Schemas of fields that a Rust type alone does not describe, and the pass that makes a
//! generated definition look like the documented one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

// === fields ===

/// An AS number from `MIN`; 32 bits unsigned, so it does not fit format int32.
pub(crate) fn asn<const MIN: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": MIN, "maximum": u32::MAX})
}

/// A TCP port from `MIN`. The documented upper end is 16384.
pub(crate) fn port<const MIN: u16>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "minimum": MIN, "maximum": 16384})
}

/// A local preference. It has 32 bits unsigned on the wire, but bounds or another format would be
/// unsafe changes of a field that is in use.
pub(crate) fn local_pref(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32"})
}

/// An integer of any size.
pub(crate) fn integer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer"})
}

/// A field that may be left out, under the field's own description. (That of an `Option` of an
/// enum is the enum's.)
pub(crate) fn optional<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

/// A number, or a percentage, of things of which there is at least one.
pub(crate) fn some_of_all(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "pattern": "^(100|[1-9][0-9]?)%$",
    })
}

/// A list of label selectors. The API server checks neither keys nor operators here.
pub(crate) fn label_selectors(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": label_selector(generator)})
}

/// One label selector, described in our words.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "Selects objects by their labels. All of its parts must hold. An empty selector selects everything.",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object",
                "description": "Labels that must be there with exactly these values.",
                "additionalProperties": {"type": "string"},
            },
            "matchExpressions": {
                "type": "array",
                "description": "Conditions on labels, all of which must hold.",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "description": "A condition on one label.",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string", "description": "Key of the label."},
                        "operator": {
                            "type": "string",
                            "description": "One of In, NotIn, Exists and DoesNotExist.",
                        },
                        "values": {
                            "type": "array",
                            "description": "Values to compare with: at least one for In and NotIn, none for Exists and DoesNotExist.",
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string"},
                        },
                    },
                },
            },
        },
    })
}

/// A type of Kubernetes' own, with the marks that server-side apply goes by. k8s-openapi leaves
/// them out.
pub(crate) fn core_type<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    if let Some(object) = schema.as_object_mut() {
        mark(object);
    }
    schema
}

/// Conditions as every Kubernetes API has them, one of each type.
pub(crate) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = condition_list(generator);
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(["type"]));
    schema
}

/// Conditions in a list that is replaced as a whole.
pub(crate) fn condition_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "description": "One aspect of the object's state.",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "type": "string",
                    "description": "What the condition speaks of, in CamelCase.",
                    "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "type": "string",
                    "description": "Whether it holds: True, False or Unknown.",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "type": "string",
                    "description": "Why, as one CamelCase word that programs can compare.",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "type": "string",
                    "description": "Why, in words for people. May be empty.",
                    "maxLength": 32768,
                },
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When status last changed.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The metadata.generation that the condition was found for.",
                },
            },
        },
    })
}

/// Marks lists that are replaced as a whole, and selectors, which are too.
fn mark(schema: &mut Map<String, Value>) {
    let has = |schema: &Map<String, Value>, property: &str| {
        schema
            .get("properties")
            .is_some_and(|all| all.get(property).is_some())
    };
    if ["matchExpressions", "nodeSelectorTerms"]
        .iter()
        .any(|property| has(schema, property))
    {
        schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    }
    if schema.get("type").is_some_and(|kind| kind == "array") {
        let by_name = schema["items"]["required"] == json!(["name"]);
        if by_name {
            schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
            schema.insert("x-kubernetes-list-map-keys".to_owned(), json!(["name"]));
        } else {
            schema.insert("x-kubernetes-list-type".to_owned(), "atomic".into());
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(inner) {
            mark(inner);
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(mark);
    }
}

// === the pass ===

/// The definition as JSON, as a user expects to find it.
pub(crate) fn clean(crd: &CustomResourceDefinition) -> Value {
    let mut value = serde_json::to_value(crd).expect("a definition is plain data");
    if let Some(versions) = value
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
    {
        for version in versions {
            if let Some(root) = version.pointer_mut("/schema/openAPIV3Schema") {
                tidy(root);
                describe_root(root);
            }
        }
    }
    let kind = value["spec"]["names"]["kind"].as_str().unwrap_or_default();
    value["spec"]["names"]["listKind"] = format!("{kind}List").into();
    // Whether maps keep their order depends on what else is in the build.
    value.sort_all_objects();
    value
}

/// Says in the schema what every object has, for tools that read the file without an API server.
fn describe_root(root: &mut Value) {
    let properties = &mut root["properties"];
    properties["apiVersion"] = json!({
        "type": "string",
        "description": "Group and version of the object's kind.",
    });
    properties["kind"] = json!({"type": "string", "description": "Kind of the object."});
    properties["metadata"] = json!({"type": "object"});
    // A default for all of spec would only say again what its fields say.
    if let Some(spec) = properties.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("default");
    }
}

/// Removes from a schema what schemars adds and the documented schemas do not have.
fn tidy(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    schema.remove("title");
    // With it, an explicit null would be stored; without it, it is defaulted or refused.
    schema.remove("nullable");
    if schema.get("default").is_some_and(is_empty) {
        schema.remove("default");
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = unwrapped(text);
    }
    if schema.contains_key("x-kubernetes-int-or-string") {
        // After kube's rewriting, which would lift `type` out of `anyOf`. Kubernetes' own types have
        // quantities alone.
        if !schema.contains_key("pattern") {
            schema.remove("description");
            schema.insert("pattern".to_owned(), QUANTITY.into());
        }
        schema.insert(
            "anyOf".to_owned(),
            json!([{"type": "integer"}, {"type": "string"}]),
        );
    }
    whole_numbers(schema);
    signed_format(schema);
    for list in ["anyOf", "allOf", "oneOf"] {
        if let Some(Value::Array(schemas)) = schema.get_mut(list) {
            schemas.iter_mut().for_each(tidy);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner) {
            tidy(inner);
        }
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
}

/// The text without the line breaks of its source; paragraphs and lists keep theirs.
fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let starts_anew = line.is_empty() || line.starts_with([' ', '\t', '-']);
        if !out.is_empty() {
            out.push(if starts_anew || out.ends_with('\n') {
                '\n'
            } else {
                ' '
            });
        }
        out.push_str(line);
    }
    out
}

/// Null and empty defaults say nothing.
fn is_empty(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// `10.0` becomes `10`: the Kubernetes types hold bounds as floating point.
fn whole_numbers(schema: &mut Map<String, Value>) {
    for bound in ["minimum", "maximum"] {
        let Some(number) = schema.get_mut(bound) else {
            continue;
        };
        if let Some(float) = number.as_f64().filter(|f| f.fract() == 0.0) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "bounds are at most 32 bits"
            )]
            let whole = float as i64;
            *number = whole.into();
        }
    }
}

/// OpenAPI knows int32 and int64 only.
fn signed_format(schema: &mut Map<String, Value>) {
    let unsigned = schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint"));
    if unsigned {
        let fits = schema
            .get("maximum")
            .and_then(Value::as_i64)
            .is_some_and(|maximum| maximum <= i64::from(i32::MAX));
        schema.insert(
            "format".to_owned(),
            if fits { "int32" } else { "int64" }.into(),
        );
    }
}

/// What Kubernetes takes for a quantity, such as `100m` or `64Mi`.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
