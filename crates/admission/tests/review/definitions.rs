//! The rules in the definitions and the webhooks are of one mind: the API server refuses nothing on
//! its own that a webhook would let through.

use std::collections::BTreeMap;

use metallb_admission::{Verdict, validate};
use serde::Deserialize;
use serde_json::Value;

use crate::{Cluster, KINDS};

/// Specs of one kind, as the tests of the definitions have them.
#[derive(Deserialize)]
struct Cases {
    accepted: Vec<Value>,
    left_to_webhooks: Vec<Value>,
    refused: BTreeMap<String, Vec<Value>>,
}

#[test]
fn webhooks_and_definitions_agree() {
    let text = include_str!("../../../../crds/tests/rules/cases.yaml");
    let cases: BTreeMap<String, Cases> = serde_saphyr::from_str(text).expect("cases");
    let cluster = Cluster::default();
    for (name, cases) in cases {
        // That one is the operator's to judge: see below.
        if name == "MetalLB" {
            continue;
        }
        let kind = KINDS
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .expect("a kind");
        let is_allowed =
            |spec: &Value| matches!(cluster.create(kind, "new", spec), Verdict::Allow { .. });
        for spec in &cases.accepted {
            assert!(is_allowed(spec), "{kind} {spec}");
        }
        for spec in cases
            .refused
            .values()
            .flatten()
            .chain(&cases.left_to_webhooks)
        {
            assert!(!is_allowed(spec), "{kind} {spec}");
        }
    }
}

#[test]
fn the_operators_webhook_and_the_definition_agree() {
    let text = include_str!("../../../../crds/tests/rules/cases.yaml");
    let mut cases: BTreeMap<String, Cases> = serde_saphyr::from_str(text).expect("cases");
    let cases = cases.remove("MetalLB").expect("cases of a MetalLB");
    let judged = |spec: &Value| {
        let spec = serde_json::from_value(spec.clone()).expect("the spec parses");
        validate(&spec, None)
    };
    for spec in &cases.accepted {
        assert_eq!(judged(spec), Ok(()), "{spec}");
    }
    for spec in &cases.left_to_webhooks {
        assert!(judged(spec).is_err(), "{spec}");
    }
    for (words, specs) in &cases.refused {
        for spec in specs {
            let refusal = judged(spec).expect_err("it is refused").to_string();
            assert!(refusal.ends_with(words), "{spec}: {refusal}");
        }
    }
}
