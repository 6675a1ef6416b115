//! Which speakers are alive, told by heartbeats over UDP, and what each says of itself.
//!
//! The core is pure: [`Membership`] takes inputs and the time, and gives datagrams to send and
//! the speakers that are alive. It holds no socket, no clock and no randomness, so a whole cluster
//! runs in one test under a virtual clock (`tests/simulation.rs`).
//!
//! ```text
//!   datagrams, peers, own state, key, leave ──► Membership ──► datagrams, members
//!                                                │    ▲
//!                                    poll_timeout└────┘handle_timeout
//! ```
//!
//! Speakers stand on a ring by the hash of their names. Each sends heartbeats to the few that come
//! after it, which so watch it; the load for one does not grow with the cluster. A watcher that
//! hears nothing asks, and asks the other watchers; when another confirms, the speaker is dead and
//! everybody is told at once. A speaker that is told of its own death says no with a higher
//! incarnation. What is lost on the way is found by comparing: each heartbeat carries a number
//! that is the same for all who know the same.
//!
//! * `membership` — the four verbs, and who is alive; `talk` answers what comes in.
//! * `roster` — all speakers, and the ring.
//! * `record` — what is known of one, and which of two is newer.
//! * `watch` — the silence of one.
//! * `spread` — news on its way to everybody.
//! * `message`, `seal`, `door` — what goes over the wire: contents, sealing, keys and numbers.

mod door;
mod membership;
mod message;
mod record;
mod roster;
mod seal;
mod settings;
mod spread;
mod watch;

pub use membership::{Input, Membership, Output, Own};
pub use message::STATE_MAX;
pub use roster::{Member, Members, Presence};
pub use seal::{Dropped, Key};
pub use settings::Settings;
