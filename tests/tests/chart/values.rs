//! values.yaml, its schema and its README say the same.

use std::fs;

use metallb_tests::product::path;
use serde_json::Value;

/// A value that a user sets: its path, its default, and what the README says of it.
pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    pub(crate) default: Value,
    pub(crate) has_no_effect: bool,
}

/// All of values.yaml.
pub(crate) fn leaves() -> Vec<Leaf> {
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).expect("values.yaml");
    let readme = read("README.md");
    let mut leaves = Vec::new();
    collect(&mut Vec::new(), &values, &mut leaves);
    leaves
        .into_iter()
        .map(|(path, default)| {
            let row = format!("| `{}` |", path.join("."));
            let row = readme.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("README.md has no {}", path.join(".")));
            Leaf {
                has_no_effect: row.contains("Has no effect"),
                path,
                default,
            }
        })
        .collect()
}

fn collect(path: &mut Vec<String>, value: &Value, leaves: &mut Vec<(Vec<String>, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                path.push(key.clone());
                collect(path, value, leaves);
                path.pop();
            }
        }
        leaf => leaves.push((path.clone(), leaf.clone())),
    }
}

#[test]
fn the_schema_knows_each_value() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("the schema");
    let missing: Vec<_> = leaves()
        .into_iter()
        .filter(|leaf| !knows(&schema, &schema, &leaf.path))
        .map(|leaf| leaf.path.join("."))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn knows(root: &Value, schema: &Value, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else {
        return true;
    };
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        return root
            .pointer(pointer)
            .is_some_and(|it| knows(root, it, path));
    }
    match schema["properties"].get(key) {
        Some(property) => knows(root, property, rest),
        // Objects that Kubernetes knows the fields of.
        None => schema["type"] == "object" && schema.get("properties").is_none_or(Value::is_null),
    }
}

fn read(name: &str) -> String {
    let path = path("charts/metallb").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
