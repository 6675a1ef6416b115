//! What a bundle must be, whatever version it is made for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

fn bundle(version: &str) -> Bundle {
    Bundle {
        version: version.parse().expect("a version"),
        replaces: None,
        image: "example.org/metallb@sha256:0".to_owned(),
        own_image: "example.org/bundle@sha256:1".to_owned(),
    }
}

fn csv_of(bundle: &Bundle) -> Value {
    csv::csv(bundle)
}

#[test]
fn versions_are_semantic_and_fit_into_names() {
    for good in ["0.1.0", "1.20.300", "1.2.3-rc.1", "1.2.3-alpha"] {
        assert!(good.parse::<Version>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "1",
        "1.2",
        "v1.2.3",
        "1.2.3.4",
        "01.2.3",
        "1.2.3-",
        "1.2.3+4",
        "1.2.3-a..b",
        "1.2.3-01",
        "1.2.3-RC",
        "1.2.x",
    ] {
        assert!(bad.parse::<Version>().is_err(), "{bad}");
    }
}

/// Every field of every kind is described, with the words of its definition.
#[test]
fn every_field_is_described() {
    let owned = owned::all();
    assert_eq!(owned.len(), definitions().len());
    for (kind, definition) in owned.iter().zip(definitions()) {
        let schema = owned::newest(&definition)["schema"]["openAPIV3Schema"].clone();
        for (part, list) in [("spec", "specDescriptors"), ("status", "statusDescriptors")] {
            let fields = schema["properties"][part]["properties"].as_object();
            let fields: BTreeSet<&str> = fields.into_iter().flatten().map(|it| &**it.0).collect();
            let described = kind[list].as_array().expect("a list");
            let paths: BTreeSet<&str> = described
                .iter()
                .filter_map(|it| it["path"].as_str())
                .collect();
            assert!(
                fields.is_subset(&paths),
                "{}: {fields:?} {paths:?}",
                kind["kind"]
            );
            for field in described {
                let text = field["description"].as_str();
                assert!(
                    text.is_some_and(|it| !it.is_empty()),
                    "{}: {field}",
                    kind["kind"]
                );
            }
        }
        assert!(kind["description"].is_string(), "{kind}");
        assert!(
            kind["resources"]
                .as_array()
                .is_some_and(|it| !it.is_empty()),
            "{kind}"
        );
    }
    let metallb = &owned[0]["specDescriptors"];
    let paths: Vec<&Value> = metallb
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["path"])
        .collect();
    assert!(
        paths.contains(&&Value::from("speakerConfig.resources")),
        "{paths:?}"
    );
}

#[test]
fn every_kind_has_an_example() {
    let examples: Vec<Value> = serde_json::from_str(&examples::all()).unwrap();
    let shown = |kind: &Value| {
        let version = format!(
            "metallb.io/{}",
            kind["version"].as_str().unwrap_or_default()
        );
        examples
            .iter()
            .any(|it| it["kind"] == kind["kind"] && it["apiVersion"] == *version)
    };
    for kind in owned::all() {
        assert!(shown(&kind), "{}", kind["kind"]);
    }
    assert_eq!(examples[0]["kind"], "MetalLB");
    assert_eq!(
        examples[0]["spec"],
        Value::Null,
        "a form that is saved unread"
    );
}

/// Whatever image it is made for is the only one that it names.
#[test]
fn every_image_is_a_related_image() {
    let bundle = bundle("1.2.3");
    let csv = csv_of(&bundle);
    let container = &csv["spec"]["install"]["spec"]["deployments"][0]["spec"]["template"]["spec"]["containers"]
        [0];
    assert_eq!(container["image"], bundle.image);
    for name in ["CONTROLLER_IMAGE", "SPEAKER_IMAGE"] {
        let env = container["env"].as_array().unwrap();
        let variable = env.iter().find(|it| it["name"] == name).expect("it is set");
        assert_eq!(variable["value"], bundle.image);
    }
    assert_eq!(csv["spec"]["relatedImages"][0]["image"], bundle.image);
}

/// The operator registers its webhooks itself, and a policy that denies everything would hit
/// whoever else is in the namespace.
#[test]
fn nothing_is_left_to_olm_that_the_operator_does() {
    let bundle = bundle("1.2.3");
    let csv = csv_of(&bundle);
    assert_eq!(csv["spec"]["webhookdefinitions"], Value::Null);
    assert_eq!(
        csv["spec"]["cleanup"],
        Value::Null,
        "it would delete what users made"
    );
    for file in files(&bundle) {
        let kind = file.text.lines().find(|line| line.starts_with("kind: "));
        assert_ne!(kind, Some("kind: NetworkPolicy"), "{}", file.path);
    }
}

#[test]
fn what_is_no_release_is_a_candidate() {
    let of = |version: &str| {
        let annotations = package::annotations(&bundle(version));
        let annotations = &annotations["annotations"];
        let value =
            |key: &str| annotations[format!("operators.operatorframework.io.bundle.{key}")].clone();
        (value("channels.v1"), value("channel.default.v1"))
    };
    assert_eq!(
        of("1.2.3"),
        ("stable,candidate,alpha".into(), "stable".into())
    );
    assert_eq!(of("1.2.3-rc.1"), ("candidate".into(), "candidate".into()));
}

#[test]
fn the_way_to_a_version_is_in_the_bundle_and_in_the_catalogue() {
    let bundle = Bundle {
        replaces: Some("1.2.2".parse().unwrap()),
        ..bundle("1.2.3")
    };
    let csv = csv_of(&bundle);
    assert_eq!(csv["spec"]["replaces"], "metallb-operator.v1.2.2");
    assert_eq!(csv["metadata"]["annotations"]["olm.skipRange"], "<1.2.3");
    let catalog = package::catalog(&bundle);
    let channels: Vec<_> = catalog
        .iter()
        .filter(|it| it["schema"] == "olm.channel")
        .collect();
    assert_eq!(channels.len(), 3);
    for channel in channels {
        let entry = &channel["entries"][0];
        assert_eq!(entry["replaces"], "metallb-operator.v1.2.2");
        assert_eq!(entry["skipRange"], "<1.2.3");
    }
}

/// `cargo xtask bundle` writes it; here so that every run of the tests sees that it did.
#[test]
fn the_bundle_in_the_repository_is_this_one() {
    let bundle = Bundle {
        version: crate::VERSION.parse().unwrap(),
        replaces: None,
        image: "metallb.io/metallb:dev".to_owned(),
        own_image: "metallb.io/metallb-operator-bundle:dev".to_owned(),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundle");
    for File { path, text } in files(&bundle) {
        let there = fs::read_to_string(folder.join(&path)).unwrap_or_default();
        assert!(
            there.trim_end() == text.trim_end(),
            "bundle/{path}: cargo xtask bundle"
        );
    }
}
