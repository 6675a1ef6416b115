//! Who may do what: the rights of controller, speaker and operator, in one place, because the
//! operator may only grant what it holds itself.

use std::collections::BTreeSet;

use metallb_admission::{
    CONFIGURATION, CONVERTED, OPERATOR_CONFIGURATION, SECRET as WEBHOOK_SECRET,
};
use metallb_crds::frrk8s::FRR_CONFIGURATIONS;
use metallb_crds::names::{CONTROLLER_LEASE, DEFAULT_NAMESPACE};
use serde::Serialize;

use super::install::WEBHOOK_SERVICE;
use super::openshift::SCC;
use crate::object::Kind;
use crate::predecessor::{FRR_K8S_CONFIGURATION, FRR_K8S_SECRET};

/// One rule of a Role or `ClusterRole`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) api_groups: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resources: Vec<&'static str>,
    /// Paths that are no objects'.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) non_resource_urls: Vec<&'static str>,
    /// Which objects; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource_names: Vec<String>,
    pub(crate) verbs: Vec<&'static str>,
}

/// The Secret under which speakers seal their heartbeats.
pub(crate) const MEMBERLIST_SECRET: &str = "metallb-memberlist";
/// The Secret with the certificates of the operators' webhooks.
pub(crate) const OPERATOR_SECRET: &str = "metallb-operator-webhook-server-cert";
/// What kubeadm tells kube-proxy: a ConfigMap in the namespace kube-system.
pub(crate) const KUBE_PROXY: &str = "kube-proxy";
/// The Secret with the token that Prometheus shows where there are `PodMonitors`.
pub(crate) const METRICS_TOKEN: &str = "metrics-token";
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
            &[
                "bgppeers",
                "bgpadvertisements",
                "bfdprofiles",
                "l2advertisements",
            ],
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

/// `writes_for_frr_k8s` says that it tells an FRR-K8s, in whatever namespace, what to do.
pub(crate) fn speaker_cluster(writes_for_frr_k8s: bool) -> Vec<Rule> {
    let mut rules = vec![
        rule("", &["services", "nodes"], WATCH),
        rule("discovery.k8s.io", &["endpointslices"], WATCH),
        rule("", &["events"], &["create", "patch"]),
    ];
    if writes_for_frr_k8s {
        let verbs = &["list", "watch", "create", "update", "delete"];
        rules.push(rule(FRR_K8S, &["frrconfigurations"], verbs));
    }
    rules.extend(metrics_reviews());
    rules
}

/// `passwords` are the Secrets that BGPPeers name, and the only ones that speakers may read.
pub(crate) fn speaker_namespaced(passwords: &BTreeSet<String>) -> Vec<Rule> {
    let read = rule("", &["secrets"], &["get"]);
    let named = passwords.iter().fold(read, Rule::named);
    let mut rules = vec![
        rule("", &["pods"], &["get", "list", "watch"]),
        configuration(),
        rule(
            "metallb.io",
            &[
                "servicel2statuses",
                "servicebgpstatuses",
                "bgpsessionstates",
            ],
            &["create", "list", "watch", "delete"],
        ),
        rule(
            "metallb.io",
            &[
                "servicel2statuses/status",
                "servicebgpstatuses/status",
                "bgpsessionstates/status",
            ],
            &["patch"],
        ),
    ];
    if !passwords.is_empty() {
        rules.push(named);
    }
    rules.extend(configuration_state());
    rules
}

/// Without an operator the controller says that it converts, and whom to trust there.
pub(crate) fn conversion() -> Rule {
    rule(
        "apiextensions.k8s.io",
        &["customresourcedefinitions"],
        &["list", "watch", "patch"],
    )
    .named(CONVERTED)
}

/// Without an operator the controller makes the memberlist Secret, which `deployment` then owns.
pub(crate) fn memberlist(secret: &str, deployment: &str) -> [Rule; 3] {
    [
        // The name is not known to the authoriser on creation.
        rule("", &["secrets"], &["create"]),
        rule("", &["secrets"], &["get"]).named(secret),
        rule("apps", &["deployments"], &["get"]).named(deployment),
    ]
}

/// Without an operator nobody follows which Secrets BGPPeers name.
pub(crate) fn any_password() -> Rule {
    rule("", &["secrets"], &["get"])
}

/// Prometheus finds what it scrapes.
pub(crate) fn finds_pods() -> Rule {
    let resources = &["services", "endpoints", "pods"];
    rule("", resources, &["get", "list", "watch"])
}

/// Metrics are read and nothing else.
pub(crate) fn reads_metrics() -> Rule {
    Rule {
        api_groups: Vec::new(),
        resources: Vec::new(),
        non_resource_urls: vec!["/metrics"],
        ..rule("", &[], &["get"])
    }
}

/// On OpenShift: pods of an account may be as these `SecurityContextConstraints` say.
pub(crate) fn uses(constraints: &str) -> Rule {
    rule(SECURITY, &[CONSTRAINTS], &["use"]).named(constraints)
}

/// What the operator does itself in the whole cluster.
pub(crate) fn operator_own_cluster() -> Vec<Rule> {
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
            .named(cluster_name("controller"))
            .named(cluster_name("speaker"))
            .named(cluster_name("metrics-reader")),
        rule(SECURITY, &[CONSTRAINTS], &["list", "watch", "create"]),
        rule(SECURITY, &[CONSTRAINTS], &["get", "patch", "delete"]).named(SCC),
        rule(ADMISSION, &[CONFIGURATIONS], &["list", "watch", "create"]),
        rule(ADMISSION, &[CONFIGURATIONS], &["get", "patch", "delete"])
            .named(CONFIGURATION)
            .named(OPERATOR_CONFIGURATION),
        // What MetalLB's own operator left.
        rule(ADMISSION, &[CONFIGURATIONS], &["get", "delete"]).named(FRR_K8S_CONFIGURATION),
        conversion(),
        rule(
            "apiextensions.k8s.io",
            &["customresourcedefinitions"],
            WATCH,
        )
        .named(FRR_CONFIGURATIONS)
        .each_named(Kind::ALL.into_iter().filter_map(Kind::definition)),
        rule(
            FRR_K8S,
            &["frrconfigurations"],
            &["list", "watch", "delete"],
        ),
    ]
}

/// What the operator only looks at, in the whole cluster: the configuration may be at odds with it.
pub(crate) fn operator_observes() -> Vec<Rule> {
    vec![
        rule("", &["nodes"], WATCH),
        rule("", &["configmaps"], WATCH).named(KUBE_PROXY),
        rule("networking.k8s.io", &["servicecidrs"], WATCH),
        rule("scheduling.k8s.io", &["priorityclasses"], WATCH),
        rule("node.k8s.io", &["runtimeclasses"], WATCH),
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
        rule("networking.k8s.io", &["networkpolicies"], MAKE),
        rule(
            "monitoring.coreos.com",
            &["servicemonitors", "podmonitors"],
            MAKE,
        ),
        rule("", &["secrets"], &["create"]),
        rule(
            "",
            &["secrets"],
            &["get", "list", "watch", "patch", "delete"],
        )
        .named(MEMBERLIST_SECRET)
        .named(WEBHOOK_SECRET)
        .named(METRICS_TOKEN),
        // Which Secrets BGPPeers will name is not known beforehand, and only what is held can be
        // granted to speakers.
        rule("", &["secrets"], &["get"]),
        rule("", &["secrets"], KEEP).named(OPERATOR_SECRET),
        // What MetalLB's own operator left.
        rule("", &["secrets"], &["delete"]).named(FRR_K8S_SECRET),
        rule("", &["services/proxy"], &["create"]).named(format!("https:{WEBHOOK_SERVICE}:443")),
        rule("", &["pods"], &["list", "watch"]),
        configuration(),
        rule("coordination.k8s.io", &["leases"], &["create"]),
        rule("coordination.k8s.io", &["leases"], LEAD).named(OPERATOR_LEASE),
        rule("coordination.k8s.io", &["leases"], &["delete"]).named(CONTROLLER_LEASE),
    ]
}

/// All that the operator holds in the cluster.
pub(crate) fn operator_cluster() -> Vec<Rule> {
    union([operator_needs(), operator_observes()])
}

/// All that the operator must hold in the cluster: its own part, and what it grants.
pub(crate) fn operator_needs() -> Vec<Rule> {
    union([
        operator_own_cluster(),
        controller_cluster(),
        speaker_cluster(true),
        vec![reads_metrics()],
    ])
}

/// All that the operator must hold in its namespace: its own part, and what it grants.
pub(crate) fn operator_namespaced() -> Vec<Rule> {
    union([
        operator_own_namespaced(),
        controller_namespaced(),
        speaker_namespaced(&BTreeSet::new()),
        vec![finds_pods(), uses(SCC)],
    ])
}

/// The same in whatever namespace the operator runs, as upstream's: who grants the operator its
/// rights, OLM among them, need not know the namespace, and there is one installation in a cluster.
pub(crate) fn cluster_name(component: &str) -> String {
    format!("{DEFAULT_NAMESPACE}:{component}")
}

const FRR_K8S: &str = "frrk8s.metallb.io";
const SECURITY: &str = "security.openshift.io";
const CONSTRAINTS: &str = "securitycontextconstraints";
const ADMISSION: &str = "admissionregistration.k8s.io";
const CONFIGURATIONS: &str = "validatingwebhookconfigurations";
const WATCH: &[&str] = &["list", "watch"];
/// What it takes to keep certificates in a Secret that others make.
const KEEP: &[&str] = &["get", "list", "watch", "patch"];
/// What it takes to lead by a Lease that exists.
const LEAD: &[&str] = &["get", "list", "watch", "update"];
/// What it takes to make objects, to see them changed, and to remove what is ours.
const MAKE: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];

/// All that users configure.
fn configuration() -> Rule {
    let kinds = [
        "ipaddresspools",
        "l2advertisements",
        "bgpadvertisements",
        "bgppeers",
        "bfdprofiles",
        "communities",
    ];
    rule("metallb.io", &kinds, WATCH)
}

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
        non_resource_urls: Vec::new(),
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

    fn each_named(self, names: impl Iterator<Item = &'static str>) -> Self {
        names.fold(self, Self::named)
    }
}

#[cfg(test)]
mod tests;
