//! Speakers on a cluster, ours and MetalLB's in the same way: plain processes on its nodes, so that
//! both are started, stopped and starved alike. Pods that only wait stand for them at the API
//! server.

pub mod crowd;
mod frr;
mod process;
pub mod rig;

pub use process::{Kind, Speakers};
pub use rig::Rig;
