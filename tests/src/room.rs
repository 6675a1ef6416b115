//! Room for what comes to a web pod while it waits for a processor.
//!
//! Two processors carry a whole cluster, and OLM, which needs more than one of them during an
//! upgrade: a pod then waits for half a second, which is as much as the kernel keeps for a socket.
//! What is dropped after that was delivered, and must not be taken for lost on the way.

use std::fs;
use std::io;

use anyhow::{Context as _, Result};
use rustix::net::{SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::{Cluster, faults::Target};

impl Cluster {
    /// Lets the web pods that run now be away for ten seconds at the pace of our clients. Nothing
    /// of the product's is touched.
    pub fn make_room(&self) -> Result<()> {
        for pod in self.find(&Target::program(WEB_PROGRAM))? {
            make_room(pod.pid()).with_context(|| format!("cannot reach into {pod:?}"))?;
        }
        Ok(())
    }
}

/// For each UDP socket of a process.
fn make_room(pid: u32) -> io::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    for entry in fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))? {
        let entry = entry?;
        let is_socket =
            fs::read_link(entry.path()).is_ok_and(|it| it.to_string_lossy().starts_with("socket:"));
        let number = entry.file_name().to_str().and_then(|it| it.parse().ok());
        let Some(number) = number.filter(|_| is_socket) else {
            continue;
        };
        // It may have been closed meanwhile, as those of pages that were fetched are.
        let Ok(socket) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else {
            continue;
        };
        if sockopt::socket_type(&socket)? == SocketType::DGRAM {
            sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)?;
        }
    }
    Ok(())
}

/// What runs in the web pods.
const WEB_PROGRAM: &str = "agnhost";
/// In bytes; the kernel counts 768 for a small datagram, and keeps twice of what it is asked for.
const ROOM: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_socket_of_another_process_takes_more() {
        if !crate::is_root() {
            println!("skipped: what a socket may take beyond the limit is root's to say");
            return;
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let before = sockopt::socket_recv_buffer_size(&socket).unwrap();
        make_room(std::process::id()).unwrap();
        let after = sockopt::socket_recv_buffer_size(&socket).unwrap();
        assert!(before < ROOM && after >= ROOM, "{before}, {after}");
    }
}
