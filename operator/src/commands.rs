//! The commands that a person gives instead of running the operator, each by the operator's own
//! code: what is printed without a cluster, and what is looked at or made on one.

pub(crate) mod check;
pub(crate) mod collect;
pub(crate) mod diff;
pub(crate) mod export;
mod listing;
pub(crate) mod print;
pub(crate) mod restore;
