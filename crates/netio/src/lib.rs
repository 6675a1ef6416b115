//! The kernel's side of the network: packet sockets, multicast groups, links, addresses and
//! neighbours, and TCP and UDP sockets with options of their own.
//!
//! The only crate with unsafe code, which is why the allocator is spoken to from here, too; and
//! small for that reason. It knows no protocol: frames go in
//! and out as bytes, groups are joined by address, and what a link is good for is the caller's
//! business.
//!
//! Everything works in the network namespace of the thread that opens it, and with `CAP_NET_RAW`
//! alone: packet sockets need it, the rest needs nothing. Only [`NetworkNamespace`], which is for
//! tests and benches, needs more.

mod alarm;
mod datagram;
mod established;
mod filter;
mod groups;
mod link;
mod looped;
mod memory;
mod namespace;
mod neighbour;
mod option;
mod packet;
mod scheduling;
mod tcp;

pub use alarm::Alarm;
pub use datagram::{Arrived, DistanceSocket, sender, source_towards};
pub use established::Established;
pub use groups::MulticastGroups;
pub use link::{Interface, LinkError, LinkWatch};
pub use looped::{Looped, LoopedSocket};
pub use memory::stay_small;
pub use namespace::NetworkNamespace;
pub use neighbour::NeighbourWatch;
pub use packet::{FRAME_MAX, PacketSocket, plain_packet_socket};
pub use scheduling::{raise_priority, shorten_slice};
pub use tcp::{
    TcpOptions, TcpPassword, change_password, connect, expect_password, listen, listens_on,
};
