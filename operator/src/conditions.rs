//! What the operator says of a `MetalLB` object: four conditions, in upstream's order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::frr_k8s::Unused;
use crate::observed::{Pod, Problem, Workload};

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
    /// It is in effect.
    InEffect(Health<'a>),
}

/// What the conditions of the object in effect are made from.
#[derive(Clone, Debug)]
pub(crate) struct Health<'a> {
    /// Why the spec is not in effect.
    pub(crate) invalid: Option<String>,
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
    /// What users wrote and has no effect.
    pub(crate) unused: Unused,
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

/// The conditions for `standing`. One whose status is as in `before` keeps its date.
pub(crate) fn conditions(
    standing: &Standing<'_>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    [AVAILABLE, UPGRADEABLE, PROGRESSING, DEGRADED]
        .into_iter()
        .zip(standing.verdicts())
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
        .collect()
}

/// Whether the condition `type_` is true in `conditions`.
pub(crate) fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == type_ && condition.status == "True")
}

impl Standing<'_> {
    /// Available, Upgradeable, Progressing, Degraded.
    fn verdicts(&self) -> [Verdict; 4] {
        match self {
            Self::Ignored { reason, message } => [
                Verdict::no(reason, ""),
                Verdict::no(reason, ""),
                Verdict::no(PROGRESSING, ""),
                Verdict::yes(reason, message),
            ],
            Self::Leaving { message } => [
                Verdict::no("Deleting", message),
                Verdict::no("Deleting", message),
                Verdict::yes("Deleting", message),
                Verdict::no(DEGRADED, ""),
            ],
            Self::InEffect(health) => health.verdicts(),
        }
    }
}

impl Health<'_> {
    fn verdicts(&self) -> [Verdict; 4] {
        let progress = self.progress();
        let complete = self
            .workloads
            .iter()
            .all(|(_, w)| w.is_some_and(Workload::is_complete));
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
            let more = self.unused.notes.iter().map(|note| format!("; {note}"));
            Verdict::yes(
                AVAILABLE,
                &(progress + &self.engine() + &more.collect::<String>()),
            )
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
            None => Verdict::yes(UPGRADEABLE, ""),
        };
        [available, upgradeable, progressing, degraded]
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
        self.workloads.iter().map(of).collect::<Vec<_>>().join("; ")
    }

    /// The gravest thing that needs somebody's attention.
    fn degraded(&self) -> Verdict {
        if let Some(invalid) = &self.invalid {
            return Verdict::yes("InvalidConfiguration", invalid);
        }
        if !self.failures.is_empty() {
            return Verdict::yes("ApplyFailed", &capped(&self.failures));
        }
        if self.lacks_frr_k8s {
            return Verdict::yes("FRRK8sNotInstalled", NO_FRR_K8S);
        }
        for (name, workload) in &self.workloads {
            if let Some(complaint) = workload.and_then(|workload| workload.complaint.as_ref()) {
                return Verdict::yes("PodsRefused", &format!("{name}: {complaint}"));
            }
        }
        let mut problems: BTreeMap<(&str, &Problem), Vec<&str>> = BTreeMap::new();
        for pod in self.pods.values() {
            if let Some(problem) = &pod.problem
                && problem.counts_from(self.now).is_none()
            {
                problems
                    .entry((&pod.component, problem))
                    .or_default()
                    .push(&pod.name);
            }
        }
        let Some(((_, first), _)) = problems.first_key_value() else {
            return self.unused();
        };
        let reason = if first.is_image_pull() {
            "ImagePullFailed"
        } else if first.is_crash_loop() {
            "CrashLooping"
        } else {
            "PodsNotStarting"
        };
        let lines: Vec<String> = problems
            .iter()
            .map(|((component, problem), pods)| {
                let more = match pods.len() {
                    1 => String::new(),
                    n => format!(" and {} more", n - 1),
                };
                let detail = match problem.message.as_str() {
                    "" => String::new(),
                    message => format!(": {message}"),
                };
                format!(
                    "{component}: {} in {}{more}{detail}",
                    problem.reason, pods[0]
                )
            })
            .collect();
        Verdict::yes(reason, &capped(&lines))
    }

    fn unused(&self) -> Verdict {
        match self.unused.stops[..] {
            [] => Verdict::no(DEGRADED, ""),
            ref lines => Verdict::yes("UserConfigurationUnused", &lines.join("; ")),
        }
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

/// The first few lines; who has more trouble than that reads the log.
fn capped(lines: &[String]) -> String {
    let first = lines
        .iter()
        .take(MOST)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    match lines.len() {
        n if n > MOST => format!("{first}; and {} more", n - MOST),
        _ => first,
    }
}

const MOST: usize = 3;
const NO_FRR_K8S: &str = "bgpBackend frr-k8s-external: routers are told nothing, as the cluster has \
    no definition of FRRConfigurations. Install FRR-K8s, or choose another bgpBackend";

#[cfg(test)]
mod tests;
