//! Network policies: who may reach the pods of controller and operator, and whom they may reach.
//!
//! Speakers are on their nodes' networks, which no policy is about. Nobody here asks DNS: pods find
//! the API server by the address in their environment. The kubelet asks probes from the pod's node,
//! which policies let through.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use metallb_admission::PORT;
use metallb_crds::v1beta1::ApiServerEgress;
use serde_json::{Value, json};

use super::{Component, Inputs, install, pod};
use crate::object::{Kind, Object};

/// Those that an operator keeps.
pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    if !inputs.settings.network_policies {
        return Vec::new();
    }
    let asked = inputs.spec.network_policies.as_ref();
    let egress = asked.and_then(|it| it.api_server).unwrap_or_default();
    let known = inputs.api_server;
    let controllers = match egress {
        ApiServerEgress::Addresses if !known.is_empty() => to_addresses(known),
        _ => to_ports(ports_of(known)),
    };
    // Whoever keeps the policies must not lock itself out when the API server moves; were it so,
    // nobody would be there to let it in again. So it has the usual ports, too, at any address.
    let own = to_ports(ports_of(known).chain(USUAL));
    let scraped = inputs.settings.metrics.map(|port| tcp(port.into()));
    let ingress = [tcp(PORT.into())].into_iter().chain(scraped);
    vec![
        controller(inputs, &controllers),
        inputs.object(
            Kind::NetworkPolicy,
            Component::Shared,
            "operator",
            json!({ "spec": {
                "podSelector": { "matchLabels": install::labels_of_pods() },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "ports": ingress.collect::<Vec<_>>() }],
                "egress": own,
            } }),
        ),
    ]
}

/// Without an operator nobody knows the API server's ports: the usual one. And nothing else into the
/// namespace or out, as in upstream's manifests.
pub(super) fn standalone(inputs: &Inputs<'_>) -> Vec<Object> {
    let deny = json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } });
    let deny = inputs.object(Kind::NetworkPolicy, Component::Shared, "default-deny", deny);
    vec![deny, controller(inputs, &to_ports([USUAL[1]].into_iter()))]
}

fn controller(inputs: &Inputs<'_>, egress: &Value) -> Object {
    let metrics = Value::from("metricshttps");
    let body = json!({ "spec": {
        "podSelector": { "matchLabels": pod::labels(Component::Controller) },
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{ "ports": [tcp(metrics), tcp(PORT.into())] }],
        "egress": egress,
    } });
    inputs.object(
        Kind::NetworkPolicy,
        Component::Controller,
        "controller",
        body,
    )
}

/// Both the port of the Service and those behind it: a network looks at the one or at the other.
fn ports_of(known: &BTreeSet<SocketAddr>) -> impl Iterator<Item = u16> {
    let none = known.is_empty().then_some(USUAL).into_iter().flatten();
    known.iter().map(SocketAddr::port).chain(none)
}

fn to_ports(ports: impl Iterator<Item = u16>) -> Value {
    let ports: BTreeSet<u16> = ports.collect();
    let ports = ports.into_iter().map(|port| tcp(port.into()));
    json!([{ "ports": ports.collect::<Vec<_>>() }])
}

/// One rule for each port, with the addresses that it is at.
fn to_addresses(known: &BTreeSet<SocketAddr>) -> Value {
    let ports: BTreeSet<u16> = known.iter().map(SocketAddr::port).collect();
    let rules = ports.into_iter().map(|port| {
        let its = known.iter().filter(|it| it.port() == port);
        let blocks = its.map(|it| {
            let bits = if it.is_ipv4() { 32 } else { 128 };
            json!({ "ipBlock": { "cidr": format!("{}/{bits}", it.ip()) } })
        });
        json!({ "to": blocks.collect::<Vec<_>>(), "ports": [tcp(port.into())] })
    });
    rules.collect()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what it is called with is made there"
)]
fn tcp(port: Value) -> Value {
    json!({ "protocol": "TCP", "port": port })
}

/// Where API servers usually are.
const USUAL: [u16; 2] = [443, 6443];

#[cfg(test)]
mod tests;
