//! docs/bgp.md has the table of what is spoken with which routers, and each line a story.

use std::fs;

use metallb_tests::interop::{ROWS, table};
use metallb_tests::product::path;

#[test]
fn the_docs_have_the_table() {
    let docs = fs::read_to_string(path("docs/bgp.md")).expect("the docs are there");
    let table = table(|_| "yes");
    assert!(docs.contains(&table), "docs/bgp.md should have:\n{table}");
}

#[test]
fn each_line_is_shown_by_a_story() {
    let stories = fs::read_to_string(path("tests/tests/bgp/main.rs")).expect("it is there");
    for row in ROWS {
        let title = format!("\"{}\"", row.story);
        assert!(stories.contains(&title), "no story {title}");
    }
}
