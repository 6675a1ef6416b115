//! Each value does what it is there for, or says that it does nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::merge;
use crate::rendered::chart;
use crate::values::{Leaf, leaves};

/// A value is set to something else: what is rendered changes, unless the README says otherwise.
#[test]
fn each_value_has_an_effect_or_says_that_it_has_none() {
    let mut wrong = Vec::new();
    let mut unchanged = BTreeMap::new();
    for leaf in leaves() {
        let path = leaf.path.join(".");
        let around = surroundings(&path);
        let before = unchanged.entry(around.to_string());
        let before = before.or_insert_with(|| chart(&around));
        let mut changed = around;
        merge(&mut changed, nested(&leaf.path, other(&path, &leaf)));
        let has_effect = *before != chart(&changed);
        if has_effect == leaf.has_no_effect {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// What else has to be set for a value to matter.
fn surroundings(path: &str) -> Value {
    let mut values = json!({
        // They are long, and the same in all.
        "crds": { "enabled": path == "crds.enabled" },
        "prometheus": { "serviceAccount": "p", "namespace": "p" },
    });
    let more = if path.starts_with("prometheus.podMonitor") {
        json!({ "prometheus": { "podMonitor": { "enabled": !path.ends_with("enabled") } } })
    } else if path.starts_with("prometheus.prometheusRule.enabled") {
        json!({})
    } else if path.starts_with("prometheus.prometheusRule") {
        json!({ "prometheus": { "prometheusRule": { "enabled": true } } })
    } else if path.starts_with("frr-k8s") {
        let enabled = !path.ends_with("serviceMonitor.enabled");
        json!({ "frr-k8s": { "prometheus": { "serviceMonitor": { "enabled": enabled } } } })
    } else if path.starts_with("prometheus") && path != "prometheus.serviceMonitor.enabled" {
        json!({ "prometheus": { "serviceMonitor": { "enabled": true } } })
    } else if path == "networkpolicies.enabled" {
        json!({})
    } else if path.starts_with("networkpolicies") {
        json!({ "networkpolicies": { "enabled": true } })
    } else if path.starts_with("speaker.frr") || path == "frrk8s.external" {
        let frr = path.starts_with("speaker.frr.") && path != "speaker.frr.enabled";
        json!({
            "frrk8s": { "enabled": false, "namespace": "n" },
            "speaker": { "frr": { "enabled": frr } },
        })
    } else if ["frrk8s.namespace", "frrk8s.secretPassthrough"].contains(&path) {
        json!({ "frrk8s": { "enabled": false, "external": true, "namespace": "n" } })
    } else {
        json!({})
    };
    merge(&mut values, more);
    values
}

/// Another value than the default, which the schema takes.
fn other(path: &str, leaf: &Leaf) -> Value {
    let key = path.rsplit('.').next().unwrap_or_default();
    match (key, &leaf.default) {
        ("logLevel", _) => "debug".into(),
        ("webhookMode", _) => "disabled".into(),
        ("validationFailurePolicy", _) => "Ignore".into(),
        ("pullPolicy", _) => "Always".into(),
        ("minVersion", _) => "VersionTLS12".into(),
        ("bgpDebounceTimeout", _) => 1.into(),
        ("interval", _) => "10s".into(),
        ("extraContainers", _) => json!([{ "name": "beside", "image": "example.com/a" }]),
        ("thresholds", _) => json!([{ "percent": 50 }]),
        (_, Value::Bool(is)) => (!is).into(),
        (_, Value::Number(number)) => (number.as_i64().unwrap_or_default() + 1).into(),
        (_, Value::Array(_)) => json!([{ "name": "other" }]),
        (_, Value::Object(_)) => json!({ "example.com/other": "other" }),
        _ => "other".into(),
    }
}

fn nested(path: &[String], value: Value) -> Value {
    let (last, around) = path.split_last().expect("a path");
    // The two probes of a program have one port.
    let twin = match around.last().map(String::as_str) {
        Some("livenessProbe") if last == "port" => Some("readinessProbe"),
        Some("readinessProbe") if last == "port" => Some("livenessProbe"),
        _ => None,
    };
    let wrap = |path: &[&str], value: Value| {
        path.iter()
            .rev()
            .fold(value, |value, key| json!({ *key: value }))
    };
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    let mut values = wrap(&path, value.clone());
    if let Some(twin) = twin {
        let mut path = path.clone();
        let probe = path.len() - 2;
        path[probe] = twin;
        merge(&mut values, wrap(&path, value));
    }
    values
}
