//! What somebody else installed becomes the operator's.
//!
//! A field that its former installer still owns would stay when the operator does not want it: a
//! container beside the speaker, or a port. So that one's share is made the operator's before the
//! first apply, which then removes what it does not name. This is what `client-go` does under the
//! name of `csaupgrade`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use serde_json::{Map, Value, json};

use crate::object::Kind;
use crate::render::FIELD_MANAGER;

/// How the objects of a former installation are named as whose: MetalLB's own operator before it
/// applied (later it has our name), `kubectl` and Helm.
const INSTALLERS: [&str; 5] = [
    "manager",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl",
    "helm",
];

/// Whether an object of this kind can keep something of a former installer's. Roles and bindings
/// are lists that go as a whole; and to write one that grants more than the operator may would be
/// refused.
pub(super) fn can_keep_anything(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::ClusterRole | Kind::ClusterRoleBinding | Kind::Role | Kind::RoleBinding
    )
}

/// The patch that makes the former installers' share ours; none if there is no such share.
pub(super) fn patch(meta: &ObjectMeta, api_version: &str) -> Option<Value> {
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    let is_ours = |it: &&ManagedFieldsEntry| {
        it.manager.as_deref() == Some(FIELD_MANAGER)
            && it.operation.as_deref() == Some("Apply")
            && it.subresource.is_none()
    };
    let is_theirs = |it: &ManagedFieldsEntry| {
        it.manager
            .as_deref()
            .is_some_and(|manager| INSTALLERS.contains(&manager))
            && it.subresource.is_none()
            && it.api_version.as_deref() == Some(api_version)
    };
    let (theirs, others): (Vec<_>, Vec<_>) = entries.iter().partition(|it| is_theirs(it));
    if theirs.is_empty() {
        return None;
    }
    let mut fields = Value::Object(Map::new());
    for entry in theirs.into_iter().chain(entries.iter().filter(is_ours)) {
        merge(&mut fields, entry.fields_v1.as_ref().map(|it| &it.0));
    }
    let ours = ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: Some(api_version.to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        time: entries.iter().filter_map(|it| it.time.clone()).max(),
        subresource: None,
    };
    let others = others.into_iter().filter(|it| !is_ours(it));
    let entries: Vec<_> = [&ours].into_iter().chain(others).collect();
    Some(json!({ "metadata": {
        // What came in between is looked at anew.
        "resourceVersion": meta.resource_version,
        "managedFields": entries,
    } }))
}

/// Both sets of fields in one: each is a tree, whose leaves are empty.
fn merge(into: &mut Value, from: Option<&Value>) {
    let (Value::Object(into), Some(Value::Object(from))) = (into, from) else {
        return;
    };
    for (name, below) in from {
        let into = into.entry(name).or_insert_with(|| json!({}));
        merge(into, Some(below));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    }

    fn meta(entries: &[Value]) -> ObjectMeta {
        let meta = json!({ "resourceVersion": "7", "managedFields": entries });
        serde_json::from_value(meta).expect("metadata")
    }

    #[test]
    fn the_share_of_a_former_installer_is_added_to_ours_and_no_other() {
        let mut status = entry("manager", "Update", &json!({ "f:status": {} }));
        status["subresource"] = json!("status");
        let user = entry(
            "kubectl-edit",
            "Update",
            &json!({ "f:spec": { "f:z": {} } }),
        );
        let patch = patch(
            &meta(&[
                entry(
                    "manager",
                    "Update",
                    &json!({ "f:spec": { "f:a": {}, "f:b": { "f:c": {} } } }),
                ),
                entry(
                    FIELD_MANAGER,
                    "Apply",
                    &json!({ "f:spec": { "f:b": { "f:d": {} } } }),
                ),
                user.clone(),
                status.clone(),
            ]),
            "apps/v1",
        )
        .expect("there is a share");
        let both = json!({ "f:spec": { "f:a": {}, "f:b": { "f:c": {}, "f:d": {} } } });
        assert_eq!(
            patch["metadata"],
            json!({
                "resourceVersion": "7",
                "managedFields": [entry(FIELD_MANAGER, "Apply", &both), user, status],
            })
        );
    }

    #[test]
    fn what_nobody_installed_is_left_as_it_is() {
        let fields = json!({ "f:spec": {} });
        for entries in [
            &[][..],
            &[entry(FIELD_MANAGER, "Apply", &fields)],
            &[entry("kubectl-edit", "Update", &fields)],
        ] {
            assert_eq!(patch(&meta(entries), "apps/v1"), None);
        }
        let of_another_version = meta(&[entry("manager", "Update", &fields)]);
        assert_eq!(patch(&of_another_version, "v1"), None);
    }
}
