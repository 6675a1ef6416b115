//! What is wrong, the gravest first, in the words of those who know: the API server's, the
//! kubelet's, the program's own.

use std::collections::BTreeMap;

use metallb_crds::names::DOWNGRADE;

use super::{DEGRADED, FORBIDDEN, Health, Verdict, capped, lacks};
use crate::observed::Problem;

impl Health<'_> {
    /// The gravest thing that needs somebody's attention.
    pub(super) fn degraded(&self) -> Verdict {
        if let Some(newer) = self.yields_to {
            return Verdict::yes("OlderOperator", &older(newer));
        }
        if let Some(invalid) = &self.invalid {
            return Verdict::yes("InvalidConfiguration", invalid);
        }
        if !self.forbidden.is_empty() {
            return Verdict::yes(FORBIDDEN, &lacks(self.forbidden));
        }
        if !self.failures.is_empty() {
            return Verdict::yes("ApplyFailed", &capped(&self.failures));
        }
        if !self.missing_definitions.is_empty() {
            let missing = capped(self.missing_definitions);
            return Verdict::yes("DefinitionsMissing", &format!("{missing}: {NO_DEFINITION}"));
        }
        if self.definition_is_old {
            return Verdict::yes("DefinitionOutdated", OLD_DEFINITION);
        }
        if self.lacks_frr_k8s {
            return Verdict::yes("FRRK8sNotInstalled", NO_FRR_K8S);
        }
        if !self.missing_classes.is_empty() {
            return Verdict::yes("ClassNotFound", &self.missing_classes.join("; "));
        }
        for (name, workload) in &self.workloads {
            if let Some(complaint) = workload.and_then(|workload| workload.complaint.as_ref()) {
                return Verdict::yes("PodsRefused", &format!("{name}: {complaint}"));
            }
        }
        let problems = self.problems();
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
        let lines: Vec<String> = problems.into_iter().map(line).collect();
        Verdict::yes(reason, &capped(&lines))
    }

    /// What is wrong with the pods of one component, if anything is.
    pub(crate) fn trouble_of(&self, component: &str) -> Option<String> {
        let workload = self.workloads.iter().find(|(name, _)| *name == component);
        let complaint = workload.and_then(|(_, workload)| workload.as_ref()?.complaint.clone());
        let problems = self.problems().into_iter();
        let lines: Vec<String> = complaint
            .into_iter()
            .chain(
                problems
                    .filter(|((of, _), _)| *of == component)
                    .map(|(problem, pods)| line((problem, pods))),
            )
            .collect();
        (!lines.is_empty()).then(|| capped(&lines))
    }

    /// The pods with each problem.
    fn problems(&self) -> Problems<'_> {
        let mut problems = Problems::new();
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
        problems
    }

    fn unused(&self) -> Verdict {
        match self.unused.stops[..] {
            [] => Verdict::no(DEGRADED, ""),
            ref lines => Verdict::yes("UserConfigurationUnused", &lines.join("; ")),
        }
    }
}

/// Which of the two is to go is the user's to say.
pub(crate) fn older(newer: &str) -> String {
    let version = crate::VERSION;
    format!(
        "this operator is {version} and leaves everything as operator {newer} has made it. Remove \
         the older one where both run; to go back to it: kubectl annotate metallb metallb \
         --overwrite {DOWNGRADE}={version}"
    )
}

/// By component and problem, the pods that have it.
type Problems<'a> = BTreeMap<(&'a str, &'a Problem), Vec<&'a str>>;

fn line(((component, problem), pods): ((&str, &Problem), Vec<&str>)) -> String {
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
}

const NO_FRR_K8S: &str = "bgpBackend frr-k8s-external: routers are told nothing, as the cluster has \
    no definition of FRRConfigurations. Install FRR-K8s, or choose another bgpBackend";
const NO_DEFINITION: &str = "the definition is gone, and all objects of that kind with it; what reads \
    them cannot start anew. Apply the definitions of the operator's version again, or have OLM \
    install it again";
const OLD_DEFINITION: &str = "the cluster's definition of MetalLB is older than the operator and \
    lacks fields of its status: apply the definitions of the operator's version";
