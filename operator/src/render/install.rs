//! The manifest that installs the operator itself: CRDs, rights and its Deployment.

use metallb_admission::{METALLB_PATH, METALLB_WEBHOOK, OPERATOR_CONFIGURATION, PORT, Webhook};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, openshift, pod, rules};
use crate::object::{Kind, Object};

/// What the install manifest depends on.
#[derive(Clone, Debug)]
pub(crate) struct Install<'a> {
    pub(crate) namespace: &'a str,
    /// The one image of operator, controller and speaker.
    pub(crate) image: &'a str,
    pub(crate) version: &'a str,
}

/// Everything to `kubectl apply`, in order.
pub(crate) fn install(install: &Install<'_>) -> Vec<Value> {
    let mut documents = vec![namespace_of_speakers(install.namespace)];
    documents.extend(metallb_crds::all());
    let (cluster, namespaced) = (rules::operator_cluster(), rules::operator_namespaced());
    documents.extend(
        [
            install.object(Kind::ServiceAccount, ACCOUNT, json!({})),
            install.object(Kind::ClusterRole, ROLE, json!({ "rules": cluster })),
            install.object(
                Kind::ClusterRoleBinding,
                BINDING,
                install.binding(Kind::ClusterRole),
            ),
            install.object(Kind::Role, ROLE, json!({ "rules": namespaced })),
            install.object(Kind::RoleBinding, BINDING, install.binding(Kind::Role)),
            install.webhook_service(),
            install.object(Kind::Deployment, OPERATOR_DEPLOYMENT, install.deployment()),
            registration(install.namespace, WEBHOOK_SERVICE),
        ]
        .map(|object| object.manifest),
    );
    documents
}

/// Sends the API server to the operators in `namespace` for every `MetalLB` object. It is part of
/// the manifest, so that it goes with it, and kept by the operator, since a bundle of OLM's may not
/// have one.
///
/// Never is it waited for: what it refuses, the operator refuses as well when it comes to look, so
/// nothing depends on an answer. With `Fail`, an operator that is gone for good would leave behind
/// a `MetalLB` object that cannot lose its finalizer, and a namespace that cannot be deleted.
pub(crate) fn registration(namespace: &str, service: &str) -> Object {
    let address = json!({ "namespace": namespace, "name": service, "path": METALLB_PATH });
    // Not the version: whoever applies another manifest than the operator's own would clash.
    let metadata = json!({ "labels": { "app.kubernetes.io/name": FIELD_MANAGER } });
    let body = json!({
        "webhooks": [{
            "name": METALLB_WEBHOOK,
            // No caBundle: see kit::webhook.
            "clientConfig": { "service": address },
            "rules": [{
                "apiGroups": [Webhook::GROUP],
                "apiVersions": ["v1beta1"],
                "resources": ["metallbs"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                // The default, said since a list counts as a whole: without it a second server-side
                // apply of the manifest is a conflict with what the API server has made of it.
                "scope": "*",
            }],
            "failurePolicy": "Ignore",
            "timeoutSeconds": 5,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    });
    let kind = Kind::ValidatingWebhookConfiguration;
    Object::new(kind, OPERATOR_CONFIGURATION, metadata, body)
}

/// The Service in front of the operators' webhooks.
pub(crate) const WEBHOOK_SERVICE: &str = "metallb-operator-webhook-service";
/// The operator's own Deployment.
pub(crate) const OPERATOR_DEPLOYMENT: &str = "metallb-operator-controller-manager";
/// The operator's ServiceAccount.
pub(crate) const ACCOUNT: &str = "manager-account";
const ROLE: &str = "metallb-manager-role";
const BINDING: &str = "metallb-manager-rolebinding";
/// Port of `/healthz` and `/readyz`.
const PROBES: u16 = 8080;

/// The speaker uses its node's network, which Pod Security calls privileged.
pub(crate) fn namespace_of_speakers(namespace: &str) -> Value {
    let levels: serde_json::Map<String, Value> = ["enforce", "audit", "warn"]
        .map(|mode| {
            (
                format!("pod-security.kubernetes.io/{mode}"),
                "privileged".into(),
            )
        })
        .into_iter()
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": namespace, "labels": levels },
    })
}

impl Install<'_> {
    fn object(&self, kind: Kind, name: &str, body: Value) -> Object {
        let mut metadata = json!({
            "labels": {
                "app.kubernetes.io/name": FIELD_MANAGER,
                "app.kubernetes.io/version": self.version,
            },
        });
        if kind.is_namespaced() {
            metadata["namespace"] = self.namespace.into();
        }
        Object::new(kind, name, metadata, body)
    }

    fn binding(&self, role: Kind) -> Value {
        json!({
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": role.names().1,
                "name": ROLE,
            },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": ACCOUNT,
                "namespace": self.namespace,
            }],
        })
    }

    /// What is asked of the API server at `/convert` goes to every operator.
    pub(crate) fn webhook_service(&self) -> Object {
        let body = json!({
            "spec": {
                "selector": labels(),
                "ports": [{ "port": 443, "targetPort": PORT }],
            },
        });
        self.object(Kind::Service, WEBHOOK_SERVICE, body)
    }

    pub(crate) fn deployment(&self) -> Value {
        let labels = labels();
        json!({
            "spec": {
                "replicas": 2,
                "revisionHistoryLimit": 3,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels_of_pods() },
                    "spec": {
                        "serviceAccountName": ACCOUNT,
                        "terminationGracePeriodSeconds": 30,
                        "nodeSelector": { "kubernetes.io/os": "linux" },
                        "topologySpreadConstraints": [{
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "labelSelector": { "matchLabels": labels },
                        }],
                        // The image names its user, and OpenShift has one of its own for each namespace.
                        "securityContext": openshift::as_nobody(),
                        "containers": [{
                            "name": "manager",
                            "image": self.image,
                            "command": ["/operator"],
                            "args": ["--enable-leader-election", format!("--port={PROBES}")],
                            "env": [
                                pod::field_env("OPERATOR_NAMESPACE", "metadata.namespace"),
                                pod::field_env("METALLB_POD_NAME", "metadata.name"),
                                pod::env("CONTROLLER_IMAGE", self.image),
                                pod::env("SPEAKER_IMAGE", self.image),
                                pod::env("FRRK8S_EXTERNAL_NAMESPACE", "frr-k8s-system"),
                            ],
                            "ports": [
                                { "name": "probes", "containerPort": PROBES },
                                { "name": "webhook-server", "containerPort": PORT },
                            ],
                            "livenessProbe": pod::liveness(PROBES, None, None),
                            "readinessProbe": pod::readiness(PROBES, None, None),
                            "resources": { "requests": { "cpu": "10m", "memory": "20Mi" } },
                            "securityContext": pod::confined(&[]),
                        }],
                    },
                },
            },
        })
    }
}

fn labels() -> Value {
    json!({ "control-plane": "controller-manager" })
}

/// Many operators have that label. By this one, which no selector could be given any more, network
/// policies mean ours alone.
pub(super) fn labels_of_pods() -> Value {
    let mut labels = labels();
    labels["app.kubernetes.io/name"] = FIELD_MANAGER.into();
    labels
}
