//! In which order a change reaches the pods: the controllers first, and the speakers when the new
//! controllers do their work. What others need (rights, Secrets, settings) is applied before both,
//! by the order of kinds.

use serde_json::Value;

use super::{Action, hash};
use crate::index::Index;
use crate::object::{Key, Kind, Object};
use crate::observed::{TEMPLATE_HASH, Workload};

/// Has a workload say which form its pods have, so that the next operator too can tell a change of
/// it from a repair.
pub(super) fn mark(workload: &mut Object) {
    let form = format!("{:016x}", hash(&workload.manifest["spec"]["template"]));
    workload.manifest["metadata"]["annotations"][TEMPLATE_HASH] = Value::from(form);
}

/// Why `workload` may not be applied yet. `actions` are those before it.
///
/// What is made for the first time waits for nobody, so that all comes up at once. What somebody
/// has edited or deleted is repaired at once: it is no step of a rollout.
pub(super) fn waits(index: &Index, actions: &[Action], workload: &Object) -> Option<&'static str> {
    let seen = index.operands.get(&workload.key)?;
    let form = &workload.manifest["metadata"]["annotations"][TEMPLATE_HASH];
    if workload.key.kind != Kind::DaemonSet || seen.template.as_deref() == form.as_str() {
        return None;
    }
    let key = Key::new(Kind::Deployment, "controller");
    let controller = index.operands.get(&key);
    if controller.is_some_and(|it| it.unmanaged) {
        return None;
    }
    let changes = actions
        .iter()
        .any(|action| matches!(action, Action::Apply { object, .. } if object.key == key));
    let serves = controller
        .filter(|it| !changes && index.is_as_applied(&key, it))
        .and_then(|it| it.workload.as_ref())
        .is_some_and(Workload::serves_as_wanted);
    (!serves).then_some("waits until the controllers are new and ready")
}
