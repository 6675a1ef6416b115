//! From what is known to what should be done; nothing here does it.

mod account;
mod age;
mod leftovers;
mod plan;
mod removal;
mod rollout;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};
use metallb_admission::validate;
use metallb_crds::names::{METALLB_NAME, PAUSED};
use metallb_crds::v1beta1::{MetalLB, MetalLBSpec};
use metallb_kit::watch::ObjectKey;
use serde_json::Value;

use crate::index::{Due, Index};
use crate::object::{Key, Kind, Object};
use crate::observed::{FINALIZER, Operand, Workload, is_switched_on};
use crate::render::{Inputs, MEMBERLIST_SECRET, Webhooks, registration, render};
use crate::settings::Settings;
pub(crate) use plan::{Action, Outlook, Pace, Plan};
pub(crate) use removal::is_protected;
use removal::{LOOK_AGAIN, RECOUNT, must_count, remove};

/// The namespace and name of the one `MetalLB` object that counts.
pub(crate) fn own_key(settings: &Settings) -> ObjectKey {
    ObjectKey::new(&settings.namespace, METALLB_NAME)
}

/// The spec to keep in effect if later ones are not valid.
pub(crate) fn valid_spec<'a>(index: &'a Index, settings: &Settings) -> Option<&'a MetalLBSpec> {
    let spec = &index.metallbs.get(&own_key(settings))?.spec;
    validate(spec, settings.frr_k8s_namespace.as_deref())
        .is_ok()
        .then_some(spec)
}

/// Whether speakers may write for an FRR-K8s that somebody else runs.
pub(crate) fn speakers_write(index: &Index, settings: &Settings) -> bool {
    let metallb = index.metallbs.get(&own_key(settings));
    metallb.is_some_and(|it| !is_leaving(it))
        && index
            .last_valid
            .as_ref()
            .is_some_and(|spec| settings.is_external(spec))
}

/// What to do about objects.
pub(crate) fn decide(
    index: &Index,
    settings: &Settings,
    pace: Pace,
    now: Instant,
    wall: Timestamp,
) -> Plan {
    let own = own_key(settings);
    let mut plan = Plan::default();
    let metallb = index.metallbs.get(&own);
    plan.outlook.yields_to = metallb.and_then(|it| age::newer(it, crate::VERSION));
    if plan.outlook.yields_to.is_some() && pace == Pace::Thorough {
        return plan;
    }
    // A MetalLB that lost its place, as when the operator moved, must not be held back.
    for (key, metallb) in &index.metallbs {
        if *key != own && is_leaving(metallb) && is_held(metallb) {
            plan.actions.push(Action::SetFinalizer {
                metallb: key.clone(),
                hold: false,
            });
        }
    }
    if let Some(service) = &settings.webhook_service
        && pace == Pace::Thorough
    {
        let registration = registration(&settings.namespace, service);
        apply_if_due(index, registration, &mut plan, now);
    }
    match metallb {
        None => remove(index, None, pace, &mut plan, now, wall),
        Some(metallb)
            if pace == Pace::Thorough && is_leaving(metallb) && must_count(index, metallb, now) =>
        {
            plan.actions.push(Action::CountAddresses);
        }
        Some(metallb) if pace == Pace::Thorough && is_protected(index, metallb) => {
            plan.wake_by(now + RECOUNT);
            maintain(index, settings, metallb, &mut plan, now, wall);
        }
        Some(metallb) if is_leaving(metallb) || pace == Pace::Hurried => {
            remove(index, Some(metallb), pace, &mut plan, now, wall);
        }
        Some(metallb) => {
            maintain(index, settings, metallb, &mut plan, now, wall);
            // Trouble that is too young to be told now.
            let told_from = index
                .pods
                .values()
                .filter_map(|pod| pod.problem.as_ref()?.counts_from(wall));
            if let Some(from) = told_from.min() {
                plan.wake_by(now + Duration::try_from(from - wall).unwrap_or(LOOK_AGAIN));
            }
        }
    }
    let paused = metallb.is_some_and(|it| is_switched_on(it.meta(), PAUSED));
    if paused && pace == Pace::Thorough {
        plan.hold_back();
    }
    plan
}

/// Everything as the object wants it, and nothing else.
fn maintain(
    index: &Index,
    settings: &Settings,
    metallb: &MetalLB,
    plan: &mut Plan,
    now: Instant,
    wall: Timestamp,
) {
    let own = own_key(settings);
    if !is_held(metallb) {
        plan.actions.push(Action::SetFinalizer {
            metallb: own,
            hold: true,
        });
    }
    // An invalid edit leaves the last valid form in effect; without one, all stays as it is.
    let Some(spec) = &index.last_valid else {
        return;
    };
    if must_read_memberlist_key(index) {
        plan.actions.push(Action::ReadMemberlistKey);
        return;
    }
    if leftovers::look_for_predecessors(index, metallb, plan) {
        return;
    }
    let settings = &settings.under(spec);
    if !settings.is_external(spec) {
        leftovers::look(index, plan);
    }
    let objects = wanted(index, settings, metallb, spec, plan, now);
    let stale = stale(index, &objects)
        .map(|(key, operand)| Action::Delete {
            key: key.clone(),
            uid: operand.uid.clone(),
        })
        .collect::<Vec<_>>();
    for mut object in objects {
        // It is made as soon as there is a definition of it.
        if !index.serves(object.key.kind) {
            plan.outlook.unserved.insert(object.key.kind);
            continue;
        }
        // Pods without their account could not start. When it is there, that is news, and all is
        // decided anew.
        if !complete(index, &mut object) {
            continue;
        }
        let seen = index.operands.get(&object.key);
        if seen.is_some_and(|operand| operand.unmanaged) {
            continue;
        }
        if let Some(why) = rollout::waits(index, &plan.actions, &object) {
            plan.outlook.waits.push((object.key, why.to_owned()));
            continue;
        }
        apply_if_due(index, object, plan, now);
    }
    // What is not wanted goes last: what replaces it is there by then.
    plan.actions.extend(stale);
    leftovers::predecessors_replaced(index, settings, plan, now, wall);
    if !settings.is_external(spec) {
        leftovers::replaced(index, plan);
    }
}

/// All that there should be now for `spec`, as far as it depends on nothing but what is known.
pub(crate) fn wanted(
    index: &Index,
    settings: &Settings,
    metallb: &MetalLB,
    spec: &MetalLBSpec,
    plan: &mut Plan,
    now: Instant,
) -> Vec<Object> {
    render(&Inputs {
        spec,
        settings,
        uid: Some(metallb.meta().uid.as_deref().unwrap_or_default()),
        api_server: &index.api_server.addresses(),
        writes_for_frr_k8s: settings.is_external(spec)
            || index.frr_k8s.must_look()
            || index.frr_k8s.leftovers().next().is_some(),
        existing_memberlist_key: index.memberlist.existing.as_deref(),
        fresh_memberlist_key: index.memberlist.fresh,
        password_secrets: &index.password_secrets(),
        webhooks: webhooks(index, plan, now),
        version: crate::VERSION,
    })
}

/// What is there and is not in `objects`.
pub(crate) fn stale<'a>(
    index: &'a Index,
    objects: &[Object],
) -> impl Iterator<Item = (&'a Key, &'a Operand)> {
    index
        .inventory()
        .filter(|(_, operand)| !operand.deleting && !operand.unmanaged)
        .filter(|(key, _)| objects.iter().all(|o| o.key != **key))
}

/// Adds to a workload what depends on other operands; false if one of them is not there yet.
pub(crate) fn complete(index: &Index, object: &mut Object) -> bool {
    if !object.key.kind.is_workload() {
        return true;
    }
    let is_bound = account::bind(index, object);
    rollout::mark(object);
    is_bound
}

fn apply_if_due(index: &Index, object: Object, plan: &mut Plan, now: Instant) {
    let wanted = hash(&object.manifest);
    plan.outlook.wanted.insert(object.key.clone(), wanted);
    match index.due(&object.key, wanted, now) {
        Due::Not => {}
        Due::Now => {
            let repairs = index.was_applied(&object.key, wanted);
            plan.actions.push(Action::Apply {
                object,
                wanted,
                repairs,
            });
        }
        Due::At(at) => plan.wake_by(at),
    }
}

/// While nobody answers, the API server must not ask; while it does not trust whoever answers, it
/// must go on without an answer. So at no moment does the webhooks' registration keep people from
/// configuring `MetalLB`.
fn webhooks(index: &Index, plan: &mut Plan, now: Instant) -> Webhooks {
    if let Some(seen) = index.registration() {
        let Some(since) = index.callable_since else {
            return Webhooks::Registered;
        };
        if seen.required || since + ROUTED <= now {
            return Webhooks::Required;
        }
        plan.wake_by(since + ROUTED);
        return Webhooks::Registered;
    }
    let controller = index
        .operands
        .get(&Key::new(Kind::Deployment, "controller"))
        .and_then(|operand| operand.workload.as_ref());
    if controller.is_some_and(Workload::serves_as_wanted) {
        Webhooks::Registered
    } else {
        Webhooks::None
    }
}

/// Unknown yet, or somebody has edited the Secret, whose data wins.
fn must_read_memberlist_key(index: &Index) -> bool {
    if !index.memberlist.known {
        return true;
    }
    let secret = Key::new(Kind::Secret, MEMBERLIST_SECRET);
    let Some(seen) = index
        .operands
        .get(&secret)
        .filter(|operand| !operand.deleting)
    else {
        return false;
    };
    !index.is_as_applied(&secret, seen)
        && index.memberlist.read_at.as_ref() != Some(&seen.fingerprint)
}

/// Whether it was deleted and waits for finalizers.
pub(crate) fn is_leaving(metallb: &MetalLB) -> bool {
    metallb.meta().deletion_timestamp.is_some()
}

/// Whether our finalizer is on it.
pub(crate) fn is_held(metallb: &MetalLB) -> bool {
    metallb
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER)
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

/// How long it takes at most until a pod that has become ready can be reached from every node, the
/// API server's too.
const ROUTED: Duration = Duration::from_secs(3);
#[cfg(test)]
mod tests;
