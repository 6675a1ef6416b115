//! How a running proxy is told what to do: one JSON line each way on a Unix socket, which is
//! reached from every network namespace.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::gate::Flow;
use super::rule::{Requests, Rule, Tally};

/// An order to the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, clap::Subcommand)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Answer some requests with an error.
    Set(Rule),
    /// Reset every open connection, once.
    Cut {
        /// Refuse new connections as well, until `clear`.
        #[arg(long)]
        hold: bool,
    },
    /// Let nothing through, with all connections open, until `clear`.
    Stall,
    /// Let nothing come any more of the watches that are open now and fit, until `clear`. Nobody is
    /// told: the connections stay. New watches speak.
    Mute(Requests),
    /// Forget all rules and let everything through again.
    Clear,
    /// Say what is set and what it has done.
    Status,
}

/// What the proxy is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What happens to bytes.
    pub flow: Flow,
    /// Connections open now.
    pub connections: usize,
    /// Requests seen since the proxy started, answered here or passed on.
    pub requests: u64,
    /// Which watches of before tell nothing.
    pub muted: Option<Requests>,
    /// The rules and their counts.
    pub rules: Vec<Tally>,
}

/// Gives `order` to the proxy at `socket`; the effect is in place when this returns.
pub(crate) fn send(socket: &Path, order: &Order) -> Result<State> {
    let mut stream = UnixStream::connect(socket)
        .with_context(|| format!("no API proxy answers at {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut line = serde_json::to_string(order)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut reply = String::new();
    BufReader::new(stream)
        .read_line(&mut reply)
        .context("the API proxy did not reply in 5 s")?;
    serde_json::from_str(&reply).with_context(|| format!("the API proxy replied {reply:?}"))
}
