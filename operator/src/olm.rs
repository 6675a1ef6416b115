//! What OLM is told where it runs the operator: whether it may put the next version in its place.
//!
//! OLM holds upgrades back while an `OperatorCondition` says so. An upgrade may be what mends
//! trouble, so trouble is no reason; only what an upgrade would leave half done is.

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use metallb_crds::names::PAUSED;
use metallb_crds::v1beta1::MetalLB;
use serde_json::{Value, json};

use crate::observed::is_switched_on;
use crate::render::FIELD_MANAGER;

/// Whether an upgrade is safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upgradeable {
    status: &'static str,
    reason: &'static str,
    message: String,
}

/// What to say, given the `MetalLB` object and what is left alone.
pub(crate) fn upgradeable(metallb: Option<&MetalLB>, unmanaged: &[String]) -> Upgradeable {
    let no = |reason, message: String| Upgradeable {
        status: "False",
        reason,
        message,
    };
    let after = "and would stay of this version after an upgrade of the operator";
    match metallb {
        Some(metallb) if is_switched_on(&metallb.metadata, PAUSED) => no(
            "Paused",
            format!(
                "MetalLB is paused {after}: take the annotation {PAUSED} off the MetalLB object"
            ),
        ),
        Some(_) if !unmanaged.is_empty() => no(
            "Unmanaged",
            format!(
                "{} is left alone, as the annotation metallb.io/unmanaged says, {after}",
                unmanaged.join(", ")
            ),
        ),
        _ => Upgradeable {
            status: "True",
            reason: "Upgradeable",
            message: String::new(),
        },
    }
}

/// Writes it into the `OperatorCondition`, unless it is there. OLM grants the right to that one.
pub(crate) async fn tell(
    client: &Client,
    namespace: &str,
    name: &str,
    what: &Upgradeable,
) -> kube::Result<()> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource());
    let seen = api.get(name).await?;
    let before = seen.data["spec"]["conditions"].as_array();
    let before = before.map(Vec::as_slice).unwrap_or_default();
    let Some(conditions) = changed(before, what, &Timestamp::now().to_string()) else {
        return Ok(());
    };
    let patch = json!({
        "metadata": { "resourceVersion": seen.metadata.resource_version },
        "spec": { "conditions": conditions },
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Merge(patch))
        .await
        .map(drop)
}

/// All conditions as they should be, if they are not so.
fn changed(before: &[Value], what: &Upgradeable, now: &str) -> Option<Vec<Value>> {
    let is_it = |it: &&Value| it["type"] == "Upgradeable";
    let old = before.iter().find(is_it).unwrap_or(&Value::Null);
    let message = old["message"].as_str().unwrap_or_default();
    if old["status"] == what.status && old["reason"] == what.reason && message == what.message {
        return None;
    }
    let since = match &old["lastTransitionTime"] {
        Value::String(since) if old["status"] == what.status => since.as_str(),
        _ => now,
    };
    let others = before.iter().filter(|it| !is_it(it)).cloned();
    let new = json!({
        "type": "Upgradeable",
        "status": what.status,
        "reason": what.reason,
        "message": what.message,
        "lastTransitionTime": since,
    });
    Some(others.chain([new]).collect())
}

fn resource() -> ApiResource {
    ApiResource {
        group: "operators.coreos.com".to_owned(),
        version: "v2".to_owned(),
        api_version: "operators.coreos.com/v2".to_owned(),
        kind: "OperatorCondition".to_owned(),
        plural: "operatorconditions".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metallb(annotations: &Value) -> MetalLB {
        let object = json!({
            "metadata": { "name": "metallb", "annotations": annotations },
            "spec": {},
            "status": { "conditions": [{
                "type": "Degraded", "status": "True", "reason": "CrashLooping", "message": "",
                "lastTransitionTime": "2026-11-28T19:16:54Z",
            }] },
        });
        serde_json::from_value(object).expect("a MetalLB")
    }

    #[test]
    fn trouble_holds_up_no_upgrade_and_a_pause_does() {
        let says = |metallb: Option<&MetalLB>, unmanaged: &[String]| {
            let it = upgradeable(metallb, unmanaged);
            (it.status, it.reason)
        };
        assert_eq!(says(None, &[]), ("True", "Upgradeable"));
        assert_eq!(
            says(Some(&metallb(&json!({}))), &[]),
            ("True", "Upgradeable"),
            "degraded"
        );
        let paused = metallb(&json!({ "metallb.io/paused": "true" }));
        assert_eq!(says(Some(&paused), &[]), ("False", "Paused"));
        let alone = ["DaemonSet speaker".to_owned()];
        assert_eq!(
            says(Some(&metallb(&json!({}))), &alone),
            ("False", "Unmanaged")
        );
        assert_eq!(says(None, &alone), ("True", "Upgradeable"));
    }

    #[test]
    fn the_condition_is_written_when_it_is_another() {
        let yes = upgradeable(None, &[]);
        let other = json!({ "type": "Other", "status": "True" });
        let first = changed(std::slice::from_ref(&other), &yes, "noon").expect("it is new");
        assert_eq!(first[0], other, "others stay");
        assert_eq!(first[1]["lastTransitionTime"], "noon");
        assert_eq!(changed(&first, &yes, "one"), None, "nothing new");
        let paused = metallb(&json!({ "metallb.io/paused": "true" }));
        let no = upgradeable(Some(&paused), &[]);
        let second = changed(&first, &no, "two").expect("it has changed");
        assert_eq!(second.len(), 2);
        assert_eq!(second[1]["status"], "False");
        assert_eq!(second[1]["lastTransitionTime"], "two");
        let again = Upgradeable {
            reason: "Unmanaged",
            ..no
        };
        let third = changed(&second, &again, "three").expect("another reason");
        assert_eq!(third[1]["lastTransitionTime"], "two", "it has not turned");
    }
}
