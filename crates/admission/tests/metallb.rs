//! The `MetalLB` object, by requests as the API server sends them.

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionReview};
use metallb_admission::{
    Around, METALLB_PATH, METALLB_WEBHOOK, OPERATOR_CONFIGURATION, Verdict, review_metallb,
};
use serde_json::{Value, json};

fn object(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "MetalLB",
        "metadata": { "namespace": namespace, "name": name }, "spec": spec,
    })
}

/// What is said about `new` in the place of `old`, with the object that counts being there or not.
fn asked(operation: &str, new: Option<&Value>, old: Option<&Value>, exists: bool) -> Verdict {
    asked_with(operation, new, old, (exists, 0))
}

/// The same, with so many addresses in use.
fn asked_with(
    operation: &str,
    new: Option<&Value>,
    old: Option<&Value>,
    (exists, in_use): (bool, u64),
) -> Verdict {
    let shown = new.or(old).expect("an object");
    let gvk = json!({ "group": "metallb.io", "version": "v1beta1", "kind": "MetalLB" });
    let gvr = json!({ "group": "metallb.io", "version": "v1beta1", "resource": "metallbs" });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": gvk, "resource": gvr,
            "name": shown["metadata"]["name"], "namespace": shown["metadata"]["namespace"],
            "operation": operation, "userInfo": {}, "object": new, "oldObject": old,
            "dryRun": false, "options": null,
        },
    });
    let review: AdmissionReview<DynamicObject> = serde_json::from_value(review).expect("a review");
    let request: AdmissionRequest<DynamicObject> = review.try_into().expect("a request");
    let around = Around {
        namespace: "metallb-system",
        frr_k8s_namespace: None,
        exists,
        in_use,
    };
    review_metallb(&request, around)
}

fn created(object: &Value) -> Verdict {
    asked("CREATE", Some(object), None, false)
}

fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn allowed(verdict: Verdict) -> Vec<String> {
    match verdict {
        Verdict::Allow { warnings } => warnings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_webhook_has_upstreams_names() {
    assert_eq!(
        (METALLB_WEBHOOK, METALLB_PATH, OPERATOR_CONFIGURATION),
        (
            "metallbvalidationwebhook.metallb.io",
            "/validate-metallb-io-v1beta1-metallb",
            "metallb-operator-webhook-configuration",
        )
    );
}

#[test]
fn a_broken_rule_is_told_in_upstreams_words() {
    let spec = json!({ "bgpBackend": "bird" });
    let words = "invalid BGP Backend, must be one of native, frr, frr-k8s, frr-k8s-external";
    let bad = object("metallb-system", "metallb", &spec);
    let good = object("metallb-system", "metallb", &json!({}));
    assert_eq!(denied(created(&bad)), words);
    let changed = asked("UPDATE", Some(&bad), Some(&good), true);
    assert_eq!(denied(changed), words);
    assert_eq!(allowed(created(&good)), [""; 0]);
}

#[test]
fn an_object_that_would_be_ignored_is_refused_and_said_what_to_do() {
    let another = object("metallb-system", "another", &json!({}));
    assert_eq!(
        denied(created(&another)),
        "Incorrect MetalLB resource name: another. The operator acts on the one named metallb \
         alone. Create that one instead"
    );
    let second = asked("CREATE", Some(&another), None, true);
    assert!(denied(second).ends_with("There is such an object: change that one instead"));
    assert_eq!(
        denied(created(&object("default", "metallb", &json!({})))),
        "Incorrect MetalLB resource namespace: default. The operator acts on the MetalLB object \
         named metallb in its own namespace, metallb-system, alone. Create that one instead"
    );
}

/// Or it could never lose a finalizer, a label, or be deleted.
#[test]
fn what_is_there_already_is_never_held_up() {
    let bad = object(
        "metallb-system",
        "metallb",
        &json!({ "bgpBackend": "bird" }),
    );
    let mut labelled = bad.clone();
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    let update = |new: &Value, old: &Value| allowed(asked("UPDATE", Some(new), Some(old), true));
    assert_eq!(update(&labelled, &bad), [""; 0]);
    let mut leaving = bad.clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let good = object("metallb-system", "metallb", &json!({}));
    assert_eq!(update(&leaving, &good), [""; 0]);
    assert_eq!(allowed(asked("DELETE", None, Some(&bad), true)), [""; 0]);

    let ignored = |level: &str| object("default", "metallb", &json!({ "logLevel": level }));
    let warnings = update(&ignored("debug"), &ignored("info"));
    assert!(
        warnings[0].ends_with("this one is ignored. Delete it"),
        "{warnings:?}"
    );
}

#[test]
fn what_is_no_metallb_object_is_malformed() {
    let odd = object("metallb-system", "metallb", &json!({ "nodeSelector": 7 }));
    assert!(matches!(created(&odd), Verdict::Malformed(_)));
}

#[test]
fn who_deletes_it_is_told_of_addresses_in_use_or_refused() {
    let deleted = |name: &str, protected: Option<&str>, in_use: u64| {
        let mut old = object("metallb-system", name, &json!({}));
        old["metadata"]["annotations"] = json!({ "metallb.io/protect-addresses": protected });
        if protected.is_none() {
            old["metadata"]["annotations"] = json!({});
        }
        asked_with("DELETE", None, Some(&old), (true, in_use))
    };
    assert_eq!(allowed(deleted("metallb", None, 0)), [""; 0]);
    assert_eq!(allowed(deleted("metallb", Some("true"), 0)), [""; 0]);
    assert_eq!(allowed(deleted("another", Some("true"), 7)), [""; 0]);
    for protected in [None, Some("false")] {
        let warnings = allowed(deleted("metallb", protected, 7));
        assert!(
            warnings[0].starts_with("addresses in use: 7. "),
            "{warnings:?}"
        );
    }
    let refusal = denied(deleted("metallb", Some("true"), 7));
    assert!(
        refusal.starts_with("addresses in use: 7. The annotation metallb.io/protect-addresses")
    );
}
