//! Whether the operator may do what it has to: asked of the API server at the start, whenever it
//! refuses something, and until nothing is missing any more.
//!
//! What is missing is named as a whole, so that it is granted at once and not one refusal after the
//! other. A right to watch that is missing is never refused where a person would see it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::render::{Rule, operator_namespaced, operator_needs, operator_observes};

/// What is known of the operator's rights.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    /// What it cannot do its work without.
    pub(crate) missing: Vec<String>,
    /// What it would only look at.
    pub(crate) blind: Vec<String>,
    asked_at: Option<Instant>,
    /// Something was refused since.
    doubted: bool,
}

/// What is missing, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) needed: Vec<String>,
    pub(crate) observed: Vec<String>,
}

impl Rights {
    /// When to ask; `waits` says that there are objects that have not been told yet.
    pub(crate) fn due(&self, waits: bool) -> Option<Due> {
        let Some(asked_at) = self.asked_at else {
            return Some(Due::Now);
        };
        let well = self.missing.is_empty() && self.blind.is_empty();
        (self.doubted || waits || !well).then_some(Due::At(asked_at + PAUSE))
    }

    /// The API server has refused something as forbidden.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Takes in the answer. True if something that was missing is there now.
    pub(crate) fn learn(&mut self, answer: Missing, now: Instant) -> bool {
        let before = self.missing.len();
        self.missing = answer.needed;
        self.blind = answer.observed;
        self.asked_at = Some(now);
        self.doubted = false;
        self.missing.len() < before
    }

    /// There is no answer; it is asked for again as if there was something missing.
    pub(crate) fn unknown(&mut self, now: Instant) {
        self.asked_at = Some(now);
    }
}

/// When to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Instant),
}

/// Asks the API server, with two requests if all is well.
pub(crate) async fn missing(client: &Client, namespace: &str) -> kube::Result<Missing> {
    let own = review(client, namespace).await?;
    // What holds there holds everywhere.
    let elsewhere = if namespace == "default" {
        "kube-system"
    } else {
        "default"
    };
    let everywhere = review(client, elsewhere).await?;
    let find = async |rules: &[Rule], held: &Held, scope: Option<&str>| -> kube::Result<_> {
        let mut lacking = lacking(rules, &held.rules);
        if held.incomplete {
            let mut confirmed = Vec::new();
            for right in lacking {
                if !is_allowed(client, &right, scope).await? {
                    confirmed.push(right);
                }
            }
            lacking = confirmed;
        }
        Ok(in_words(&lacking, scope))
    };
    let mut needed = find(&operator_needs(), &everywhere, None).await?;
    needed.extend(find(&operator_namespaced(), &own, Some(namespace)).await?);
    let mut observed = find(&operator_observes(), &everywhere, None).await?;
    observed.retain(|it| !needed.contains(it));
    Ok(Missing { needed, observed })
}

/// What the API server says that we may.
struct Held {
    rules: Vec<ResourceRule>,
    /// There may be more: some authorizers only answer questions.
    incomplete: bool,
}

async fn review(client: &Client, namespace: &str) -> kube::Result<Held> {
    let api: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let status = api.create(&PostParams::default(), &review).await?.status;
    let status = status.unwrap_or_default();
    Ok(Held {
        rules: status.resource_rules,
        incomplete: status.incomplete,
    })
}

async fn is_allowed(client: &Client, right: &Right, scope: Option<&str>) -> kube::Result<bool> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (right.resource, None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(right.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(right.verb.to_owned()),
                name: right.name.clone(),
                namespace: scope.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let status = api.create(&PostParams::default(), &review).await?.status;
    Ok(status.is_some_and(|it| it.allowed))
}

/// One right of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    group: &'static str,
    resource: &'static str,
    /// Of which object; of all without.
    name: Option<String>,
    verb: &'static str,
}

/// What of `needed` nobody has granted.
fn lacking(needed: &[Rule], held: &[ResourceRule]) -> Vec<Right> {
    let mut all: Vec<Right> = Vec::new();
    for right in needed.iter().flat_map(rights) {
        if !held.iter().any(|rule| grants(rule, &right)) && !all.contains(&right) {
            all.push(right);
        }
    }
    all
}

fn rights(rule: &Rule) -> Vec<Right> {
    let names = match rule.resource_names[..] {
        [] => vec![None],
        ref names => names.iter().cloned().map(Some).collect(),
    };
    let mut all = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for name in &names {
                all.extend(rule.verbs.iter().map(|verb| Right {
                    group,
                    resource,
                    name: name.clone(),
                    verb,
                }));
            }
        }
    }
    all
}

fn grants(rule: &ResourceRule, right: &Right) -> bool {
    let has = |all: &[String], wanted: &str| all.iter().any(|it| it == "*" || it == wanted);
    let resources = rule.resources.as_deref().unwrap_or_default();
    // `*/status` is the status of everything.
    let any_of_all = right
        .resource
        .split_once('/')
        .map(|(_, sub)| format!("*/{sub}"));
    let names = rule.resource_names.as_deref().unwrap_or_default();
    has(&rule.verbs, right.verb)
        && has(rule.api_groups.as_deref().unwrap_or_default(), right.group)
        && (has(resources, right.resource) || any_of_all.is_some_and(|it| resources.contains(&it)))
        && (names.is_empty() || right.name.as_ref().is_some_and(|it| names.contains(it)))
}

/// As `list, watch deployments.apps in namespace metallb-system`.
fn in_words(rights: &[Right], scope: Option<&str>) -> Vec<String> {
    let mut verbs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for right in rights {
        let mut what = right.resource.to_owned();
        if !right.group.is_empty() {
            what = format!("{what}.{}", right.group);
        }
        if let Some(name) = &right.name {
            what = format!("{what} {name}");
        }
        if let Some(namespace) = scope {
            what = format!("{what} in namespace {namespace}");
        }
        verbs.entry(what).or_default().push(right.verb);
    }
    let lines = verbs.into_iter();
    lines
        .map(|(what, verbs)| format!("{} {what}", verbs.join(", ")))
        .collect()
}

/// How often to ask while something is missing.
const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::render::operator_cluster;

    fn held(rules: Value) -> Vec<ResourceRule> {
        serde_json::from_value(rules).expect("rules")
    }

    /// All that the operator needs, as the API server tells it.
    fn all(rules: &[Rule]) -> Vec<ResourceRule> {
        held(json!(rules))
    }

    #[test]
    fn nothing_is_missing_of_what_the_manifest_grants() {
        for rules in [operator_cluster(), operator_namespaced()] {
            assert_eq!(lacking(&rules, &all(&rules)), []);
        }
        let observed = lacking(&operator_observes(), &all(&operator_cluster()));
        assert_eq!(observed, [], "the manifest has them, too");
        let admin = held(json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]));
        assert_eq!(lacking(&operator_cluster(), &admin), []);
    }

    #[test]
    fn a_missing_right_is_named_by_verb_and_resource() {
        let needed = operator_namespaced();
        let mut granted = all(&needed);
        for rule in &mut granted {
            let of_workloads = |it: &Vec<String>| it.contains(&"daemonsets".to_owned());
            if rule.resources.as_ref().is_some_and(of_workloads) {
                rule.verbs.retain(|verb| verb != "patch" && verb != "watch");
                rule.resources = Some(vec!["deployments".to_owned()]);
            }
        }
        let lines = in_words(&lacking(&needed, &granted), Some("metallb-system"));
        assert_eq!(
            lines,
            [
                "create, delete, get, list, patch, watch daemonsets.apps in namespace \
                 metallb-system",
                "patch, watch deployments.apps in namespace metallb-system",
            ]
        );
    }

    #[test]
    fn a_right_to_one_object_is_no_right_to_all() {
        let right = |name: Option<&str>| Right {
            group: "",
            resource: "services/status",
            name: name.map(str::to_owned),
            verb: "patch",
        };
        let one = &held(json!([{
            "apiGroups": [""], "resources": ["*/status"], "verbs": ["patch"],
            "resourceNames": ["one"],
        }]))[0];
        assert!(grants(one, &right(Some("one"))));
        assert!(!grants(one, &right(Some("two"))));
        assert!(!grants(one, &right(None)));
    }

    #[test]
    fn it_is_asked_again_only_while_there_is_a_reason() {
        let now = Instant::now();
        let mut rights = Rights::default();
        assert_eq!(rights.due(false), Some(Due::Now));
        rights.learn(Missing::default(), now);
        assert_eq!(rights.due(false), None, "at rest nobody asks");
        assert_eq!(rights.due(true), Some(Due::At(now + PAUSE)));
        rights.doubt();
        assert_eq!(rights.due(false), Some(Due::At(now + PAUSE)));
        let needed = vec!["list nodes".to_owned()];
        let missing = Missing {
            needed,
            ..Missing::default()
        };
        assert!(!rights.learn(missing, now));
        assert_eq!(rights.due(false), Some(Due::At(now + PAUSE)));
        assert!(rights.learn(Missing::default(), now), "it is back");
        assert_eq!(rights.due(false), None);
    }
}
