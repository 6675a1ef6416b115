//! BGP, as far as it depends on objects: which routers there are to speak with, what they are
//! told, and what users see of that.

mod advice;
mod apply;
mod command;
mod engine;
pub(crate) mod frr_k8s;
mod metrics;
mod peer;
mod peers;
mod routers;
mod secrets;
mod session_object;
mod session_states;
pub(crate) mod sessions_page;

pub(crate) use advice::{HELD, advice};
pub(crate) use apply::BgpApply;
pub(crate) use command::{BgpCommand, SessionNews};
pub(crate) use engine::Engine;
pub(crate) use metrics::BgpMetrics;
pub(crate) use peer::{Peer, Taken};
#[cfg(test)]
pub(crate) use peers::BfdSetup;
use peers::peers;
pub(crate) use peers::{Backend, PeerSetup};
pub(crate) use routers::Routers;
pub(crate) use secrets::secrets;
pub(crate) use session_object::said;
pub(crate) use session_states::{News, Seen, SessionStates};
