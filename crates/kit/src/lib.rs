//! The shell that the operator, the controller and the speaker share: arguments, logs, probes,
//! metrics, watches, Events, leadership, the report on the configuration, and shutdown.
//!
//! Nothing here knows what `MetalLB` does; each module is one small piece of plumbing.

pub mod args;
pub mod client;
pub mod configuration_state;
pub mod events;
pub mod leader;
pub mod listen;
pub mod log;
pub mod metrics;
#[cfg(test)]
mod mock;
pub mod namespace;
pub mod own_pod;
pub mod probes;
pub mod process;
pub mod ready;
pub mod review;
pub mod shutdown;
pub mod sleep;
pub mod tls;
pub mod watch;
pub mod webhook;
pub mod words;
