//! Which Services this node announces: a pure function of the index. The numbers in comments are
//! the steps of upstream's rule, which every speaker follows, so that all come to the same answer.

mod assigned;
mod claim;
mod routes;

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_kit::watch::ObjectKey;
use metallb_l2::elect::{self, Candidate};
use metallb_l2::{Fitness, Interfaces};

use crate::index::Index;
use crate::reason::Reason;
use claim::Claim;
pub(crate) use routes::routes;

/// Who decides, and by which settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// The name of this node.
    pub(crate) node: String,
    /// Nodes with the label that excludes them from load balancers may announce all the same.
    pub(crate) ignore_exclude_lb: bool,
}

/// What to do with a Service by layer 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Announce it from here.
    Announce(Box<Announcement>),
    /// It falls to this node, which has none of the wanted interfaces.
    NoInterface(Box<Announcement>),
    /// Do not announce it from here.
    Withhold(Reason),
}

impl Decision {
    /// What is announced, if something is.
    pub(crate) fn announced(&self) -> Option<&Announcement> {
        match self {
            Self::Announce(announcement) => Some(announcement),
            Self::NoInterface(_) | Self::Withhold(_) => None,
        }
    }

    /// Whether there is nothing to do, nor anything that somebody should see to.
    pub(crate) fn goes_without_saying(&self) -> bool {
        matches!(self, Self::Withhold(reason) if !reason.is_a_mistake())
    }
}

/// What is announced of a Service, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) pool: String,
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) interfaces: Interfaces,
}

/// Decides about the Service `key` and all that share an address with it, which have one owner:
/// two nodes never answer for one address. Upstream decides about each alone, and they agree as
/// long as the same nodes can serve them.
pub(crate) fn decide(index: &Index, own: &Own, key: &ObjectKey) -> Vec<(ObjectKey, Decision)> {
    let keys = index.group(key);
    let claims: Vec<_> = keys.iter().map(|key| Claim::of(index, key)).collect();
    // Beside MetalLB's own speakers, in a cluster that changes over.
    let is_upstreams = |it: &Claim<'_>| it.check(index).is_ok() && it.is_upstreams(index, own);
    let upstreams = index.speakers.has_upstream() && claims.iter().flatten().any(is_upstreams);
    let mut candidates = Common::default();
    let joined: Vec<_> = claims
        .iter()
        .map(|claim| {
            let claim = claim.as_ref().ok()?;
            let theirs = claim.check(index).ok()?.candidates(index, own);
            candidates.join(theirs).then_some(())
        })
        .collect();
    // 7. The first address of the Service; of several, of the oldest that has one.
    let first = claims.iter().flatten().next().map(|claim| claim.ips[0]);
    let owner = first.and_then(|first| elect::owner(candidates.all(), first));
    let decisions = claims.into_iter().zip(joined).map(|(claim, joined)| {
        let announcement = claim.and_then(|claim| {
            claim.check(index)?;
            let interfaces = claim.interfaces(index, own)?;
            if upstreams {
                return Err(Reason::UpstreamAnnounces);
            }
            let owner = owner.filter(|owner| owner.node == own.node && joined.is_some());
            let owner = owner.filter(|_| !index.rivals.outrank(&own.node, claim.ips));
            let owner = owner.ok_or(Reason::NotOwner)?;
            Ok((Box::new(claim.announcement(interfaces)), owner.fitness))
        });
        match announcement {
            Err(reason) => Decision::Withhold(reason),
            Ok((announcement, fitness)) => verdict(index, announcement, fitness),
        }
    });
    let decisions: Vec<_> = decisions.collect();
    keys.into_iter().zip(decisions).collect()
}

/// The nodes that can serve all of some Services.
#[derive(Debug, Default)]
struct Common<'a>(Option<BTreeMap<&'a str, Candidate<'a>>>);

impl<'a> Common<'a> {
    /// One more Service, which these nodes can serve. False if none of them can serve the others,
    /// too: then it is not announced, rather than that they are not.
    fn join(&mut self, theirs: Vec<Candidate<'a>>) -> bool {
        let Some(ours) = &mut self.0 else {
            let is_some = !theirs.is_empty();
            let theirs = theirs.into_iter().map(|it| (it.node, it));
            self.0 = is_some.then(|| theirs.collect());
            return is_some;
        };
        let both: BTreeMap<_, _> = theirs
            .into_iter()
            .filter_map(|theirs| {
                let mut both = *ours.get(theirs.node)?;
                both.fitness = both.fitness.min(theirs.fitness);
                Some((both.node, both))
            })
            .collect();
        let is_some = !both.is_empty();
        if is_some {
            *ours = both;
        }
        is_some
    }

    fn all(&self) -> impl Iterator<Item = Candidate<'a>> {
        self.0.iter().flat_map(|all| all.values().copied())
    }
}

/// Whether this node, which is the owner, has an interface to announce on.
fn verdict(index: &Index, announcement: Box<Announcement>, fitness: Fitness) -> Decision {
    let exists = match &announcement.interfaces {
        // Upstream does not ask whether there is any.
        Interfaces::All => true,
        Interfaces::Named(names) => !names.is_disjoint(&index.interfaces),
    };
    if !exists {
        // Nobody else has it either, or this node would not own it.
        return Decision::NoInterface(announcement);
    }
    if fitness == Fitness::Unable {
        return Decision::Withhold(Reason::InterfaceDown);
    }
    Decision::Announce(announcement)
}

#[cfg(test)]
mod tests;
