//! The files beside the crate are what the types say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use metallb_crds::{all, file_name, resources};
use serde_json::Value;

/// `cargo xtask crds --check` compares the bytes; here it is what they say.
#[test]
fn files_hold_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for crd in all() {
        let path = folder.join(file_name(&crd));
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask crds`", path.display()));
        let on_disk: Value = serde_saphyr::from_str(&text).expect("the file is YAML");
        // Not assert_eq!, which would print both.
        assert!(
            on_disk == crd,
            "{} is stale: run `cargo xtask crds`",
            path.display()
        );
    }
}

#[test]
fn there_is_a_file_for_each_kind_and_no_other() {
    let wanted: BTreeSet<String> = all().iter().map(file_name).collect();
    assert_eq!(wanted.len(), 11);
    let found: BTreeSet<String> = fs::read_dir(env!("CARGO_MANIFEST_DIR"))
        .expect("the crate has a folder")
        .map(|entry| {
            entry
                .expect("it can be read")
                .file_name()
                .into_string()
                .expect("ASCII")
        })
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn generating_twice_gives_the_same_in_the_same_order() {
    let text = || serde_json::to_string(&all()).expect("definitions are plain data");
    assert_eq!(text(), text());
    for crd in all() {
        let keys: Vec<_> = crd
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        assert_eq!(keys, ["apiVersion", "kind", "metadata", "spec"]);
    }
}

/// kubectl keeps what it applied in an annotation of at most 256 KiB.
#[test]
fn every_definition_can_be_applied_by_any_client() {
    for crd in all() {
        let size = serde_json::to_vec(&crd)
            .expect("definitions are plain data")
            .len();
        assert!(size < 250 * 1024, "{} has {size} bytes", file_name(&crd));
    }
}

#[test]
fn everything_is_described() {
    for crd in all() {
        for version in crd["spec"]["versions"]
            .as_array()
            .expect("versions are a list")
        {
            let name = format!("{} {}", file_name(&crd), version["name"]);
            described(&name, &version["schema"]["openAPIV3Schema"]);
        }
    }
}

/// Every property says what it is; so does every object in a list.
fn described(path: &str, schema: &Value) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path} {name}");
        if name == "metadata" {
            continue; // known to the API server
        }
        let text = property["description"].as_str().unwrap_or_default();
        assert!(
            text.ends_with(['.', '/', ')', '"']),
            "{path} is described as {text:?}"
        );
        described(&path, property);
        described(&path, &property["items"]);
    }
}

#[test]
fn each_definition_is_told_without_being_made() {
    let resources = resources();
    let told = resources.map(|it| (it.group, it.plural, it.kind, it.version));
    let made = all().into_iter().map(|crd| {
        let text = |at: &str| crd.pointer(at).and_then(Value::as_str).unwrap().to_owned();
        let versions = crd["spec"]["versions"].as_array().unwrap();
        let newest = versions.iter().find(|it| it["storage"] == true).unwrap();
        (
            text("/spec/group"),
            text("/spec/names/plural"),
            text("/spec/names/kind"),
            newest["name"].as_str().unwrap().to_owned(),
        )
    });
    assert_eq!(told.to_vec(), made.collect::<Vec<_>>());
}
