use std::collections::BTreeMap;
use std::io;
use std::net::Ipv6Addr;

use socket2::{Domain, Socket, Type};

/// The IPv6 multicast groups that one link is a member of on our behalf.
///
/// Joining makes the kernel report the membership (MLD), so that switches forward the group, and
/// lets the network card pass it. Each group is counted: it is left when it has been left as often
/// as it was joined, or when this value is dropped. Needs no capability.
#[derive(Debug)]
pub struct MulticastGroups {
    ifindex: u32,
    joined: BTreeMap<Ipv6Addr, Membership>,
    /// Sockets that do nothing but hold memberships: never bound, so nothing is ever queued on
    /// them. One holds only so many (`net.core.optmem_max`), hence several.
    sockets: Vec<Socket>,
}

#[derive(Debug)]
struct Membership {
    count: usize,
    socket: usize,
}

impl MulticastGroups {
    /// No groups yet on the link.
    pub fn new(ifindex: u32) -> Self {
        Self {
            ifindex,
            joined: BTreeMap::new(),
            sockets: Vec::new(),
        }
    }

    /// Joins the group, once more if it is joined already.
    ///
    /// # Errors
    /// The link is gone or has IPv6 disabled, or the kernel is out of memory. Nothing has changed.
    pub fn join(&mut self, group: Ipv6Addr) -> io::Result<()> {
        if let Some(membership) = self.joined.get_mut(&group) {
            membership.count += 1;
            return Ok(());
        }
        let full =
            |error: &io::Error| matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM));
        let socket = match self.sockets.last() {
            Some(last) => match last.join_multicast_v6(&group, self.ifindex) {
                Err(error) if full(&error) => self.join_on_new_socket(group),
                joined => joined,
            },
            None => self.join_on_new_socket(group),
        }
        .map(|()| self.sockets.len() - 1)?;
        self.joined.insert(group, Membership { count: 1, socket });
        Ok(())
    }

    /// Takes back one join. Leaving a group that is not joined does nothing.
    ///
    /// # Errors
    /// The kernel refuses, as when the link is gone. The group counts as left.
    pub fn leave(&mut self, group: Ipv6Addr) -> io::Result<()> {
        let Some(membership) = self.joined.get_mut(&group) else {
            return Ok(());
        };
        membership.count -= 1;
        if membership.count > 0 {
            return Ok(());
        }
        let socket = &self.sockets[membership.socket];
        let left = socket.leave_multicast_v6(&group, self.ifindex);
        self.joined.remove(&group);
        left
    }

    fn join_on_new_socket(&mut self, group: Ipv6Addr) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), None)?;
        socket.join_multicast_v6(&group, self.ifindex)?;
        self.sockets.push(socket);
        Ok(())
    }
}
