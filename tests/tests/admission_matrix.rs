//! The story `addresses::nonsense_of_every_row_is_refused` leaves no row out, and what it says of
//! who refuses is so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use metallb_tests::product::path;
use serde::Deserialize;
use serde_json::Value;

/// The lines about one kind; the story reads more of them.
#[derive(Deserialize)]
struct Table {
    kind: String,
    lines: Vec<Line>,
    #[serde(default)]
    unseen: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Line {
    row: String,
    end: Value,
}

#[test]
fn every_rule_of_the_configuration_has_a_line() {
    let shown = shown();
    let mut rules = 0;
    for file in files("crates/config/tests/rules", "rs") {
        let text = fs::read_to_string(file).expect("a source is text");
        for (_, rest) in text
            .match_indices("fn row_")
            .map(|(at, it)| text.split_at(at + it.len()))
        {
            let number: u32 = rest[..2].parse().expect("row_NN_");
            let row = format!("R{number}");
            assert!(shown.contains(&row), "no line of the matrix is about {row}");
            rules += 1;
        }
    }
    assert!(rules > 46, "only {rules} tests of rules were found");
}

#[test]
fn every_row_about_objects_has_a_line() {
    let page = fs::read_to_string(path("docs/compatibility.md")).expect("it is there");
    let rows: BTreeSet<_> = page.lines().filter_map(row).map(str::to_owned).collect();
    let shown = shown();
    let objects = rows
        .iter()
        .filter(|row| row.starts_with(['W', 'O', 'M', 'R']));
    let left_out: Vec<_> = objects.filter(|row| !shown.contains(*row)).collect();
    assert!(
        left_out.is_empty(),
        "no line of the matrix is about {left_out:?}"
    );
    let unknown: Vec<_> = shown.difference(&rows).collect();
    assert!(
        unknown.is_empty(),
        "no row of the page is called {unknown:?}"
    );
}

#[test]
fn rules_are_rules_and_schemas_are_not() {
    for table in tables() {
        let messages = messages_of_rules(&table.kind);
        let is_rule = |words: &str| messages.iter().any(|message| message.contains(words));
        for line in table.lines {
            let words = |end: &str| line.end[end].as_str();
            if let Some(words) = words("rule") {
                assert!(is_rule(words), "{}: no rule says {words:?}", table.kind);
            }
            if let Some(words) = words("schema") {
                assert!(!is_rule(words), "{}: a rule says {words:?}", table.kind);
            }
        }
    }
}

/// The rows that a line is about, or the reason why there is none.
fn shown() -> BTreeSet<String> {
    let rows = |table: Table| {
        let lines = table.lines.into_iter().map(|line| line.row);
        lines.chain(table.unseen.into_keys())
    };
    tables().into_iter().flat_map(rows).collect()
}

fn tables() -> Vec<Table> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a table is text");
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let tables: Vec<_> = files("tests/tests/stories/addresses/admission_matrix", "yaml")
        .map(read)
        .collect();
    assert_eq!(tables.len(), 6, "a table for each kind");
    tables
}

/// `R12`, of `| R12 | …`.
fn row(line: &str) -> Option<&str> {
    let name = line.strip_prefix("| ")?.split(" |").next()?;
    let number = name.strip_prefix(|c: char| c.is_ascii_uppercase())?;
    number.parse::<u32>().ok().map(|_| name)
}

/// What the rules in the definition of a kind say when they refuse.
fn messages_of_rules(kind: &str) -> Vec<String> {
    let definitions = files("crds", "yaml").map(|path| {
        let text = fs::read_to_string(path).expect("a definition is text");
        serde_saphyr::from_str::<Value>(&text).expect("a definition")
    });
    let mut messages = Vec::new();
    for definition in definitions.filter(|it| it["spec"]["names"]["kind"] == kind) {
        collect(&definition, &mut messages);
    }
    messages
}

fn collect(schema: &Value, messages: &mut Vec<String>) {
    if let Some(rules) = schema["x-kubernetes-validations"].as_array() {
        let said = rules.iter().filter_map(|rule| rule["message"].as_str());
        messages.extend(said.map(str::to_owned));
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| collect(field, messages)),
        Value::Array(list) => list.iter().for_each(|entry| collect(entry, messages)),
        _ => {}
    }
}

fn files(folder: &str, extension: &'static str) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path(folder)).expect("a folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    paths.filter(move |path| path.extension().is_some_and(|it| it == extension))
}
