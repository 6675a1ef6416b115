use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::filter;
use crate::packet::link_address;

/// IPv4 packets that a neighbour is given to forward them back.
///
/// They are addressed to this host itself, which is why no other socket will do: the kernel would
/// deliver them here when they are sent, and drops what comes back as coming from nowhere. Needs
/// `CAP_NET_RAW`.
#[derive(Debug)]
pub struct LoopedSocket {
    /// A packet socket in the clothes of a UDP socket, as in [`PacketSocket`](crate::PacketSocket).
    socket: UdpSocket,
    ifindex: u32,
}

/// What comes back: UDP packets without IPv4 options, of which the kernel drops all others.
#[derive(Clone, Copy, Debug)]
pub struct Looped {
    /// To this port.
    pub port: u16,
    /// With this much left of the hop limit.
    pub ttl: u8,
    /// With these first four bytes.
    pub mark: u32,
}

impl LoopedSocket {
    /// Opens a socket on a link.
    ///
    /// # Errors
    /// No `CAP_NET_RAW`, or no such link.
    pub fn open(ifindex: u32, looped: Looped) -> io::Result<Self> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        // Deaf until the filter is in place, so nothing else ever gets in.
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
        socket.attach_filter(&filter::looped(ifindex, looped))?;
        socket.bind(&link_address(ifindex, libc::ETH_P_IP, None)?)?;
        Ok(Self {
            socket: UdpSocket::from_std(OwnedFd::from(socket).into())?,
            ifindex,
        })
    }

    /// Waits for a packet, writes it to `buf` with its IPv4 header and returns its length. What
    /// does not fit is cut off.
    ///
    /// # Errors
    /// The kernel refuses; that the link is down it says once.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buf).await
    }

    /// Takes a packet that has come in already.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        // Not by way of tokio, which knows of a packet only after its reactor has run.
        io::Read::read(&mut &*SockRef::from(&self.socket), buf)
    }

    /// Sends an IPv4 packet to the station with this Ethernet address, now or not at all.
    ///
    /// # Errors
    /// The link is down or gone, or its queue is full.
    pub fn send_to(&self, packet: &[u8], station: [u8; 6]) -> io::Result<()> {
        let to = link_address(self.ifindex, libc::ETH_P_IP, Some(station))?;
        SockRef::from(&self.socket).send_to(packet, &to).map(drop)
    }
}
