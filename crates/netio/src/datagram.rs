use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, MaybeUninitSlice, MsgHdrMut, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::filter;
use crate::option::set_option;

/// A UDP socket that tells how far a datagram came, and on which interface.
#[derive(Debug)]
pub struct DistanceSocket {
    socket: UdpSocket,
}

/// How a datagram came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// How many bytes it has; what does not fit is cut off.
    pub len: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// On which interface.
    pub interface: u32,
    /// What was left of its hop limit.
    pub hop_limit: u8,
}

impl DistanceSocket {
    /// Listens on all addresses of a family, for what has at least so much left of its hop limit.
    /// The kernel drops the rest before it takes any room: however many send such, what counts is
    /// not lost for it.
    ///
    /// # Errors
    /// What the kernel says, for example that somebody listens already.
    pub fn listen(port: u16, v6: bool, least: u8) -> io::Result<Self> {
        let socket = open(v6)?;
        socket.attach_filter(&filter::hop_limit(v6, least))?;
        let any: IpAddr = if v6 {
            socket.set_only_v6(true)?;
            set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
            set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            set_option(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)?;
            set_option(&socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            Ipv4Addr::UNSPECIFIED.into()
        };
        socket.bind(&SocketAddr::new(any, port).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket })
    }

    /// Waits for a datagram.
    ///
    /// # Errors
    /// The kernel refuses; nothing that waiting would mend.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<Arrived> {
        let receive = || receive(&SockRef::from(&self.socket), buf);
        self.socket.async_io(Interest::READABLE, receive).await
    }

    /// Takes a datagram that has come in already.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<Arrived> {
        receive(&SockRef::from(&self.socket), buf)
    }
}

/// A UDP socket to send from: with the largest hop limit, from a port of this range that nobody
/// has, starting somewhere in it.
///
/// # Errors
/// What the kernel says; that all ports are taken.
pub fn sender(
    source: IpAddr,
    device: Option<&str>,
    ports: std::ops::RangeInclusive<u16>,
    start: u16,
) -> io::Result<std::net::UdpSocket> {
    let socket = open(source.is_ipv6())?;
    match source {
        IpAddr::V4(_) => socket.set_ttl_v4(255)?,
        IpAddr::V6(_) => socket.set_unicast_hops_v6(255)?,
    }
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    let count = ports.end() - ports.start() + 1;
    for n in 0..count {
        let port = ports.start() + (start % count + n) % count;
        match socket.bind(&SockAddr::from(SocketAddr::new(source, port))) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(socket.into()),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The address of this host that packets to `peer` come from. Sends nothing.
///
/// # Errors
/// What the kernel says; that there is no way to it.
pub fn source_towards(peer: IpAddr) -> io::Result<IpAddr> {
    let socket = open(peer.is_ipv6())?;
    // Of a port that does not matter.
    socket.connect(&SocketAddr::new(peer, 9).into())?;
    let own = socket.local_addr()?.as_socket();
    own.map(|it| it.ip())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn open(v6: bool) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let kind = Type::DGRAM.nonblocking().cloexec();
    Socket::new(domain, kind, Some(Protocol::UDP))
}

fn receive(socket: &Socket, buf: &mut [u8]) -> io::Result<Arrived> {
    let mut control = [MaybeUninit::new(0_u8); CONTROL];
    #[expect(unsafe_code, reason = "socket2 takes memory that may be uninitialised")]
    // SAFETY: the kernel writes bytes into it and nothing else, so it stays initialised.
    let uninit = unsafe { &mut *(std::ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) };
    let (mut parts, from) = ([MaybeUninitSlice::new(uninit)], SockAddr::from(UNKNOWN));
    let mut from = from;
    let mut message = MsgHdrMut::new()
        .with_addr(&mut from)
        .with_buffers(&mut parts)
        .with_control(&mut control);
    let len = socket.recvmsg(&mut message, 0)?;
    let used = message.control_len().min(CONTROL);
    #[expect(unsafe_code, reason = "it was initialised above")]
    // SAFETY: all bytes were zero at first, and the kernel writes bytes.
    let control: Vec<u8> = control[..used]
        .iter()
        .map(|it| unsafe { it.assume_init() })
        .collect();
    let mut arrived = Arrived {
        len,
        from: from.as_socket().ok_or(io::ErrorKind::InvalidData)?,
        interface: 0,
        hop_limit: 0,
    };
    for (kind, data) in Messages(&control) {
        match kind {
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let limit = number(data, 0).unwrap_or_default();
                arrived.hop_limit = u8::try_from(limit).unwrap_or_default();
            }
            // struct in_pktinfo begins with the index, struct in6_pktinfo ends with it.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                arrived.interface = number(data, 0).unwrap_or_default();
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                arrived.interface = number(data, 16).unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(arrived)
}

fn number(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// Control messages (cmsg(3)): a length, a level and a type, and data, each message aligned.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = ((libc::c_int, libc::c_int), &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let kind = (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind));
        let data = self.0.get(HEADER..len)?;
        let next = len.next_multiple_of(size_of::<usize>());
        self.0 = self.0.get(next..).unwrap_or_default();
        Some((kind, data))
    }
}

const HEADER: usize = size_of::<libc::cmsghdr>();
/// Room for both messages of either family.
const CONTROL: usize = 128;
/// As long as the longer kind of address.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_datagram_tells_how_far_it_came_and_where() {
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let there = DistanceSocket::listen(0, ip.is_ipv6(), 0).unwrap();
            let port = there.socket.local_addr().unwrap().port();
            let here = sender(ip, None, 49152..=65535, 7).unwrap();
            let mut buf = [0; 16];
            assert_eq!(
                there.try_recv(&mut buf).unwrap_err().kind(),
                io::ErrorKind::WouldBlock
            );
            here.send_to(b"hello", SocketAddr::new(ip, port)).unwrap();
            let arrived = there.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..arrived.len], b"hello");
            assert_eq!(arrived.from, here.local_addr().unwrap());
            assert_eq!((arrived.hop_limit, arrived.interface), (255, 1));
        }
    }

    #[tokio::test]
    async fn what_came_too_far_takes_no_room() {
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let there = DistanceSocket::listen(0, ip.is_ipv6(), 255).unwrap();
            let to = SocketAddr::new(ip, there.socket.local_addr().unwrap().port());
            // It has a hop limit of 64.
            let far = std::net::UdpSocket::bind((ip, 0)).unwrap();
            for _ in 0..100_000 {
                far.send_to(b"far", to).unwrap();
            }
            let near = sender(ip, None, 49152..=65535, 7).unwrap();
            near.send_to(b"near", to).unwrap();
            let mut buf = [0; 16];
            let arrived = there.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..arrived.len], b"near");
        }
    }

    #[test]
    fn the_source_is_what_the_route_says() {
        let own: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(source_towards(own).unwrap(), own);
    }

    #[test]
    fn another_port_of_the_range_is_taken_when_one_is_in_use() {
        let ip: IpAddr = [127, 0, 0, 1].into();
        let ports = 61_000..=61_001;
        let one = sender(ip, None, ports.clone(), 1).unwrap();
        let two = sender(ip, None, ports.clone(), 1).unwrap();
        assert_ne!(one.local_addr().unwrap(), two.local_addr().unwrap());
        let none = sender(ip, None, ports, 1).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn control_messages_that_are_cut_off_end_the_list() {
        for len in 0..40 {
            let bytes = vec![0xff; len];
            assert_eq!(Messages(&bytes).count(), 0);
            let zeros = vec![0; len];
            assert!(Messages(&zeros).count() <= 1);
        }
    }
}
