//! Who may do what: the rights of controller, speaker and operator, in one place, because the
//! operator may only grant what it holds itself.

use std::collections::BTreeSet;

use metallb_admission::{CONFIGURATION, CONVERTED, SECRET as WEBHOOK_SECRET};
use metallb_crds::names::CONTROLLER_LEASE;
use serde::Serialize;

use super::install::WEBHOOK_SERVICE;
use crate::object::Kind;

/// One rule of a Role or `ClusterRole`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    pub(crate) api_groups: Vec<&'static str>,
    pub(crate) resources: Vec<&'static str>,
    /// Which objects; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    pub(crate) verbs: Vec<&'static str>,
}

/// The Secret under which speakers seal their heartbeats.
pub(crate) const MEMBERLIST_SECRET: &str = "metallb-memberlist";
/// The Secret with the certificates of the operators' `/convert`.
pub(crate) const OPERATOR_SECRET: &str = "metallb-operator-webhook-server-cert";
/// The Lease of the operators.
pub(crate) const OPERATOR_LEASE: &str = "metallb.io.metallboperator";

pub(crate) fn controller_cluster() -> Vec<Rule> {
    let mut rules = vec![
        rule("", &["services"], &["get", "list", "watch"]),
        rule("", &["services/status"], &["update"]),
        rule("", &["namespaces"], WATCH),
        rule("", &["nodes"], &["list"]),
        rule("", &["events"], &["create", "patch"]),
        rule(ADMISSION, &[CONFIGURATIONS], &["list", "watch", "patch"]).named(CONFIGURATION),
    ];
    rules.extend(metrics_reviews());
    rules
}

pub(crate) fn controller_namespaced() -> Vec<Rule> {
    let mut rules = vec![
        rule("metallb.io", &["ipaddresspools"], WATCH),
        rule("metallb.io", &["ipaddresspools/status"], &["patch"]),
        rule("metallb.io", &["communities"], WATCH),
        rule(
            "metallb.io",
            &["bgppeers", "bgpadvertisements", "l2advertisements"],
            &["list"],
        ),
        rule("", &["secrets"], KEEP).named(WEBHOOK_SECRET),
        rule("", &["pods"], &["get"]),
        // The name is not known to the authoriser on creation.
        rule("coordination.k8s.io", &["leases"], &["create"]),
        rule("coordination.k8s.io", &["leases"], LEAD).named(CONTROLLER_LEASE),
    ];
    rules.extend(configuration_state());
    rules
}

pub(crate) fn speaker_cluster() -> Vec<Rule> {
    let mut rules = vec![
        rule("", &["services", "nodes"], WATCH),
        rule("discovery.k8s.io", &["endpointslices"], WATCH),
        rule("", &["events"], &["create", "patch"]),
    ];
    rules.extend(metrics_reviews());
    rules
}

/// `passwords` are the Secrets that BGPPeers name, and the only ones that speakers may read.
pub(crate) fn speaker_namespaced(passwords: &BTreeSet<String>) -> Vec<Rule> {
    let read = rule("", &["secrets"], &["get"]);
    let named = passwords.iter().fold(read, Rule::named);
    let mut rules = vec![
        rule("", &["pods"], &["get", "list", "watch"]),
        rule(
            "metallb.io",
            &[
                "ipaddresspools",
                "l2advertisements",
                "bgpadvertisements",
                "bgppeers",
                "bfdprofiles",
                "communities",
            ],
            WATCH,
        ),
        rule(
            "metallb.io",
            &["servicel2statuses", "servicebgpstatuses"],
            &["create", "list", "watch", "delete"],
        ),
        rule(
            "metallb.io",
            &["servicel2statuses/status", "servicebgpstatuses/status"],
            &["patch"],
        ),
    ];
    if !passwords.is_empty() {
        rules.push(named);
    }
    rules.extend(configuration_state());
    rules
}

/// What the operator does itself in the whole cluster.
pub(crate) fn operator_own_cluster(namespace: &str) -> Vec<Rule> {
    let (group, _, _) = Kind::ClusterRole.names();
    let roles = ["clusterroles", "clusterrolebindings"];
    vec![
        // In all namespaces, so that an ignored object can be told why.
        rule("metallb.io", &["metallbs"], &["list", "watch", "patch"]),
        rule("metallb.io", &["metallbs/status"], &["patch"]),
        rule("", &["namespaces"], &["list"]),
        rule("", &["events"], &["create", "patch"]),
        rule(group, &roles, &["list", "watch", "create"]),
        rule(group, &roles, &["get", "patch", "delete"])
            .named(cluster_name(namespace, "controller"))
            .named(cluster_name(namespace, "speaker")),
        rule(ADMISSION, &[CONFIGURATIONS], &["list", "watch", "create"]),
        rule(ADMISSION, &[CONFIGURATIONS], &["get", "patch", "delete"]).named(CONFIGURATION),
        rule(
            "apiextensions.k8s.io",
            &["customresourcedefinitions"],
            &["list", "watch", "patch"],
        )
        .named(CONVERTED),
    ]
}

/// What the operator does itself in its own namespace.
pub(crate) fn operator_own_namespaced() -> Vec<Rule> {
    vec![
        rule("", &["serviceaccounts", "configmaps", "services"], MAKE),
        rule(
            "rbac.authorization.k8s.io",
            &["roles", "rolebindings"],
            MAKE,
        ),
        rule("apps", &["deployments", "daemonsets"], MAKE),
        rule("", &["secrets"], &["create"]),
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "patch", "delete"],
        )
        .named(MEMBERLIST_SECRET)
        .named(WEBHOOK_SECRET),
        // Which Secrets BGPPeers will name is not known beforehand, and only what is held can be
        // granted to speakers.
        rule("", &["secrets"], &["get"]),
        rule("", &["secrets"], KEEP).named(OPERATOR_SECRET),
        rule("", &["services/proxy"], &["create"]).named(format!("https:{WEBHOOK_SERVICE}:443")),
        rule("", &["pods"], &["list", "watch"]),
        rule("coordination.k8s.io", &["leases"], &["create"]),
        rule("coordination.k8s.io", &["leases"], LEAD).named(OPERATOR_LEASE),
        rule("coordination.k8s.io", &["leases"], &["delete"]).named(CONTROLLER_LEASE),
    ]
}

/// All that the operator must hold in the cluster: its own part, and what it grants.
pub(crate) fn operator_cluster(namespace: &str) -> Vec<Rule> {
    union([
        operator_own_cluster(namespace),
        controller_cluster(),
        speaker_cluster(),
    ])
}

/// All that the operator must hold in its namespace: its own part, and what it grants.
pub(crate) fn operator_namespaced() -> Vec<Rule> {
    union([
        operator_own_namespaced(),
        controller_namespaced(),
        speaker_namespaced(&BTreeSet::new()),
    ])
}

/// Cluster-scoped names carry the namespace, as upstream's do.
pub(crate) fn cluster_name(namespace: &str, component: &str) -> String {
    format!("{namespace}:{component}")
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const CONFIGURATIONS: &str = "validatingwebhookconfigurations";
const WATCH: &[&str] = &["list", "watch"];
/// What it takes to keep certificates in a Secret that others make.
const KEEP: &[&str] = &["get", "list", "watch", "patch"];
/// What it takes to lead by a Lease that exists.
const LEAD: &[&str] = &["get", "list", "watch", "update"];
/// What it takes to make objects, to see them changed, and to remove what is ours.
const MAKE: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];

/// Whoever reads the configuration says whether it is good.
fn configuration_state() -> [Rule; 2] {
    [
        rule(
            "metallb.io",
            &["configurationstates"],
            &["create", "list", "watch", "patch"],
        ),
        rule("metallb.io", &["configurationstates/status"], &["patch"]),
    ]
}

/// Whoever scrapes `/metrics` shows a token, which the scraped one has reviewed.
fn metrics_reviews() -> [Rule; 2] {
    [
        rule("authentication.k8s.io", &["tokenreviews"], &["create"]),
        rule(
            "authorization.k8s.io",
            &["subjectaccessreviews"],
            &["create"],
        ),
    ]
}

fn rule(group: &'static str, resources: &[&'static str], verbs: &[&'static str]) -> Rule {
    Rule {
        api_groups: vec![group],
        resources: resources.to_vec(),
        resource_names: Vec::new(),
        verbs: verbs.to_vec(),
    }
}

fn union<const N: usize>(parts: [Vec<Rule>; N]) -> Vec<Rule> {
    let mut all = Vec::new();
    for rule in parts.into_iter().flatten() {
        if !all.contains(&rule) {
            all.push(rule);
        }
    }
    all
}

impl Rule {
    fn named(mut self, name: impl Into<String>) -> Self {
        self.resource_names.push(name.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One right of a rule: group, resource, object name (empty: any), verb.
    type Right = (&'static str, &'static str, String, &'static str);

    fn rights(rules: &[Rule]) -> Vec<Right> {
        let mut rights = Vec::new();
        for rule in rules {
            let any = vec![String::new()];
            let names = if rule.resource_names.is_empty() {
                &any
            } else {
                &rule.resource_names
            };
            for group in &rule.api_groups {
                for resource in &rule.resources {
                    for name in names {
                        for verb in &rule.verbs {
                            rights.push((*group, *resource, name.clone(), *verb));
                        }
                    }
                }
            }
        }
        rights
    }

    fn not_covered(granted: &[Rule], held: &[&[Rule]]) -> Vec<Right> {
        let held: Vec<Right> = held.iter().flat_map(|rules| rights(rules)).collect();
        let covers = |h: &Right, g: &Right| {
            h.0 == g.0 && h.1 == g.1 && (h.2.is_empty() || h.2 == g.2) && h.3 == g.3
        };
        rights(granted)
            .into_iter()
            .filter(|g| !held.iter().any(|h| covers(h, g)))
            .collect()
    }

    fn everything() -> Vec<Rule> {
        let mut all = operator_cluster("metallb-system");
        all.extend(operator_namespaced());
        all
    }

    #[test]
    fn the_operator_holds_every_right_it_grants() {
        let cluster = operator_cluster("metallb-system");
        let namespaced = operator_namespaced();
        assert_eq!(not_covered(&controller_cluster(), &[&cluster]), []);
        assert_eq!(not_covered(&speaker_cluster(), &[&cluster]), []);
        assert_eq!(
            not_covered(&controller_namespaced(), &[&cluster, &namespaced]),
            []
        );
        assert_eq!(
            not_covered(
                &speaker_namespaced(&["password".to_owned()].into()),
                &[&cluster, &namespaced]
            ),
            []
        );
    }

    #[test]
    fn nobody_may_everything() {
        for (group, resource, _, verb) in rights(&everything()) {
            assert!(![group, resource, verb].contains(&"*"));
            assert!(!["escalate", "bind", "impersonate", "deletecollection"].contains(&verb));
        }
    }

    #[test]
    fn secrets_are_read_by_name_and_in_one_namespace() {
        let cluster = rights(&operator_cluster("metallb-system"));
        assert!(cluster.iter().all(|right| right.1 != "secrets"));
        for (_, resource, name, verb) in rights(&operator_namespaced()) {
            let ours = [MEMBERLIST_SECRET, WEBHOOK_SECRET, OPERATOR_SECRET];
            let is_granted = name.is_empty() && verb == "get";
            let is_known = ours.contains(&&*name) || verb == "create" || is_granted;
            assert!(resource != "secrets" || is_known, "{verb} {name}");
        }
        let named = ["one".to_owned(), "two".to_owned()];
        for (passwords, expected) in [(&named[..0], vec![]), (&named[..], vec!["one", "two"])] {
            let rules = speaker_namespaced(&passwords.iter().cloned().collect());
            let rights = rights(&rules);
            let secrets = rights.iter().filter(|right| right.1 == "secrets");
            let granted: Vec<_> = secrets.map(|right| &*right.2).collect();
            assert_eq!(granted, expected);
        }
    }

    // Every right, with the code that uses it. A right that is not here has no user and must go.

    #[test]
    fn every_right_of_the_controller_is_used() {
        let controller: &[Use] = &[
            ("services", &["list", "watch"], "program: watch"),
            (
                "services",
                &["get"],
                "apply::put: the newest form, where it is not at hand",
            ),
            ("services/status", &["update"], "apply: addresses"),
            (
                "namespaces",
                &["list", "watch"],
                "program: pools that name namespaces by label",
            ),
            ("ipaddresspools", &["list", "watch"], "program: watch"),
            (
                "ipaddresspools/status",
                &["patch"],
                "program: how much is in use",
            ),
            ("communities", &["list", "watch"], "program: watch"),
            (
                "bgppeers",
                &["list"],
                "webhook: what an object must fit in with",
            ),
            ("bgpadvertisements", &["list"], "webhook: the same"),
            ("l2advertisements", &["list"], "webhook: the same"),
            ("nodes", &["list"], "webhook: the same"),
            ("secrets", KEEP, "kit::webhook: certificates"),
            (
                CONFIGURATIONS,
                &["list", "watch", "patch"],
                "kit::webhook: the caBundle",
            ),
            (
                "leases",
                &["create", "get", "list", "watch", "update"],
                "kit::leader",
            ),
        ];
        used(
            &[controller_cluster(), controller_namespaced()].concat(),
            &[controller, REPORTS, EVERYBODY].concat(),
        );
    }

    #[test]
    fn every_right_of_the_speaker_is_used() {
        let speaker: &[Use] = &[
            ("services", &["list", "watch"], "run: watches"),
            ("endpointslices", &["list", "watch"], "run: watches"),
            ("nodes", &["list", "watch"], "run: watches"),
            (
                "pods",
                &["list", "watch"],
                "run: watches, for who else is a speaker",
            ),
            ("ipaddresspools", &["list", "watch"], "run: watches"),
            ("l2advertisements", &["list", "watch"], "run: watches"),
            ("bgpadvertisements", &["list", "watch"], "run: watches"),
            ("bgppeers", &["list", "watch"], "run: watches"),
            ("bfdprofiles", &["list", "watch"], "run: watches"),
            ("communities", &["list", "watch"], "run: watches"),
            ("secrets", &["get"], "bgp::secrets: passwords of sessions"),
            (
                "servicel2statuses",
                &["create", "list", "watch", "delete"],
                "service_status: what is announced from here",
            ),
            (
                "servicebgpstatuses",
                &["create", "list", "watch", "delete"],
                "service_status: what routers are told from here",
            ),
            (
                "servicel2statuses/status",
                &["patch"],
                "service_status: on which interfaces",
            ),
            (
                "servicebgpstatuses/status",
                &["patch"],
                "service_status: to whom",
            ),
        ];
        used(
            &[
                speaker_cluster(),
                speaker_namespaced(&["password".to_owned()].into()),
            ]
            .concat(),
            &[speaker, REPORTS, EVERYBODY].concat(),
        );
    }

    #[test]
    fn every_right_of_the_operator_is_used() {
        let operator: &[Use] = &[
            ("metallbs", &["list", "watch"], "watches::metallbs"),
            ("metallbs", &["patch"], "apply: the finalizer"),
            ("metallbs/status", &["patch"], "apply: conditions"),
            ("namespaces", &["list"], "operate: is our own being deleted"),
            ("clusterroles", MAKE, "watches::operands, apply"),
            ("clusterrolebindings", MAKE, "watches::operands, apply"),
            (CONFIGURATIONS, MAKE, "watches::operands, apply"),
            (
                "customresourcedefinitions",
                &["list", "watch", "patch"],
                "kit::webhook: the conversion of BGPPeers",
            ),
            (
                "services/proxy",
                &["create"],
                "kit::webhook: whether the conversion answers",
            ),
            ("serviceaccounts", MAKE, "watches::operands, apply"),
            ("configmaps", MAKE, "watches::operands, apply"),
            ("services", MAKE, "watches::operands, apply"),
            ("roles", MAKE, "watches::operands, apply"),
            ("rolebindings", MAKE, "watches::operands, apply"),
            ("deployments", MAKE, "watches::operands, apply"),
            ("daemonsets", MAKE, "watches::operands, apply"),
            (
                "secrets",
                MAKE,
                "watches::operands and apply; get: the key that exists wins; kit::webhook",
            ),
            (
                "pods",
                &["list", "watch"],
                "watches::pods, for the conditions' messages",
            ),
            (
                "leases",
                &["create", "get", "list", "watch", "update"],
                "kit::leader",
            ),
            (
                "leases",
                &["delete"],
                "apply: the controllers' Lease, when MetalLB is removed",
            ),
        ];
        // What it holds only to grant it is in the controller's and the speaker's lists.
        let mut own = operator_own_cluster("metallb-system");
        own.extend(operator_own_namespaced());
        own.extend(metrics_reviews());
        used(&own, &[operator, EVERYBODY].concat());
    }

    /// Resource, verbs, and by what code.
    type Use = (&'static str, &'static [&'static str], &'static str);

    /// What all three programs do.
    const EVERYBODY: &[Use] = &[
        ("events", &["create", "patch"], "kit::events"),
        ("tokenreviews", &["create"], "kit::review"),
        ("subjectaccessreviews", &["create"], "kit::review"),
    ];

    /// Whoever reads the configuration says whether it is good.
    const REPORTS: &[Use] = &[
        ("pods", &["get"], "kit::configuration_state: its owner"),
        (
            "configurationstates",
            &["create", "list", "watch", "patch"],
            "kit::configuration_state",
        ),
        (
            "configurationstates/status",
            &["patch"],
            "kit::configuration_state",
        ),
    ];

    fn used(held: &[Rule], uses: &[Use]) {
        let held = rights(held);
        for (_, resource, _, verb) in &held {
            assert!(
                uses.iter()
                    .any(|(r, verbs, _)| r == resource && verbs.contains(verb)),
                "nothing uses {verb} on {resource}"
            );
        }
        for (resource, verbs, by) in uses {
            for verb in *verbs {
                assert!(
                    held.iter()
                        .any(|right| right.1 == *resource && right.3 == *verb),
                    "{by} lacks {verb} on {resource}"
                );
            }
        }
    }
}
