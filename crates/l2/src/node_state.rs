//! What a node says of itself to all others, so that all come to the same owner of an address.
//!
//! ```text
//!   version (1) count (1), then for each interface:
//!   name length (1) name, MAC (6), flags (1), link-local address (16) if it has one
//! ```
//!
//! Bytes after that are ignored, so that a later release may add to it while older speakers still
//! run.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use pnet::util::MacAddr;

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Those of its interfaces that may announce, each by one name.
    pub interfaces: Vec<Port>,
}

/// One interface of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// Frames get through, and have done so for long enough to rely on it.
    pub running: bool,
    /// It can reach all stations, so ARP works.
    pub broadcast: bool,
    /// From where it sends Neighbor Advertisements; without one, NDP does not work.
    pub link_local: Option<Ipv6Addr>,
}

/// Which interfaces an address is to be announced on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// All there are.
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

/// How well a node can announce something. The greatest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    /// It has none of the interfaces, or no frame gets through on any of them.
    Unable,
    /// It is about to stop: the others do not count it any more.
    Stopping,
    /// It can announce some of the addresses.
    Partly,
    /// Its addresses are to move away, as somebody wants to stop it.
    Leaving,
    /// It came back a moment ago.
    Returning,
    /// Nothing speaks against it.
    Able,
}

impl Interfaces {
    /// Whether the interface is one of these.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// These and the others.
    #[must_use]
    pub fn union(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Named(mut names), Self::Named(others)) => {
                names.extend(others.iter().cloned());
                Self::Named(names)
            }
            _ => Self::All,
        }
    }
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Named(names) => {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl Port {
    /// Whether an address can be announced here now.
    fn can_announce(&self, ip: IpAddr) -> bool {
        let by_protocol = match ip {
            IpAddr::V4(_) => self.broadcast,
            IpAddr::V6(_) => self.link_local.is_some(),
        };
        self.running && by_protocol
    }
}

impl NodeState {
    /// How well the node can announce these addresses on these interfaces.
    pub fn fitness(&self, ips: &[IpAddr], interfaces: &Interfaces) -> Fitness {
        let wanted = || {
            let ports = self.interfaces.iter();
            ports.filter(|port| interfaces.contains(&port.name))
        };
        let can = |ip: &&IpAddr| wanted().any(|port| port.can_announce(**ip));
        let able = ips.iter().filter(can).count();
        if able == 0 {
            Fitness::Unable
        } else if able < ips.len() {
            Fitness::Partly
        } else {
            Fitness::Able
        }
    }

    /// As bytes, at most `room` of them: where there are too many interfaces, those on which no
    /// frame gets through are left out first.
    pub fn encode(&self, room: usize) -> Vec<u8> {
        let mut ports: Vec<_> = self.interfaces.iter().collect();
        ports.sort_by_key(|port| !port.running);
        let mut bytes = vec![VERSION, 0];
        for port in ports {
            let before = bytes.len();
            port.encode(&mut bytes);
            if bytes.len() > room || bytes[1] == u8::MAX {
                bytes.truncate(before);
                break;
            }
            bytes[1] += 1;
        }
        bytes
    }

    /// From bytes. Nothing if they are no state that we understand.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let ([VERSION, count], mut rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let mut interfaces = Vec::new();
        for _ in 0..*count {
            interfaces.push(Port::decode(&mut rest)?);
        }
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        Some(Self { interfaces })
    }
}

impl Port {
    fn encode(&self, bytes: &mut Vec<u8>) {
        // The kernel's names have at most 15 bytes.
        let name = &self.name.as_bytes()[..self.name.len().min(255)];
        bytes.push(u8::try_from(name.len()).expect("cut just now"));
        bytes.extend(name);
        bytes.extend(self.mac.octets());
        let flags =
            flag(self.running, 1) | flag(self.broadcast, 2) | flag(self.link_local.is_some(), 4);
        bytes.push(flags);
        if let Some(link_local) = self.link_local {
            bytes.extend(link_local.octets());
        }
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        let (length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked((*length).into())?;
        let (mac, after) = after.split_first_chunk::<6>()?;
        let (flags, after) = after.split_first()?;
        *rest = after;
        let link_local = if flags & 4 == 0 {
            None
        } else {
            let (address, after) = after.split_first_chunk::<16>()?;
            *rest = after;
            Some(Ipv6Addr::from(*address))
        };
        Some(Self {
            name: std::str::from_utf8(name).ok()?.to_owned(),
            mac: MacAddr::from(*mac),
            running: flags & 1 != 0,
            broadcast: flags & 2 != 0,
            link_local,
        })
    }
}

fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(name: &str) -> Port {
        Port {
            name: name.to_owned(),
            mac: MacAddr::new(2, 0, 0, 0, 0, 1),
            running: true,
            broadcast: true,
            link_local: Some("fe80::1".parse().unwrap()),
        }
    }

    fn state(interfaces: Vec<Port>) -> NodeState {
        NodeState { interfaces }
    }

    #[test]
    fn a_node_is_fit_where_every_address_gets_through() {
        let v4: IpAddr = "192.0.2.1".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        let on =
            |names: &[&str]| Interfaces::Named(names.iter().map(|&name| name.to_owned()).collect());
        let no_carrier = Port {
            running: false,
            ..port("eth0")
        };
        let no_arp = Port {
            broadcast: false,
            ..port("eth0")
        };
        let no_ndp = Port {
            link_local: None,
            ..port("eth1")
        };
        let (able, partly, unable) = (Fitness::Able, Fitness::Partly, Fitness::Unable);
        for (ports, ips, interfaces, fitness) in [
            (vec![port("eth0")], &[v4, v6][..], Interfaces::All, able),
            (vec![port("eth0")], &[v4], on(&["eth0", "eth9"]), able),
            (vec![port("eth0")], &[v4], on(&["eth9"]), unable),
            (vec![], &[v4], Interfaces::All, unable),
            (vec![no_carrier], &[v4], Interfaces::All, unable),
            (vec![no_arp.clone()], &[v6], Interfaces::All, able),
            (vec![no_arp.clone()], &[v4], Interfaces::All, unable),
            (vec![no_ndp.clone()], &[v4, v6], Interfaces::All, partly),
            // Each family where it can be.
            (
                vec![no_arp.clone(), no_ndp.clone()],
                &[v4, v6],
                Interfaces::All,
                able,
            ),
            (vec![no_arp, no_ndp], &[v4, v6], on(&["eth1"]), partly),
        ] {
            let state = state(ports);
            assert_eq!(
                state.fitness(ips, &interfaces),
                fitness,
                "{state:?} {ips:?}"
            );
        }
    }

    #[test]
    fn who_has_just_come_back_is_less_fit() {
        use Fitness::{Able, Leaving, Partly, Returning, Stopping, Unable};
        assert!([Unable, Stopping, Partly, Leaving, Returning, Able].is_sorted());
    }

    #[test]
    fn too_many_interfaces_are_cut_to_those_that_work() {
        let idle = (0..20).map(|n| Port {
            running: false,
            ..port(&format!("idle{n}"))
        });
        let state = state(idle.chain([port("eth0")]).collect());
        let bytes = state.encode(512);
        assert!(bytes.len() <= 512);
        let decoded = NodeState::decode(&bytes).unwrap();
        assert!(decoded.interfaces.contains(&port("eth0")), "{decoded:?}");
        assert!(decoded.interfaces.len() > 10);
    }

    fn ports() -> impl Strategy<Value = Vec<Port>> {
        let port = (
            "[a-z0-9.@]{1,15}",
            any::<[u8; 6]>(),
            any::<bool>(),
            any::<bool>(),
            any::<Option<[u8; 16]>>(),
        );
        let port = port.prop_map(|(name, mac, running, broadcast, link_local)| Port {
            name,
            mac: mac.into(),
            running,
            broadcast,
            link_local: link_local.map(Ipv6Addr::from),
        });
        prop::collection::vec(port, 0..5).prop_map(|mut ports| {
            ports.sort_by(|a, b| a.name.cmp(&b.name));
            ports.dedup_by(|a, b| a.name == b.name);
            ports
        })
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = NodeState::decode(&bytes);
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(interfaces in ports()) {
            let state = NodeState { interfaces };
            let mut bytes = state.encode(usize::MAX);
            // Left to later releases.
            bytes.push(7);
            prop_assert_eq!(NodeState::decode(&bytes), Some(state));
        }
    }
}
