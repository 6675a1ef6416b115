//! What belongs to controller and speaker together: the memberlist key and the interfaces that are
//! left alone.

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{Component, Inputs};
use crate::object::{Kind, Object};

/// The field of the memberlist Secret that holds the key.
pub(crate) const MEMBERLIST_KEY: &str = "secretkey";
pub(super) const EXCLUDE_L2: &str = "metallb-excludel2";

pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    let mut objects = vec![inputs.object(
        Kind::ConfigMap,
        Component::Shared,
        EXCLUDE_L2,
        json!({ "data": { "excludel2.yaml": excluded_interfaces(inputs) } }),
    )];
    // Without an operator the controller makes the Secret: a manifest cannot have a random key.
    if inputs.uid.is_some() {
        objects.push(inputs.object(
            Kind::Secret,
            Component::Shared,
            inputs.memberlist_secret(),
            json!({ "type": "Opaque", "data": { MEMBERLIST_KEY: memberlist_key(inputs) } }),
        ));
    }
    objects
}

/// The key that is there, or a new one in upstream's form: 16 random bytes as unpadded base64.
fn memberlist_key(inputs: &Inputs<'_>) -> Value {
    match inputs.existing_memberlist_key {
        Some(key) if !key.is_empty() => base64(key),
        _ => {
            let text = base64(&inputs.fresh_memberlist_key);
            let text = text.as_str().unwrap_or_default().trim_end_matches('=');
            base64(text.as_bytes())
        }
    }
}

/// As Kubernetes writes bytes in JSON.
fn base64(bytes: &[u8]) -> Value {
    json!(ByteString(bytes.to_vec()))
}

/// Interfaces that belong to containers rather than to the network, as regular expressions.
const EXCLUDED: [&str; 14] = [
    "^docker.*",
    "^cbr.*",
    "^dummy.*",
    "^virbr.*",
    "^lxcbr.*",
    "^veth.*",
    "^lo$",
    "^cali.*",
    "^tunl.*",
    "^flannel.*",
    "^kube-ipvs.*",
    "^cni.*",
    "^nodelocaldns.*",
    "^lxc.*",
];

fn excluded_interfaces(inputs: &Inputs<'_>) -> String {
    let own = inputs.spec.speaker_config.as_ref();
    let lines: Vec<String> = match own.and_then(|own| own.exclude_interfaces.as_ref()) {
        // As JSON, which is YAML whatever is in it.
        Some(asked) => asked
            .iter()
            .map(|it| format!("- {}\n", json!(it)))
            .collect(),
        None => EXCLUDED.iter().map(|it| format!("- {it}\n")).collect(),
    };
    format!("announcedInterfacesToExclude:\n{}", lines.concat())
}
