//! One interface that announces: its sockets, and a task for each that answers.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use metallb_l2::{MacAddr, Responder, ndp};
use metallb_netio::{FRAME_MAX, Interface, MulticastGroups, PacketSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Observed;
use super::rival_pace::RivalPace;
use crate::metrics::Layer2Metrics;

/// An interface that answers for addresses. Dropping it ends its tasks and closes its sockets.
#[derive(Debug)]
pub(super) struct Port {
    interface: Interface,
    responder: Rc<RefCell<Responder>>,
    arp: Option<Ear>,
    /// Open only while there is an IPv6 address to answer for: the kernel asks it about every
    /// IPv6 packet.
    ndp: Option<Ear>,
    groups: MulticastGroups,
    metrics: Layer2Metrics,
    gossip: Rc<Gossip>,
}

/// Where it is told which other stations have our addresses.
#[derive(Debug)]
struct Gossip {
    pace: RefCell<RivalPace>,
    observer: mpsc::UnboundedSender<Observed>,
}

/// A socket and the task that answers what comes in.
#[derive(Debug)]
struct Ear {
    socket: Rc<PacketSocket>,
    task: JoinHandle<()>,
}

impl Port {
    /// Opens the interface. Answers for nothing yet.
    pub(super) fn open(
        interface: &Interface,
        metrics: Layer2Metrics,
        observer: mpsc::UnboundedSender<Observed>,
    ) -> io::Result<Self> {
        let mac = interface.mac.ok_or(io::ErrorKind::InvalidInput)?;
        let responder = Responder::new(MacAddr::from(mac), interface.link_local);
        let mut port = Self {
            interface: interface.clone(),
            responder: Rc::new(RefCell::new(responder)),
            arp: None,
            ndp: None,
            groups: MulticastGroups::new(interface.index),
            metrics,
            gossip: Rc::new(Gossip {
                pace: RefCell::default(),
                observer,
            }),
        };
        // Upstream's rule: ARP needs an interface that can broadcast, NDP one with a link-local
        // address.
        if interface.broadcast {
            port.arp = Some(port.ear_of(PacketSocket::arp(interface.index)?));
        }
        Ok(port)
    }

    /// Whether the interface can announce at all: it is up, is nobody's port, resolves addresses,
    /// has an Ethernet address, and ARP or NDP works on it.
    pub(super) fn usable(interface: &Interface) -> bool {
        interface.up
            && !interface.noarp
            && interface.master.is_none()
            && interface.mac.is_some()
            && (interface.broadcast || interface.link_local.is_some())
    }

    /// Whether the port still is what it was opened as.
    pub(super) fn fits(&self, interface: &Interface) -> bool {
        let own = &self.interface;
        own.name == interface.name
            && own.mac == interface.mac
            && own.link_local == interface.link_local
            && own.broadcast == interface.broadcast
    }

    /// Whether frames can get through.
    pub(super) fn is_running(&self) -> bool {
        self.interface.running
    }

    /// Takes in whether frames can get through.
    pub(super) fn set_running(&mut self, running: bool) {
        self.interface.running = running;
    }

    /// The interface's name.
    pub(super) fn name(&self) -> &str {
        &self.interface.name
    }

    /// Answers for `ip` from now on, where the interface can. False if it did already.
    pub(super) fn announce(&mut self, ip: IpAddr) -> io::Result<bool> {
        self.place(ip, Responder::announce)
    }

    /// Hears from now on who has `ip`, where the interface can. False if it did already.
    pub(super) fn listen(&mut self, ip: IpAddr) -> io::Result<bool> {
        self.place(ip, Responder::listen)
    }

    fn place(&mut self, ip: IpAddr, place: fn(&mut Responder, IpAddr) -> bool) -> io::Result<bool> {
        match ip {
            IpAddr::V4(_) if self.arp.is_none() => return Ok(false),
            IpAddr::V6(_) if self.interface.link_local.is_none() => return Ok(false),
            _ => {}
        }
        let was_there = self.responder.borrow().concerns(ip);
        if !place(&mut self.responder.borrow_mut(), ip) {
            return Ok(false);
        }
        if let IpAddr::V6(ip) = ip
            && !was_there
        {
            let opened = self.hear_solicitations();
            let joined = opened.and_then(|()| self.groups.join(ndp::solicited_node(ip)));
            if let Err(error) = joined {
                self.responder.borrow_mut().withdraw(IpAddr::V6(ip));
                return Err(error);
            }
        }
        Ok(true)
    }

    /// Asks the segment who has `ip`, if this port hears who does.
    pub(super) fn ask(&self, ip: IpAddr) {
        let (probe, ear) = (self.responder.borrow().probe(ip), self.ear(ip));
        if let (Some(probe), Some(Ear { socket, .. })) = (probe, ear)
            && let Err(error) = socket.try_send(&probe)
        {
            tracing::debug!(op = "layer2", interface = self.name(), %ip, %error, "probe not sent");
        }
    }

    fn ear(&self, ip: IpAddr) -> Option<&Ear> {
        let ear = if ip.is_ipv4() { &self.arp } else { &self.ndp };
        ear.as_ref()
    }

    /// Answers for `ip` no longer.
    pub(super) fn withdraw(&mut self, ip: IpAddr) {
        if !self.responder.borrow_mut().withdraw(ip) {
            return;
        }
        if let IpAddr::V6(ip) = ip {
            if let Err(error) = self.groups.leave(ndp::solicited_node(ip)) {
                tracing::debug!(op = "layer2", interface = self.name(), %error, "cannot leave group");
            }
            if !self.responder.borrow().addresses().any(|ip| ip.is_ipv6()) {
                self.ndp = None;
            }
        }
    }

    /// Tells the segment where these are, as far as this port announces them. A station that learns
    /// from the first form of the announcement waits for no second form of others.
    pub(super) fn tell(&self, ips: &[IpAddr]) {
        let frames = |ip: &IpAddr| self.responder.borrow().announcements(*ip);
        let all: Vec<_> = ips.iter().map(|ip| (*ip, frames(ip))).collect();
        let most = all.iter().map(|(_, frames)| frames.len()).max();
        for form in 0..most.unwrap_or(0) {
            for (ip, frames) in &all {
                if let Some(frame) = frames.get(form) {
                    self.send(*ip, frame);
                }
            }
        }
    }

    fn send(&self, ip: IpAddr, frame: &[u8]) {
        let Some(Ear { socket, .. }) = self.ear(ip) else {
            return;
        };
        match socket.try_send(frame) {
            Ok(()) => self.metrics.gratuitous_sent(ip),
            Err(error) => tracing::debug!(
                op = "gratuitousAnnounce", interface = self.name(), %ip, %error,
                "announcement not sent"
            ),
        }
    }

    fn hear_solicitations(&mut self) -> io::Result<()> {
        if self.ndp.is_none() {
            let socket = PacketSocket::neighbor_discovery(self.interface.index)?;
            self.ndp = Some(self.ear_of(socket));
        }
        Ok(())
    }

    fn ear_of(&self, socket: PacketSocket) -> Ear {
        let socket = Rc::new(socket);
        let task = answer(
            Rc::clone(&socket),
            Rc::clone(&self.responder),
            self.metrics.clone(),
            Rc::clone(&self.gossip),
            self.interface.name.clone(),
        );
        Ear {
            socket,
            task: tokio::task::spawn_local(task),
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers what comes in until the interface is gone.
async fn answer(
    socket: Rc<PacketSocket>,
    responder: Rc<RefCell<Responder>>,
    metrics: Layer2Metrics,
    gossip: Rc<Gossip>,
    interface: String,
) {
    let mut buf = vec![0; FRAME_MAX];
    loop {
        let len = match socket.recv(&mut buf).await {
            Ok(len) => len,
            Err(error) => {
                tracing::info!(op = "layer2", interface, %error, "interface no longer answers");
                return;
            }
        };
        let frame = &buf[..len];
        if let Some(rival) = responder.borrow().rival(frame) {
            metrics.conflict(rival.ip);
            if gossip.pace.borrow_mut().lets_pass(Instant::now(), rival) {
                // The brain is gone only when the process ends.
                let _ = gossip.observer.send(Observed::Rival(rival));
            }
        }
        let answer = responder.borrow().answer(frame);
        // Everything else is somebody else's address, or a frame that asks nothing.
        if let Ok(answer) = answer {
            metrics.request_received(answer.ip);
            match socket.try_send(&answer.frame) {
                Ok(()) => metrics.response_sent(answer.ip),
                Err(error) => tracing::debug!(
                    op = "layer2", interface, ip = %answer.ip, %error, "answer not sent"
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    /// Upstream's rules for its scan, but for the exclusion by name.
    #[test]
    fn which_interfaces_can_announce() {
        let plain = Interface {
            mac: Some([2, 0, 0, 0, 0, 1]),
            up: true,
            broadcast: true,
            link_local: Some(Ipv6Addr::LOCALHOST),
            ..Interface::default()
        };
        let with = |change: fn(&mut Interface)| {
            let mut interface = plain.clone();
            change(&mut interface);
            interface
        };
        for (what, interface, usable) in [
            (
                "a plain one, without any address of its own",
                plain.clone(),
                true,
            ),
            ("one without a carrier", with(|it| it.running = false), true),
            ("a bridge's port", with(|it| it.master = Some(7)), false),
            ("one that is down", with(|it| it.up = false), false),
            (
                "one without address resolution",
                with(|it| it.noarp = true),
                false,
            ),
            (
                "one without an Ethernet address",
                with(|it| it.mac = None),
                false,
            ),
            ("one for IPv6 alone", with(|it| it.broadcast = false), true),
            ("one for IPv4 alone", with(|it| it.link_local = None), true),
            (
                "one for neither",
                with(|it| (it.broadcast, it.link_local) = (false, None)),
                false,
            ),
        ] {
            assert_eq!(Port::usable(&interface), usable, "{what}");
        }
    }
}
