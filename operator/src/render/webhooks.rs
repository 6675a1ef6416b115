//! The webhooks of the configuration: the Service in front of the controller's pods, the Secret
//! that they keep their certificates in, and what sends the API server there.

use metallb_admission::{CONFIGURATION, PORT, SECRET, SERVICE, WEBHOOKS, Webhook};
use serde_json::{Value, json};

use super::{Component, Inputs, pod};
use crate::object::{Kind, Object};

/// How far the webhooks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Webhooks {
    /// Nobody answers, so the API server must not ask.
    None,
    /// The API server may ask, and goes on without an answer.
    Registered,
    /// There is no way around them.
    Required,
}

pub(super) fn render(inputs: &Inputs<'_>) -> Vec<Object> {
    let mut objects = vec![
        inputs.object(
            Kind::Service,
            Component::Controller,
            SERVICE,
            json!({
                "spec": {
                    "selector": pod::labels(Component::Controller),
                    "ports": [{ "name": "webhook", "port": 443, "targetPort": PORT }],
                },
            }),
        ),
        // What is in it is the controllers' to fill in, who then need no right to make Secrets:
        // whoever may make any can have the token of any account.
        inputs.object(
            Kind::Secret,
            Component::Controller,
            SECRET,
            json!({ "type": "Opaque" }),
        ),
    ];
    let policy = match inputs.webhooks {
        Webhooks::None => return objects,
        Webhooks::Registered => "Ignore",
        Webhooks::Required => "Fail",
    };
    let webhooks: Vec<Value> = WEBHOOKS
        .iter()
        .map(|it| webhook(it, &inputs.settings.namespace, policy))
        .collect();
    objects.push(inputs.object(
        Kind::ValidatingWebhookConfiguration,
        Component::Controller,
        CONFIGURATION,
        json!({ "webhooks": webhooks }),
    ));
    objects
}

/// No `caBundle`: that is the controllers' to fill in.
fn webhook(webhook: &Webhook, namespace: &str, policy: &str) -> Value {
    json!({
        "name": webhook.name,
        "clientConfig": {
            "service": { "namespace": namespace, "name": SERVICE, "path": webhook.path },
        },
        "rules": [{
            "apiGroups": [Webhook::GROUP],
            "apiVersions": [webhook.version],
            "resources": [webhook.resource],
            "operations": webhook.operations,
            // The API server's default. A list is compared as a whole: without it, each apply would
            // be a change.
            "scope": "*",
        }],
        "failurePolicy": policy,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    })
}
