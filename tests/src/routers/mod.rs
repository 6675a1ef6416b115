//! The BGP routers beside the nodes: real daemons that take any node's session.
//!
//! Each listens for the nodes' whole network, so a test needs to tell it nothing. The AS numbers
//! are those kept for documentation (RFC 5398).

mod bird;
mod frr;
mod gobgp;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{Cluster, Place, Router, eventually};

/// The AS that routers expect all nodes to be in.
pub const NODES_ASN: u32 = 64500;

/// The AS of a router: 64501 for `r1`.
pub fn router_asn(router: u8) -> u32 {
    NODES_ASN + u32::from(router)
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

    /// Starts the daemons of all routers and waits until each answers its control tool. They end
    /// with the cluster.
    pub(crate) fn start_routers(&self) -> Result<()> {
        let seats = self
            .routers()
            .into_iter()
            .map(|(place, _)| self.seat(place))
            .collect::<Result<Vec<_>>>()?;
        for seat in &seats {
            fs::create_dir_all(&seat.directory)
                .with_context(|| format!("cannot make {}", seat.directory.display()))?;
            match seat.router {
                Router::Frr => frr::start(seat)?,
                Router::Bird => bird::start(seat)?,
                Router::Gobgp => gobgp::start(seat)?,
            }
        }
        for seat in &seats {
            eventually(
                &format!("an answer of router {}", seat.place),
                TIMEOUT,
                || self.show_router(seat.place).map(Ok::<_, String>),
            )?;
        }
        Ok(())
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
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        self.cluster.spawn(self.place, program, &command).map(drop)
    }

    fn output(&self, command: &[&str]) -> Result<String> {
        self.cluster.output(self.place, command)
    }

    fn router_id(&self) -> String {
        self.place.address().v4.to_string()
    }

    fn asn(&self) -> u32 {
        router_asn(self.number)
    }
}

/// The networks of the nodes; see [`Place::address`].
const NODES_V4: &str = "192.0.2.0/24";
const NODES_V6: &str = "2001:db8::/64";
const TIMEOUT: Duration = Duration::from_secs(15);
