//! What MetalLB's own operator made or brought along, and nothing here needs: its FRR-K8s, and the
//! webhooks beside the controllers. What has a name that ours has too is taken over instead.

pub(crate) mod frr;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::object::{Key, Kind};

/// One object that it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    /// Who replaces it, and does its work before it goes.
    pub(crate) replaced_by: ReplacedBy,
    mark: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplacedBy {
    Controllers,
    Speakers,
}

/// By what it is known: a name proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It was made for the `MetalLB` object, as its owner says.
    Owned,
    /// It came with the operator's manifest, under this label, and no owner keeps it.
    Labelled(&'static str, &'static str),
}

/// Those that are there, with their uids.
pub(crate) type Leftovers = BTreeMap<Key, String>;

/// In the order in which they go. What asks the API server to ask somebody goes before whoever is
/// asked.
pub(crate) const LEFTOVERS: [Leftover; 11] = [
    Leftover {
        kind: Kind::ValidatingWebhookConfiguration,
        name: FRR_K8S_CONFIGURATION,
        replaced_by: ReplacedBy::Controllers,
        mark: Mark::Owned,
    },
    // It would go on writing its own certificate and whom to trust.
    Leftover {
        kind: Kind::Deployment,
        name: "metallb-operator-webhook-server",
        replaced_by: ReplacedBy::Controllers,
        mark: Mark::Labelled("component", "webhook-server"),
    },
    // Serves the webhook of FRR-K8s until 0.14; then statuscleaner does.
    owned(Kind::Deployment, "frr-k8s-webhook-server"),
    owned(Kind::Deployment, "statuscleaner"),
    owned(Kind::Service, "frr-k8s-webhook-service"),
    owned(Kind::Secret, FRR_K8S_SECRET),
    // On each node with a speaker it has ended before: see `frr`.
    owned(Kind::DaemonSet, FRR_K8S),
    owned(Kind::Service, "frr-k8s-monitor-service"),
    owned(Kind::Service, "speaker-monitor-service"),
    owned(Kind::Service, "controller-monitor-service"),
    owned(Kind::ConfigMap, "frr-startup"),
];

const fn owned(kind: Kind, name: &'static str) -> Leftover {
    Leftover {
        kind,
        name,
        replaced_by: ReplacedBy::Speakers,
        mark: Mark::Owned,
    }
}

/// What holds the BGP sessions.
pub(crate) const FRR_K8S: &str = "frr-k8s";
/// Its webhook, with `failurePolicy: Fail`.
pub(crate) const FRR_K8S_CONFIGURATION: &str = "frr-k8s-validating-webhook-configuration";
/// The certificates of that.
pub(crate) const FRR_K8S_SECRET: &str = "frr-k8s-webhook-server-cert";

impl Leftover {
    pub(crate) fn key(&self) -> Key {
        Key::new(self.kind, self.name)
    }

    /// Whether the object of this name is what it seems to be. `metallb` is the uid of the object
    /// that counts.
    pub(crate) fn is(&self, seen: &ObjectMeta, metallb: &str) -> bool {
        let owners = seen.owner_references.as_deref().unwrap_or_default();
        match self.mark {
            // A cluster-scoped object has the mark too, although it means nothing there.
            Mark::Owned => owners
                .iter()
                .any(|owner| owner.kind == "MetalLB" && owner.uid == metallb),
            Mark::Labelled(name, value) => {
                let labels = seen.labels.as_ref();
                let label = labels.and_then(|labels| labels.get(name));
                owners.is_empty() && label.is_some_and(|it| it == value)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is(name: &str, meta: &serde_json::Value) -> bool {
        let leftover = LEFTOVERS.iter().find(|it| it.name == name);
        let meta = serde_json::from_value(meta.clone()).expect("metadata");
        leftover.expect("it is listed").is(&meta, "u")
    }

    #[test]
    fn a_name_alone_proves_nothing() {
        let owner = |kind: &str, uid: &str| {
            json!({ "ownerReferences": [
                { "apiVersion": "metallb.io/v1beta1", "kind": kind, "name": "metallb", "uid": uid },
            ] })
        };
        assert!(is("frr-k8s", &owner("MetalLB", "u")));
        assert!(!is("frr-k8s", &owner("MetalLB", "another")));
        assert!(!is("frr-k8s", &owner("Deployment", "u")));
        assert!(!is("frr-k8s", &json!({})), "somebody else's FRR-K8s");

        let server = "metallb-operator-webhook-server";
        let labels = json!({ "component": "webhook-server" });
        assert!(is(server, &json!({ "labels": labels })));
        assert!(!is(server, &json!({})));
        let mut kept = owner("ClusterServiceVersion", "c");
        kept["labels"] = labels;
        assert!(!is(server, &kept), "OLM removes it with its version");
    }
}
