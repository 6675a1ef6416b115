//! The BGP routers beside the nodes: real daemons that take any node's session.
//!
//! Each listens for the nodes' whole network, and for what is at the other end of its [`cable`]s, so
//! a test needs to tell it nothing that is not in [`Nodes`]. The AS numbers are those kept for
//! documentation (RFC 5398).

mod bird;
mod frr;
mod gobgp;
mod release;
mod rib;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use rustix::process::Signal;

pub use self::release::{ROOT, of_release};
pub use self::rib::{Attributes, Epoch, Neighbor, Path, Rib};
use crate::{Address, Cluster, Place, Router, eventually};

/// The AS that routers expect all nodes to be in.
pub const NODES_ASN: u32 = 64500;

/// The AS of a router: 64501 for `r1`.
pub fn router_asn(router: u8) -> u32 {
    NODES_ASN + u32::from(router)
}

/// The router's end of a cable that leads to this node alone. None is there until somebody lays it,
/// and no address but the link-local one is on it.
pub fn cable(node: u8) -> String {
    format!("{CABLE}{node}")
}

const CABLE: &str = "down";

/// What a router expects of its sessions with the nodes.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// The AS that they are in.
    pub asn: u32,
    /// The password of their TCP connections (RFC 2385).
    pub password: Option<&'static str>,
    /// Whether they come to the router's address behind another router,
    /// [`Place::address_behind`].
    pub far: bool,
    /// Whether their routes are kept while they restart; FRR and BIRD always do so.
    pub restart: bool,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            asn: NODES_ASN,
            password: None,
            far: false,
            restart: false,
        }
    }
}

impl Router {
    /// The version of the program, such as `8.4.4`: of this machine, or in [`ROOT`].
    pub fn version(self) -> Result<String> {
        let program = match self {
            Self::Frr => "/usr/lib/frr/bgpd",
            Self::Bird => "/usr/sbin/bird",
            Self::Gobgp => "/usr/bin/gobgpd",
        };
        let mut command = match release::root() {
            Some(root) => {
                let mut chroot = Command::new("chroot");
                chroot.arg(root).arg(program);
                chroot
            }
            None => Command::new(program),
        };
        let output = command.arg("--version").output();
        let output = output.with_context(|| format!("cannot run {program}"))?;
        // BIRD writes it to its error output.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let mut words = text.split_whitespace();
        words.by_ref().find(|it| *it == "version");
        let version = words.next().context("no version in what it printed")?;
        Ok(version.to_owned())
    }
}

impl Cluster {
    /// Asks a router's control tool, in its own language: `show bgp summary json` to FRR,
    /// `show protocols all` to BIRD, `neighbor` to `GoBGP`.
    pub fn ask_router(&self, router: Place, question: &str) -> Result<String> {
        let seat = self.seat(router)?;
        match seat.router {
            Router::Frr => frr::ask(&seat, question),
            Router::Bird => bird::ask(&seat, question),
            Router::Gobgp => gobgp::ask(&seat, question),
        }
    }

    /// Changes the configuration of a router that runs FRR: lines as in its files.
    pub fn configure_router(&self, router: Place, lines: &[&str]) -> Result<()> {
        let seat = self.seat(router)?;
        anyhow::ensure!(seat.router == Router::Frr, "{router} does not run FRR");
        frr::configure(&seat, lines)
    }

    /// A router's own summary of its neighbours: JSON from FRR and `GoBGP`, text from BIRD.
    pub fn show_router(&self, router: Place) -> Result<String> {
        let summary = match self.seat(router)?.router {
            Router::Frr => frr::SUMMARY,
            Router::Bird => bird::SUMMARY,
            Router::Gobgp => gobgp::SUMMARY,
        };
        self.ask_router(router, summary)
    }

    /// All routes that a router has from its peers.
    pub fn rib(&self, router: Place) -> Result<Rib> {
        let seat = self.seat(router)?;
        match seat.router {
            Router::Frr => frr::rib(&seat),
            Router::Bird => bird::rib(&seat),
            Router::Gobgp => gobgp::rib(&seat),
        }
    }

    /// The sessions that a router has, by the address of the node; those over cables are left out.
    pub fn neighbors(&self, router: Place) -> Result<BTreeMap<IpAddr, Neighbor>> {
        let seat = self.seat(router)?;
        match seat.router {
            Router::Frr => frr::neighbors(&seat),
            Router::Bird => bird::neighbors(&seat),
            Router::Gobgp => gobgp::neighbors(&seat),
        }
    }

    /// Ends a router's programs, which say so to its peers.
    pub fn stop_router(&self, router: Place) -> Result<()> {
        eventually(&format!("{router} has ended"), TIMEOUT, || {
            // Looked up each time: somebody may just have asked it.
            let running = self.processes(router)?;
            for process in &running {
                process.signal(Signal::TERM);
            }
            let ended = running.is_empty().then_some(());
            Ok(ended.ok_or_else(|| format!("{running:?}")))
        })
    }

    /// Starts the daemons of a router and waits until it answers its control tool. They end with
    /// the cluster.
    pub fn start_router(&self, router: Place, nodes: &Nodes) -> Result<()> {
        let seat = self.seat(router)?;
        fs::create_dir_all(&seat.directory)
            .with_context(|| format!("cannot make {}", seat.directory.display()))?;
        match seat.router {
            Router::Frr => frr::start(&seat, nodes)?,
            Router::Bird => bird::start(&seat, nodes)?,
            Router::Gobgp => gobgp::start(&seat, nodes)?,
        }
        eventually(&format!("an answer of router {router}"), TIMEOUT, || {
            self.show_router(router).map(Ok::<_, String>)
        })
        .map(drop)
    }

    /// Starts all of them.
    pub(crate) fn start_routers(&self) -> Result<()> {
        let mut routers = self.routers().into_iter();
        routers.try_for_each(|(place, _)| self.start_router(place, &Nodes::default()))
    }

    fn seat(&self, place: Place) -> Result<Seat<'_>> {
        let found = self
            .routers()
            .into_iter()
            .find(|(router, _)| *router == place);
        let (Some((_, router)), Place::Router(number)) = (found, place) else {
            anyhow::bail!("cluster {} has no router {place}", self.name());
        };
        let directory = self.files.of_place(place);
        Ok(Seat {
            cluster: self,
            place,
            number,
            router,
            directory,
        })
    }
}

/// One router where it runs.
struct Seat<'a> {
    cluster: &'a Cluster,
    place: Place,
    number: u8,
    router: Router,
    /// For configuration, sockets and pid files.
    directory: PathBuf,
}

impl Seat<'_> {
    /// Writes a file into the router's directory.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn spawn(&self, program: &str, command: &[&str]) -> Result<()> {
        let command = release::enter(&self.directory, command);
        self.cluster.spawn(self.place, program, &command).map(drop)
    }

    fn output(&self, command: &[&str]) -> Result<String> {
        let command = release::enter(&self.directory, command);
        self.cluster.output(self.place, &command)
    }

    fn router_id(&self) -> String {
        self.place.address().v4.to_string()
    }

    fn asn(&self) -> u32 {
        router_asn(self.number)
    }

    /// Where it listens.
    fn address(&self, nodes: &Nodes) -> Address {
        if nodes.far {
            self.place.address_behind()
        } else {
            self.place.address()
        }
    }

    /// Its ends of cables to nodes.
    fn cables(&self) -> impl Iterator<Item = String> {
        let nodes = self.cluster.nodes().into_iter();
        nodes.filter_map(|it| match it {
            Place::Node(node) => Some(cable(node)),
            _ => None,
        })
    }

    /// The addresses of all nodes.
    fn nodes(&self) -> impl Iterator<Item = IpAddr> {
        let addresses = |node: Place| -> [IpAddr; 2] {
            let address = node.address();
            [address.v4.into(), address.v6.into()]
        };
        self.cluster.nodes().into_iter().flat_map(addresses)
    }
}

/// The networks of the nodes; see [`Place::address`].
const NODES_V4: &str = "192.0.2.0/24";
const NODES_V6: &str = "2001:db8::/64";
const TIMEOUT: Duration = Duration::from_secs(15);
