use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::option::set_option;

/// How a TCP connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// The address to connect from. A link-local one is of the interface that the peer is on.
    pub source: Option<IpAddr>,
    /// The interface or VRF to connect through.
    pub device: Option<String>,
    /// The hop limit of what is sent.
    pub hop_limit: Option<u8>,
    /// Only stations on the link, without a gateway between.
    pub on_link: bool,
    /// The password of TCP MD5 signatures (RFC 2385).
    pub password: Option<TcpPassword>,
}

/// A password of TCP MD5 signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct TcpPassword(pub Vec<u8>);

impl std::fmt::Debug for TcpPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Opens a TCP connection.
///
/// # Errors
/// What the network says; [`io::ErrorKind::Unsupported`] if the kernel has no MD5 signatures.
pub async fn connect(to: SocketAddr, options: &TcpOptions) -> io::Result<TcpStream> {
    let socket = open(to)?;
    let reference = SockRef::from(&socket);
    if let Some(device) = &options.device {
        reference.bind_device(Some(device.as_bytes()))?;
    }
    if let Some(limit) = options.hop_limit {
        match to {
            SocketAddr::V4(_) => reference.set_ttl_v4(limit.into())?,
            SocketAddr::V6(_) => reference.set_unicast_hops_v6(limit.into())?,
        }
    }
    if options.on_link {
        set_option(&socket, libc::SOL_SOCKET, libc::SO_DONTROUTE, 1)?;
    }
    if let Some(password) = &options.password {
        sign(&socket, to, Some(password))?;
    }
    if let Some(source) = options.source {
        let mut source = SocketAddr::new(source, 0);
        if let (SocketAddr::V6(source), SocketAddr::V6(to)) = (&mut source, to) {
            source.set_scope_id(to.scope_id());
        }
        socket.bind(&SockAddr::from(source))?;
    }
    let stream = TcpSocket::from_std_stream(socket.into())
        .connect(to)
        .await?;
    // A message is said when it is there, not when there are more.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Another password for a connection that is open; both sides have to change it before the next
/// segment that gets lost is sent once too often.
///
/// # Errors
/// The kernel refuses.
pub fn change_password(stream: &TcpStream, password: Option<&TcpPassword>) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    sign(&SockRef::from(stream), peer, password)
}

/// Listens for TCP connections on all addresses of a family, without waiting for them. What is sent
/// on them has the largest hop limit, from the first segment on (RFC 5082).
///
/// With a device, connections count that come in on it, or on an interface of it if it is a VRF: by
/// default, Linux keeps those from whoever listens without one. There may be one without a device
/// beside those with one, if it was first.
///
/// # Errors
/// What the kernel says, for example that somebody listens already, or that there is no such device.
pub fn listen(port: u16, v6: bool, device: Option<&str>) -> io::Result<std::net::TcpListener> {
    let any: IpAddr = if v6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let at = SocketAddr::new(any, port);
    let socket = open(at)?;
    if v6 {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(u8::MAX.into())?;
    } else {
        socket.set_ttl_v4(u8::MAX.into())?;
    }
    socket.set_reuse_address(true)?;
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
        socket.set_reuse_port(true)?;
    }
    socket.bind(&at.into())?;
    socket.listen(128)?;
    // Others of this process only: to those who are not, the port was refused or is now, unless they
    // ask to share it.
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

/// Whether a listener still hears this device: not if that has gone, or has another name now, even
/// if there is a new one with the old name.
pub fn listens_on(listener: &TcpListener, device: &str) -> bool {
    let bound = SockRef::from(listener).device();
    bound.is_ok_and(|it| it.is_some_and(|it| it == device.as_bytes()))
}

/// Connections from this peer to a listener have to be signed with the password, or need not be.
///
/// # Errors
/// The kernel refuses.
pub fn expect_password(
    listener: &TcpListener,
    peer: IpAddr,
    password: Option<&TcpPassword>,
) -> io::Result<()> {
    sign(&SockRef::from(listener), SocketAddr::new(peer, 0), password)
}

fn open(at: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    Socket::new(Domain::for_address(at), kind, Some(Protocol::TCP))
}

/// The kernel's `struct tcp_md5sig`, which libc lacks.
#[repr(C)]
struct Signature {
    address: socket2::SockAddrStorage,
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    ifindex: i32,
    key: [u8; KEY_MAX],
}

const KEY_MAX: usize = libc::TCP_MD5SIG_MAXKEYLEN;

fn sign(socket: &Socket, peer: SocketAddr, password: Option<&TcpPassword>) -> io::Result<()> {
    let secret = password.map_or(&[][..], |it| &it.0);
    if secret.len() > KEY_MAX {
        let text = format!("a TCP MD5 password has at most {KEY_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let peer = SockAddr::from(peer);
    let mut key = [0; KEY_MAX];
    key[..secret.len()].copy_from_slice(secret);
    let signature = Signature {
        address: peer.as_storage(),
        flags: 0,
        prefix_len: 0,
        key_len: u16::try_from(secret.len()).expect("at most 80"),
        ifindex: 0,
        key,
    };
    let len = libc::socklen_t::try_from(size_of::<Signature>()).expect("a small struct");
    #[expect(unsafe_code, reason = "an option that socket2 lacks")]
    // SAFETY: the struct is the kernel's, all of it is initialised, and it lives until the call is
    // over; the descriptor is open as long as `socket` is borrowed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            (&raw const signature).cast(),
            len,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // There was none to be taken away.
        Some(libc::ENOENT) if password.is_none() => Ok(()),
        Some(libc::ENOPROTOOPT) => {
            let text = "this kernel has no TCP MD5 signatures";
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    fn password(text: &str) -> TcpPassword {
        TcpPassword(text.as_bytes().to_vec())
    }

    fn options(text: Option<&str>) -> TcpOptions {
        TcpOptions {
            hop_limit: Some(255),
            password: text.map(password),
            ..TcpOptions::default()
        }
    }

    fn listening(v6: bool) -> TcpListener {
        TcpListener::from_std(listen(0, v6, None).unwrap()).unwrap()
    }

    /// A listener on a free port that wants this password, and whether a connection is made.
    async fn connects(wanted: Option<&str>, given: Option<&str>, ip: &str) -> bool {
        let ip: IpAddr = ip.parse().unwrap();
        let listener = listening(ip.is_ipv6());
        let port = listener.local_addr().unwrap().port();
        if let Some(wanted) = wanted {
            expect_password(&listener, ip, Some(&password(wanted))).unwrap();
        }
        let options = options(given);
        let connecting = connect(SocketAddr::new(ip, port), &options);
        let connected = timeout(Duration::from_millis(300), connecting).await;
        matches!(connected, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn a_password_fits_or_nothing_is_heard() {
        for ip in ["127.0.0.1", "::1"] {
            assert!(connects(Some("secret"), Some("secret"), ip).await);
            assert!(!connects(Some("secret"), Some("another"), ip).await);
            assert!(!connects(Some("secret"), None, ip).await);
            assert!(connects(None, None, ip).await);
        }
        let long = "x".repeat(81);
        let listener = listening(false);
        let error = expect_password(&listener, [127, 0, 0, 1].into(), Some(&password(&long)));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_password_changes_while_the_connection_is_open() {
        let ip: IpAddr = [127, 0, 0, 1].into();
        let listener = listening(false);
        expect_password(&listener, ip, Some(&password("old"))).unwrap();
        let to = listener.local_addr().unwrap();
        let to = SocketAddr::new(ip, to.port());
        let mut here = connect(to, &options(Some("old"))).await.unwrap();
        let (mut there, _) = listener.accept().await.unwrap();
        for end in [&here, &there] {
            change_password(end, Some(&password("new"))).unwrap();
        }
        here.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        there.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn who_is_behind_a_gateway_is_not_on_the_link() {
        let far: SocketAddr = "203.0.113.1:179".parse().unwrap();
        let options = TcpOptions {
            on_link: true,
            ..TcpOptions::default()
        };
        let error = timeout(Duration::from_secs(1), connect(far, &options)).await;
        let error = error.expect("the kernel says so at once").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_no_source() {
        let options = TcpOptions {
            source: Some([203, 0, 113, 1].into()),
            ..TcpOptions::default()
        };
        let error = connect("127.0.0.1:179".parse().unwrap(), &options).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }
}
