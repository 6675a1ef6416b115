//! The pods of speakers: whom to exchange heartbeats with, and where MetalLB's own still run.

use std::collections::BTreeMap;
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
    /// Our own pod has the annotation.
    told_apart: bool,
    pods: BTreeMap<ObjectKey, Speaker>,
    /// How many pods without it do their work, by node.
    unmarked: BTreeMap<Box<str>, usize>,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let (key, after) = match change {
            Change::Listing | Change::Synced => return Touches::default(),
            Change::Delete(key) => (key, None),
            Change::Apply(object) => (ObjectKey::of(&object), Speaker::parse(&object)),
        };
        let before = match &after {
            None => self.pods.remove(&key),
            Some(speaker) => self.pods.insert(key.clone(), speaker.clone()),
        };
        if before == after {
            return Touches::default();
        }
        let told_apart = self.told_apart;
        if self.own.as_deref() == Some(key.name()) {
            self.told_apart = after.as_ref().is_some_and(|it| it.marked);
        }
        let changed = self.count(before.as_ref(), after.as_ref());
        Touches {
            peers: true,
            upstream: if self.told_apart == told_apart {
                told_apart && changed
            } else {
                changed || !self.unmarked.is_empty()
            },
        }
    }

    /// Counts a pod where it is now; true if other nodes than before have one without the annotation.
    fn count(&mut self, before: Option<&Speaker>, after: Option<&Speaker>) -> bool {
        let node = |it: Option<&Speaker>| {
            it.filter(|it| it.may_be_upstreams())
                .map(|it| it.node.clone())
        };
        let (before, after) = (node(before), node(after));
        if before == after {
            return false;
        }
        let mut changed = false;
        if let Some(node) = after {
            let count = self.unmarked.entry(node).or_default();
            changed |= *count == 0;
            *count += 1;
        }
        if let Some(node) = before
            && let Some(count) = self.unmarked.get_mut(&node)
        {
            *count -= 1;
            if *count == 0 {
                self.unmarked.remove(&node);
                changed = true;
            }
        }
        changed
    }

    /// Those to exchange heartbeats with, by their nodes.
    pub(crate) fn peers(&self) -> BTreeMap<String, IpAddr> {
        let ours = self.pods.values();
        let ours = ours.filter(|it| it.marked || !self.told_apart);
        ours.map(|it| (it.node.to_string(), it.ip)).collect()
    }

    /// Whether any of MetalLB's own works.
    pub(crate) fn has_upstream(&self) -> bool {
        self.told_apart && !self.unmarked.is_empty()
    }

    /// Whether one of MetalLB's own works on the node.
    pub(crate) fn is_upstream(&self, node: &str) -> bool {
        self.told_apart && self.unmarked.contains_key(node)
    }
}

impl Speaker {
    /// It does its work and is none of ours, if ours can be told apart.
    fn may_be_upstreams(&self) -> bool {
        self.works && !self.marked
    }

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
