//! From a `MetalLB` object to everything that runs it: a pure function.

mod controller;
mod install;
mod monitors;
mod openshift;
mod pod;
mod policies;
mod rules;
mod shared;
mod speaker;
mod standalone;
mod webhooks;

pub(crate) use install::{
    ACCOUNT, Install, OPERATOR_DEPLOYMENT, WEBHOOK_SERVICE, install, namespace_of_speakers,
    registration,
};
pub(crate) use rules::{
    KUBE_PROXY, MEMBERLIST_SECRET, METRICS_TOKEN, OPERATOR_LEASE, OPERATOR_SECRET, Rule,
    operator_cluster, operator_namespaced, operator_needs, operator_observes,
};
pub(crate) use shared::MEMBERLIST_KEY;
pub(crate) use standalone::{MEMBERLIST_SECRET as STANDALONE_MEMBERLIST_SECRET, Part, Standalone};
pub(crate) use webhooks::Webhooks;

use metallb_crds::names::METALLB_NAME;
use metallb_crds::v1beta1::MetalLBSpec;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::object::{Kind, Object};
use crate::settings::Settings;

/// All that rendering depends on. The same inputs give the same objects.
#[derive(Clone, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) spec: &'a MetalLBSpec,
    /// Those in effect: what the spec says has taken the place of what the environment says.
    pub(crate) settings: &'a Settings,
    /// The `MetalLB` object's, to which namespaced operands belong; none where no operator runs,
    /// and whoever applies the objects keeps them.
    pub(crate) uid: Option<&'a str>,
    /// Where the API server is; nothing where that is not known.
    pub(crate) api_server: &'a BTreeSet<SocketAddr>,
    /// Speakers write for it, or something that they wrote is left.
    pub(crate) writes_for_frr_k8s: bool,
    /// The key in the memberlist Secret, if the Secret has one; it wins.
    pub(crate) existing_memberlist_key: Option<&'a [u8]>,
    /// Random bytes for a new key.
    pub(crate) fresh_memberlist_key: [u8; 16],
    /// The Secrets that BGPPeers name.
    pub(crate) password_secrets: &'a BTreeSet<String>,
    /// How far the webhooks are.
    pub(crate) webhooks: Webhooks,
    /// Version of the operands, for their labels.
    pub(crate) version: &'a str,
}

/// Which part of MetalLB an object belongs to, as its `component` label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    Controller,
    Speaker,
    /// Both.
    Shared,
}

/// Marks what belongs to the `MetalLB` object of one operator; its value is that operator's
/// namespace. What carries it, was applied by the operator and is not rendered is pruned.
pub(crate) const INVENTORY_LABEL: &str = "metallb.io/inventory";
/// Field manager of everything that is applied, as upstream's.
pub(crate) const FIELD_MANAGER: &str = "metallb-operator";

/// The objects that run MetalLB as `inputs` ask, in the order in which to apply them.
pub(crate) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    let mut objects = Vec::new();
    objects.extend(controller::render(inputs));
    objects.extend(speaker::render(inputs));
    objects.extend(shared::render(inputs));
    objects.extend(webhooks::render(inputs));
    objects.extend(openshift::render(inputs));
    objects.extend(policies::render(inputs));
    objects.extend(monitors::render(inputs));
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    objects
}

impl Component {
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Controller => Some("controller"),
            Self::Speaker => Some("speaker"),
            Self::Shared => None,
        }
    }
}

impl Inputs<'_> {
    /// An operand, with the metadata that all operands have.
    fn object(&self, kind: Kind, component: Component, name: &str, body: Value) -> Object {
        let mut metadata = json!({
            "labels": { "app": "metallb", "component": component.name() },
        });
        if kind.is_namespaced() {
            metadata["namespace"] = self.settings.namespace.as_str().into();
        }
        if let Some(uid) = self.uid {
            self.belongs_to_the_operator(kind, uid, &mut metadata);
        }
        Object::new(kind, name, metadata, body)
    }

    fn belongs_to_the_operator(&self, kind: Kind, uid: &str, metadata: &mut Value) {
        pod::merge(
            &mut metadata["labels"],
            json!({
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
                "app.kubernetes.io/version": self.version,
                INVENTORY_LABEL: self.settings.namespace,
            }),
        );
        if kind.is_namespaced() {
            // A cluster-scoped object cannot belong to a namespaced one; the finalizer of the
            // MetalLB object takes care of those.
            metadata["ownerReferences"] = json!([{
                "apiVersion": "metallb.io/v1beta1",
                "kind": "MetalLB",
                "name": METALLB_NAME,
                "uid": uid,
                "controller": true,
            }]);
        }
    }

    /// The Secret under which speakers seal their heartbeats. Upstream has another name for it
    /// where no operator runs.
    fn memberlist_secret(&self) -> &'static str {
        match self.uid {
            Some(_) => MEMBERLIST_SECRET,
            None => standalone::MEMBERLIST_SECRET,
        }
    }

    /// The account, the roles and the bindings of one component.
    fn account(
        &self,
        component: Component,
        name: &str,
        cluster: &[Rule],
        namespaced: &[Rule],
    ) -> [Object; 5] {
        let role = match (component, self.uid) {
            (Component::Speaker, None) => standalone::SPEAKER_ROLE,
            _ => name,
        };
        let cluster_name = rules::cluster_name(name);
        let binding = |role: Kind, role_name: &str| {
            json!({
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": role.names().1,
                    "name": role_name,
                },
                "subjects": [{
                    "kind": "ServiceAccount",
                    "name": name,
                    "namespace": self.settings.namespace,
                }],
            })
        };
        let object = |kind, name: &str, body| self.object(kind, component, name, body);
        [
            object(Kind::ServiceAccount, name, json!({})),
            object(
                Kind::ClusterRole,
                &cluster_name,
                json!({ "rules": cluster }),
            ),
            object(
                Kind::ClusterRoleBinding,
                &cluster_name,
                binding(Kind::ClusterRole, &cluster_name),
            ),
            object(Kind::Role, role, json!({ "rules": namespaced })),
            object(Kind::RoleBinding, role, binding(Kind::Role, role)),
        ]
    }
}

#[cfg(test)]
mod tests;
