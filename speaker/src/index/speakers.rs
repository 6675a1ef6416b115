//! The pods of speakers: whom to exchange heartbeats with, and where MetalLB's own still run.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kube::ResourceExt as _;
use metallb_crds::names;
use metallb_kit::watch::{Change, ObjectKey};

use crate::api;

/// All pods that are speakers.
///
/// While a cluster changes over, some nodes run MetalLB's own speakers. Theirs elect among
/// themselves and know nothing of ours, so ours announce only what none of theirs can. Which are
/// theirs is told by our pods' annotation; where our own pod lacks it, as in an installation by
/// somebody's own manifests, nothing is told by it, and all count as ours.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    /// The name of our own pod.
    own: Option<Box<str>>,
    pods: BTreeMap<ObjectKey, Speaker>,
    upstream: BTreeSet<Box<str>>,
}

/// A speaker's Pod that runs somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Speaker {
    node: Box<str>,
    ip: IpAddr,
    /// It is one of ours.
    marked: bool,
    /// It does its work, and nobody has told it to stop.
    works: bool,
}

/// What a change of the pods touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touches {
    /// The speakers to exchange heartbeats with may be others.
    pub(crate) peers: bool,
    /// MetalLB's own run on other nodes than before.
    pub(crate) upstream: bool,
}

impl Speakers {
    /// Nobody yet. `own` is the name of our own pod, if it is one.
    pub(crate) fn of(own: Option<&str>) -> Self {
        Self {
            own: own.map(Into::into),
            ..Self::default()
        }
    }

    pub(crate) fn apply(&mut self, change: Change<api::Pod>) -> Touches {
        let peers = match change {
            Change::Listing | Change::Synced => false,
            Change::Delete(key) => self.pods.remove(&key).is_some(),
            Change::Apply(object) => {
                let key = ObjectKey::of(&object);
                match Speaker::parse(&object) {
                    None => self.pods.remove(&key).is_some(),
                    Some(speaker) => {
                        let known = self.pods.insert(key, speaker.clone());
                        known.as_ref() != Some(&speaker)
                    }
                }
            }
        };
        let upstream = self.find_upstream();
        Touches {
            peers,
            upstream: upstream != std::mem::replace(&mut self.upstream, upstream.clone()),
        }
    }

    /// Those to exchange heartbeats with, by their nodes.
    pub(crate) fn peers(&self) -> BTreeMap<String, IpAddr> {
        let told_apart = self.are_told_apart();
        let ours = self.pods.values().filter(|it| it.marked || !told_apart);
        ours.map(|it| (it.node.to_string(), it.ip)).collect()
    }

    /// Whether one of MetalLB's own works on the node.
    pub(crate) fn is_upstream(&self, node: &str) -> bool {
        self.upstream.contains(node)
    }

    fn find_upstream(&self) -> BTreeSet<Box<str>> {
        if !self.are_told_apart() {
            return BTreeSet::new();
        }
        let theirs = self.pods.values().filter(|it| !it.marked && it.works);
        theirs.map(|it| it.node.clone()).collect()
    }

    fn are_told_apart(&self) -> bool {
        let Some(own) = &self.own else { return false };
        let mut pods = self.pods.iter();
        pods.any(|(key, it)| *key.name == **own && it.marked)
    }
}

impl Speaker {
    /// Nothing for a Pod that has no node or address yet, and for one that has ended: an evicted
    /// Pod stays in the list.
    fn parse(pod: &api::Pod) -> Option<Self> {
        if matches!(pod.status.phase.as_deref(), Some("Failed" | "Succeeded")) {
            return None;
        }
        let mut conditions = pod.status.conditions.iter().flatten();
        let ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
        Some(Self {
            node: pod.spec.node_name.as_deref()?.into(),
            ip: pod.status.pod_ip.as_deref()?.parse().ok()?,
            marked: pod.annotations().contains_key(names::HEARTBEATS),
            works: ready && pod.metadata.deletion_timestamp.is_none(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::index::fixtures::apply;

    /// A pod of a node, ready or not, about to end or not.
    fn pod(node: &str, marked: bool, ready: bool, ends: bool) -> Change<api::Pod> {
        let annotations = if marked {
            json!({ "metallb.io/heartbeats": "ring" })
        } else {
            json!({})
        };
        let status = if ready { "True" } else { "False" };
        apply(json!({
            "metadata": {
                "namespace": "metallb-system", "name": format!("speaker-{node}"),
                "annotations": annotations,
                "deletionTimestamp": ends.then_some("2026-01-01T00:00:00Z"),
            },
            "spec": { "nodeName": node },
            "status": {
                "podIP": "10.0.0.1", "phase": "Running",
                "conditions": [{ "type": "Ready", "status": status }],
            },
        }))
    }

    #[test]
    fn metallbs_own_speakers_are_those_without_our_mark() {
        let mut speakers = Speakers::of(Some("speaker-a"));
        let names = |speakers: &Speakers| speakers.peers().into_keys().collect::<Vec<_>>();
        let touched = speakers.apply(pod("b", false, true, false));
        assert!(touched.peers && !touched.upstream, "nothing is known of us");
        assert!(speakers.apply(pod("a", true, false, false)).upstream);
        assert!(speakers.is_upstream("b") && !speakers.is_upstream("a"));
        assert_eq!(names(&speakers), ["a"], "theirs would not understand us");
        // It is told to stop, and so does no more count, long before it is gone.
        assert!(speakers.apply(pod("b", false, true, true)).upstream);
        assert!(!speakers.is_upstream("b"));
        // One that is not ready, either.
        assert!(!speakers.apply(pod("b", false, false, false)).upstream);
        // In its place comes one of ours.
        let ours = speakers.apply(pod("b", true, true, false));
        assert!(ours.peers && !ours.upstream);
        assert_eq!(names(&speakers), ["a", "b"]);
    }

    #[test]
    fn where_our_own_pod_has_no_mark_all_count_as_ours() {
        for own in [None, Some("speaker-a")] {
            let mut speakers = Speakers::of(own);
            for node in ["a", "b"] {
                speakers.apply(pod(node, false, true, false));
            }
            assert!(!speakers.is_upstream("b"), "{own:?}");
            assert_eq!(speakers.peers().len(), 2);
        }
    }
}
