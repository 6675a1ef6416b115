//! Who may depend on whom, as docs/architecture.md draws it.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Every arrow between our crates that may exist, dev-dependencies aside. An arrow that is in use
/// must be here; what is not here is a design decision to be made first.
const ALLOWED: &[(&str, &[&str])] = &[
    ("metallb-crds", &[]),
    // Cores: no core but `config`, which needs the API's types.
    ("metallb-config", &["metallb-crds"]),
    ("metallb-admission", &["metallb-config", "metallb-crds"]),
    ("metallb-certs", &[]),
    ("metallb-ipam", &["metallb-config"]),
    ("metallb-l2", &["metallb-config"]),
    ("metallb-membership", &["metallb-config"]),
    ("metallb-lease", &["metallb-config"]),
    ("metallb-bgp", &[]),
    ("metallb-bfd", &[]),
    // Shells.
    ("metallb-netio", &[]),
    (
        "metallb-kit",
        &[
            "metallb-certs",
            "metallb-config",
            "metallb-crds",
            "metallb-lease",
        ],
    ),
    // Programs.
    (
        "metallb-controller",
        &[
            "metallb-admission",
            "metallb-config",
            "metallb-crds",
            "metallb-ipam",
            "metallb-kit",
        ],
    ),
    (
        "metallb-speaker",
        &[
            "metallb-bfd",
            "metallb-bgp",
            "metallb-config",
            "metallb-crds",
            "metallb-ipam",
            "metallb-kit",
            "metallb-l2",
            "metallb-membership",
            "metallb-netio",
        ],
    ),
    (
        "metallb-operator",
        &[
            "metallb-admission",
            "metallb-config",
            "metallb-crds",
            "metallb-kit",
            "metallb-netio",
        ],
    ),
    // What checks and measures them.
    ("metallb-features", &[]),
    ("metallb-seeds", &[]),
    ("metallb-tests", &["metallb-netio"]),
    (
        "metallb-benches",
        &[
            "metallb-bfd",
            "metallb-bgp",
            "metallb-config",
            "metallb-ipam",
            "metallb-kit",
            "metallb-l2",
            "metallb-membership",
            "metallb-netio",
            "metallb-seeds",
            "metallb-tests",
        ],
    ),
    ("xtask", &["metallb-tests"]),
];

/// What a core is built without: runtimes, the API's client, sockets, clocks of their own.
const NOT_IN_CORES: &[&str] = &[
    "tokio",
    "prometheus",
    "rtnetlink",
    "socket2",
    "libc",
    "rand",
    "axum",
    "hyper",
];

const CORES: &[&str] = &[
    "metallb-config",
    "metallb-admission",
    "metallb-certs",
    "metallb-ipam",
    "metallb-l2",
    "metallb-membership",
    "metallb-lease",
    "metallb-bgp",
    "metallb-bfd",
];

#[test]
fn only_the_allowed_arrows_exist() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    for (name, dependencies) in packages() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            panic!("{name} is new: draw it in docs/architecture.md and list its arrows here");
        };
        for dependency in dependencies.iter().filter(|d| ours(d)) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} may not depend on {dependency} (docs/architecture.md, \"Arrows\")"
            );
        }
    }
}

#[test]
fn cores_have_no_runtime_no_sockets_and_no_clock() {
    for (name, dependencies) in packages() {
        if CORES.contains(&name.as_str()) {
            for dependency in &dependencies {
                assert!(
                    !NOT_IN_CORES.contains(&dependency.as_str()),
                    "{name} is a core and may not depend on {dependency}"
                );
            }
        }
    }
}

/// The workspace's packages with their direct dependencies, without dev-dependencies.
fn packages() -> Vec<(String, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().expect("a name is a string").to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages is a list")
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list");
            let normal = dependencies.iter().filter(|d| d["kind"] != "dev");
            (
                text(&package["name"]),
                normal.map(|d| text(&d["name"])).collect(),
            )
        })
        .collect()
}

fn ours(name: &str) -> bool {
    name.starts_with("metallb-") || name == "xtask"
}
