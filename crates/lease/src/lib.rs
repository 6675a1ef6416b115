//! Leader election over a Kubernetes Lease, by client-go's rules.
//!
//! This crate has no clock, no runtime and no client. The shell asks the [`Elector`] what to do
//! ([`Elector::decide`]), does it against the API server, and says how it went
//! ([`Elector::observe`]). Time and randomness are arguments, so three electors with a failing API
//! run in one test under a virtual clock.
//!
//! The rules that make it safe:
//! - Nobody's clock is trusted but one's own. Another's lease ends a lease duration after *we* saw
//!   its record change, whatever times are written in it.
//! - A leader counts from the moment it *sent* the last renewal that succeeded, the others from a
//!   moment after the server took it. So a leader that cannot renew stops first, as long as clocks
//!   run at rates that differ by less than `lease_duration / renew_deadline`.
//! - Every write carries the resourceVersion it was decided on; of two only one succeeds.

mod elector;

pub use elector::{Action, Elector, Now, Observation, Record, Settings};
