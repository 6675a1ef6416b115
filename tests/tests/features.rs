//! Tests turn on no feature of a dependency that is off without them, so that each is built once for
//! programs and tests alike: minutes where nothing is built yet.

use std::{collections::BTreeSet, process::Command};

#[test]
fn programs_and_tests_are_built_of_the_same_dependencies() {
    let with = built("normal,build,dev");
    let twice: Vec<_> = built("normal,build")
        .into_iter()
        .filter(|it| !with.contains(it))
        .collect();
    assert!(
        twice.is_empty(),
        "with tests these have more features than they have here, which tests/features can \
         ask for: {twice:#?}"
    );
}

/// What all of the workspace is built of, along these kinds of dependencies: a line for each with
/// its features.
fn built(kinds: &str) -> BTreeSet<String> {
    let format = ["--prefix", "none", "--format", "{p} [{f}]"];
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--offline",
            "--locked",
            "--edges",
            kinds,
        ])
        .args(format)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    // The star says that it was printed before.
    let lines = printed.lines();
    lines
        .map(|it| it.trim_end_matches(" (*)").to_owned())
        .collect()
}
