//! TCP connections that other programs of this host have.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, SocketAddr};

/// An open TCP connection that another program of this host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The end that is here.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
    socket: u64,
}

impl Established {
    /// Those to this port, in the network namespace of the calling thread. Reads two tables of the
    /// kernel that have a line for each socket: it takes a millisecond for some thousands of them,
    /// and does not belong on a thread that must be on time.
    ///
    /// # Errors
    /// There is no such table.
    pub fn of_others(port: u16) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for table in ["tcp", "tcp6"] {
            let file = match File::open(format!("/proc/thread-self/net/{table}")) {
                // A kernel without IPv6.
                Err(error) if table == "tcp6" && error.kind() == io::ErrorKind::NotFound => break,
                file => file?,
            };
            for line in BufReader::new(file).lines().skip(1) {
                found.extend(parse(&line?).filter(|it| it.remote.port() == port));
            }
        }
        if !found.is_empty() {
            let ours = own_sockets();
            found.retain(|it| !ours.contains(&it.socket));
        }
        Ok(found)
    }
}

/// The sockets that this process has.
fn own_sockets() -> HashSet<u64> {
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    let sockets = targets.filter_map(|target| {
        let number = target.to_str()?.strip_prefix("socket:[")?;
        number.strip_suffix(']')?.parse().ok()
    });
    sockets.collect()
}

/// A line of `/proc/net/tcp`, if it is of a connection that is open.
fn parse(line: &str) -> Option<Established> {
    let mut words = line.split_ascii_whitespace();
    let (local, remote, state) = (words.nth(1)?, words.next()?, words.next()?);
    if state != ESTABLISHED {
        return None;
    }
    Some(Established {
        local: end(local)?,
        remote: end(remote)?,
        socket: words.nth(5)?.parse().ok()?,
    })
}

/// An address is written as words of 32 bits, each as the number that the processor sees in it.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16);
        word.ok().map(u32::to_ne_bytes)
    };
    let ip: IpAddr = if address.len() == 8 {
        word(0)?.into()
    } else {
        let words = [word(0)?, word(1)?, word(2)?, word(3)?];
        let bytes: [u8; 16] = words.concat().try_into().ok()?;
        IpAddr::from(bytes).to_canonical()
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// As `TCP_ESTABLISHED` of the kernel is written.
const ESTABLISHED: &str = "01";

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_line_is_an_open_connection_or_nothing() {
        let line = "   3: 0B0200C0:B26E C90200C0:00B3 01 00000000:00000000 02:00000A5C 00000000     \
                    0        0 1234567 2 0000000000000000 20 4 30 10 -1";
        let expected = Established {
            local: "192.0.2.11:45678".parse().unwrap(),
            remote: "192.0.2.201:179".parse().unwrap(),
            socket: 1_234_567,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse(&line.replace(" 01 ", " 06 ")), None, "one that ends");
        let v6 = line.replace("0B0200C0:", "B80D0120000000000000000011000000:");
        let local = parse(&v6).map(|it| it.local);
        assert_eq!(local, Some("[2001:db8::11]:45678".parse().unwrap()));
        let mapped = line.replace("0B0200C0:", "0000000000000000FFFF00000B0200C0:");
        assert_eq!(
            parse(&mapped),
            Some(expected),
            "an IPv4 one of an IPv6 socket"
        );
        for cut in 0..line.find("2 0000000000000000").unwrap() - 8 {
            assert_eq!(parse(&line[..cut]), None);
        }
    }

    #[test]
    fn a_connection_is_seen_while_another_program_has_it() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(any) else {
                continue;
            };
            let address = listener.local_addr().unwrap();
            let find = |local: SocketAddr| {
                let all = Established::of_others(address.port()).unwrap();
                all.into_iter().find(|it| it.local == local)
            };
            let ours = TcpStream::connect(address).unwrap();
            let local = ours.local_addr().unwrap();
            assert_eq!(find(local), None, "it is our own");
            // Handed on to another program, and closed here.
            let mut other = Command::new("cat")
                .stdin(Stdio::from(std::os::fd::OwnedFd::from(ours)))
                .spawn()
                .unwrap();
            assert_eq!(find(local).expect("it is open").remote, address);
            other.kill().unwrap();
            other.wait().unwrap();
            assert_eq!(find(local), None);
        }
    }
}
