use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;

use crate::LinkError;

/// Knows where IPv4 neighbours are on their links, as the kernel does: its ARP table, kept up by
/// its notifications. It asks nobody; what the kernel itself sends makes it ask.
#[derive(Debug)]
pub struct NeighbourWatch {
    handle: Handle,
    messages: UnboundedReceiver<(
        NetlinkMessage<RouteNetlinkMessage>,
        rtnetlink::sys::SocketAddr,
    )>,
    connection: JoinHandle<()>,
    known: BTreeMap<(u32, Ipv4Addr), [u8; 6]>,
    /// Notifications were lost, or never received yet: list everything.
    stale: bool,
}

impl NeighbourWatch {
    /// Opens the watch. Must be called in a tokio runtime, in whose background it runs.
    ///
    /// # Errors
    /// [`LinkError::Open`] if there is no netlink.
    pub fn open() -> Result<Self, LinkError> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Neigh])
                .map_err(LinkError::Open)?;
        Ok(Self {
            handle,
            messages,
            connection: tokio::spawn(connection),
            known: BTreeMap::new(),
            stale: true,
        })
    }

    /// Takes in what changes; the first time, what there is. Returns when that has been done;
    /// dropping the future loses nothing.
    ///
    /// # Errors
    /// The watch is broken; open another.
    pub async fn changed(&mut self) -> Result<(), LinkError> {
        if self.stale {
            return self.list().await;
        }
        let (message, _) = self.messages.next().await.ok_or(LinkError::Closed)?;
        self.take_in(message);
        while let Ok((message, _)) = self.messages.try_recv() {
            self.take_in(message);
        }
        Ok(())
    }

    /// The Ethernet address of a neighbour on a link, if the kernel has one.
    pub fn find(&self, ifindex: u32, ip: Ipv4Addr) -> Option<[u8; 6]> {
        self.known.get(&(ifindex, ip)).copied()
    }

    /// Replaces what is known by what the kernel lists. Notifications that arrive meanwhile wait
    /// in the queue; each tells a whole state, so the last one is right whatever came before.
    async fn list(&mut self) -> Result<(), LinkError> {
        let request = self.handle.neighbours().get();
        let neighbours = request.set_address_family(AddressFamily::Inet).execute();
        let neighbours: Vec<_> = neighbours.try_collect().await.map_err(LinkError::List)?;
        self.known.clear();
        for neighbour in &neighbours {
            self.neighbour(neighbour, true);
        }
        self.stale = false;
        Ok(())
    }

    fn take_in(&mut self, message: NetlinkMessage<RouteNetlinkMessage>) {
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(it)) => {
                self.neighbour(&it, true);
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(it)) => {
                self.neighbour(&it, false);
            }
            NetlinkPayload::Overrun(_) => self.stale = true,
            _ => {}
        }
    }

    /// One that is being looked for, or was not found, has no Ethernet address.
    fn neighbour(&mut self, message: &NeighbourMessage, present: bool) {
        let (mut ip, mut mac) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(it)) => ip = Some(*it),
                NeighbourAttribute::LinkLayerAddress(it) => mac = it.as_slice().try_into().ok(),
                _ => {}
            }
        }
        let Some(ip) = ip else { return };
        let place = (message.header.ifindex, ip);
        match mac.filter(|_| present) {
            Some(mac) => self.known.insert(place, mac),
            None => self.known.remove(&place),
        };
    }
}

impl Drop for NeighbourWatch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
