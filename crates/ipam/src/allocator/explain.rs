//! Why a Service was refused, pool by pool.

use std::fmt;
use std::sync::Arc;

use metallb_config::Family;

use super::Allocator;
use crate::ips::Ips;
use crate::pool::PoolState;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::sharing::Share;

/// The pools that were considered for a Service, and why it got nothing of each.
///
/// Shown as the refusals one after the other; each names its pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Pools and their reasons: first those that are for the Service, each kind by name.
    pub pools: Vec<(Arc<str>, Refusal)>,
    /// How many other pools there are that it got nothing of.
    pub more: usize,
}

impl Allocator {
    /// Why each pool refuses what a Service asks for, for at most `limit` pools. Nothing for pools
    /// that have what it asks for.
    ///
    /// It looks at every pool: for those who were refused, and only when somebody is told.
    pub fn explain(&self, request: &Request<'_>, limit: usize) -> Explanation {
        let share = Share::of(request);
        let share = share.as_ref();
        match (request.ips, request.pool) {
            (Some(ips), _) => self.explain_ips(request, ips, share),
            (None, Some(pool)) => self.explain_pool(request, pool, share),
            (None, None) => self.explain_all(request, share, limit),
        }
    }

    fn explain_ips(&self, request: &Request<'_>, ips: Ips, share: Option<&Share>) -> Explanation {
        let mut explanation = Explanation::default();
        if let Ok(found) = self.locate(ips) {
            if let Err(refusal) = self.choose(request, share) {
                explanation.pools.push((found.pool, refusal));
            }
            return explanation;
        }
        for &ip in &*ips {
            let Some(pool) = self.pool_around(ip) else {
                continue;
            };
            let name = pool.to_string();
            let refusal = if self.pool_with(ip).is_some() {
                Refusal::NotTogether { pool: name, ip }
            } else {
                Refusal::LeftOut { pool: name, ip }
            };
            explanation.pools.push((pool.clone(), refusal));
        }
        explanation
    }

    fn explain_pool(
        &self,
        request: &Request<'_>,
        pool: &str,
        share: Option<&Share>,
    ) -> Explanation {
        let mut explanation = Explanation::default();
        if let Some((name, state)) = self.pools.get_key_value(pool)
            && let Err(refusal) = self.choose(request, share)
        {
            let refusal = self.or_none_to_share(refusal, request, state, share);
            explanation.pools.push((name.clone(), refusal));
        }
        explanation
    }

    /// Where a pool has no address left, and others share one of it under the Service's key: why
    /// the Service does not.
    fn or_none_to_share(
        &self,
        refusal: Refusal,
        request: &Request<'_>,
        state: &PoolState,
        share: Option<&Share>,
    ) -> Refusal {
        let Refusal::PoolExhausted(pool) = refusal else {
            return refusal;
        };
        let near = |share: &Share| {
            [Family::V4, Family::V6].into_iter().find_map(|family| {
                let ip = state.space(family).shared_under_key_of(&share.sharing)?;
                let rivals = self.rivals(ip, Some(share))?;
                Some(Box::new(self.taken(request.service, ip, rivals)))
            })
        };
        match share.and_then(near) {
            Some(why) => Refusal::NoneToShare { pool, why },
            None => Refusal::PoolExhausted(pool),
        }
    }

    fn explain_all(
        &self,
        request: &Request<'_>,
        share: Option<&Share>,
        limit: usize,
    ) -> Explanation {
        let mut explanation = Explanation::default();
        let mut others = Vec::new();
        for (name, state) in &self.pools {
            let for_others = if state.pool.auto_assign {
                state.check_is_for(request).err()
            } else {
                Some(Refusal::NotAutomatic(state.pool.name.clone()))
            };
            let (list, refusal) = if let Some(refusal) = for_others {
                (&mut others, refusal)
            } else if state.offer(request.families, share).is_none() {
                let refusal = state.exhausted(request.families, share);
                let refusal = self.or_none_to_share(refusal, request, state, share);
                (&mut explanation.pools, refusal)
            } else {
                continue;
            };
            if list.len() < limit {
                list.push((name.clone(), refusal));
            } else {
                explanation.more += 1;
            }
        }
        let left = limit - explanation.pools.len();
        explanation.more += others.len().saturating_sub(left);
        explanation.pools.extend(others.into_iter().take(left));
        explanation
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (_, refusal)) in self.pools.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{refusal}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more pools"),
        }
    }
}
