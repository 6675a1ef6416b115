//! What speakers wrote for an FRR-K8s that somebody else runs goes when none of them is left that
//! would write it again, and not before: until then FRR keeps telling routers.
//!
//! And what MetalLB's own operator left goes when those are at work who replace it; its FRR-K8s on
//! one node after the other.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use metallb_crds::v1beta1::MetalLB;

use super::{Action, Plan};
use crate::index::Index;
use crate::object::{Key, Kind};
use crate::observed::Workload;
use crate::predecessor::frr::Turn;
use crate::predecessor::{FRR_K8S, LEFTOVERS, Leftover, ReplacedBy};
use crate::settings::Settings;

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
    if plan.actions.is_empty() && is_complete(index, Kind::DaemonSet, "speaker") {
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

/// Learns what MetalLB's own operator left, once. False if it is known.
pub(super) fn look_for_predecessors(index: &Index, metallb: &MetalLB, plan: &mut Plan) -> bool {
    let must = index.predecessors.is_none();
    let metallb = metallb.metadata.uid.clone().unwrap_or_default();
    plan.actions
        .extend(must.then_some(Action::LookForLeftovers { metallb }));
    must
}

/// Removes what others have replaced, once those are all of the newest form and nothing else is to
/// be done.
pub(super) fn predecessors_replaced(
    index: &Index,
    settings: &Settings,
    plan: &mut Plan,
    now: Instant,
    wall: Timestamp,
) {
    if !plan.actions.is_empty() || !is_complete(index, Kind::Deployment, "controller") {
        return;
    }
    let frr_is_over = frr_gives_way(index, settings, plan, now, wall);
    let all = frr_is_over && is_complete(index, Kind::DaemonSet, "speaker");
    let goes = |it: &Leftover| all || it.replaced_by == ReplacedBy::Controllers;
    plan.actions.extend(predecessors(index, goes));
}

/// Has its FRR-K8s end on one node after the other. True if it is on none that has a speaker.
fn frr_gives_way(
    index: &Index,
    settings: &Settings,
    plan: &mut Plan,
    now: Instant,
    wall: Timestamp,
) -> bool {
    let key = Key::new(Kind::DaemonSet, FRR_K8S);
    let left = index.predecessors.as_ref();
    if left.is_none_or(|left| !left.contains_key(&key)) {
        return true;
    }
    let Some(frr) = index.frr.as_ref().filter(|it| now < it.seen_at + LOOK) else {
        let image = settings.images.speaker.clone();
        plan.actions.push(Action::LookAtFrr { image });
        return false;
    };
    plan.wake_by(frr.seen_at + LOOK);
    match frr.turn(wall) {
        Turn::Of(node, awaited) => plan.actions.push(Action::EndFrr { node, awaited }),
        Turn::Waits(why) => plan.outlook.waits.push((key, why)),
        Turn::Over => return true,
    }
    false
}

/// Removes all of it, with the `MetalLB` object that it was made for.
pub(super) fn remove_predecessors(index: &Index, plan: &mut Plan) {
    plan.actions.extend(predecessors(index, |_| true));
}

fn predecessors(index: &Index, goes: impl Fn(&Leftover) -> bool) -> Vec<Action> {
    let Some(left) = &index.predecessors else {
        return Vec::new();
    };
    let mut deletions = Vec::new();
    for leftover in LEFTOVERS.iter().filter(|it| goes(it)) {
        let key = leftover.key();
        // What is ours by now is no leftover.
        let ours = index.operands.contains_key(&key);
        if let Some(uid) = left.get(&key).filter(|_| !ours) {
            let uid = uid.clone();
            deletions.push(Action::DeleteLeftover { key, uid });
        }
    }
    deletions
}

fn is_complete(index: &Index, kind: Kind, name: &str) -> bool {
    let operand = index.operands.get(&Key::new(kind, name));
    let workload = operand.and_then(|it| it.workload.as_ref());
    workload.is_some_and(Workload::is_complete)
}

/// How soon it is looked again how far FRR-K8s is.
const LOOK: Duration = Duration::from_secs(1);
