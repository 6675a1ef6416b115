//! Listening in both address families.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// Binds `addr`. `[::]` takes IPv4 connections too, and where the kernel has no IPv6 it is
/// `0.0.0.0`.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(addr).await {
        Err(error) if addr.ip() == Ipv6Addr::UNSPECIFIED && no_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, addr.port())).await
        }
        result => result,
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL))
}

/// "Address family not supported by protocol", from Linux' errno.h.
const EAFNOSUPPORT: i32 = 97;

/// "Cannot assign requested address", from Linux' errno.h.
const EADDRNOTAVAIL: i32 = 99;
