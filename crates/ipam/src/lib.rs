//! Which Service has which address.
//!
//! The Services' statuses are the record and the [`Allocator`] is a view of it: first
//! [adopt](Allocator::adopt) all that is assigned, then [allocate](Allocator::allocate). The same
//! pools and the same calls in the same order give the same addresses. Nothing here waits, logs or
//! knows of an API server.
//!
//! An address is found, taken and given back in time that grows with the logarithm of what is in
//! use, in pools of any size, and nothing is allocated on the heap for it once the maps have their
//! room. Services that share addresses cost a little of both.

mod allocator;
mod claims;
mod ips;
mod numbers;
mod pool;
mod port;
mod refusal;
mod request;
mod sharing;
mod shelf;
mod space;
mod tenants;
mod usage;

pub use allocator::{Adopted, Allocator, Assignment, Explanation, PoolsChanged};
pub use claims::{Claim, Claims};
pub use ips::{Ips, IpsError};
pub use pool::Counters;
pub use port::{Port, Protocol, UnknownProtocol};
pub use refusal::{InUse, Refusal};
pub use request::{Families, Request};
pub use sharing::{Mismatch, Share, backend_key};
pub use usage::Usage;
