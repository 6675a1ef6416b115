//! The configuration, parsed once: API objects in, one type that cannot be wrong out.
//!
//! [`parse`] takes the objects as the API server gives them and returns a [`Config`] of the sound
//! ones, and for each of the others the reason, in upstream's words where people know them. One
//! bad object excludes itself and never the others; of two that clash the older wins. [`reparse`]
//! does so after a change, and keeps the last sound form of an object that became a bad one.
//!
//! Controller, speaker and admission all read the configuration through this crate, so a rule
//! stands here once.

mod l2;
mod label;
mod parse;
mod pool;
mod range;
mod selector;

pub use l2::{L2Advertisement, L2AdvertisementError, PreferredNodes};
pub use parse::{Config, Error, Kind, Objects, Parsed, Rejected, parse, reparse};
pub use pool::{Pool, PoolError, ServiceAllocation};
pub use range::{AddrRange, Family, RangeError};
pub use selector::{Duplicate, Labels, Selector, SelectorError};
