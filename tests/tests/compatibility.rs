//! docs/compatibility.md holds what it promises: each of MetalLB's rules has its line, and each line
//! names a test that exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use metallb_tests::product::path;
use serde_json::Value;

/// The tables of numbered lines: the letter before the number, and how many lines there are.
const TABLES: &[(&str, u32)] = &[
    // The webhooks, and which objects each of them looks at.
    ("W", 7),
    ("O", 9),
    // What a BGP backend refuses.
    ("M", 16),
    // Rules of objects.
    ("R", 46),
    ("A", 5),
    ("E", 13),
    // Which node announces, and how.
    ("L", 39),
    // What the RFCs ask for.
    ("N", 14),
    // Fields of BGP's kinds.
    ("F", 38),
    // Known oddities.
    ("Q", 30),
    // What is refused of the MetalLB object, and how the operator behaves.
    ("V", 11),
    ("D", 27),
    // What it says.
    ("S", 5),
];

/// A line of a table with a number.
#[derive(Debug)]
struct Line {
    table: String,
    number: u32,
    /// The names of tests in its last column.
    tests: Vec<String>,
    text: String,
}

#[test]
fn every_rule_of_metallb_has_its_line() {
    let lines = lines();
    for &(table, count) in TABLES {
        let numbers: Vec<_> = lines
            .iter()
            .filter(|line| line.table == table)
            .map(|line| line.number)
            .collect();
        let wanted: Vec<_> = (1..=count).collect();
        assert_eq!(numbers, wanted, "table {table} of docs/compatibility.md");
    }
    let known: BTreeSet<_> = TABLES.iter().map(|(table, _)| *table).collect();
    for line in &lines {
        assert!(
            known.contains(line.table.as_str()),
            "a table nobody counts: {}",
            line.text
        );
    }
}

#[test]
fn every_line_names_a_test_that_exists() {
    let tests = tests_of_the_workspace();
    let mut missing = Vec::new();
    for line in lines() {
        // Later work is said to be so, and counted nowhere as shown.
        if line.tests.is_empty() && !line.text.contains("later work") {
            missing.push(format!("no test: {}", line.text));
        }
        for test in line.tests.iter().filter(|test| !tests.contains(*test)) {
            missing.push(format!("no such test {test}: {}", line.text));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// A new field of BGP without a line here is one that nobody has seen to work.
#[test]
fn every_field_of_bgp_has_its_line() {
    let mut fields = BTreeSet::new();
    for kind in ["BGPPeer", "BGPAdvertisement", "BFDProfile", "Community"] {
        fields.extend(fields_of(kind).into_iter().map(|it| (kind.to_owned(), it)));
    }
    let told: BTreeSet<_> = lines()
        .into_iter()
        .filter(|line| line.table == "F")
        .map(|line| {
            let cells: Vec<_> = line.text.split('|').map(str::trim).collect();
            (cells[2].to_owned(), cells[3].trim_matches('`').to_owned())
        })
        .collect();
    assert_eq!(told, fields);
}

/// The fields that the definition of a kind has, in its newest version.
fn fields_of(kind: &str) -> Vec<String> {
    let plural = match kind {
        "Community" => "communities".to_owned(),
        _ => format!("{}s", kind.to_lowercase()),
    };
    let file = path(&format!("crds/metallb.io_{plural}.yaml"));
    let text = fs::read_to_string(file).expect("the definition is there");
    let definition: Value = serde_saphyr::from_str(&text).expect("a definition");
    let versions = definition["spec"]["versions"].as_array();
    let stored = versions
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true)
        .expect("a version that is stored");
    let fields = &stored["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let fields = fields.as_object().expect("an object with fields");
    fields.keys().cloned().collect()
}

fn lines() -> Vec<Line> {
    let text = fs::read_to_string(path("docs/compatibility.md")).expect("the page is there");
    text.lines().filter_map(Line::read).collect()
}

impl Line {
    /// `| R12 | … | … | `name`, `name` |`; nothing for any other line.
    fn read(text: &str) -> Option<Self> {
        let cells: Vec<_> = text
            .strip_prefix('|')?
            .strip_suffix('|')?
            .split(" | ")
            .map(str::trim)
            .collect();
        let (first, last) = (cells.first()?, cells.last()?);
        let at = first.find(|c: char| c.is_ascii_digit())?;
        let (table, number) = first.split_at(at);
        if table.is_empty() || !table.chars().all(|c| c.is_ascii_uppercase()) {
            return None;
        }
        let tests = last.split('`').skip(1).step_by(2);
        Some(Self {
            table: table.to_owned(),
            number: number.parse().ok()?,
            tests: tests.map(str::to_owned).collect(),
            text: text.to_owned(),
        })
    }
}

/// The names of all tests: functions marked as such or in `proptest!`, and stories by their titles.
fn tests_of_the_workspace() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in sources(&path("")) {
        let text = fs::read_to_string(&file).expect("a source is text");
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") && line.contains("test") {
                marked = true;
            } else if let Some(function) = line
                .strip_prefix("async fn ")
                .or_else(|| line.strip_prefix("fn "))
            {
                if marked {
                    names.extend(function.split(['(', '<']).next().map(str::to_owned));
                }
                marked = false;
            } else if STORIES.iter().any(|it| file.ends_with(it))
                && let Some(title) = line.split('"').nth(1)
            {
                names.insert(title.to_owned());
            }
        }
    }
    names
}

/// Where stories have their titles.
const STORIES: [&str; 5] = [
    "tests/tests/stories/main.rs",
    "tests/tests/stories/operator/mod.rs",
    "tests/tests/bgp/main.rs",
    "tests/tests/install/main.rs",
    "tests/tests/olm/main.rs",
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
