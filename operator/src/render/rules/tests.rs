//! Nobody may more than it uses, and the operator grants only what it holds.

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
    let mut all = operator_cluster();
    all.extend(operator_namespaced());
    all
}

#[test]
fn the_operator_holds_every_right_it_grants() {
    let cluster = operator_cluster();
    let namespaced = operator_namespaced();
    assert_eq!(not_covered(&controller_cluster(), &[&cluster]), []);
    assert_eq!(not_covered(&speaker_cluster(true), &[&cluster]), []);
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
    let of_others = [finds_pods(), uses(SCC)];
    assert_eq!(not_covered(&of_others, &[&cluster, &namespaced]), []);
    assert!(cluster.contains(&reads_metrics()));
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
    let cluster = rights(&operator_cluster());
    assert!(cluster.iter().all(|right| right.1 != "secrets"));
    for (_, resource, name, verb) in rights(&operator_namespaced()) {
        let ours = [
            MEMBERLIST_SECRET,
            WEBHOOK_SECRET,
            METRICS_TOKEN,
            OPERATOR_SECRET,
        ];
        let is_granted = name.is_empty() && verb == "get";
        let is_known = ours.contains(&&*name)
            || verb == "create"
            || is_granted
            || (&*name, verb) == (FRR_K8S_SECRET, "delete");
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
        ("bfdprofiles", &["list"], "webhook: a warning about echo"),
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

/// Beside what they may where an operator runs.
#[test]
fn every_right_of_programs_without_an_operator_is_used() {
    let mut more = vec![conversion(), any_password()];
    more.extend(memberlist("memberlist", "controller"));
    let uses: &[Use] = &[
        (
            "customresourcedefinitions",
            &["list", "watch", "patch"],
            "kit::webhook: the conversion of BGPPeers",
        ),
        (
            "secrets",
            &["get"],
            "memberlist: is it there; bgp::secrets: passwords of sessions",
        ),
        ("secrets", &["create"], "memberlist"),
        ("deployments", &["get"], "memberlist: who owns it"),
    ];
    used(&more, uses);
    for (_, resource, name, verb) in rights(&more) {
        let any = name.is_empty() && !["get", "create"].contains(&verb);
        assert!(resource != "secrets" || !any, "{verb} on all Secrets");
    }
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
            "statuses: what is announced from here",
        ),
        (
            "servicebgpstatuses",
            &["create", "list", "watch", "delete"],
            "statuses: what routers are told from here",
        ),
        (
            "bgpsessionstates",
            &["create", "list", "watch", "delete"],
            "statuses: how sessions are",
        ),
        ("bgpsessionstates/status", &["patch"], "statuses: the same"),
        (
            "servicel2statuses/status",
            &["patch"],
            "statuses: on which interfaces",
        ),
        ("servicebgpstatuses/status", &["patch"], "statuses: to whom"),
        (
            "frrconfigurations",
            &["list", "watch", "create", "update", "delete"],
            "bgp::frr_k8s: what FRR is to do",
        ),
    ];
    // Only who writes for an FRR-K8s may.
    let without = rights(&speaker_cluster(false));
    assert!(without.iter().all(|right| right.0 != FRR_K8S));
    used(
        &[
            speaker_cluster(true),
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
            "kit::webhook: the conversion of BGPPeers; defined: which kinds are there",
        ),
        (
            "frrconfigurations",
            &["list", "watch", "delete"],
            "frr_k8s: what users wrote; apply: what speakers wrote",
        ),
        (
            "services/proxy",
            &["create"],
            "kit::webhook: whether the conversion answers",
        ),
        (
            "ipaddresspools",
            &["list", "watch"],
            "apply, webhook: how many addresses are in use; surroundings",
        ),
        ("l2advertisements", &["list", "watch"], "surroundings"),
        ("bgpadvertisements", &["list", "watch"], "surroundings"),
        (
            "bgppeers",
            &["list", "watch"],
            "watches::peers, for the Secrets that they name; surroundings",
        ),
        ("bfdprofiles", &["list", "watch"], "surroundings"),
        ("communities", &["list", "watch"], "surroundings"),
        ("nodes", &["list", "watch"], "surroundings"),
        ("servicecidrs", &["list", "watch"], "surroundings"),
        ("priorityclasses", &["list", "watch"], "classes"),
        ("runtimeclasses", &["list", "watch"], "classes"),
        ("serviceaccounts", MAKE, "watches::operands, apply"),
        ("networkpolicies", MAKE, "watches::operands, apply"),
        ("servicemonitors", MAKE, "watches::operands, apply"),
        ("podmonitors", MAKE, "watches::operands, apply"),
        (CONSTRAINTS, MAKE, "watches::operands, apply: on OpenShift"),
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
    let mut own = operator_own_cluster();
    own.extend(operator_observes());
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
