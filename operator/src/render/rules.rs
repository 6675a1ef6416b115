//! Who may do what: the rights of controller, speaker and operator, in one place, because the
//! operator may only grant what it holds itself.

use serde::Serialize;

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
/// The Lease of the controllers.
pub(crate) const CONTROLLER_LEASE: &str = "metallb-controller";
/// The Lease of the operators.
pub(crate) const OPERATOR_LEASE: &str = "metallb.io.metallboperator";

pub(crate) fn controller_cluster() -> Vec<Rule> {
    let mut rules = vec![
        rule("", &["services", "namespaces"], READ),
        rule("", &["services/status"], &["patch", "update"]),
        rule("", &["events"], &["create", "patch"]),
    ];
    rules.extend(metrics_reviews());
    rules
}

pub(crate) fn controller_namespaced() -> Vec<Rule> {
    vec![
        rule("metallb.io", CONFIGURATION, READ),
        rule(
            "metallb.io",
            &["ipaddresspools/status"],
            &["patch", "update"],
        ),
        // The name is not known to the authoriser on creation.
        rule("coordination.k8s.io", &["leases"], &["create"]),
        rule("coordination.k8s.io", &["leases"], &["get", "update"]).named(CONTROLLER_LEASE),
    ]
}

pub(crate) fn speaker_cluster() -> Vec<Rule> {
    let mut rules = vec![
        rule("", &["services", "nodes", "namespaces"], READ),
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("", &["events"], &["create", "patch"]),
    ];
    rules.extend(metrics_reviews());
    rules
}

pub(crate) fn speaker_namespaced() -> Vec<Rule> {
    vec![
        rule("", &["pods"], READ),
        rule("metallb.io", CONFIGURATION, READ),
        rule("metallb.io", &["servicel2statuses"], STATUS_OBJECTS),
        rule(
            "metallb.io",
            &["servicel2statuses/status"],
            &["patch", "update"],
        ),
    ]
}

/// What the operator does itself in the whole cluster.
pub(crate) fn operator_own_cluster(namespace: &str) -> Vec<Rule> {
    let (group, _, _) = Kind::ClusterRole.names();
    let roles = ["clusterroles", "clusterrolebindings"];
    vec![
        // In all namespaces, so that an ignored object can be told why.
        rule("metallb.io", &["metallbs"], &["list", "watch", "patch"]),
        rule("metallb.io", &["metallbs/status"], &["patch"]),
        rule("", &["events"], &["create", "patch"]),
        rule(group, &roles, &["list", "watch", "create"]),
        rule(group, &roles, &["patch", "delete"])
            .named(cluster_name(namespace, "controller"))
            .named(cluster_name(namespace, "speaker")),
    ]
}

/// What the operator does itself in its own namespace.
pub(crate) fn operator_own_namespaced() -> Vec<Rule> {
    let make = &["list", "watch", "create", "patch", "delete"];
    vec![
        rule("", &["serviceaccounts", "configmaps", "services"], make),
        rule(
            "rbac.authorization.k8s.io",
            &["roles", "rolebindings"],
            make,
        ),
        rule("apps", &["deployments", "daemonsets"], make),
        rule("", &["secrets"], &["create"]),
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "patch", "delete"],
        )
        .named(MEMBERLIST_SECRET),
        rule("", &["pods"], &["list", "watch"]),
        rule("coordination.k8s.io", &["leases"], &["create"]),
        rule("coordination.k8s.io", &["leases"], &["get", "update"]).named(OPERATOR_LEASE),
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
        speaker_namespaced(),
    ])
}

/// Cluster-scoped names carry the namespace, as upstream's do.
pub(crate) fn cluster_name(namespace: &str, component: &str) -> String {
    format!("{namespace}:{component}")
}

const READ: &[&str] = &["get", "list", "watch"];
const STATUS_OBJECTS: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];

/// The kinds that a user configures MetalLB with.
const CONFIGURATION: &[&str] = &[
    "bfdprofiles",
    "bgpadvertisements",
    "bgppeers",
    "communities",
    "ipaddresspools",
    "l2advertisements",
];

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
            not_covered(&speaker_namespaced(), &[&cluster, &namespaced]),
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
            assert!(resource != "secrets" || name == MEMBERLIST_SECRET || verb == "create");
        }
    }

    /// Every right that the operator holds for itself, with the code that uses it. A right that
    /// is not here has no user and must go.
    #[test]
    fn the_operator_uses_every_right_of_its_own() {
        let used: &[(&str, &[&str], &str)] = &[
            ("metallbs", &["list", "watch"], "watches::metallbs"),
            ("metallbs", &["patch"], "apply: the finalizer"),
            ("metallbs/status", &["patch"], "apply: conditions"),
            ("events", &["create", "patch"], "run: kit::events"),
            ("clusterroles", &["list", "watch"], "watches::operands"),
            ("clusterroles", &["create", "patch", "delete"], "apply"),
            (
                "clusterrolebindings",
                &["list", "watch"],
                "watches::operands",
            ),
            (
                "clusterrolebindings",
                &["create", "patch", "delete"],
                "apply",
            ),
            ("serviceaccounts", &["list", "watch"], "watches::operands"),
            ("serviceaccounts", &["create", "patch", "delete"], "apply"),
            ("configmaps", &["list", "watch"], "watches::operands"),
            ("configmaps", &["create", "patch", "delete"], "apply"),
            ("services", &["list", "watch"], "watches::operands"),
            ("services", &["create", "patch", "delete"], "apply"),
            ("roles", &["list", "watch"], "watches::operands"),
            ("roles", &["create", "patch", "delete"], "apply"),
            ("rolebindings", &["list", "watch"], "watches::operands"),
            ("rolebindings", &["create", "patch", "delete"], "apply"),
            ("deployments", &["list", "watch"], "watches::workloads"),
            ("deployments", &["create", "patch", "delete"], "apply"),
            ("daemonsets", &["list", "watch"], "watches::workloads"),
            ("daemonsets", &["create", "patch", "delete"], "apply"),
            ("secrets", &["list", "watch"], "watches::operands, by name"),
            (
                "secrets",
                &["get"],
                "apply: the memberlist key that exists wins",
            ),
            ("secrets", &["create", "patch", "delete"], "apply"),
            (
                "pods",
                &["list", "watch"],
                "watches::pods, for the conditions' messages",
            ),
            ("leases", &["create", "get", "update"], "kit::leader"),
            (
                "leases",
                &["delete"],
                "apply: the controllers' Lease, when MetalLB is removed",
            ),
        ];
        let mut own = operator_own_cluster("metallb-system");
        own.extend(operator_own_namespaced());
        let own = rights(&own);
        for (_, resource, _, verb) in &own {
            assert!(
                used.iter()
                    .any(|(r, verbs, _)| r == resource && verbs.contains(verb)),
                "nothing uses {verb} on {resource}"
            );
        }
        for (resource, verbs, by) in used {
            for verb in *verbs {
                assert!(
                    own.iter()
                        .any(|right| right.1 == *resource && right.3 == *verb),
                    "{by} lacks {verb} on {resource}"
                );
            }
        }
    }
}
