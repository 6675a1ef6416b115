//! What is written into the status of each `MetalLB` object, and the Events beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use metallb_admission::{Misplaced, placed, validate};
use metallb_config::{ALL_NODES_EXCLUDED, Advice};
use metallb_crds::names::PROTECT_ADDRESSES;
use metallb_crds::v1beta1::{ComponentStatus, MetalLB, MetalLBSpec, MetalLBStatus, Versions};
use metallb_kit::watch::ObjectKey;

use crate::conditions::{
    AVAILABLE, BY_ANNOTATION, DEGRADED, Health, NOT_INSTALLED, PAUSED, READY, Standing, WARNING,
    conditions, is_true, lacks,
};
use crate::decide::{Outlook, is_leaving, is_protected};
use crate::frr_k8s;
use crate::index::Index;
use crate::object::{Key, Kind};
use crate::observed::{Workload, foreign_finalizers};
use crate::settings::{Images, Settings};

/// A status to write, because it differs from the one that is there.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) metallb: ObjectKey,
    pub(crate) status: MetalLBStatus,
    /// What has turned out so, for an Event.
    pub(crate) turns: Vec<Turn>,
}

/// Something about a `MetalLB` object that is worth an Event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) is_warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// What to write into statuses.
pub(crate) fn reports(
    index: &Index,
    settings: &Settings,
    outlook: &Outlook,
    wall: Timestamp,
) -> Vec<Report> {
    let unmanaged = index.unmanaged();
    let spec = index.last_valid.as_ref();
    let in_effect = spec.map_or_else(|| settings.clone(), |spec| settings.under(spec));
    let mut reports = Vec::new();
    for (key, metallb) in &index.metallbs {
        let before = metallb.status.clone().unwrap_or_default();
        let standing = match placed(key.namespace(), key.name(), &settings.namespace) {
            Err(misplaced) => ignored(&misplaced),
            // Not all can be seen that is decided from.
            Ok(()) if !index.missing().is_empty() => locked(index, &before),
            Ok(()) if is_leaving(metallb) => leaving(index, metallb, outlook),
            Ok(()) => {
                let health = health(index, settings, metallb, outlook, &unmanaged, wall);
                Standing::InEffect(Box::new(health))
            }
        };
        let generation = metallb.meta().generation;
        let mut status = match &standing {
            // It is the other's to say.
            Standing::InEffect(health) if health.yields_to.is_some() => before.clone(),
            Standing::Ignored { .. } => MetalLBStatus::default(),
            Standing::Locked { .. } => before.clone(),
            Standing::Leaving { .. } => what_is_left(index, &before),
            Standing::InEffect(health) => MetalLBStatus {
                versions: Some(versions(index, health, before.versions.as_ref())),
                bgp_backend: Some(settings.backend(&metallb.spec).to_owned()),
                platform: Some(settings.platform.to_string()),
                components: components(&in_effect.images, health, outlook),
                unmanaged: unmanaged.clone(),
                ..MetalLBStatus::default()
            },
        };
        status.conditions = conditions(&standing, &before.conditions, generation, wall);
        status.observed_generation = generation;
        if status != before {
            let mut turns = turns(&before, &status);
            turns.extend(farewell(index, &before, &status));
            reports.push(Report {
                metallb: key.clone(),
                turns,
                status,
            });
        }
    }
    reports
}

/// Of the rest nothing is known, and what was said of it stays.
fn locked(index: &Index, before: &MetalLBStatus) -> Standing<'static> {
    Standing::Locked {
        message: lacks(&index.rights.missing),
        available: is_true(&before.conditions, AVAILABLE),
    }
}

/// What the operator may not look at counts as well.
fn advice(index: &Index, spec: &MetalLBSpec) -> Option<Vec<Advice>> {
    let blind = &index.rights.blind;
    let lacks = (!blind.is_empty()).then(|| Advice {
        about: None,
        reason: "RightsMissing",
        text: format!("not all is looked at: {}", lacks(blind)),
    });
    let speaker = spec.speaker_config.as_ref();
    let excluded_count = speaker.and_then(|it| it.ignore_exclude_lb) == Some(true);
    let known = index.advice.as_ref()?.iter();
    let known = known.filter(|it| !(excluded_count && it.reason == ALL_NODES_EXCLUDED));
    Some(known.cloned().chain(lacks).collect())
}

/// Of workloads that are gone there is nothing to say.
fn what_is_left(index: &Index, before: &MetalLBStatus) -> MetalLBStatus {
    let mut status = before.clone();
    status.components.retain(|component| {
        let mut left = index.inventory().filter(|(key, _)| key.kind.is_workload());
        left.any(|(key, _)| Some(&key.name) == component.name.as_ref())
    });
    status
}

fn ignored(misplaced: &Misplaced) -> Standing<'static> {
    Standing::Ignored {
        reason: match misplaced {
            Misplaced::Name { .. } => "IncorrectMetalLBResourceName",
            Misplaced::Namespace { .. } => "WrongNamespace",
        },
        message: format!(
            "{misplaced}: this object is ignored. Create that one and delete this one."
        ),
    }
}

fn leaving(index: &Index, metallb: &MetalLB, outlook: &Outlook) -> Standing<'static> {
    let in_use = index.in_use.map_or(0, |(count, _)| count);
    if is_protected(index, metallb) {
        return Standing::Leaving {
            message: format!(
                "addresses in use: {in_use}. MetalLB goes on until none is, or until the \
                 annotation {PROTECT_ADDRESSES} is gone"
            ),
        };
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waits = Vec::new();
    for (key, operand) in index.inventory() {
        *left.entry(key.kind.names().2).or_default() += 1;
        if operand.deleting && !operand.finalizers.is_empty() {
            waits.push((key.to_string(), operand.finalizers.join(", ")));
        }
    }
    if left.is_empty() {
        let finalizers = foreign_finalizers(metallb.meta());
        waits.extend(
            (!finalizers.is_empty()).then(|| ("this object".to_owned(), finalizers.join(", "))),
        );
    }
    let left: Vec<String> = left.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let left = match left[..] {
        [] => "nothing".to_owned(),
        ref left => left.join(", "),
    };
    let waits = waits
        .into_iter()
        .map(|(what, finalizers)| format!("{what} waits for finalizers of others: {finalizers}"));
    let missed = (in_use > 0)
        .then(|| format!("addresses that were in use, which nobody answers for: {in_use}"));
    let paused = outlook.held_back.as_ref().map(|_| BY_ANNOTATION.to_owned());
    let all = paused
        .into_iter()
        .chain([format!("still to be removed: {left}")]);
    let message = all
        .chain(waits)
        .chain(missed)
        .collect::<Vec<_>>()
        .join("; ");
    Standing::Leaving { message }
}

fn health<'a>(
    index: &'a Index,
    settings: &'a Settings,
    metallb: &'a MetalLB,
    outlook: &'a Outlook,
    unmanaged: &'a [String],
    wall: Timestamp,
) -> Health<'a> {
    let workload = |kind, name: &'static str| -> (&'static str, Option<&'a Workload>) {
        let operand = index.operands.get(&Key::new(kind, name));
        let operand = operand.filter(|operand| !operand.deleting);
        (name, operand.and_then(|operand| operand.workload.as_ref()))
    };
    let status = metallb.status.as_ref();
    let before = status.map(|status| status.conditions.as_slice());
    let backend = settings.backend(&metallb.spec);
    Health {
        yields_to: outlook.yields_to.as_deref(),
        invalid: validate(&metallb.spec, settings.frr_k8s_namespace.as_deref())
            .err()
            .map(|invalid| invalid.to_string()),
        forbidden: &index.rights.missing,
        missing_classes: index.classes.missing(&metallb.spec),
        advice: advice(index, &metallb.spec),
        failures: index
            .failures(&outlook.wanted)
            .map(|(key, failure)| format!("{key}: {}", failure.message))
            .collect(),
        workloads: COMPONENTS.map(|(kind, name)| workload(kind, name)),
        pods: &index.pods,
        bgp_backend: if settings.is_external(&metallb.spec) {
            Some(backend)
        } else {
            metallb.spec.bgp_backend.as_deref()
        },
        frr_k8s_namespace: frr_k8s::namespace(&metallb.spec, settings.frr_k8s_namespace.as_deref()),
        lacks_frr_k8s: settings.is_external(&metallb.spec) && !index.frr_k8s.defined,
        unserved: &outlook.unserved,
        unused: frr_k8s::unused(&index.frr_k8s, metallb, backend),
        waits: outlook
            .waits
            .iter()
            .map(|(key, why)| format!("{} {why}", key.name))
            .collect(),
        held_back: outlook.held_back.as_deref(),
        unmanaged,
        missing_definitions: &index.missing_definitions,
        definition_is_old: index.definition_is_old,
        was_available: is_true(before.unwrap_or_default(), AVAILABLE),
        now: wall,
    }
}

/// Operands have a new version once all that was asked for runs.
fn versions(index: &Index, health: &Health<'_>, before: Option<&Versions>) -> Versions {
    let settled = COMPONENTS.iter().all(|&(kind, name)| {
        let key = Key::new(kind, name);
        let seen = index.operands.get(&key);
        seen.is_some_and(|seen| index.is_as_applied(&key, seen))
    });
    let operands = if settled && health.is_complete() {
        Some(crate::VERSION.to_owned())
    } else {
        before.and_then(|before| before.operands.clone())
    };
    Versions {
        operator: Some(crate::VERSION.to_owned()),
        operands,
    }
}

fn components(images: &Images, health: &Health<'_>, outlook: &Outlook) -> Vec<ComponentStatus> {
    let images = [&images.controller, &images.speaker];
    let all = COMPONENTS.into_iter().zip(images).zip(health.workloads);
    all.map(|(((kind, name), image), (_, workload))| {
        let waits = outlook.waits.iter().find(|(key, _)| key.name == name);
        ComponentStatus {
            kind: Some(kind.names().1.to_owned()),
            name: Some(name.to_owned()),
            image: Some(image.clone()),
            desired: workload.map(|it| it.desired),
            updated: workload.map(|it| it.updated),
            ready: workload.map(|it| it.ready),
            message: health
                .trouble_of(name)
                .or_else(|| waits.map(|(_, why)| why.clone())),
        }
    })
    .collect()
}

/// What changed that somebody may have waited for, or should have seen.
fn turns(before: &MetalLBStatus, after: &MetalLBStatus) -> Vec<Turn> {
    let is_new = |condition: &&Condition| {
        let same = before
            .conditions
            .iter()
            .find(|c| c.type_ == condition.type_);
        same.is_none_or(|b| b.status != condition.status || b.reason != condition.reason)
    };
    let told = [AVAILABLE, DEGRADED, PAUSED, NOT_INSTALLED, WARNING];
    let mut turns: Vec<Turn> = after
        .conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .filter(|condition| told.contains(&condition.type_.as_str()))
        .filter(is_new)
        .map(|condition| Turn {
            is_warning: [DEGRADED, NOT_INSTALLED, WARNING].contains(&&*condition.type_),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
        .collect();
    let normal = |reason: &str, message: String| Turn {
        is_warning: false,
        reason: reason.to_owned(),
        message,
    };
    if is_true(&before.conditions, PAUSED) && !is_true(&after.conditions, PAUSED) {
        turns.push(normal("Resumed", "Changes are made again".to_owned()));
    }
    let operands = |status: &MetalLBStatus| status.versions.clone()?.operands;
    if let (Some(old), Some(new)) = (operands(before), operands(after))
        && old != new
    {
        let message = format!("All of MetalLB runs version {new}, after {old}");
        turns.push(normal("Upgraded", message));
    }
    turns
}

/// That it goes, and who will miss it.
fn farewell(index: &Index, before: &MetalLBStatus, after: &MetalLBStatus) -> Option<Turn> {
    let goes = |status: &MetalLBStatus| {
        let mut conditions = status.conditions.iter();
        conditions.any(|it| it.type_ == READY && it.reason == "Deleting")
    };
    if goes(before) || !goes(after) {
        return None;
    }
    let in_use = index.in_use.map_or(0, |(count, _)| count);
    Some(match in_use {
        0 => Turn {
            is_warning: false,
            reason: "Deleting".to_owned(),
            message: "MetalLB is being removed; no address is in use".to_owned(),
        },
        _ => Turn {
            is_warning: true,
            reason: "AddressesInUse".to_owned(),
            message: format!(
                "MetalLB is being removed while addresses are in use: {in_use}. Services keep them \
                 in their statuses, and nobody answers for them"
            ),
        },
    })
}

/// The workloads, in the order in which they are changed.
const COMPONENTS: [(Kind, &str); 2] = [
    (Kind::Deployment, "controller"),
    (Kind::DaemonSet, "speaker"),
];
