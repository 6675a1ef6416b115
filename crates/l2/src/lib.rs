//! Layer 2: which node answers for an address, what it answers, and when it speaks unasked.
//!
//! Six small parts, none of which does I/O, reads a clock or draws a random number:
//!
//! - [`elect`]: which of the candidate nodes owns an address; upstream's rule, so that nodes agree
//!   without asking anybody.
//! - [`NodeState`]: what each node says of itself to all others, which the choice depends on.
//! - [`arp`] and [`ndp`]: frames to values and values to frames.
//! - [`Responder`]: one interface's MAC, link-local and announced addresses; a frame in, the
//!   answer or the reason for silence out.
//! - [`Announcer`]: when to repeat a gratuitous ARP or an unsolicited Neighbor Advertisement.
//! - [`RouterDiscovery`]: which routers say on an interface that they are there, and when we do.
//!   It is here and not beside BGP, which has a use for it, since it is Neighbor Discovery: the
//!   same frames by the same rules.
//!
//! A shell reads a frame, calls [`Responder::answer`] and writes what comes back. For each
//! [`announce::Output`] it writes [`Responder::announcements`] on every interface that announces
//! the address.

pub mod announce;
pub mod arp;
mod drop_reason;
pub mod elect;
#[cfg(test)]
mod frames;
pub mod ndp;
mod node_state;
mod responder;
pub mod router_discovery;

pub use announce::Announcer;
pub use drop_reason::DropReason;
pub use node_state::{Fitness, Interfaces, NodeState, Port};
pub use pnet::util::MacAddr;
pub use responder::{Answer, Responder, Rival};
pub use router_discovery::RouterDiscovery;
