//! BGP (RFC 4271), as far as a speaker needs it that tells routers its own routes and takes none.
//!
//! [`wire`] has the messages, [`session`] the machine that speaks them with one peer, [`rib`] the
//! routes and who was told what; [`Speaker`] has all sessions of a node. No sockets and no clock
//! here: time and transport are arguments.

#![allow(
    clippy::doc_markdown,
    reason = "the RFCs' names of attributes have underscores and are no code"
)]

pub mod rib;
pub mod session;
mod speaker;
pub mod wire;

pub use speaker::Speaker;
