//! FRR-K8s holds the BGP sessions of its nodes, and a router takes no second one of a node. So it
//! ends on one node after the other: where a speaker of ours is ready to have the sessions, and
//! not before the sessions of the node before are there again.
//!
//! How far this is stands in its `DaemonSet` alone, so any operator can go on with it: the nodes
//! that are done are excluded by its node affinity, and an annotation names the sessions that have
//! to come up before the next one. Its update strategy is `OnDelete` meanwhile, or each step would
//! have its pods on all other nodes made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// What there is of it, as it was looked at last.
#[derive(Clone, Debug)]
pub(crate) struct Frr {
    pub(crate) seen_at: Instant,
    pub(crate) daemon_set: DaemonSet,
    /// The nodes on which a pod of it is.
    pub(crate) nodes: BTreeSet<String>,
    /// The nodes on which a speaker is, ours or not.
    pub(crate) speakers: BTreeMap<String, Speaker>,
    /// The sessions of the nodes that count now, by [`session_name`].
    pub(crate) sessions: BTreeMap<String, Session>,
}

/// How a speaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// It is another's, or of an earlier form, or not ready.
    NotReady,
    ReadySince(Timestamp),
}

/// How a session of a speaker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) established: bool,
    /// Another program has it.
    pub(crate) held: bool,
    pub(crate) peer: String,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is to end on this node, after which these sessions have to come up.
    Of(String, BTreeSet<String>),
    /// Nothing yet, for this reason.
    Waits(String),
    /// It is on no node that has a speaker.
    Over,
}

impl Frr {
    pub(crate) fn turn(&self, wall: Timestamp) -> Turn {
        let excluded = excluded(&self.daemon_set);
        if let Some(node) = excluded.intersection(&self.nodes).next() {
            return Turn::Waits(format!("ends on node {node}"));
        }
        for name in awaited(&self.daemon_set) {
            let node = node_of(&name);
            let is_ready = |it: &Speaker| is_settled(*it, wall);
            if self.speakers.get(node).is_some_and(|it| !is_ready(it)) {
                return Turn::Waits(format!("waits for the speaker of node {node}"));
            }
            // One that is not there is not wanted any more.
            if let Some(session) = self.sessions.get(&name).filter(|it| !it.established) {
                return Turn::Waits(format!(
                    "has ended on node {node}, whose BGP session with {} is not established yet",
                    session.peer
                ));
            }
        }
        let next = match self.next(wall) {
            Ok(Some(next)) => next,
            Ok(None) => return Turn::Over,
            Err(node) => return Turn::Waits(format!("waits for the speaker of node {node}")),
        };
        let held = self.sessions.iter().filter(|(_, it)| it.held);
        let held = held.filter(|(name, _)| node_of(name) == next);
        Turn::Of(
            next.to_owned(),
            held.map(|(name, _)| name.clone()).collect(),
        )
    }

    /// The nodes whose sessions count: those that are awaited, and those of the next node.
    pub(crate) fn nodes_that_count(&self, wall: Timestamp) -> BTreeSet<String> {
        let awaited = awaited(&self.daemon_set);
        let awaited = awaited.iter().map(|name| node_of(name));
        let next = self.next(wall).ok().flatten();
        awaited.chain(next).map(str::to_owned).collect()
    }

    /// The next node that is to be without it, if there is one; or one that is not ready for that.
    fn next(&self, wall: Timestamp) -> Result<Option<&str>, &str> {
        let excluded = excluded(&self.daemon_set);
        let left = self.nodes.iter().filter(|it| !excluded.contains(*it));
        let mut waits = None;
        for node in left {
            match self.speakers.get(node) {
                Some(speaker) if is_settled(*speaker, wall) => return Ok(Some(node)),
                Some(_) => waits = Some(&**node),
                None => {}
            }
        }
        waits.map_or(Ok(None), Err)
    }
}

/// Whether it is ready, and has had the time to say how its sessions are.
fn is_settled(speaker: Speaker, wall: Timestamp) -> bool {
    match speaker {
        Speaker::NotReady => false,
        Speaker::ReadySince(since) => wall.duration_since(since) >= SETTLED,
    }
}

/// How a session is named in the annotation.
pub(crate) fn session_name(node: &str, bgp_peer: &str) -> String {
    format!("{node}/{bgp_peer}")
}

fn node_of(session: &str) -> &str {
    session.split('/').next().unwrap_or_default()
}

/// The sessions that have to come up before the next node's turn.
fn awaited(daemon_set: &DaemonSet) -> BTreeSet<String> {
    let value = daemon_set.annotations().get(AWAITED);
    let names = value.iter().flat_map(|it| it.split(','));
    let names = names.filter(|it| !it.is_empty());
    names.map(str::to_owned).collect()
}

/// The nodes that it is not to be on: those that each term of its affinity excludes by name.
fn excluded(daemon_set: &DaemonSet) -> BTreeSet<String> {
    let names = |term: &NodeSelectorTerm| {
        let fields = term.match_fields.iter().flatten();
        let excluding = fields.filter(|it| it.key == NODE_NAME && it.operator == "NotIn");
        let names = excluding.flat_map(|it| it.values.iter().flatten());
        names.cloned().collect::<BTreeSet<_>>()
    };
    let terms = required(daemon_set).map(|it| it.node_selector_terms);
    let each = terms.iter().flatten().map(names);
    each.reduce(|some, others| &some & &others)
        .unwrap_or_default()
}

fn required(daemon_set: &DaemonSet) -> Option<NodeSelector> {
    let spec = daemon_set.spec.as_ref()?.template.spec.as_ref()?;
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    affinity
        .required_during_scheduling_ignored_during_execution
        .clone()
}

/// The patch by which it ends on one more node, after which these sessions are awaited.
pub(crate) fn without(daemon_set: &DaemonSet, node: &str, awaited: &BTreeSet<String>) -> Value {
    let mut required = required(daemon_set).unwrap_or_default();
    if required.node_selector_terms.is_empty() {
        required.node_selector_terms.push(<_>::default());
    }
    for term in &mut required.node_selector_terms {
        // A field takes one value.
        let other = NodeSelectorRequirement {
            key: NODE_NAME.to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(vec![node.to_owned()]),
        };
        term.match_fields.get_or_insert_default().push(other);
    }
    let awaited: Vec<&str> = awaited.iter().map(String::as_str).collect();
    json!({
        "metadata": {
            // What changed in between is looked at anew.
            "resourceVersion": daemon_set.resource_version(),
            "annotations": { AWAITED: awaited.join(",") },
        },
        "spec": {
            "updateStrategy": { "type": "OnDelete", "rollingUpdate": null },
            "template": { "spec": { "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": required,
            } } } },
        },
    })
}

/// The one field of a node that an affinity can name.
const NODE_NAME: &str = "metadata.name";
/// On the `DaemonSet`: which sessions have to come up before the next node's turn.
const AWAITED: &str = "metallb.io/awaited-sessions";
/// What a speaker says of its sessions is there a second after it is ready.
const SETTLED: SignedDuration = SignedDuration::from_secs(5);

#[cfg(test)]
pub(crate) mod tests;
