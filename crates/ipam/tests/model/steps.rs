//! What happens to Services and pools in a cluster, one step after the other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use metallb_config::{AddrRange, Pool, ServiceAllocation};
use metallb_ipam::Families;
use metallb_seeds::Dice;

use crate::chance;
use crate::naive::{Ask, How};

/// A step. It makes sense whatever was before it, so that any can be left out.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A Service is created, if it is not there.
    Create(Ask),
    /// A Service is edited, if it is there.
    Edit(String, Edit),
    /// A Service is deleted.
    Delete(String),
    /// Somebody else writes a Service's status, as a deposed leader may.
    Record(String, Vec<IpAddr>),
    /// A pool is created, or replaced by another of its name.
    Pool(Pool),
    /// One of the pools is edited.
    EditPool(usize, PoolEdit),
    /// The controller is started again.
    Restart,
}

#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Share(How),
    Families(Families),
    Pool(Option<String>),
    Ips(Option<Vec<IpAddr>>),
}

#[derive(Debug, Clone)]
pub(crate) enum PoolEdit {
    Delete,
    Rename(String),
    /// The second half of each range goes to a new pool of this name.
    Split(String),
    /// Each range is halved.
    Shrink,
    /// The ranges in another order.
    Turn,
    AutoAssign(bool),
    AvoidBuggyIps(bool),
    Allocation(Option<ServiceAllocation>),
}

pub(crate) fn program(dice: &mut Dice) -> Vec<Step> {
    let mut program = Vec::new();
    for _ in 0..=dice.below(3) {
        program.extend(chance::pool(dice).map(Step::Pool));
    }
    for _ in 0..3 + dice.below(22) {
        program.extend(step(dice));
    }
    program
}

fn step(dice: &mut Dice) -> Option<Step> {
    Some(match dice.below(20) {
        0..8 => Step::Create(chance::ask(dice)),
        8..11 => Step::Edit(chance::service(dice), edit(dice)),
        11..14 => Step::Delete(chance::service(dice)),
        14 => Step::Record(chance::service(dice), chance::ips(dice)),
        15 => Step::Pool(chance::pool(dice)?),
        16..19 => Step::EditPool(dice.below(4), pool_edit(dice)),
        _ => Step::Restart,
    })
}

fn edit(dice: &mut Dice) -> Edit {
    match dice.below(5) {
        0 | 1 => Edit::Share(chance::how(dice)),
        2 => Edit::Families(chance::families(dice)),
        3 => Edit::Pool(dice.percent(60).then(|| chance::pool_name(dice))),
        _ => Edit::Ips(dice.percent(60).then(|| chance::ips(dice))),
    }
}

fn pool_edit(dice: &mut Dice) -> PoolEdit {
    match dice.below(8) {
        0 => PoolEdit::Delete,
        1 => PoolEdit::Rename(chance::pool_name(dice)),
        2 => PoolEdit::Split(chance::pool_name(dice)),
        3 => PoolEdit::Shrink,
        4 => PoolEdit::Turn,
        5 => PoolEdit::AutoAssign(dice.percent(50)),
        6 => PoolEdit::AvoidBuggyIps(dice.percent(50)),
        _ => PoolEdit::Allocation(dice.percent(50).then(|| chance::allocation(dice))),
    }
}

impl PoolEdit {
    /// Edits one of the pools.
    pub(crate) fn apply(&self, pools: &mut BTreeMap<String, Pool>, which: usize) {
        let Some(name) = pools.keys().nth(which % pools.len().max(1)).cloned() else {
            return;
        };
        let mut pool = pools.remove(&name).expect("it was there just now");
        let first_halves = || halves(&pool).map(|(first, _)| first).collect();
        match self {
            Self::Delete => return,
            Self::Rename(to) => pool.name.clone_from(to),
            Self::Split(to) => {
                let second = halves(&pool).filter_map(|(_, second)| second).collect();
                let second = like(&pool, to, second);
                pool = like(&pool, &name, first_halves()).expect("as before, but less");
                pools.extend(second.map(|pool| (to.clone(), pool)));
            }
            Self::Shrink => pool = like(&pool, &name, first_halves()).expect("as before, but less"),
            Self::Turn => {
                let turned = pool.ranges().iter().rev().copied().collect();
                pool = like(&pool, &name, turned).expect("as before");
            }
            Self::AutoAssign(auto_assign) => pool.auto_assign = *auto_assign,
            Self::AvoidBuggyIps(avoid) => pool.avoid_buggy_ips = *avoid,
            Self::Allocation(allocation) => pool.service_allocation.clone_from(allocation),
        }
        pools.insert(pool.name.clone(), pool);
    }
}

/// The two halves of each range; one address alone has no second half.
fn halves(pool: &Pool) -> impl Iterator<Item = (AddrRange, Option<AddrRange>)> {
    pool.ranges().iter().map(|range| {
        let middle = range.len() / 2;
        let part = |from, to| {
            let range = format!("{}-{}", range.nth(from)?, range.nth(to)?);
            range.parse().ok()
        };
        match middle {
            0 => (*range, None),
            _ => (
                part(0, middle - 1).expect("a part of it"),
                part(middle, range.len() - 1),
            ),
        }
    })
}

/// A pool with other addresses.
fn like(pool: &Pool, name: &str, ranges: Vec<AddrRange>) -> Option<Pool> {
    let mut new = Pool::new(name, ranges).ok()?;
    new.auto_assign = pool.auto_assign;
    new.avoid_buggy_ips = pool.avoid_buggy_ips;
    new.service_allocation.clone_from(&pool.service_allocation);
    Some(new)
}
