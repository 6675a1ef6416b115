//! Which speakers are alive, told by heartbeats over UDP.
//!
//! The core is pure: [`Membership`] takes inputs and the time, and gives datagrams to send and
//! the set of speakers that are alive. It holds no socket, no clock and no randomness, so a whole
//! cluster runs in one test under a virtual clock (`tests/simulation.rs`).
//!
//! ```text
//!   datagrams, peers, leave ──► Membership ──► datagrams, alive set
//!                                │    ▲
//!                    poll_timeout└────┘handle_timeout
//! ```
//!
//! * `membership` — the four verbs, and who is alive.
//! * `peer` — what is remembered of one other speaker.
//! * `seal` — what goes over the wire: layout, key, sealing.

mod membership;
mod peer;
mod seal;
mod settings;

pub use membership::{Input, Membership, Output, Own};
pub use seal::{Dropped, Key};
pub use settings::Settings;
