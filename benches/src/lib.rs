//! What is measured, as functions: the benches of this package call them for criterion, and
//! `cargo xtask bench` holds them against their bars.

pub mod allocate;
pub mod arp_echo;
pub mod flood;
pub mod load;
pub mod segment;
pub mod service;
pub mod table;
pub mod wire;
