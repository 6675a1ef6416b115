//! What is said of a route, and to whom.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;

use crate::wire::LargeCommunity;

/// A route that is to be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where it leads.
    pub prefix: IpNet,
    /// Who is to be told.
    pub audience: Audience,
    /// What is said of it.
    pub attributes: Arc<RouteAttributes>,
}

/// Routes in order, each once. Cheap to clone: who contributes them and the table share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Arc<[Route]>);

impl From<Vec<Route>> for Routes {
    fn from(mut routes: Vec<Route>) -> Self {
        routes.sort_unstable();
        routes.dedup();
        Self(routes.into())
    }
}

impl Deref for Routes {
    type Target = [Route];

    fn deref(&self) -> &[Route] {
        &self.0
    }
}

/// The peers that are to be told of a route, by name; all if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Audience(pub Arc<BTreeSet<String>>);

/// What is said of a route, beside what follows from the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteAttributes {
    /// How much it is preferred to others, within an AS.
    pub local_pref: Option<u32>,
    /// Its communities.
    pub communities: BTreeSet<u32>,
    /// Its large communities.
    pub large_communities: BTreeSet<LargeCommunity>,
}

impl Audience {
    /// Whether this peer is among them.
    pub fn has(&self, peer: &str) -> bool {
        self.0.is_empty() || self.0.contains(peer)
    }
}

impl RouteAttributes {
    pub(super) fn unite(&mut self, other: &Self) {
        self.local_pref = self.local_pref.max(other.local_pref);
        self.communities.extend(&other.communities);
        self.large_communities.extend(&other.large_communities);
    }
}
