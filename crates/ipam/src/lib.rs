//! Which Service has which address.
//!
//! The Services' statuses are the record and the [`Allocator`] is a view of it: first
//! [adopt](Allocator::adopt) all that is assigned, then [allocate](Allocator::allocate). The same
//! pools and the same calls in the same order give the same addresses. Nothing here waits, logs or
//! knows of an API server.
//!
//! An address is found, taken and given back in time that grows with the logarithm of what is in
//! use, in pools of any size.

mod allocator;
mod ips;
mod pool;
mod refusal;
mod request;
mod runs;
mod shelf;
mod space;
mod usage;

pub use allocator::{Adopted, Allocator, Assignment, PoolsChanged};
pub use ips::{Ips, IpsError};
pub use pool::Counters;
pub use refusal::Refusal;
pub use request::{Families, Request, ServiceKey};
pub use usage::Usage;
