//! What the operator makes: the kinds, their order, and one object of them.

use kube::api::ApiResource;
use serde_json::{Map, Value};

/// The kinds the operator makes for a `MetalLB`, in the order in which they are applied: what
/// others need comes first, so that a pod never starts without its rights or its Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    ServiceAccount,
    ClusterRole,
    ClusterRoleBinding,
    Role,
    RoleBinding,
    /// OpenShift's: what pods may be like. Without it no speaker is let in.
    SecurityContextConstraints,
    Secret,
    ConfigMap,
    Service,
    NetworkPolicy,
    Deployment,
    DaemonSet,
    /// The Prometheus operator's, as the next one.
    ServiceMonitor,
    PodMonitor,
    /// Sends the API server to the controller's pods, so it comes after them and goes before.
    ValidatingWebhookConfiguration,
}

/// Names one object: the namespace is the operator's own, or none for a cluster-scoped kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// One rendered object, complete with `apiVersion`, `kind` and `metadata`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) key: Key,
    pub(crate) manifest: Value,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::ServiceAccount,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::Role,
        Self::RoleBinding,
        Self::SecurityContextConstraints,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::NetworkPolicy,
        Self::Deployment,
        Self::DaemonSet,
        Self::ServiceMonitor,
        Self::PodMonitor,
        Self::ValidatingWebhookConfiguration,
    ];

    /// The API group, version and plural that the kind is served under.
    pub(crate) fn api_resource(self) -> ApiResource {
        let (group, kind, plural) = self.names();
        ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version: if group.is_empty() {
                "v1".to_owned()
            } else {
                format!("{group}/v1")
            },
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    pub(crate) fn is_namespaced(self) -> bool {
        !matches!(
            self,
            Self::ClusterRole
                | Self::ClusterRoleBinding
                | Self::SecurityContextConstraints
                | Self::ValidatingWebhookConfiguration
        )
    }

    /// The definition of a kind that a cluster may do without; none of those that all have.
    pub(crate) fn definition(self) -> Option<&'static str> {
        match self {
            Self::SecurityContextConstraints => {
                Some("securitycontextconstraints.security.openshift.io")
            }
            Self::ServiceMonitor => Some("servicemonitors.monitoring.coreos.com"),
            Self::PodMonitor => Some("podmonitors.monitoring.coreos.com"),
            _ => None,
        }
    }

    /// Whether objects of this kind run pods.
    pub(crate) fn is_workload(self) -> bool {
        matches!(self, Self::Deployment | Self::DaemonSet)
    }

    /// Group, kind and plural; every kind here is served as `v1`.
    pub(crate) fn names(self) -> (&'static str, &'static str, &'static str) {
        const RBAC: &str = "rbac.authorization.k8s.io";
        const PROMETHEUS: &str = "monitoring.coreos.com";
        match self {
            Self::ServiceAccount => ("", "ServiceAccount", "serviceaccounts"),
            Self::ClusterRole => (RBAC, "ClusterRole", "clusterroles"),
            Self::ClusterRoleBinding => (RBAC, "ClusterRoleBinding", "clusterrolebindings"),
            Self::Role => (RBAC, "Role", "roles"),
            Self::RoleBinding => (RBAC, "RoleBinding", "rolebindings"),
            Self::SecurityContextConstraints => (
                "security.openshift.io",
                "SecurityContextConstraints",
                "securitycontextconstraints",
            ),
            Self::Secret => ("", "Secret", "secrets"),
            Self::ConfigMap => ("", "ConfigMap", "configmaps"),
            Self::Service => ("", "Service", "services"),
            Self::NetworkPolicy => ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
            Self::Deployment => ("apps", "Deployment", "deployments"),
            Self::DaemonSet => ("apps", "DaemonSet", "daemonsets"),
            Self::ServiceMonitor => (PROMETHEUS, "ServiceMonitor", "servicemonitors"),
            Self::PodMonitor => (PROMETHEUS, "PodMonitor", "podmonitors"),
            Self::ValidatingWebhookConfiguration => (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
            ),
        }
    }
}

impl Key {
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.names().1, self.name)
    }
}

impl Object {
    /// Puts type and metadata in front of `body`, and drops what is null in it: a renderer writes
    /// an optional field as an `Option` and need not branch.
    pub(crate) fn new(kind: Kind, name: &str, mut metadata: Value, body: Value) -> Self {
        let ApiResource {
            api_version,
            kind: type_name,
            ..
        } = kind.api_resource();
        metadata["name"] = name.into();
        let mut manifest = Map::new();
        manifest.insert("apiVersion".to_owned(), api_version.into());
        manifest.insert("kind".to_owned(), type_name.into());
        manifest.insert("metadata".to_owned(), metadata);
        if let Value::Object(body) = body {
            manifest.extend(body);
        }
        let mut manifest = Value::Object(manifest);
        drop_nulls(&mut manifest);
        Self {
            key: Key::new(kind, name),
            manifest,
        }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_are_dropped_at_every_depth() {
        let object = Object::new(
            Kind::Deployment,
            "controller",
            json!({ "labels": { "app": "metallb" } }),
            json!({ "spec": { "paused": null, "list": [{ "a": null, "b": 1 }], "empty": {} } }),
        );
        assert_eq!(
            object.manifest,
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": { "name": "controller", "labels": { "app": "metallb" } },
                "spec": { "list": [{ "b": 1 }], "empty": {} },
            })
        );
    }

    #[test]
    fn every_kind_is_listed_once_and_in_order() {
        assert!(Kind::ALL.is_sorted());
        assert_eq!(
            Kind::ALL.len(),
            1 + Kind::ValidatingWebhookConfiguration as usize
        );
    }
}
