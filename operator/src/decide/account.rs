//! Which account the pods of a workload belong to.

use serde_json::Value;

use crate::index::Index;
use crate::object::{Key, Kind, Object};

/// Has a workload say which `ServiceAccount` it means, not only by name; false if there is none
/// yet.
///
/// A pod's token ends with the account that it was made for, and the kubelet hands it out for an
/// hour nevertheless: after somebody has deleted the account, the pods are locked out although one
/// of that name is there again. So they are replaced when the account is another.
pub(super) fn bind(index: &Index, workload: &mut Object) -> bool {
    let template = &mut workload.manifest["spec"]["template"];
    let Some(name) = template["spec"]["serviceAccountName"].as_str() else {
        return true;
    };
    let account = index.operands.get(&Key::new(Kind::ServiceAccount, name));
    let Some(account) = account.filter(|account| !account.deleting) else {
        return false;
    };
    template["metadata"]["annotations"][ANNOTATION] = Value::from(account.uid.as_str());
    true
}

/// On pods: the uid of the `ServiceAccount` that their tokens are for.
pub(super) const ANNOTATION: &str = "metallb.io/service-account-uid";
