//! What speakers wrote for an FRR-K8s that somebody else runs goes when none of them is left that
//! would write it again, and not before: until then FRR keeps telling routers.

use super::{Action, Plan};
use crate::index::Index;
use crate::object::{Key, Kind};
use crate::observed::Workload;

/// Learns what there is, which does not change while no speaker writes. False if it is known.
pub(super) fn look(index: &Index, plan: &mut Plan) -> bool {
    let must = index.frr_k8s.must_look();
    plan.actions
        .extend(must.then_some(Action::LookForFrrConfigurations));
    must
}

/// Removes it once nothing else is to be done, and every speaker is one of those that speak BGP
/// themselves.
pub(super) fn replaced(index: &Index, plan: &mut Plan) {
    let speaker = index.operands.get(&Key::new(Kind::DaemonSet, "speaker"));
    let workload = speaker.and_then(|it| it.workload.as_ref());
    if plan.actions.is_empty() && workload.is_some_and(Workload::is_complete) {
        remove(index, plan);
    }
}

/// Removes it. False if there is nothing, as far as is known.
pub(super) fn remove(index: &Index, plan: &mut Plan) -> bool {
    let left = index.frr_k8s.leftovers();
    let deletions = left.map(|(key, uid)| Action::DeleteFrrConfiguration {
        key: key.clone(),
        uid: uid.clone(),
    });
    let before = plan.actions.len();
    plan.actions.extend(deletions);
    before < plan.actions.len()
}
