//! What a cluster is asked to be.

use std::{fmt, net::IpAddr, str::FromStr};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// What [`Cluster::up`](crate::Cluster::up) shall build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Tells this cluster from others on the same machine.
    pub name: Name,
    /// How many nodes, 0 to 40: `n1`, `n2`, … Without any there is nothing that would turn objects
    /// into others either: etcd and the API server alone, for benchmarks.
    pub nodes: u8,
    /// Network cards per node: 1, or 2 for a service LAN of its own.
    pub nics: u8,
    /// The families of nodes, pods and Services.
    pub family: Family,
    /// The BGP routers beside the nodes, `r1`, `r2`, … in this order.
    pub routers: Vec<Router>,
    /// Which Kubernetes.
    pub kubernetes: Kubernetes,
    /// Whether the API server writes down who changed what: [`Cluster::audit`](crate::Cluster::audit).
    pub audit: bool,
}

/// The name of a cluster: lower-case letters, digits and dashes, at most 20.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// IPv4, IPv6, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Family {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both, IPv4 first.
    #[default]
    Dual,
}

/// The program that a router runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Router {
    /// `FRRouting`: zebra, bfdd, bgpd.
    Frr,
    /// BIRD 2.
    Bird,
    /// `GoBGP`, which has no BFD.
    Gobgp,
}

/// The release of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kubernetes {
    /// The release that all tests run on.
    #[default]
    V1_34,
    /// The newest release, 1.37, with a containerd 2 of its own; building it takes Go 1.26.
    Newest,
}

impl Options {
    /// Refuses what cannot be built.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.nodes <= 40,
            "--nodes is {}; it can be 0 to 40",
            self.nodes
        );
        ensure!(
            (1..=2).contains(&self.nics),
            "--nics is {}; it can be 1 or 2",
            self.nics
        );
        ensure!(
            self.routers.len() <= 10,
            "{} routers asked for; there is room for 10",
            self.routers.len()
        );
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: Name::default(),
            nodes: 3,
            nics: 1,
            family: Family::Dual,
            routers: Vec::new(),
            kubernetes: Kubernetes::V1_34,
            audit: false,
        }
    }
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Self {
        Self("metallb".to_owned())
    }
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let fits = (1..=20).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        ensure!(
            fits,
            "{text:?} cannot name a cluster: at most 20 lower-case letters, digits and dashes, a letter first"
        );
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Name {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Family {
    /// Whether IPv4 is part of it.
    pub fn ipv4(self) -> bool {
        self != Self::Ipv6
    }

    /// Whether IPv6 is part of it.
    pub fn ipv6(self) -> bool {
        self != Self::Ipv4
    }

    /// Keeps of an IPv4 and an IPv6 address what the family has.
    pub fn of(self, v4: IpAddr, v6: IpAddr) -> Vec<IpAddr> {
        [v4, v6]
            .into_iter()
            .filter(|ip| {
                if ip.is_ipv4() {
                    self.ipv4()
                } else {
                    self.ipv6()
                }
            })
            .collect()
    }

    /// Keeps of an IPv4 and an IPv6 form what the family has, joined by `,` as Kubernetes reads
    /// such lists.
    pub(crate) fn join(self, v4: impl fmt::Display, v6: impl fmt::Display) -> String {
        match self {
            Self::Ipv4 => v4.to_string(),
            Self::Ipv6 => v6.to_string(),
            Self::Dual => format!("{v4},{v6}"),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Dual => "dual",
        })
    }
}

impl FromStr for Family {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "dual" => Self::Dual,
            _ => bail!("{text:?} is no family: ipv4, ipv6 or dual"),
        })
    }
}

impl FromStr for Router {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "frr" => Self::Frr,
            "bird" => Self::Bird,
            "gobgp" => Self::Gobgp,
            _ => bail!("{text:?} is no router: frr, bird or gobgp"),
        })
    }
}

impl FromStr for Kubernetes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "1.34" => Self::V1_34,
            "newest" => Self::Newest,
            _ => bail!("{text:?} is no Kubernetes release here: 1.34 or newest"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_the_name_of_a_namespace() {
        for good in ["metallb", "a", "ci-2"] {
            assert_eq!(good.parse::<Name>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "2a",
            "A",
            "a/b",
            "..",
            "a b",
            "abcdefghijklmnopqrstu",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_family_keeps_its_own_half() {
        assert_eq!(Family::Ipv4.join("a", "b"), "a");
        assert_eq!(Family::Ipv6.join("a", "b"), "b");
        assert_eq!(Family::Dual.join("a", "b"), "a,b");
    }
}
