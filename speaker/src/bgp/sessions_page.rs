//! The sessions of this node as a table, and `speaker bgp`, which prints it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use metallb_bfd::Bfd;
use metallb_bgp::Speaker;
use metallb_config::PeerAddress;
use metallb_kit::watch::ObjectKey;

use super::Peer;

/// Where a running speaker shows it, on the port of its probes.
pub(crate) const PATH: &str = "/bgp";

/// The table, as things are.
pub(crate) fn sessions<'a>(
    speaker: &Speaker<String, ObjectKey>,
    bfd: &Bfd,
    peer: impl Fn(&str) -> Option<&'a Peer>,
) -> String {
    let mut text = row([
        "PEER", "ADDRESS", "AS", "STATE", "SINCE", "TOLD", "LEFT", "HEARD", "HOLD", "BFD",
        "LAST END",
    ]);
    for (name, session) in speaker.sessions() {
        let Some(peer) = peer(name) else { continue };
        let address = match &peer.setup.address {
            PeerAddress::Ip(_) => peer.setup.to_string(),
            PeerAddress::Interface(name) if peer.at.is_err() => name.clone(),
            PeerAddress::Interface(_) => peer.whom(),
        };
        let agreed = session.negotiated();
        let asn = agreed.map(|it| it.open.asn().to_string());
        let hold = agreed.map(|it| format!("{}s", it.hold_time));
        let watched = peer.bfd().and_then(|(path, _)| bfd.session(&path));
        let end = session.last_end();
        let end = end.map(|(at, end)| {
            let said = peer.last_end.clone();
            let why = said.unwrap_or_else(|| end.to_string());
            format!("{}: {why}", time(at))
        });
        text += &row([
            name,
            &address,
            asn.as_deref().unwrap_or("-"),
            &session.state().to_string(),
            &session.since().map_or_else(|| "-".to_owned(), time),
            &session.told().to_string(),
            &session.left(speaker.rib()).to_string(),
            &session.received().count().to_string(),
            hold.as_deref().unwrap_or("-"),
            &watched.map_or_else(|| "-".to_owned(), bfd_cell),
            end.as_deref().unwrap_or("-"),
        ]);
    }
    text
}

fn bfd_cell(session: &metallb_bfd::Session) -> String {
    let echo = session.echo_interval().map_or("", |_| " echo");
    format!("{}{echo}", session.state())
}

fn row(cells: [&str; 11]) -> String {
    let widths = [16, 30, 10, 11, 20, 6, 6, 6, 5, 9, 0];
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        // It is a String, which takes everything.
        let _ = write!(line, "{cell:<width$}  ");
    }
    line.trim_end().to_owned() + "\n"
}

/// When that was, by the clock on the wall.
fn time(at: Instant) -> String {
    let ago = at.elapsed().as_secs();
    let now = Timestamp::now().as_second();
    let then = now.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX));
    Timestamp::from_second(then).map_or_else(|_| "-".to_owned(), |it| it.to_string())
}

/// Prints the table of the speaker that runs on this node.
pub(crate) fn print(port: u16) -> Result<()> {
    let at = (Ipv4Addr::LOCALHOST, port);
    let mut stream = TcpStream::connect(at)
        .with_context(|| format!("no speaker answers on port {port} of this node"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {PATH} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, table) = answer
        .split_once("\r\n\r\n")
        .context("that is no speaker")?;
    print!("{table}");
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(5);
