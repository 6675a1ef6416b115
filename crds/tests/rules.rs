//! Each rule of our own lets through what it should and refuses what it should, in the definitions
//! as they are installed.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::cel::Validator;
use serde::Deserialize;
use serde_json::{Value, json};

/// Specs of one kind.
#[derive(Deserialize)]
struct Cases {
    accepted: Vec<Value>,
    /// Bad ones that the rules miss.
    left_to_webhooks: Vec<Value>,
    /// By what the refusal says.
    refused: BTreeMap<String, Vec<Value>>,
}

fn cases() -> BTreeMap<String, Cases> {
    serde_saphyr::from_str(include_str!("rules/cases.yaml")).expect("cases")
}

fn schema(kind: &str) -> Value {
    stored(&metallb_crds::all(), kind)
}

/// The schema of the version that is stored.
fn stored(definitions: &[Value], kind: &str) -> Value {
    let is_of_kind = |crd: &&Value| crd["spec"]["names"]["kind"] == kind;
    let crd = definitions.iter().find(is_of_kind).expect(kind);
    let versions = crd["spec"]["versions"].as_array().expect("versions");
    let mut stored = versions.iter().filter(|version| version["storage"] == true);
    stored.next().expect("one is stored")["schema"]["openAPIV3Schema"].clone()
}

/// What the rules say of a new object with this spec; nothing if they let it through.
fn said(schema: &Value, spec: &Value) -> String {
    let object = json!({"metadata": {"name": "a"}, "spec": spec});
    let checked = Validator::new().validate(schema, &object, None);
    checked
        .err()
        .map(|errors| errors.to_string())
        .unwrap_or_default()
}

#[test]
fn what_upstreams_webhooks_let_through_is_let_through() {
    for (kind, cases) in cases() {
        let schema = schema(&kind);
        for spec in cases.accepted.iter().chain(&cases.left_to_webhooks) {
            assert_eq!(said(&schema, spec), "", "{kind} {spec}");
        }
    }
}

#[test]
fn what_is_refused_is_told_why() {
    for (kind, cases) in cases() {
        let schema = schema(&kind);
        for (message, specs) in cases.refused {
            for spec in specs {
                let said = said(&schema, &spec);
                // The API server says the message of a rule that it cannot evaluate too.
                let ended = said.contains("rule evaluation error: Error executing function");
                assert!(
                    ended || said.contains(&message),
                    "{kind} {spec}: {message:?} is not in {said:?}"
                );
            }
        }
    }
}

/// Alone, with all others gone: a rule that refuses nothing may as well not be there.
#[test]
fn each_rule_refuses_something() {
    let (definitions, cases) = (metallb_crds::without_rules(), cases());
    for rule in metallb_crds::rules::rules() {
        let mut schema = stored(&definitions, rule.kind);
        let pointer = format!("/properties/{}", rule.field.replace('.', "/properties/"));
        schema.pointer_mut(&pointer).expect("a field")["x-kubernetes-validations"] =
            json!([{"rule": rule.rule, "message": rule.message}]);
        let mut specs = cases[rule.kind].refused.values().flatten();
        let refuses = specs.any(|spec| said(&schema, spec).contains(&rule.message));
        assert!(refuses, "{rule:?}");
    }
}

/// In the old version too what is no address is no address, but an object that is shown in it may
/// well lack what only the new version can say.
#[test]
fn the_old_version_has_no_rules() {
    for crd in metallb_crds::all() {
        for version in crd["spec"]["versions"].as_array().expect("versions") {
            if version["storage"] == false {
                assert!(!version.to_string().contains("x-kubernetes-validations"));
            }
        }
    }
}

/// The definitions that replace upstream's under OLM v1 have upstream's rules and no others.
#[test]
fn without_rules_only_the_documented_ones_are_left() {
    let ours: BTreeSet<_> = metallb_crds::rules::rules()
        .into_iter()
        .map(|rule| rule.message)
        .collect();
    let text = |all: Vec<Value>| Value::from(all).to_string();
    let (with, without) = (
        text(metallb_crds::all()),
        text(metallb_crds::without_rules()),
    );
    let quoted = |message: &str| json!(message).to_string();
    for message in ours {
        assert!(with.contains(&quoted(&message)) && !without.contains(&quoted(&message)));
    }
    assert!(without.contains("EnableGracefulRestart cannot be changed after creation"));
}
