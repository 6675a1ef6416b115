//! What must be true before the pod counts as ready, each under a name that people can read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The set of conditions. Cheap to clone; all clones are the same set.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    conditions: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Ready {
    /// An empty set, which is ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, not met yet.
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let condition = Condition {
            name: name.into(),
            set: self.clone(),
        };
        condition.set(false);
        condition
    }

    /// The conditions that are not met. Empty means ready.
    pub fn missing(&self) -> Vec<String> {
        let conditions = self
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        conditions
            .iter()
            .filter(|(_, met)| !**met)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// One condition, held by whoever knows whether it is met.
#[derive(Clone, Debug)]
pub struct Condition {
    name: String,
    set: Ready,
}

impl Condition {
    /// Says whether the condition is met.
    pub fn set(&self, met: bool) {
        let mut conditions = self
            .set
            .conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        conditions.insert(self.name.clone(), met);
    }
}
