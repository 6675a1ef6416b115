//! The `ClusterServiceVersion`: what OLM installs, and what a console shows of it.

use k8s_openapi::ByteString;
use metallb_crds::names::DEFAULT_NAMESPACE;
use serde_json::{Value, json};

use super::{Bundle, examples, install, owned};
use crate::render::{
    ACCOUNT, OPERATOR_DEPLOYMENT, namespace_of_speakers, operator_cluster, operator_namespaced,
};

pub(super) fn csv(bundle: &Bundle) -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": bundle.version.csv_name(),
            "annotations": annotations(bundle),
            "labels": {
                "operatorframework.io/arch.amd64": "supported",
                "operatorframework.io/os.linux": "supported",
            },
        },
        "spec": spec(bundle),
    })
}

fn annotations(bundle: &Bundle) -> Value {
    let mut namespace = namespace_of_speakers(DEFAULT_NAMESPACE);
    namespace.sort_all_objects();
    json!({
        "alm-examples": examples::all(),
        "capabilities": CAPABILITIES,
        "categories": "Networking",
        "certified": "false",
        "containerImage": bundle.image,
        "description": SUMMARY,
        "olm.skipRange": bundle.skip_range(),
        "operatorframework.io/initialization-resource": examples::metallb(),
        // The speaker uses its node's network, so pods in there have to be allowed to.
        "operatorframework.io/suggested-namespace": DEFAULT_NAMESPACE,
        "operatorframework.io/suggested-namespace-template": namespace.to_string(),
        "repository": REPOSITORY,
        "support": PROVIDER,
    })
}

fn spec(bundle: &Bundle) -> Value {
    let mut spec = json!({
        "displayName": NAME,
        "description": DESCRIPTION,
        "version": bundle.version.0,
        "minKubeVersion": MIN_KUBERNETES,
        "maturity": "alpha",
        "icon": [{ "base64data": ByteString(ICON.as_bytes().to_vec()), "mediatype": "image/svg+xml" }],
        "keywords": ["metallb", "load balancer", "bare metal", "bgp", "arp", "ndp"],
        "links": [
            { "name": "Sources", "url": REPOSITORY },
            { "name": "MetalLB", "url": "https://metallb.io" },
        ],
        "maintainers": [{ "name": PROVIDER, "email": CONTACT }],
        "provider": { "name": PROVIDER },
        "installModes": install_modes(),
        "install": { "strategy": "deployment", "spec": {
            "clusterPermissions": [{ "serviceAccountName": ACCOUNT, "rules": operator_cluster() }],
            "permissions": [{ "serviceAccountName": ACCOUNT, "rules": operator_namespaced() }],
            "deployments": [deployment(bundle)],
        } },
        "customresourcedefinitions": { "owned": owned::all() },
        "relatedImages": [{ "name": "metallb", "image": bundle.image }],
    });
    if let Some(replaced) = &bundle.replaces {
        spec["replaces"] = replaced.csv_name().into();
    }
    spec
}

fn deployment(bundle: &Bundle) -> Value {
    let deployment = install(bundle).deployment();
    json!({
        "name": OPERATOR_DEPLOYMENT,
        "label": deployment["spec"]["template"]["metadata"]["labels"],
        "spec": deployment["spec"],
    })
}

/// The operator acts on its own namespace, and looks for `MetalLB` objects in others only to say
/// that they are ignored: so an `OperatorGroup` for that namespace is right, and one for all does no
/// harm but that OLM then gives the rights in the namespace for all. Other namespaces alone would
/// be a promise that is not kept.
fn install_modes() -> Value {
    let mode = |name: &str, supported: bool| json!({ "type": name, "supported": supported });
    json!([
        mode("OwnNamespace", true),
        mode("SingleNamespace", false),
        mode("MultiNamespace", false),
        mode("AllNamespaces", true),
    ])
}

impl Bundle {
    /// From whatever version before this one it can be upgraded to in one step.
    pub(super) fn skip_range(&self) -> String {
        format!("<{}", self.version.0)
    }
}

/// What the catalogue repeats of it for consoles, which do not read bundles.
pub(super) fn metadata(bundle: &Bundle) -> Value {
    let csv = csv(bundle);
    let (metadata, spec) = (&csv["metadata"], &csv["spec"]);
    let owned = spec["customresourcedefinitions"]["owned"].as_array();
    let kinds: Vec<Value> = owned
        .into_iter()
        .flatten()
        .map(|it| {
            json!({
                "name": it["name"], "kind": it["kind"], "version": it["version"],
                "displayName": it["displayName"], "description": it["description"],
            })
        })
        .collect();
    json!({
        "annotations": metadata["annotations"],
        "labels": metadata["labels"],
        "apiServiceDefinitions": {},
        "crdDescriptions": { "owned": kinds },
        "description": spec["description"],
        "displayName": spec["displayName"],
        "installModes": spec["installModes"],
        "keywords": spec["keywords"],
        "links": spec["links"],
        "maintainers": spec["maintainers"],
        "maturity": spec["maturity"],
        "minKubeVersion": spec["minKubeVersion"],
        "provider": spec["provider"],
    })
}

pub(super) const ICON: &str = include_str!("icon.svg");
pub(super) const DESCRIPTION: &str = include_str!("description.md");
const NAME: &str = "MetalLB Operator";
const SUMMARY: &str =
    "Gives Services of type LoadBalancer addresses, and announces them by ARP, NDP and BGP.";
/// What is shown by tests: install from one object, and upgrades that lose no packet. There is no
/// backup yet, so no more than that.
const CAPABILITIES: &str = "Seamless Upgrades";
/// The oldest release of Kubernetes that the stories are told on.
const MIN_KUBERNETES: &str = "1.34.0";
const PROVIDER: &str = "The authors of MetalLB in Rust";
// Catalogues ask for both; whoever publishes puts in where they can be found.
const CONTACT: &str = "metallb-rs@example.org";
const REPOSITORY: &str = "https://example.org/metallb-rs";
