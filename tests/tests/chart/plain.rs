//! The differences that must be between the chart and the renderer, each with its reason; without
//! them the two are the same.

use serde_json::{Map, Value, json};

/// An object by its kind and name, without what must differ.
pub(crate) fn plain(object: &Value) -> (String, Value) {
    let mut object = object.clone();
    // Upstream's chart has labels of its own; there is a test of them.
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("labels");
        // In a chart definitions have to be told to stay.
        metadata.remove("annotations");
    }
    walk(&mut object);
    match object["kind"].as_str() {
        Some("ValidatingWebhookConfiguration") => webhooks(&mut object),
        Some("Deployment") => strategy(&mut object),
        _ => {}
    }
    let key = format!(
        "{} {}",
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    );
    (key, object)
}

fn walk(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(name) = renamed(text) {
                *text = name;
            }
        }
        Value::Array(items) => {
            // The chart says its default, which is the program's.
            items.retain(|it| it != "--webhook-mode=enabled");
            items.iter_mut().for_each(walk);
        }
        Value::Object(fields) => {
            selectors(fields);
            defaults(fields);
            fields.values_mut().for_each(walk);
        }
        _ => {}
    }
}

/// Upstream's chart has the release in the names of objects, so that there can be two.
fn renamed(text: &str) -> Option<String> {
    let name = match text {
        "test-metallb-controller" => "controller".to_owned(),
        "test-metallb-speaker" => "speaker".to_owned(),
        "test-metallb-pod-lister" => "pod-lister".to_owned(),
        "test-metallb-memberlist" => "memberlist".to_owned(),
        "test-metallb-prometheus" => "prometheus-k8s".to_owned(),
        "test-metallb:controller" | "test-metallb:speaker" => {
            // Whatever the namespace, as OLM grants rights without knowing it.
            text.replace("test-metallb", "metallb-system")
        }
        // What labels speakers find each other by.
        "app.kubernetes.io/name=metallb,app.kubernetes.io/component=speaker" => {
            "app=metallb,component=speaker".to_owned()
        }
        monitor if monitor.contains("-monitor") => monitor.replace("test-metallb-", ""),
        _ => return None,
    };
    Some(name)
}

/// Upstream's chart has other labels than its manifests: selectors are immutable, so both stay.
fn selectors(fields: &mut Map<String, Value>) {
    let Some(component) = fields.remove("app.kubernetes.io/component") else {
        return;
    };
    fields.retain(|key, _| !key.starts_with("app.kubernetes.io/"));
    fields.insert("app".to_owned(), "metallb".into());
    fields.insert("component".to_owned(), component);
}

/// What the API server would fill in: the chart has values for it, the renderer leaves it out.
fn defaults(fields: &mut Map<String, Value>) {
    let usual = [
        ("successThreshold", json!(1)),
        ("initialDelaySeconds", json!(0)),
        ("path", json!("/metrics")),
    ];
    for (key, value) in usual {
        if fields.get(key) == Some(&value) {
            fields.remove(key);
        }
    }
}

/// In upstream's chart the webhook of `BGPPeers` has another name than in its manifests.
fn webhooks(object: &mut Value) {
    for webhook in object["webhooks"].as_array_mut().into_iter().flatten() {
        if webhook["name"] == "bgppeervalidationwebhook.metallb.io" {
            webhook["name"] = "bgppeersvalidationwebhook.metallb.io".into();
        }
    }
}

/// The chart says the API server's default.
fn strategy(object: &mut Value) {
    if object["spec"]["strategy"] == json!({ "type": "RollingUpdate" })
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("strategy");
    }
}
