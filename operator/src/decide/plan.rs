//! What comes of a decision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use metallb_kit::watch::ObjectKey;

use crate::object::{Key, Kind, Object};

/// What to do, in order, and when to look again without news.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) actions: Vec<Action>,
    pub(crate) wake_at: Option<Instant>,
    pub(crate) outlook: Outlook,
}

/// What is not done now, and why; for the status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlook {
    /// The form that each object is to have, as a hash.
    pub(crate) wanted: BTreeMap<Key, u64>,
    /// The kinds of what cannot be made, since the cluster does not have them.
    pub(crate) unserved: BTreeSet<Kind>,
    /// What waits for another step of a rollout, and for which.
    pub(crate) waits: Vec<(Key, String)>,
    /// The version of a newer operator that was at work here: nothing is done.
    pub(crate) yields_to: Option<String>,
    /// Where the `MetalLB` object is paused: what would be done.
    pub(crate) held_back: Option<Vec<String>>,
}

/// How thoroughly to remove what was made for a `MetalLB` object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All of it, and in order.
    Thorough,
    /// Only what nobody else will remove, and at once: the namespace is going, with the `MetalLB`
    /// object and the operator in it.
    Hurried,
}

/// One write, or the one read that a write needs.
#[derive(Debug)]
pub(crate) enum Action {
    /// Learn the key in the memberlist Secret, if there is one.
    ReadMemberlistKey,
    /// Hold the `MetalLB` object back when it is deleted, or let it go.
    SetFinalizer { metallb: ObjectKey, hold: bool },
    /// `repairs` says that it was so before and somebody changed it.
    Apply {
        object: Object,
        wanted: u64,
        repairs: bool,
    },
    /// `uid` must still be the same object's.
    Delete { key: Key, uid: String },
    /// Learn how many addresses are in use.
    CountAddresses,
    /// Learn what speakers have written for an FRR-K8s.
    LookForFrrConfigurations,
    /// Delete one of those.
    DeleteFrrConfiguration { key: ObjectKey, uid: String },
    /// Learn what MetalLB's own operator left of what it made for the object of this uid.
    LookForLeftovers { metallb: String },
    /// Delete one of those.
    DeleteLeftover { key: Key, uid: String },
    /// Learn how far the FRR-K8s that it left has given way to speakers of this image.
    LookAtFrr { image: String },
    /// Have that end on one more node, after which these sessions have to come up.
    EndFrr {
        node: String,
        awaited: BTreeSet<String>,
    },
    /// The controllers make their Lease themselves and nobody removes it.
    DeleteControllerLease,
    /// Nothing of the `MetalLB` object is left.
    Forget,
}

impl Action {
    /// Whether it but learns something, after which all is decided anew.
    pub(crate) fn is_read(&self) -> bool {
        matches!(
            self,
            Self::ReadMemberlistKey
                | Self::LookForFrrConfigurations
                | Self::LookForLeftovers { .. }
                | Self::LookAtFrr { .. }
                | Self::CountAddresses
        )
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReadMemberlistKey => f.write_str("read key"),
            Self::SetFinalizer { metallb, hold } => {
                let what = if *hold { "hold" } else { "let go" };
                write!(f, "{what} {metallb}")
            }
            Self::Apply {
                object, repairs, ..
            } => {
                let what = if *repairs { "repair" } else { "apply" };
                write!(f, "{what} {}", object.key)
            }
            Self::Delete { key, .. } => write!(f, "delete {key}"),
            Self::CountAddresses => f.write_str("count addresses"),
            Self::LookForFrrConfigurations => f.write_str("look for FRRConfigurations"),
            Self::DeleteFrrConfiguration { key, .. } => {
                write!(f, "delete FRRConfiguration {key}")
            }
            Self::LookForLeftovers { .. } => f.write_str("look for leftovers"),
            Self::DeleteLeftover { key, .. } => write!(f, "delete leftover {key}"),
            Self::LookAtFrr { .. } => f.write_str("look at FRR-K8s"),
            Self::EndFrr { node, .. } => write!(f, "end FRR-K8s on node {node}"),
            Self::DeleteControllerLease => f.write_str("delete lease"),
            Self::Forget => f.write_str("forget"),
        }
    }
}

impl Pace {
    pub(super) fn minds(self, key: &Key) -> bool {
        self == Self::Thorough || !key.kind.is_namespaced()
    }
}

impl Plan {
    /// Leaves only what writes nothing.
    pub(super) fn hold_back(&mut self) {
        let (reads, writes) = std::mem::take(&mut self.actions)
            .into_iter()
            .partition(Action::is_read);
        self.actions = reads;
        let writes: Vec<Action> = writes;
        self.outlook.held_back = Some(writes.iter().map(Action::to_string).collect());
    }

    pub(super) fn wake_by(&mut self, at: Instant) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}
