//! What is allowed covers what is used.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use metallb_crds::v1beta1::MetalLBSpec;
use serde_json::{Value, json};

use super::*;
use crate::render::{Install, Webhooks, render as render_all};
use crate::settings::Settings;

/// The policies, and what they are about, where the API server is at `api_server`.
fn rendered(settings: &Settings, spec: Value, api_server: &[&str]) -> Vec<Object> {
    let spec: MetalLBSpec = serde_json::from_value(spec).expect("the spec parses");
    let settings = settings.under(&spec);
    let api_server: BTreeSet<SocketAddr> = api_server
        .iter()
        .map(|it| it.parse().expect("an address"))
        .collect();
    render_all(&Inputs {
        spec: &spec,
        settings: &settings,
        uid: Some("1"),
        api_server: &api_server,
        writes_for_frr_k8s: false,
        existing_memberlist_key: None,
        fresh_memberlist_key: [0; 16],
        password_secrets: &BTreeSet::new(),
        webhooks: Webhooks::Required,
        version: "1.2.3",
    })
}

fn settings() -> Settings {
    Settings::new("metallb-system", "metallb:dev")
}

fn policy(objects: &[Object], name: &str) -> Value {
    let kind = Kind::NetworkPolicy;
    let found = objects
        .iter()
        .find(|it| it.key.kind == kind && it.key.name == name);
    found.expect("a policy").manifest["spec"].clone()
}

/// Whether a policy lets a connection out.
fn lets_out(policy: &Value, to: &str) -> bool {
    let to: SocketAddr = to.parse().expect("an address");
    let rules = policy["egress"].as_array().expect("rules");
    rules.iter().any(|rule| {
        let ports = rule["ports"].as_array().expect("ports");
        let port = ports.iter().any(|it| it["port"] == to.port());
        let address = rule["to"].as_array().is_none_or(|blocks| {
            let block = format!("{}/", to.ip());
            let cidr = |it: &Value| it["ipBlock"]["cidr"].as_str().map(str::to_owned);
            blocks
                .iter()
                .filter_map(cidr)
                .any(|it| it.starts_with(&block))
        });
        port && address
    })
}

#[test]
fn both_policies_in_full() {
    let objects = rendered(&settings(), json!({}), &["10.96.0.1:443", "192.0.2.1:6443"]);
    let policies = objects
        .iter()
        .filter(|it| it.key.kind == Kind::NetworkPolicy);
    insta::assert_snapshot!(crate::yaml::documents(policies.map(|it| &it.manifest)));
}

/// Wherever the API server is: behind the Service, which some networks look at, or in front.
#[test]
fn an_api_server_on_any_port_is_reached() {
    for (known, other) in [
        (&["10.96.0.1:443", "192.0.2.1:6443"][..], "192.0.2.1:22"),
        // A managed cluster's.
        (&["10.0.0.1:443", "203.0.113.1:443"], "203.0.113.1:6443"),
        // MicroK8s', and one with two addresses.
        (
            &[
                "[fd00::1]:443",
                "[2001:db8::1]:16443",
                "[2001:db8::2]:16443",
            ],
            "[2001:db8::1]:6443",
        ),
    ] {
        for egress in ["Ports", "Addresses"] {
            let spec = json!({ "networkPolicies": { "apiServer": egress } });
            let objects = rendered(&settings(), spec, known);
            for address in known {
                for name in ["controller", "operator"] {
                    assert!(
                        lets_out(&policy(&objects, name), address),
                        "{name} {address}"
                    );
                }
            }
            assert!(!lets_out(&policy(&objects, "controller"), other));
            let elsewhere = "198.51.100.1:443";
            let narrow = egress == "Addresses";
            assert_eq!(
                lets_out(&policy(&objects, "controller"), elsewhere),
                !narrow
            );
            // Or it could never mend what it got wrong.
            assert!(lets_out(&policy(&objects, "operator"), elsewhere));
        }
    }
    // Not known: where it usually is.
    for egress in ["Ports", "Addresses"] {
        let spec = json!({ "networkPolicies": { "apiServer": egress } });
        let controller = policy(&rendered(&settings(), spec, &[]), "controller");
        assert!(lets_out(&controller, "10.96.0.1:443") && lets_out(&controller, "192.0.2.1:6443"));
    }
}

/// Metrics and webhooks are let in, where they are served.
#[test]
fn what_is_served_is_let_in() {
    let mut settings = settings();
    settings.metrics = Some(8443);
    let objects = rendered(&settings, json!({}), &[]);
    let let_in = |name: &str| policy(&objects, name)["ingress"][0]["ports"].clone();
    let ports = |name: &str| -> Vec<Value> {
        let ports = let_in(name);
        let ports = ports.as_array().expect("ports").iter();
        ports.map(|it| it["port"].clone()).collect()
    };
    assert_eq!(ports("controller"), [json!("metricshttps"), json!(9443)]);
    assert_eq!(ports("operator"), [json!(9443), json!(8443)]);
    let deployment = objects.iter().find(|it| it.key.kind == Kind::Deployment);
    let container = &deployment.expect("controllers").manifest["spec"]["template"]["spec"];
    let named = container["containers"][0]["ports"].to_string();
    assert!(named.contains(r#""name":"metricshttps""#), "{named}");
}

/// A namespace may be shared: nobody else's pods are meant. Many operators have the label of ours.
#[test]
fn policies_are_about_our_pods_alone() {
    let objects = rendered(&settings(), json!({}), &[]);
    let selects = |name: &str| policy(&objects, name)["podSelector"]["matchLabels"].clone();
    let install = Install {
        namespace: "metallb-system",
        image: "metallb:dev",
        version: "1.2.3",
    };
    let deployment = install.deployment();
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(selects("operator"), *labels);
    assert_eq!(labels["app.kubernetes.io/name"], "metallb-operator");
    assert_eq!(
        selects("controller"),
        json!({ "app": "metallb", "component": "controller" })
    );
    let speaker = objects.iter().find(|it| it.key.kind == Kind::DaemonSet);
    let pod = &speaker.expect("speakers").manifest["spec"]["template"]["spec"];
    assert_eq!(pod["hostNetwork"], true, "no policy is about those");
}
