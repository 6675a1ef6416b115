//! An API server that answers wrongly, breaks off or hangs, on demand.
//!
//! A proxy runs beside the API server with the API server's own certificate. While it is engaged,
//! everything that comes for the API server's port is led to it: kubelets, pods, the controller
//! manager, and `kubectl` on the host. Connections that were open before are reset, so that
//! watches come again through the proxy. Clients need no change and notice none, until a fault is
//! set, but that the proxy speaks HTTP/1.1, so each watch has a connection of its own. Only the API
//! server's own connections to itself stay as they are.

mod control;
mod gate;
mod identity;
mod mute;
mod proxy;
mod rule;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::{Cluster, Place, eventually, plan, process};

pub use control::{Order, State};
pub use gate::Flow;
pub use identity::Certificates;
pub use proxy::{ProxyArgs, run};
pub use rule::{Requests, Rule, Tally};

/// What `cargo xtask cluster api-faults` takes.
#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
pub enum Command {
    /// An order to the proxy, which is started when it does not run.
    #[command(flatten)]
    Order(Order),
    /// End the proxy; everybody talks to the API server itself again.
    Off,
}

/// The engaged proxy of one cluster. Dropping it leaves it engaged.
#[derive(Debug)]
pub struct ApiFaults<'a> {
    cluster: &'a Cluster,
}

impl<'a> ApiFaults<'a> {
    /// Puts the proxy between the cluster and its API server, if it is not there yet.
    ///
    /// `proxy` is the command that ends up in [`run`]; the arguments of [`ProxyArgs`] are added.
    pub fn engage(cluster: &'a Cluster, proxy: &[String]) -> Result<Self> {
        let faults = Self { cluster };
        if faults.status().is_err() {
            faults.start(proxy)?;
        }
        faults.lead_to_proxy()?;
        Ok(faults)
    }

    fn start(&self, proxy: &[String]) -> Result<()> {
        let cluster = self.cluster;
        let program = cluster.spawn(Place::ControlPlane, PROGRAM, &self.command(proxy))?;
        let log = cluster.files.log(Place::ControlPlane, PROGRAM);
        eventually("the API proxy to take orders", TIMEOUT, || {
            ensure!(program.alive(), "it ended; see {}", log.display());
            self.status().map(Ok::<_, String>)
        })?;
        Ok(())
    }

    /// The proxy of a cluster, if it is engaged.
    pub fn engaged(cluster: &'a Cluster) -> Option<Self> {
        let faults = Self { cluster };
        faults.status().is_ok().then_some(faults)
    }

    /// Takes the proxy away; its connections are reset.
    pub fn disengage(self) -> Result<()> {
        self.nft(&format!(
            "add table inet {TABLE}\ndelete table inet {TABLE}\n"
        ))?;
        self.order(&Order::Cut { hold: true })?;
        let process = self.cluster.process(PROGRAM)?;
        process.signal(Signal::KILL);
        eventually("the end of the API proxy", TIMEOUT, || {
            Ok(if process.alive() {
                Err("it runs")
            } else {
                Ok(())
            })
        })
    }

    /// Answers what fits `rule` with an error from now on.
    pub fn set(&self, rule: Rule) -> Result<State> {
        self.order(&Order::Set(rule))
    }

    /// Resets all connections that are open now.
    pub fn cut(&self) -> Result<State> {
        self.order(&Order::Cut { hold: false })
    }

    /// Resets all connections and every new one, until [`ApiFaults::clear`].
    pub fn refuse(&self) -> Result<State> {
        self.order(&Order::Cut { hold: true })
    }

    /// Lets nothing through, with all connections open, until [`ApiFaults::clear`].
    pub fn stall(&self) -> Result<State> {
        self.order(&Order::Stall)
    }

    /// Lets nothing come any more of the watches that are open now and fit, with their connections
    /// open, until [`ApiFaults::clear`].
    pub fn mute(&self, watches: Requests) -> Result<State> {
        self.order(&Order::Mute(watches))
    }

    /// Forgets all rules and lets everything through.
    pub fn clear(&self) -> Result<State> {
        self.order(&Order::Clear)
    }

    /// What is set and what it has done.
    pub fn status(&self) -> Result<State> {
        self.order(&Order::Status)
    }

    fn order(&self, order: &Order) -> Result<State> {
        control::send(&self.socket(), order)
    }

    fn socket(&self) -> PathBuf {
        self.cluster.directory().join("api-faults.sock")
    }

    fn command(&self, proxy: &[String]) -> Vec<String> {
        let pki = self.cluster.files.pki();
        let arguments = [
            ("--listen", format!("[::]:{PROXY_PORT}")),
            // The one address that is not led to the proxy; the API server itself uses it too.
            ("--upstream", format!("[::1]:{}", plan::API_PORT)),
            ("--control", self.socket().display().to_string()),
            ("--ca", pki.join("ca.crt").display().to_string()),
            ("--cert", pki.join("apiserver.crt").display().to_string()),
            ("--key", pki.join("apiserver.key").display().to_string()),
            ("--clients", pki.display().to_string()),
        ];
        let arguments = arguments.map(|(name, value)| format!("{name}={value}"));
        proxy.iter().cloned().chain(arguments).collect()
    }

    /// Redirects new connections and resets those that are there.
    fn lead_to_proxy(&self) -> Result<()> {
        let port = plan::API_PORT;
        self.nft(&format!(
            "add table inet {TABLE}
            delete table inet {TABLE}
            table inet {TABLE} {{
                chain from_others {{
                    type nat hook prerouting priority -100;
                    iifname != \"lo\" tcp dport {port} redirect to :{PROXY_PORT}
                }}
                chain from_here {{
                    type nat hook output priority -100;
                    ip daddr 127.0.0.1 tcp dport {port} redirect to :{PROXY_PORT}
                }}
            }}\n"
        ))?;
        // New ones no longer come here, so an empty list stays empty.
        eventually("the end of connections from before", TIMEOUT, || {
            let of_others = format!("sport = :{port} and not src [::1]");
            let ss = |more: &[&str]| {
                let ss = [
                    "ss",
                    "--tcp",
                    "--numeric",
                    "--no-header",
                    "state",
                    "connected",
                ];
                let command = [&ss, more, &[&of_others]].concat();
                self.cluster.output(Place::ControlPlane, &command)
            };
            ss(&["exclude", "time-wait", "--kill"])?;
            let left = ss(&["exclude", "time-wait"])?;
            Ok(if left.is_empty() { Ok(()) } else { Err(left) })
        })
    }

    fn nft(&self, ruleset: &str) -> Result<()> {
        let mut nft = self.cluster.exec(Place::ControlPlane, &["nft", "-f", "-"]);
        process::feed(&mut nft, ruleset).map(drop)
    }
}

impl Command {
    /// Does it, and gives what there is to say about the outcome.
    pub fn run(&self, cluster: &Cluster, proxy: &[String]) -> Result<String> {
        let there = ApiFaults::engaged(cluster);
        let faults = match (self, there) {
            (Self::Off, Some(faults)) => {
                faults.disengage()?;
                return Ok("the API server answers by itself".to_owned());
            }
            (Self::Off | Self::Order(Order::Status | Order::Clear), None) => {
                return Ok("no proxy runs; the API server answers by itself".to_owned());
            }
            (Self::Order(_), Some(faults)) => faults,
            (Self::Order(_), None) => ApiFaults::engage(cluster, proxy)?,
        };
        let Self::Order(order) = self else {
            unreachable!("Off has returned above")
        };
        faults.order(order).map(|state| state.to_string())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = match self.flow {
            Flow::Open => "passing",
            Flow::Stalled => "stalled",
            Flow::Refusing => "refusing connections",
        };
        let Self {
            connections,
            requests,
            muted,
            ..
        } = self;
        write!(
            f,
            "{flow}; {connections} connections, {requests} requests so far"
        )?;
        if let Some(watches) = muted {
            write!(f, "\n  no word of earlier watches{watches}")?;
        }
        for Tally {
            rule,
            matched,
            answered,
        } in &self.rules
        {
            write!(f, "\n  {rule}: answered {answered} of {matched}")?;
        }
        Ok(())
    }
}

const PROGRAM: &str = "api-faults";
const TABLE: &str = "api_faults";
const PROXY_PORT: u16 = 6444;
const TIMEOUT: Duration = Duration::from_secs(10);
