//! BFD (RFC 5880, RFC 5881, RFC 5883): whether a router can be reached, within a few tens of
//! milliseconds.
//!
//! [`Bfd`] has all sessions of a node. No sockets and no clock here: time and transport are
//! arguments.

mod bfd;
mod control;
pub mod echo;
mod session;

pub use bfd::{Arrival, Bfd, Dropped, Input, Output, Path};
pub use control::{Control, Diagnostic, LEN, Malformed, State};
pub use session::{Counts, Session, Settings};
