//! Fields that are none: the API server drops them with a warning that few read.

use std::collections::BTreeMap;

use serde_json::Value;

/// The schemas of all kinds, by `apiVersion` and `kind`.
#[derive(Debug)]
pub(super) struct Definitions(BTreeMap<(String, String), Value>);

impl Default for Definitions {
    fn default() -> Self {
        let mut schemas = BTreeMap::new();
        for crd in metallb_crds::all() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (group, kind) = (&crd["spec"]["group"], &crd["spec"]["names"]["kind"]);
            for version in crd["spec"]["versions"].as_array().into_iter().flatten() {
                let api_version = format!("{}/{}", text(group), text(&version["name"]));
                let schema = version["schema"]["openAPIV3Schema"].clone();
                schemas.insert((api_version, text(kind)), schema);
            }
        }
        Self(schemas)
    }
}

impl Definitions {
    /// A line for each field of the object that its kind does not have.
    pub(super) fn unknown_fields(&self, object: &Value) -> Vec<String> {
        let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        let kind = (text("apiVersion"), text("kind"));
        let Some(schema) = self.0.get(&kind) else {
            return vec![format!("there is no kind {} in {}", kind.1, kind.0)];
        };
        let mut unknown = Vec::new();
        look(object, schema, "", &mut unknown);
        unknown
    }
}

fn look(value: &Value, schema: &Value, path: &str, unknown: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                look(item, &schema["items"], &format!("{path}[{at}]"), unknown);
            }
        }
        Value::Object(fields) => {
            // Without a list of fields, or with a schema for any, all are fine.
            let Some(known) = schema["properties"].as_object() else {
                return;
            };
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match known.get(name) {
                    Some(schema) => look(value, schema, &path, unknown),
                    None => unknown.push(format!("unknown field {path}{}", instead(name, known))),
                }
            }
        }
        _ => {}
    }
}

/// What may have been meant: the same but for letters' case, or nearly.
fn instead(name: &str, known: &serde_json::Map<String, Value>) -> String {
    let best = known.keys().min_by_key(|it| distance(it, name));
    match best.filter(|it| distance(it, name) <= 2) {
        Some(best) => format!("; is {best} meant?"),
        None => String::new(),
    }
}

/// How many letters differ, by Levenshtein's measure; their case does not count.
fn distance(one: &str, other: &str) -> usize {
    let letters = |it: &str| it.to_lowercase().chars().collect::<Vec<_>>();
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (column, its) in other.iter().enumerate() {
            let replaced = before + usize::from(letter != its);
            before = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(before + 1);
        }
    }
    row[other.len()]
}
