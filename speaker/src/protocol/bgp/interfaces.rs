//! The interfaces on which routers are looked for: a shell around [`RouterDiscovery`] for each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::rc::Rc;
use std::time::{Duration, Instant};

use metallb_l2::ndp;
use metallb_l2::router_discovery::{Input, Output, RouterDiscovery, Station};
use metallb_netio::{FRAME_MAX, Interface, LinkWatch, MulticastGroups, PacketSocket};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// All of them, by name.
#[derive(Debug)]
pub(super) struct Interfaces {
    watched: BTreeMap<String, Watched>,
    /// The node's interfaces, once they were listed, and the task that follows them.
    seen: Option<BTreeMap<u32, Interface>>,
    follower: Option<AbortHandle>,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
    notices: VecDeque<(String, Notice)>,
    seed: u64,
}

/// What is seen of the network.
#[derive(Debug)]
pub(super) enum Arrival {
    /// These are all interfaces of the node.
    Interfaces(BTreeMap<u32, Interface>),
    /// A frame came in on one of them.
    Frame(u32, Vec<u8>),
}

/// What has become of an interface.
#[derive(Debug)]
pub(super) enum Notice {
    /// There is a router on it.
    Found,
    /// Nobody can be reached on it, for this reason.
    Cut(String),
    /// These are both on it.
    Several(Ipv6Addr, Ipv6Addr),
}

/// A router, and the address that we have towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Router {
    pub(super) address: Ipv6Addr,
    pub(super) interface: u32,
    pub(super) ours: Ipv6Addr,
}

#[derive(Debug)]
struct Watched {
    discovery: RouterDiscovery,
    port: Port,
}

#[derive(Debug)]
enum Port {
    /// The interfaces were not listed yet.
    Unknown,
    Open(Open),
    /// Nobody can be reached on it, for this reason.
    Cut(String),
}

/// An interface that hears and is heard. Dropping it closes its sockets.
#[derive(Debug)]
struct Open {
    interface: u32,
    station: Station,
    socket: Rc<PacketSocket>,
    ear: AbortHandle,
    /// That of all routers, to be asked.
    _groups: MulticastGroups,
}

impl Interfaces {
    pub(super) fn new(seed: u64) -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        Self {
            watched: BTreeMap::new(),
            seen: None,
            follower: None,
            sender,
            arrivals,
            notices: VecDeque::new(),
            seed,
        }
    }

    /// Looks for routers on these interfaces and no others.
    pub(super) fn watch(&mut self, now: Instant, names: &BTreeSet<String>) {
        self.watched.retain(|name, _| names.contains(name));
        for name in names {
            let seed = self.seed;
            self.watched.entry(name.clone()).or_insert_with(|| Watched {
                discovery: RouterDiscovery::new(seed),
                port: Port::Unknown,
            });
        }
        if self.watched.is_empty() {
            self.seen = None;
            if let Some(follower) = self.follower.take() {
                follower.abort();
            }
        } else if self.follower.is_none() {
            let follower = tokio::task::spawn_local(follow(self.sender.clone()));
            self.follower = Some(follower.abort_handle());
        }
        self.update(now);
    }

    /// Waits for something to be seen.
    pub(super) async fn recv(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    pub(super) fn take(&mut self, now: Instant, arrival: Arrival) {
        match arrival {
            Arrival::Interfaces(seen) => {
                // A last word of a task that was ended says nothing of now.
                if self.follower.is_some() {
                    self.seen = Some(seen);
                    self.update(now);
                }
            }
            Arrival::Frame(interface, frame) => {
                let is_its =
                    |it: &&mut Watched| it.port.open().is_some_and(|it| it.interface == interface);
                if let Some(watched) = self.watched.values_mut().find(is_its) {
                    watched.discovery.handle_input(now, Input::Frame(&frame));
                }
                self.work();
            }
        }
    }

    /// Something has become of the router on this interface.
    pub(super) fn handle_input(&mut self, now: Instant, name: &str, input: Input<'_>) {
        if let Some(watched) = self.watched.get_mut(name) {
            watched.discovery.handle_input(now, input);
        }
        self.work();
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for watched in self.watched.values_mut() {
            watched.discovery.handle_timeout(now);
        }
        self.work();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let watched = self.watched.values();
        watched.filter_map(|it| it.discovery.poll_timeout()).min()
    }

    /// What has become of them, until there is nothing to say.
    pub(super) fn poll_notice(&mut self) -> Option<(String, Notice)> {
        self.notices.pop_front()
    }

    /// The router on this interface.
    pub(super) fn router(&self, name: &str) -> Option<Router> {
        let watched = self.watched.get(name)?;
        let open = watched.port.open()?;
        Some(Router {
            address: watched.discovery.router()?,
            interface: open.interface,
            ours: open.station.link_local,
        })
    }

    /// Why nobody can be reached on this interface, if that is so.
    pub(super) fn cut(&self, name: &str) -> Option<&str> {
        match &self.watched.get(name)?.port {
            Port::Cut(why) => Some(why),
            Port::Unknown | Port::Open(_) => None,
        }
    }

    /// Brings what is open in line with the interfaces.
    fn update(&mut self, now: Instant) {
        let Some(seen) = &self.seen else { return };
        for (name, watched) in &mut self.watched {
            let found = usable(name, seen);
            match (&watched.port, &found) {
                (Port::Open(open), Ok((interface, station)))
                    if (open.interface, open.station) == (*interface, *station) =>
                {
                    continue;
                }
                (Port::Cut(before), Err(why)) if before == why => continue,
                _ => {}
            }
            let opened = found.and_then(|(interface, station)| {
                Open::new(interface, station, self.sender.clone())
                    .map_err(|error| format!("interface {name} cannot be opened: {error}"))
            });
            let was_open = watched.port.open().is_some();
            let station = opened.as_ref().ok().map(|it| it.station);
            watched.discovery.handle_input(now, Input::Station(None));
            watched.discovery.handle_input(now, Input::Station(station));
            watched.port = match opened {
                Ok(open) => {
                    tracing::info!(op = "bgp", interface = name, "a router is looked for");
                    Port::Open(open)
                }
                Err(why) => {
                    tracing::info!(op = "bgp", interface = name, why, "no router can be found");
                    Port::Cut(why)
                }
            };
            let cut = match &watched.port {
                Port::Cut(why) => Some(why.clone()),
                _ if was_open => Some(format!("interface {name} has another address now")),
                _ => None,
            };
            let cut = cut.map(|why| (name.clone(), Notice::Cut(why)));
            self.notices.extend(cut);
        }
        self.work();
    }

    fn work(&mut self) {
        for (name, watched) in &mut self.watched {
            while let Some(output) = watched.discovery.poll_output() {
                let notice = match output {
                    Output::Send(frame) => {
                        let open = watched.port.open();
                        let sent = open.map(|it| it.socket.try_send(&frame));
                        if let Some(Err(error)) = sent {
                            tracing::debug!(op = "bgp", interface = name, %error, "not sent");
                        }
                        continue;
                    }
                    Output::Found(router) => {
                        tracing::info!(op = "bgp", interface = name, %router, "router found");
                        Notice::Found
                    }
                    Output::Several(one, other) => Notice::Several(one, other),
                };
                self.notices.push_back((name.clone(), notice));
            }
        }
    }
}

impl Port {
    fn open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Unknown | Self::Cut(_) => None,
        }
    }
}

impl Open {
    fn new(interface: u32, station: Station, sender: mpsc::Sender<Arrival>) -> io::Result<Self> {
        let socket = Rc::new(PacketSocket::router_discovery(interface)?);
        let mut groups = MulticastGroups::new(interface);
        groups.join(ndp::router::ALL_ROUTERS)?;
        let ear = tokio::task::spawn_local(hear(interface, Rc::clone(&socket), sender));
        Ok(Self {
            interface,
            station,
            socket,
            ear: ear.abort_handle(),
            _groups: groups,
        })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.ear.abort();
    }
}

impl Router {
    /// Where it takes connections.
    pub(super) fn socket_address(self, port: u16) -> SocketAddrV6 {
        SocketAddrV6::new(self.address, port, 0, self.interface)
    }
}

/// What is needed to find a router on the interface of this name, or why there is none to be found.
fn usable(name: &str, seen: &BTreeMap<u32, Interface>) -> Result<(u32, Station), String> {
    let Some(interface) = seen.values().find(|it| it.name == name) else {
        return Err(format!("there is no interface {name} on this node"));
    };
    if !interface.up {
        return Err(format!("interface {name} is switched off"));
    }
    if !interface.running {
        return Err(format!(
            "interface {name} has no carrier: is its cable plugged in, and the other end on?"
        ));
    }
    let mac = interface.mac.ok_or_else(|| {
        format!("interface {name} has no Ethernet address, which it takes to find a router on it")
    })?;
    let link_local = interface.link_local.ok_or_else(|| {
        format!("interface {name} has no IPv6 link-local address: is IPv6 disabled on it?")
    })?;
    let station = Station {
        mac: mac.into(),
        link_local,
    };
    Ok((interface.index, station))
}

/// Tells of the node's interfaces, as long as somebody listens.
async fn follow(sender: mpsc::Sender<Arrival>) {
    loop {
        let ended = async {
            let mut links = LinkWatch::open()?;
            loop {
                let seen = links.changed().await?.clone();
                // The shell is gone only when the process ends.
                let _ = sender.send(Arrival::Interfaces(seen)).await;
            }
        };
        let ended: Result<(), metallb_netio::LinkError> = ended.await;
        if let Err(error) = ended {
            tracing::error!(op = "bgp", %error, "interfaces are not watched, trying again");
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Tells of what comes in.
async fn hear(interface: u32, socket: Rc<PacketSocket>, sender: mpsc::Sender<Arrival>) {
    let mut buf = vec![0; FRAME_MAX];
    while let Ok(len) = socket.recv(&mut buf).await {
        let frame = buf[..len].to_vec();
        // The shell is gone only when the process ends.
        let _ = sender.send(Arrival::Frame(interface, frame)).await;
    }
}

/// How much may wait to be looked at; the kernel drops the rest.
const ARRIVALS: usize = 64;
/// The pause before interfaces are watched again.
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_no_router_can_be_found_on_an_interface() {
        let plain = Interface {
            index: 7,
            name: "eth0".to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            running: true,
            link_local: Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
            ..Interface::default()
        };
        let with = |change: fn(&mut Interface)| {
            let mut interface = plain.clone();
            change(&mut interface);
            usable("eth0", &[(7, interface)].into())
        };
        let (index, station) = with(|_| ()).expect("nothing is wrong with it");
        assert_eq!(index, 7);
        assert_eq!(Some(station.link_local), plain.link_local);
        for (change, words) in [
            (
                (|it| it.name = "eth1".to_owned()) as fn(&mut Interface),
                "there is no interface eth0 on this node",
            ),
            (|it| it.up = false, "is switched off"),
            (|it| it.running = false, "has no carrier"),
            (|it| it.mac = None, "has no Ethernet address"),
            (|it| it.link_local = None, "has no IPv6 link-local address"),
        ] {
            let why = with(change).expect_err(words);
            assert!(why.contains(words), "{why}");
        }
    }
}
