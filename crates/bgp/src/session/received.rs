//! What a peer announces: counted, and some of it kept to be looked at. Nothing of it is used.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::wire::Update;

/// Routes that a peer has announced. However many there are, no more than some are kept.
#[derive(Clone, Debug, Default)]
pub struct ReceivedRoutes {
    kept: BTreeSet<IpNet>,
    /// There were more than are kept.
    overflowed: bool,
}

impl ReceivedRoutes {
    pub(super) fn take(&mut self, update: &Update, treat_as_withdraw: bool) {
        for prefix in update.unreached() {
            self.kept.remove(&prefix);
        }
        for prefix in update.reached() {
            if treat_as_withdraw {
                self.kept.remove(&prefix);
            } else if self.kept.len() < KEPT {
                self.kept.insert(prefix);
            } else if !self.kept.contains(&prefix) {
                self.overflowed = true;
            }
        }
    }

    /// Those that are kept.
    pub fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.kept.iter().copied()
    }

    /// How many are kept.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// Whether there were more.
    pub fn is_cut(&self) -> bool {
        self.overflowed
    }
}

/// A few kilobytes for each peer.
const KEPT: usize = 1000;
