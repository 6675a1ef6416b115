use std::io;
use std::mem::size_of;
use std::net::UdpSocket as StdUdpSocket;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, SockAddr, SockFilter, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::filter;

/// A buffer of this size holds any frame that a [`PacketSocket`] cares for.
pub const FRAME_MAX: usize = 1518;

/// Whole Ethernet frames of one kind on one link.
///
/// The kernel passes on only the frames that the socket was opened for, received by this link
/// for itself; frames that this host sent never come back. Needs `CAP_NET_RAW`.
///
/// Solicitations are read here and not from a raw `ICMPv6` socket, since that would miss those sent
/// to the announced address itself: the kernel does not own the address and routes them away. Such
/// are the probes of every neighbour that has known the address for half a minute. The whole frame
/// also tells who sent it, so the answer needs no lookup in the kernel's neighbour table. Join the
/// address's group with [`MulticastGroups`](crate::MulticastGroups), or the link and the switch
/// before it may keep solicitations away.
#[derive(Debug)]
pub struct PacketSocket {
    /// A packet socket in the clothes of a UDP socket: its `recv` and `send` are plain recv(2) and
    /// send(2), and tokio waits for readiness of any file descriptor the same way. Nothing else of
    /// it may be used.
    socket: UdpSocket,
}

impl PacketSocket {
    /// Opens a socket for the ARP requests and replies that the link receives.
    pub fn arp(ifindex: u32) -> io::Result<Self> {
        Self::open(ifindex, libc::ETH_P_ARP, &filter::arp(ifindex))
    }

    /// Opens a socket for the Neighbor Solicitations and Advertisements that the link receives.
    ///
    /// The kernel looks at each IPv6 packet of the link for it: do not open it before there is an
    /// IPv6 address to answer for.
    pub fn neighbor_discovery(ifindex: u32) -> io::Result<Self> {
        let filter = filter::neighbor_discovery(ifindex);
        Self::open(ifindex, libc::ETH_P_IPV6, &filter)
    }

    /// Opens a socket for the Router Solicitations and Advertisements that the link receives.
    pub fn router_discovery(ifindex: u32) -> io::Result<Self> {
        let filter = filter::router_discovery(ifindex);
        Self::open(ifindex, libc::ETH_P_IPV6, &filter)
    }

    /// Waits for a frame, writes it to `buf` and returns its length. What does not fit is cut off.
    ///
    /// A link that goes down and up again is waited through. One that is gone for good is only
    /// silent; [`LinkWatch`](crate::LinkWatch) tells.
    ///
    /// # Errors
    /// The kernel refuses; nothing that waiting would mend.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.recv(buf).await {
                Err(error) if error.kind() == io::ErrorKind::NetworkDown => {}
                result => return result,
            }
        }
    }

    /// Sends a whole Ethernet frame out of the link, waiting for room in its queue.
    ///
    /// # Errors
    /// The link is down or gone, or refuses the frame.
    pub async fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket
            .async_io(Interest::WRITABLE, || self.try_send(frame))
            .await
    }

    /// Sends a whole Ethernet frame out of the link, now or not at all.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if the queue is full; else as [`PacketSocket::send`].
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        // Not by way of tokio, which thinks a new socket busy until its reactor has run once: the
        // first announcement would be lost.
        let socket = SockRef::from(&self.socket);
        match socket.send(frame) {
            // Tells once that the link has been down, even if it no longer is.
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => socket.send(frame),
            result => result,
        }
        .map(drop)
    }

    /// Protocol 0 keeps the socket deaf until the filter is in place and the link is bound, so no
    /// frame of another kind or link ever gets in.
    fn open(ifindex: u32, ethertype: libc::c_int, filter: &[SockFilter]) -> io::Result<Self> {
        let socket = unbound()?;
        socket.attach_filter(filter)?;
        socket.bind(&link_address(ifindex, ethertype, None)?)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UdpSocket::from_std(OwnedFd::from(socket).into())?,
        })
    }
}

/// A plain blocking packet socket for every received frame of one ethertype on one link, without a
/// filter: what tests and benches send with, and compare a [`PacketSocket`] with.
///
/// Of the UDP socket whose clothes it wears only `recv`, `send` and the timeouts may be used.
///
/// # Errors
/// No `CAP_NET_RAW`, or no such link.
pub fn plain_packet_socket(ifindex: u32, ethertype: u16) -> io::Result<StdUdpSocket> {
    let socket = unbound()?;
    socket.bind(&link_address(ifindex, ethertype.into(), None)?)?;
    Ok(OwnedFd::from(socket).into())
}

fn unbound() -> io::Result<Socket> {
    Socket::new(Domain::PACKET, Type::RAW.cloexec(), Some(Protocol::from(0)))
}

/// The address that binds a packet socket to one link and one kind of frame, or that of a station
/// to send one to.
pub(crate) fn link_address(
    ifindex: u32,
    ethertype: libc::c_int,
    station: Option<[u8; 6]>,
) -> io::Result<SockAddr> {
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let ifindex = i32::try_from(ifindex).map_err(invalid)?;
    let ethertype = u16::try_from(ethertype).map_err(invalid)?;
    #[expect(
        unsafe_code,
        reason = "no safe constructor of link-layer addresses exists"
    )]
    // SAFETY: sockaddr_storage is as large and as aligned as every socket address, try_init hands
    // it over zeroed, a sockaddr_ll of zeroes is valid, and every field the kernel reads is set.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, len| {
            let link = &mut *storage.cast::<libc::sockaddr_ll>();
            link.sll_family = u16::try_from(libc::AF_PACKET).map_err(invalid)?;
            link.sll_protocol = ethertype.to_be();
            link.sll_ifindex = ifindex;
            if let Some(station) = station {
                link.sll_halen = 6;
                link.sll_addr[..6].copy_from_slice(&station);
            }
            *len = u32::try_from(size_of::<libc::sockaddr_ll>()).map_err(invalid)?;
            Ok(())
        })
    }?;
    Ok(address)
}
