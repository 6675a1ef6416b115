use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt, TryStreamExt};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::JoinHandle;

/// A network interface of this host, as far as announcing addresses goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the kernel's independent flags"
)]
pub struct Interface {
    /// The kernel's number; never used again for another interface while this one lives.
    pub index: u32,
    /// The name, which can change.
    pub name: String,
    /// The Ethernet address, if it has one of that length.
    pub mac: Option<[u8; 6]>,
    /// Switched on by the administrator.
    pub up: bool,
    /// Up, with a carrier, and operational: frames can get through. Those that are sent before are
    /// lost, even if there is a carrier.
    pub running: bool,
    /// It has no address resolution.
    pub noarp: bool,
    /// It can reach all stations of the segment at once.
    pub broadcast: bool,
    /// The bridge, bond or VRF that this interface is enslaved to.
    pub master: Option<u32>,
    /// An IPv6 link-local address that may be sent from: not while its check for duplicates is
    /// running or after it failed. The lowest, if there are several.
    pub link_local: Option<Ipv6Addr>,
    /// All addresses that may be sent from, `link_local` included.
    pub addresses: BTreeSet<IpAddr>,
}

/// Why interfaces or neighbours can no longer be watched.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The netlink socket could not be opened.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The kernel refused to list interfaces, addresses or neighbours.
    #[error("cannot list interfaces or neighbours by netlink: {0}")]
    List(#[source] rtnetlink::Error),
    /// The netlink connection ended.
    #[error("the netlink connection ended")]
    Closed,
}

/// Watches the interfaces of the network namespace, by the kernel's notifications.
///
/// ```no_run
/// # async fn f() -> Result<(), metallb_netio::LinkError> {
/// let mut links = metallb_netio::LinkWatch::open()?;
/// loop {
///     for interface in links.changed().await?.values() {
///         println!("{} {:?}", interface.name, interface.addresses);
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct LinkWatch {
    handle: Handle,
    messages: UnboundedReceiver<(
        NetlinkMessage<RouteNetlinkMessage>,
        rtnetlink::sys::SocketAddr,
    )>,
    connection: JoinHandle<()>,
    links: Links,
}

/// What the kernel's messages have told so far.
#[derive(Debug)]
struct Links {
    interfaces: BTreeMap<u32, Interface>,
    /// The caller has not seen `interfaces` as they are.
    news: bool,
    /// Notifications were lost, or never received yet: list everything.
    stale: bool,
}

impl LinkWatch {
    /// Opens the watch. Must be called in a tokio runtime, in whose background it runs.
    ///
    /// # Errors
    /// [`LinkError::Open`] if there is no netlink.
    pub fn open() -> Result<Self, LinkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(LinkError::Open)?;
        Ok(Self {
            handle,
            messages,
            connection: tokio::spawn(connection),
            links: Links::default(),
        })
    }

    /// All interfaces by index, at once the first time, then as soon as one of them
    /// changes. Changes that come together are returned together. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// The watch is broken; open another.
    pub async fn changed(&mut self) -> Result<&BTreeMap<u32, Interface>, LinkError> {
        loop {
            while let Ok((message, _)) = self.messages.try_recv() {
                self.links.take_in(message);
            }
            if self.links.stale {
                self.list().await?;
            } else if self.links.news {
                self.links.news = false;
                return Ok(&self.links.interfaces);
            } else {
                let (message, _) = self.messages.next().await.ok_or(LinkError::Closed)?;
                self.links.take_in(message);
            }
        }
    }

    /// Replaces what is known by what the kernel lists. Notifications that arrive meanwhile wait
    /// in the queue; each tells a whole state, so the last one is right whatever came before.
    async fn list(&mut self) -> Result<(), LinkError> {
        let links = self.handle.link().get().execute();
        let links: Vec<_> = links.try_collect().await.map_err(LinkError::List)?;
        let addresses = self.handle.address().get().execute();
        let addresses: Vec<_> = addresses.try_collect().await.map_err(LinkError::List)?;
        self.links.interfaces.clear();
        self.links.news = true;
        for link in links {
            self.links.link(link);
        }
        for address in &addresses {
            self.links.address(address, true);
        }
        self.links.stale = false;
        Ok(())
    }
}

impl Default for Links {
    fn default() -> Self {
        Self {
            interfaces: BTreeMap::new(),
            news: true,
            stale: true,
        }
    }
}

impl Links {
    fn take_in(&mut self, message: NetlinkMessage<RouteNetlinkMessage>) {
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => self.link(link),
            // A bridge that loses a port says so in its own family; the link itself stays.
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link))
                if link.header.interface_family == AddressFamily::Unspec =>
            {
                self.news |= self.interfaces.remove(&link.header.index).is_some();
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => {
                self.address(&address, true);
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(address)) => {
                self.address(&address, false);
            }
            NetlinkPayload::Overrun(_) => {
                tracing::info!("too many interface changes at once, listing them anew");
                self.stale = true;
            }
            _ => {}
        }
    }

    fn link(&mut self, message: LinkMessage) {
        let wireless = |a: &LinkAttribute| matches!(a, LinkAttribute::Wireless(_));
        // Both carry only a part of the link.
        if message.header.interface_family != AddressFamily::Unspec
            || message.attributes.iter().any(wireless)
        {
            return;
        }
        let flags = message.header.flags;
        let interface = self.interfaces.entry(message.header.index).or_default();
        let before = interface.clone();
        interface.index = message.header.index;
        interface.up = flags.contains(LinkFlags::Up);
        interface.running = flags.contains(LinkFlags::Up | LinkFlags::LowerUp | LinkFlags::Running);
        interface.noarp = flags.contains(LinkFlags::Noarp);
        interface.broadcast = flags.contains(LinkFlags::Broadcast);
        interface.master = None;
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => interface.name = name,
                LinkAttribute::Address(mac) => interface.mac = mac.try_into().ok(),
                LinkAttribute::Controller(master) => interface.master = Some(master),
                _ => {}
            }
        }
        self.news |= *interface != before;
    }

    fn address(&mut self, message: &AddressMessage, present: bool) {
        // A link comes before its addresses and goes after them; what is not known is gone.
        let Some(interface) = self.interfaces.get_mut(&message.header.index) else {
            return;
        };
        let Some((address, flags)) = own_address(message) else {
            return;
        };
        let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
        self.news |= if present && !flags.intersects(unusable) {
            interface.addresses.insert(address)
        } else {
            interface.addresses.remove(&address)
        };
        interface.link_local = interface
            .addresses
            .iter()
            .find_map(|address| match address {
                IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(*v6),
                _ => None,
            });
    }
}

impl Drop for LinkWatch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The host's own address in the message: on point-to-point links `Address` is the other end.
fn own_address(message: &AddressMessage) -> Option<(IpAddr, AddressFlags)> {
    let (mut address, mut local) = (None, None);
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(these) => flags = *these,
            _ => {}
        }
    }
    Some((local.or(address)?, flags))
}

#[cfg(test)]
mod tests;
