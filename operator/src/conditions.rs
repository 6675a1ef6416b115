//! What the operator says of a `MetalLB` object: upstream's four conditions, in its order, then
//! those that kstatus and people read.

mod trouble;

pub(crate) use trouble::older;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use metallb_config::Advice;

use crate::frr_k8s::Unused;
use crate::object::Kind;
use crate::observed::{Pod, Workload};

/// How things stand with one `MetalLB` object.
#[derive(Clone, Debug)]
pub(crate) enum Standing<'a> {
    /// It is not the one that counts.
    Ignored {
        reason: &'static str,
        message: String,
    },
    /// It is being removed.
    Leaving { message: String },
    /// The operator may not see what it would have to.
    Locked {
        message: String,
        /// As it was said to be before.
        available: bool,
    },
    /// It is in effect.
    InEffect(Box<Health<'a>>),
}

/// What the conditions of the object in effect are made from.
#[derive(Clone, Debug)]
pub(crate) struct Health<'a> {
    /// The version of a newer operator, which this one leaves everything to.
    pub(crate) yields_to: Option<&'a str>,
    /// Why the spec is not in effect.
    pub(crate) invalid: Option<String>,
    /// What the operator may not do and would have to.
    pub(crate) forbidden: &'a [String],
    /// Classes that pods should be of and that there are not.
    pub(crate) missing_classes: Vec<String>,
    /// What somebody should know of the configuration, once that is known.
    pub(crate) advice: Option<Vec<Advice>>,
    /// What could not be applied, and why.
    pub(crate) failures: Vec<String>,
    /// The workloads that there should be, by name.
    pub(crate) workloads: [(&'static str, Option<&'a Workload>); 2],
    pub(crate) pods: &'a BTreeMap<String, Pod>,
    /// The BGP backend that the spec asks for.
    pub(crate) bgp_backend: Option<&'a str>,
    /// Where the FRR-K8s is that somebody else runs.
    pub(crate) frr_k8s_namespace: Option<&'a str>,
    /// It is to speak BGP, and is not there.
    pub(crate) lacks_frr_k8s: bool,
    /// What was asked for and cannot be made, since the cluster does not have its kind.
    pub(crate) unserved: &'a BTreeSet<Kind>,
    /// What users wrote and has no effect.
    pub(crate) unused: Unused,
    /// Steps of a rollout that wait for others, in words.
    pub(crate) waits: Vec<String>,
    /// Where nothing may be changed: what would be.
    pub(crate) held_back: Option<&'a [String]>,
    /// What is left alone because its annotation says so.
    pub(crate) unmanaged: &'a [String],
    /// The definitions of MetalLB's that somebody has deleted.
    pub(crate) missing_definitions: &'a [String],
    /// The cluster's definition of `MetalLB` lacks fields that we write.
    pub(crate) definition_is_old: bool,
    /// Whether the Available condition was true before.
    pub(crate) was_available: bool,
    pub(crate) now: Timestamp,
}

/// One condition, without its dates.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    holds: bool,
    reason: &'static str,
    message: String,
}

pub(crate) const AVAILABLE: &str = "Available";
pub(crate) const UPGRADEABLE: &str = "Upgradeable";
pub(crate) const PROGRESSING: &str = "Progressing";
pub(crate) const DEGRADED: &str = "Degraded";
/// Everything is as asked and nothing needs attention.
pub(crate) const READY: &str = "Ready";
/// It is not there yet, and gets there by itself. Only while that is so, as kstatus has it.
pub(crate) const RECONCILING: &str = "Reconciling";
/// Somebody has to do something. Only while that is so.
pub(crate) const STALLED: &str = "Stalled";
/// Nothing is changed. Only while that is so.
pub(crate) const PAUSED: &str = "Paused";
/// Something that others have to install first was asked for. Nothing waits for it. Only while that
/// is so.
pub(crate) const NOT_INSTALLED: &str = "NotInstalled";

/// It works, and does not do what somebody may expect. Only while that is so.
pub(crate) const WARNING: &str = "Warning";

/// All that there are.
pub(crate) const CONDITIONS: [&str; 9] = [
    AVAILABLE,
    UPGRADEABLE,
    PROGRESSING,
    DEGRADED,
    READY,
    RECONCILING,
    STALLED,
    PAUSED,
    WARNING,
];

/// The conditions for `standing`. One whose status is as in `before` keeps its date.
pub(crate) fn conditions(
    standing: &Standing<'_>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    // What was warned of before the operator has started holds until it knows better.
    let warning = before
        .iter()
        .filter(|it| it.type_ == WARNING && standing.knows_no_warning())
        .cloned();
    standing
        .verdicts()
        .into_iter()
        .map(
            |(
                type_,
                Verdict {
                    holds,
                    reason,
                    message,
                },
            )| {
                let status = if holds { "True" } else { "False" };
                let same = before
                    .iter()
                    .find(|c| c.type_ == type_ && c.status == status);
                Condition {
                    type_: type_.to_owned(),
                    status: status.to_owned(),
                    reason: reason.to_owned(),
                    message,
                    observed_generation: generation,
                    last_transition_time: same.map_or_else(
                        // Kubernetes' own clocks tell seconds.
                        || Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
                        |condition| condition.last_transition_time.clone(),
                    ),
                }
            },
        )
        .chain(warning)
        .collect()
}

/// Whether the condition `type_` is true in `conditions`.
pub(crate) fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == type_ && condition.status == "True")
}

impl Standing<'_> {
    /// Whether it is not known yet what there is to warn of.
    fn knows_no_warning(&self) -> bool {
        match self {
            Self::Locked { .. } => true,
            Self::InEffect(health) => health.advice.is_none(),
            Self::Ignored { .. } | Self::Leaving { .. } => false,
        }
    }

    /// Each condition with what is to be said of it, in order.
    fn verdicts(&self) -> Vec<(&'static str, Verdict)> {
        let mut not_installed = None;
        let (legacy, ready, paused, warning) = match self {
            Self::Ignored { reason, message } => (
                [
                    Verdict::no(reason, ""),
                    Verdict::no(reason, ""),
                    Verdict::no(PROGRESSING, ""),
                    Verdict::yes(reason, message),
                ],
                Verdict::no(reason, message),
                None,
                None,
            ),
            Self::Locked { message, available } => {
                let forbidden = || Verdict::no(FORBIDDEN, message);
                let degraded = Verdict::yes(FORBIDDEN, message);
                let available = if *available {
                    Verdict::yes(AVAILABLE, "as last seen")
                } else {
                    forbidden()
                };
                let legacy = [
                    available,
                    forbidden(),
                    Verdict::no(PROGRESSING, ""),
                    degraded,
                ];
                (legacy, forbidden(), None, None)
            }
            Self::Leaving { message } => (
                [
                    Verdict::no("Deleting", message),
                    Verdict::no("Deleting", message),
                    Verdict::yes("Deleting", message),
                    Verdict::no(DEGRADED, ""),
                ],
                Verdict::no("Deleting", message),
                None,
                None,
            ),
            Self::InEffect(health) => {
                let legacy = health.verdicts();
                let ready = health.ready(&legacy);
                not_installed = health.not_installed();
                (legacy, ready, health.paused(), health.warning())
            }
        };
        let [_, _, progressing, degraded] = &legacy;
        let more = if degraded.holds {
            Some((STALLED, degraded.clone()))
        } else if paused.is_none() && progressing.holds {
            Some((RECONCILING, progressing.clone()))
        } else {
            None
        };
        [AVAILABLE, UPGRADEABLE, PROGRESSING, DEGRADED]
            .into_iter()
            .zip(legacy)
            .chain([(READY, ready)])
            .chain(more)
            .chain(paused.map(|it| (PAUSED, it)))
            .chain(warning.map(|it| (WARNING, it)))
            .chain(not_installed.map(|it| (NOT_INSTALLED, it)))
            .collect()
    }
}

impl Health<'_> {
    /// Available, Upgradeable, Progressing, Degraded.
    fn verdicts(&self) -> [Verdict; 4] {
        let progress = self.progress();
        let complete = self.is_complete();
        let works = self
            .workloads
            .iter()
            .all(|(_, w)| w.is_some_and(Workload::works));

        let degraded = self.degraded();
        // A valid change that is not out yet, for whatever reason, is still on its way.
        let progressing = if complete {
            Verdict::no(PROGRESSING, "")
        } else {
            Verdict::yes(PROGRESSING, &progress)
        };
        // As upstream: available is who has everything up. But who was available stays so while
        // there is somebody left to do the work, as in a rolling update or when a node is down.
        let available = if complete || (self.was_available && works) {
            Verdict::yes(AVAILABLE, &(progress + &self.engine() + &self.notes()))
        } else {
            let cause = if degraded.holds {
                &degraded
            } else {
                &progressing
            };
            Verdict::no(cause.reason, &cause.message)
        };
        let upgradeable = match [&degraded, &progressing].into_iter().find(|v| v.holds) {
            Some(cause) => Verdict::no(cause.reason, &cause.message),
            None => self.upgradeable(),
        };
        [available, upgradeable, progressing, degraded]
    }

    /// All that was asked for is there and does its work.
    pub(crate) fn is_complete(&self) -> bool {
        let mut workloads = self.workloads.iter();
        self.waits.is_empty() && workloads.all(|(_, w)| w.is_some_and(Workload::is_complete))
    }

    /// An upgrade would leave behind what may not be changed.
    fn upgradeable(&self) -> Verdict {
        if self.held_back.is_some() {
            return Verdict::no(PAUSED, BY_ANNOTATION);
        }
        match self.unmanaged {
            [] => Verdict::yes(UPGRADEABLE, ""),
            objects => Verdict::no("Unmanaged", &unmanaged(objects)),
        }
    }

    fn ready(&self, [available, _, progressing, degraded]: &[Verdict; 4]) -> Verdict {
        if let Some(cause) = [degraded, progressing].into_iter().find(|it| it.holds) {
            return Verdict::no(cause.reason, &cause.message);
        }
        match self.paused() {
            Some(paused) if self.held_back.is_some_and(|it| !it.is_empty()) => {
                Verdict::no(PAUSED, &paused.message)
            }
            _ => Verdict::yes(READY, &available.message),
        }
    }

    /// What would be done, were it not for the pause.
    fn paused(&self) -> Option<Verdict> {
        let would = match self.held_back? {
            [] => "Everything is as asked".to_owned(),
            actions => format!("Without it: {}", capped(actions)),
        };
        Some(Verdict::yes(PAUSED, &format!("{BY_ANNOTATION}. {would}")))
    }

    /// Of what somebody should know, the gravest gives the reason.
    fn warning(&self) -> Option<Verdict> {
        let advice = self.advice.as_ref()?;
        let first = advice.first()?;
        let lines: Vec<String> = advice.iter().map(Advice::to_string).collect();
        Some(Verdict::yes(
            first.reason,
            &capped_at(&lines, MOST_WARNINGS),
        ))
    }

    /// What the cluster has to have first.
    fn not_installed(&self) -> Option<Verdict> {
        let of_prometheus = [Kind::ServiceMonitor, Kind::PodMonitor];
        let (kind, reason, what_to_do) = match self.unserved.first()? {
            kind if of_prometheus.contains(kind) => (
                kind,
                "PrometheusOperatorNotInstalled",
                "install the Prometheus operator, or do without (spec.monitoring.type: None)",
            ),
            kind => (
                kind,
                "DefinitionNotInstalled",
                "this is no OpenShift as it should be",
            ),
        };
        let message = format!(
            "no {} is made, since the cluster has no definition {}: {what_to_do}. All else goes on, \
             and it is made as soon as there is one",
            kind.names().1,
            kind.definition().unwrap_or_default(),
        );
        Some(Verdict::yes(reason, &message))
    }

    /// What is no trouble and should be known.
    fn notes(&self) -> String {
        let alone = (!self.unmanaged.is_empty()).then(|| unmanaged(self.unmanaged));
        let missing = self.not_installed().map(|it| it.message);
        let notes = self.unused.notes.iter().chain(&alone).chain(&missing);
        notes.fold(String::new(), |all, note| all + "; " + note)
    }

    /// What becomes of a wish for a program that is not there.
    fn engine(&self) -> String {
        match self.bgp_backend {
            None | Some("" | "native") => String::new(),
            Some("frr-k8s-external") => format!(
                "; bgpBackend frr-k8s-external: the FRR-K8s in namespace {} speaks BGP, as the \
                 FRRConfigurations metallb-NODE there say",
                self.frr_k8s_namespace.unwrap_or_default()
            ),
            Some(backend) => format!(
                "; bgpBackend {backend}: the speaker speaks BGP itself, with the defaults of {backend}"
            ),
        }
    }

    /// How many pods of each workload do their work.
    fn progress(&self) -> String {
        let of = |(name, workload): &(&str, Option<&Workload>)| match workload {
            None => format!("{name}: not there yet"),
            Some(w) if !w.observed => format!("{name}: just changed"),
            Some(w) if w.desired == 0 => format!("{name}: no node to run on"),
            Some(w) if w.updated < w.desired => {
                format!(
                    "{name}: {} of {} ready, {} updated",
                    w.ready, w.desired, w.updated
                )
            }
            Some(w) => format!("{name}: {} of {} ready", w.ready, w.desired),
        };
        let workloads = self.workloads.iter().map(of);
        let all = workloads.chain(self.waits.iter().cloned());
        all.collect::<Vec<_>>().join("; ")
    }
}

impl Verdict {
    fn yes(reason: &'static str, message: &str) -> Self {
        Self {
            holds: true,
            reason,
            message: message.to_owned(),
        }
    }

    fn no(reason: &'static str, message: &str) -> Self {
        Self {
            holds: false,
            reason,
            message: message.to_owned(),
        }
    }
}

fn unmanaged(objects: &[String]) -> String {
    format!(
        "left alone, as the annotation metallb.io/unmanaged says: {}",
        capped(objects)
    )
}

/// What the operator lacks, all of it, and where to get it.
pub(crate) fn lacks(rights: &[String]) -> String {
    format!(
        "the operator lacks rights, to: {}. Apply the manifest of its version, which grants them; \
         it goes on by itself",
        rights.join("; ")
    )
}

/// The first few lines; who has more trouble than that reads the log.
fn capped(lines: &[String]) -> String {
    capped_at(lines, MOST)
}

fn capped_at(lines: &[String], most: usize) -> String {
    let first = lines
        .iter()
        .take(most)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    match lines.len() {
        n if n > most => format!("{first}; and {} more", n - most),
        _ => first,
    }
}

const MOST: usize = 3;
/// They are of many kinds, and each has another to mend it.
const MOST_WARNINGS: usize = 8;
const FORBIDDEN: &str = "Forbidden";
/// Why nothing happens.
pub(crate) const BY_ANNOTATION: &str =
    "Nothing is changed while the annotation metallb.io/paused is there";

#[cfg(test)]
mod tests;
