//! The kinds that the package owns, each field described as its definition describes it.

use std::collections::{BTreeMap, BTreeSet};

use metallb_crds::v1beta1::MetalLBSpec;
use serde_json::{Value, json};

use super::definitions;
use crate::render::{Inputs, Webhooks, render};
use crate::settings::Settings;

/// One entry a kind, in its newest version. An older one is not listed: OLM would wait for it to
/// be served, and it is served once an operator runs that converts it.
pub(super) fn all() -> Vec<Value> {
    definitions().iter().map(kind).collect()
}

fn kind(definition: &Value) -> Value {
    let spec = &definition["spec"];
    let name = &spec["names"]["kind"];
    let newest = newest(definition);
    let schema = &newest["schema"]["openAPIV3Schema"];
    let part = |part: &str| {
        let mut descriptors = Vec::new();
        describe(&schema["properties"][part], "", &mut descriptors);
        descriptors
    };
    let kind = name.as_str().unwrap_or_default();
    json!({
        "name": definition["metadata"]["name"],
        "kind": name,
        "version": newest["name"],
        "displayName": title(kind),
        "description": schema["description"],
        "resources": resources(kind),
        "specDescriptors": part("spec"),
        "statusDescriptors": part("status"),
    })
}

pub(super) fn newest(definition: &Value) -> &Value {
    let versions = definition["spec"]["versions"].as_array();
    let stored = versions
        .into_iter()
        .flatten()
        .find(|it| it["storage"] == true);
    stored.unwrap_or(&Value::Null)
}

/// A line for each field of `schema` and for what is in it, down to types of Kubernetes' own.
fn describe(schema: &Value, path: &str, descriptors: &mut Vec<Value>) {
    let fields: BTreeMap<&String, &Value> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    for (name, field) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        descriptors.push(json!({
            "path": path,
            "displayName": title(name),
            "description": field["description"],
            "x-descriptors": widgets(name, field),
        }));
        if !KUBERNETES_OWN.contains(&name.as_str()) {
            describe(field, &path, descriptors);
        }
    }
}

/// How a console shows a field.
fn widgets(name: &str, field: &Value) -> Vec<String> {
    let console = |widget: &str| format!("urn:alm:descriptor:com.tectonic.ui:{widget}");
    match (name, field["type"].as_str()) {
        ("conditions", _) => vec!["urn:alm:descriptor:io.kubernetes.conditions".to_owned()],
        ("resources", _) => vec![console("resourceRequirements")],
        (_, Some("boolean")) => vec![console("booleanSwitch")],
        (_, Some("integer")) => vec![console("number")],
        (_, Some("string")) => match field["enum"].as_array() {
            Some(values) => {
                let values = values.iter().filter_map(Value::as_str);
                values
                    .map(|value| console(&format!("select:{value}")))
                    .collect()
            }
            None => vec![console("text")],
        },
        _ => vec![],
    }
}

/// What belongs to an object of a kind: what is made for it, or what it is about.
fn resources(kind: &str) -> Vec<Value> {
    let core = |kind: &str| json!({ "kind": kind, "name": "", "version": "v1" });
    match kind {
        "MetalLB" => operands(),
        "BGPPeer" => vec![core("Secret"), core("Node")],
        "BGPSessionState" => vec![core("Node")],
        "ServiceL2Status" | "ServiceBGPStatus" => vec![core("Service"), core("Node")],
        "ConfigurationState" => vec![core("Pod")],
        _ => vec![core("Service")],
    }
}

/// The kinds of what is rendered for a `MetalLB` object, and the pods.
fn operands() -> Vec<Value> {
    let objects = render(&Inputs {
        spec: &MetalLBSpec::default(),
        settings: &Settings::new("", ""),
        uid: Some(""),
        api_server: &BTreeSet::new(),
        writes_for_frr_k8s: false,
        existing_memberlist_key: None,
        fresh_memberlist_key: [0; 16],
        password_secrets: &BTreeSet::new(),
        webhooks: Webhooks::Required,
        version: "",
    });
    let kinds: BTreeSet<_> = objects.iter().map(|object| object.key.kind).collect();
    let kinds = kinds.into_iter().map(|kind| kind.names().1).chain(["Pod"]);
    kinds
        .map(|kind| json!({ "kind": kind, "name": "", "version": "v1" }))
        .collect()
}

/// `bgpBackend` is `BGP backend`, `IPAddressPool` is `IP address pool`.
fn title(name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let known = WORDS.iter().find_map(|(written, shown)| {
            let after = rest.strip_prefix(written)?;
            let ends = after.is_empty() || after.starts_with(|c: char| c.is_ascii_uppercase());
            ends.then_some((written.len(), (*shown).to_owned()))
        });
        let (length, word) = known.unwrap_or_else(|| {
            let end = rest[1..].find(|c: char| c.is_ascii_uppercase());
            let length = end.map_or(rest.len(), |end| end + 1);
            (length, rest[..length].to_lowercase())
        });
        words.push(word);
        rest = &rest[length..];
    }
    let mut title = words.join(" ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// Words that are not written as others are, as names of fields and kinds have them.
const WORDS: [(&str, &str); 25] = [
    ("MetalLB", "MetalLB"),
    ("frrk8s", "FRR-K8s"),
    ("frrK8s", "FRR-K8s"),
    ("ServiceBGP", "service BGP"),
    ("ServiceL2", "service L2"),
    ("myASN", "my ASN"),
    ("peerASN", "peer ASN"),
    ("localASN", "local ASN"),
    ("dynamicASN", "dynamic ASN"),
    ("BGP", "BGP"),
    ("bgp", "BGP"),
    ("BFD", "BFD"),
    ("bfd", "BFD"),
    ("IPs", "IPs"),
    ("IP", "IP"),
    ("ip", "IP"),
    ("L2", "L2"),
    ("ASN", "ASN"),
    ("AS", "AS"),
    ("vrf", "VRF"),
    ("ebgp", "EBGP"),
    ("TTL", "TTL"),
    ("LB", "LB"),
    ("api", "API"),
    ("wan", "WAN"),
];
/// Fields whose types are Kubernetes' own, and described there.
const KUBERNETES_OWN: [&str; 4] = ["affinity", "conditions", "resources", "claims"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_titles() {
        for (name, expected) in [
            ("bgpBackend", "BGP backend"),
            ("ignoreExcludeLB", "Ignore exclude LB"),
            ("frrk8sConfig", "FRR-K8s config"),
            ("IPAddressPool", "IP address pool"),
            ("BGPPeer", "BGP peer"),
            ("ServiceL2Status", "Service L2 status"),
            ("avoidBuggyIPs", "Avoid buggy IPs"),
            ("nodeSelector", "Node selector"),
            ("MetalLB", "MetalLB"),
            ("peerASN", "Peer ASN"),
            ("ipAddressPools", "IP address pools"),
        ] {
            assert_eq!(title(name), expected, "{name}");
        }
    }
}
