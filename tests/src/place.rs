//! The machines of a cluster, each a network namespace, and the addresses they have.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use anyhow::{Result, bail};

/// One of the machines that a cluster pretends to have.
///
/// Its text is what the command line takes: `n1`, `r1`, `client`, `cp`, `fabric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A node, counted from 1.
    Node(u8),
    /// A router, counted from 1.
    Router(u8),
    /// A host on the segment that is no part of Kubernetes.
    Client,
    /// Where etcd, the API server, controller manager and scheduler run.
    ControlPlane,
    /// The switch: the bridges, the far ends of all cables, the image registry.
    Fabric,
}

/// The addresses of a place on one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The IPv4 address, its network a /24.
    pub v4: Ipv4Addr,
    /// The IPv6 address, its network a /64.
    pub v6: Ipv6Addr,
}

impl Place {
    /// The address on the node network, `eth0`: 192.0.2.0/24 and `2001:db8::/64`. The last part
    /// reads the same in both. Free for load balancer pools: .60 to .229 and `::60` to `::229`,
    /// and all of `2001:db8::/64` above `::1:0`.
    pub fn address(self) -> Address {
        let host = self.host();
        Address {
            v4: Ipv4Addr::new(192, 0, 2, host),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, same_digits(host)),
        }
    }

    /// The address on the service LAN, `eth1`, of clusters with two cards: 198.51.100.0/24 and
    /// `2001:db8:1::/64`. Nodes, the client and the fabric are on it.
    pub fn service_lan_address(self) -> Address {
        let host = self.host();
        Address {
            v4: Ipv4Addr::new(198, 51, 100, host),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, same_digits(host)),
        }
    }

    /// The address of a router that nodes reach by way of another router: in 203.0.113.0/24 and
    /// `2001:db8:b::/64`, where there is a router beside it.
    pub fn address_behind(self) -> Address {
        let host = self.host();
        Address {
            v4: Ipv4Addr::new(203, 0, 113, host),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, same_digits(host)),
        }
    }

    /// The fabric's end of this place's cable: `vn1`, `vr1`, `vclient`, `vcp`; that of the second
    /// card: `v1n1`.
    pub fn port(self, nic: u8) -> String {
        if nic == 1 {
            format!("v{nic}{self}")
        } else {
            format!("v{self}")
        }
    }

    fn host(self) -> u8 {
        match self {
            Self::Fabric => 2,
            Self::ControlPlane => 3,
            Self::Client => 4,
            Self::Node(n) => 10 + n,
            Self::Router(n) => 240 + n,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(n) => write!(f, "n{n}"),
            Self::Router(n) => write!(f, "r{n}"),
            Self::Client => f.write_str("client"),
            Self::ControlPlane => f.write_str("cp"),
            Self::Fabric => f.write_str("fabric"),
        }
    }
}

impl FromStr for Place {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |rest: &str| rest.parse::<u8>().ok().filter(|n| *n > 0);
        Ok(match text {
            "client" => Self::Client,
            "cp" => Self::ControlPlane,
            "fabric" => Self::Fabric,
            _ => match (text.get(..1), text.get(1..).and_then(number)) {
                (Some("n"), Some(n)) => Self::Node(n),
                (Some("r"), Some(n)) => Self::Router(n),
                _ => bail!("{text:?} is no place: n1, n2, …, r1, …, client, cp or fabric"),
            },
        })
    }
}

/// The number whose hexadecimal digits are the decimal digits of `host`.
fn same_digits(host: u8) -> u16 {
    let host = u16::from(host);
    host / 100 * 256 + host / 10 % 10 * 16 + host % 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_read_alike() {
        let n3 = Place::Node(3);
        assert_eq!(n3.address().v4.to_string(), "192.0.2.13");
        assert_eq!(n3.address().v6.to_string(), "2001:db8::13");
        assert_eq!(Place::Router(2).address().v6.to_string(), "2001:db8::242");
        assert_eq!(n3.service_lan_address().v6.to_string(), "2001:db8:1::13");
    }

    #[test]
    fn a_place_reads_back_what_it_prints() {
        for place in [
            Place::Node(1),
            Place::Router(10),
            Place::Client,
            Place::ControlPlane,
            Place::Fabric,
        ] {
            assert_eq!(place.to_string().parse::<Place>().unwrap(), place);
        }
        for bad in ["", "n", "n0", "n256", "x1", "é", "Client"] {
            assert!(bad.parse::<Place>().is_err(), "{bad:?} was taken");
        }
    }
}
