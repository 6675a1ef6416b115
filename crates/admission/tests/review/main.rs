//! What the webhooks answer, by requests as the API server sends them. `row_NN_…` tells of row NN
//! of the list of rules in upstream's order, as in the tests of metallb-config.

mod definitions;
mod rules;
mod webhooks;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionReview};
use metallb_admission::{Verdict, WEBHOOKS, Webhook, review};
use metallb_config::{Kind, Labels, Objects};
use metallb_crds::{v1beta1, v1beta2};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NAMESPACE: &str = "metallb-system";

const KINDS: [Kind; 6] = [
    Kind::IPAddressPool,
    Kind::L2Advertisement,
    Kind::BGPAdvertisement,
    Kind::BGPPeer,
    Kind::BFDProfile,
    Kind::Community,
];

/// What exists in the cluster, to be asked about.
#[derive(Default)]
struct Cluster {
    pools: Vec<v1beta1::IPAddressPool>,
    l2_advertisements: Vec<v1beta1::L2Advertisement>,
    bgp_advertisements: Vec<v1beta1::BGPAdvertisement>,
    bgp_peers: Vec<v1beta2::BGPPeer>,
    bfd_profiles: Vec<v1beta1::BFDProfile>,
    communities: Vec<v1beta1::Community>,
    nodes: Vec<Labels>,
}

impl Cluster {
    /// With an object that exists, whatever a webhook would have said.
    fn with(mut self, kind: Kind, name: &str, spec: &Value) -> Self {
        match kind {
            Kind::IPAddressPool => self.pools.push(existing(kind, name, spec)),
            Kind::L2Advertisement => self.l2_advertisements.push(existing(kind, name, spec)),
            Kind::BGPAdvertisement => self.bgp_advertisements.push(existing(kind, name, spec)),
            Kind::BGPPeer => self.bgp_peers.push(existing(kind, name, spec)),
            Kind::Community => self.communities.push(existing(kind, name, spec)),
            Kind::BFDProfile => self.bfd_profiles.push(existing(kind, name, spec)),
        }
        self
    }

    fn with_node(mut self, labels: &[(&str, &str)]) -> Self {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        self.nodes.push(labels.iter().map(owned).collect());
        self
    }

    fn answer(&self, kind: Kind, request: &Value) -> Verdict {
        let nodes: Vec<_> = self.nodes.iter().collect();
        let existing = Objects {
            pools: &self.pools,
            l2_advertisements: &self.l2_advertisements,
            bgp_advertisements: &self.bgp_advertisements,
            bgp_peers: &self.bgp_peers,
            bfd_profiles: &self.bfd_profiles,
            communities: &self.communities,
            nodes: &nodes,
            ..Objects::default()
        };
        review(webhook(kind), &read(request), &existing, NAMESPACE)
    }

    fn create(&self, kind: Kind, name: &str, spec: &Value) -> Verdict {
        self.answer(
            kind,
            &request("CREATE", &object(kind, name, spec), &Value::Null),
        )
    }

    fn update(&self, kind: Kind, name: &str, before: &Value, after: &Value) -> Verdict {
        let (before, after) = (object(kind, name, before), object(kind, name, after));
        self.answer(kind, &request("UPDATE", &after, &before))
    }

    fn delete(&self, kind: Kind, name: &str) -> Verdict {
        self.answer(
            kind,
            &request("DELETE", &Value::Null, &object(kind, name, &json!({}))),
        )
    }
}

fn webhook(kind: Kind) -> &'static Webhook {
    WEBHOOKS
        .iter()
        .find(|it| it.kind == kind)
        .expect("each kind has a webhook")
}

fn allowed() -> Verdict {
    Verdict::Allow {
        warnings: Vec::new(),
    }
}

/// The reason of a denial.
fn denied(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(reason) => reason,
        other => panic!("not denied: {other:?}"),
    }
}

fn object(kind: Kind, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("metallb.io/{}", webhook(kind).version),
        "kind": kind.to_string(),
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
    })
}

fn existing<K: DeserializeOwned>(kind: Kind, name: &str, spec: &Value) -> K {
    serde_json::from_value(object(kind, name, spec)).expect("an object of its kind")
}

fn request(operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "uid": "0c9a8d74",
        "kind": {"group": "metallb.io", "version": "v1beta1", "kind": "Any"},
        "resource": {"group": "metallb.io", "version": "v1beta1", "resource": "any"},
        "name": "any",
        "namespace": NAMESPACE,
        "operation": operation,
        "userInfo": {"username": "somebody"},
        "object": object,
        "oldObject": old,
    })
}

fn read(request: &Value) -> AdmissionRequest<DynamicObject> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": request,
    });
    let review: AdmissionReview<DynamicObject> = serde_json::from_value(review).expect("a review");
    review.try_into().expect("it has a request")
}
