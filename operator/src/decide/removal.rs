//! How what was made for a `MetalLB` object goes with it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Resource as _;
use metallb_crds::names::PROTECT_ADDRESSES;
use metallb_crds::v1beta1::MetalLB;
use metallb_kit::watch::ObjectKey;

use super::{Action, Pace, Plan, is_held, is_leaving, leftovers};
use crate::index::Index;
use crate::object::Kind;
use crate::observed::is_switched_on;

/// Before anything goes; and again from time to time, while it is what everything waits for.
pub(super) fn must_count(index: &Index, metallb: &MetalLB, now: Instant) -> bool {
    match index.in_use {
        None => true,
        Some((_, at)) => is_protected(index, metallb) && at + RECOUNT <= now,
    }
}

/// Whether it was deleted, and is to stay in effect while addresses are in use, as some are.
pub(crate) fn is_protected(index: &Index, metallb: &MetalLB) -> bool {
    is_leaving(metallb)
        && is_switched_on(metallb.meta(), PROTECT_ADDRESSES)
        && index.in_use.is_some_and(|(count, _)| count > 0)
}

/// Nothing of it left. First what sends the API server to the pods; then the workloads, and their
/// pods with them, so that announcements end in good order while the rights for that are still
/// there; then the rest, rights last.
pub(super) fn remove(
    index: &Index,
    metallb: Option<&MetalLB>,
    pace: Pace,
    plan: &mut Plan,
    now: Instant,
    wall: Timestamp,
) {
    let mut left = index
        .inventory()
        .filter(|(key, _)| pace.minds(key))
        .peekable();
    let since = metallb.and_then(|metallb| metallb.meta().deletion_timestamp.as_ref());
    // The pods of a node that is down never report their end.
    let patient = since.is_some_and(|since| wall.as_second() - since.0.as_second() < PATIENCE);
    if left.peek().is_none() {
        // Another's API must not hold the object back for ever.
        let left = leftovers::look(index, plan) || leftovers::remove(index, plan);
        if metallb.is_some_and(|it| leftovers::look_for_predecessors(index, it, plan)) {
            return;
        }
        leftovers::remove_predecessors(index, plan);
        if left && (patient || metallb.is_none()) {
            plan.wake_by(now + LOOK_AGAIN);
            return;
        }
        if let Some(metallb) = metallb.filter(|metallb| is_held(metallb)) {
            let metallb = ObjectKey::of(metallb);
            plan.actions.push(Action::DeleteControllerLease);
            plan.actions.push(Action::SetFinalizer {
                metallb,
                hold: false,
            });
        }
        plan.actions.push(Action::Forget);
        return;
    }
    plan.wake_by(now + LOOK_AGAIN);
    let left: Vec<Kind> = left.map(|(key, _)| key.kind).collect();
    let stops = left.iter().any(|kind| kind.is_workload());
    let is_asked = left.contains(&Kind::ValidatingWebhookConfiguration);
    let of_this_stage = |kind: Kind| match (stops && patient, is_asked) {
        (false, _) => true,
        (true, true) => kind == Kind::ValidatingWebhookConfiguration,
        (true, false) => kind.is_workload(),
    };
    for (key, operand) in index.inventory().rev().filter(|(key, _)| pace.minds(key)) {
        if of_this_stage(key.kind) && !operand.deleting {
            plan.actions.push(Action::Delete {
                key: key.clone(),
                uid: operand.uid.clone(),
            });
        }
    }
}

/// While something is being removed: how often to look, should a request have failed.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How often to count the addresses in use, while that is what is waited for.
pub(super) const RECOUNT: Duration = Duration::from_secs(5);
/// How long pods may take to stop before their rights go, in seconds: the time they are given,
/// and as much again.
pub(super) const PATIENCE: i64 = 60;
