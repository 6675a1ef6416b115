//! A cable between a place and the fabric: pulled, dead, or whole.

use std::fmt;
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{Place, eventually, process::run};

/// One network card of a place with the cable in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cable {
    /// Whose it is.
    pub place: Place,
    /// The number in `eth0` or `eth1`.
    pub nic: u8,
}

impl Cable {
    /// The fabric's end.
    pub(crate) fn port(self) -> String {
        self.place.port(self.nic)
    }

    /// The end in the place.
    pub fn device(self) -> String {
        format!("eth{}", self.nic)
    }

    /// `n1` or `n1 eth1`, as the command line gives it.
    pub fn parse(place: &str, device: Option<&str>) -> Result<Self> {
        let nic = match device {
            None | Some("eth0") => 0,
            Some("eth1") => 1,
            Some(other) => bail!("{other:?} is no network card: eth0 or eth1"),
        };
        Ok(Self {
            place: place.parse()?,
            nic,
        })
    }
}

impl From<Place> for Cable {
    fn from(place: Place) -> Self {
        Self { place, nic: 0 }
    }
}

impl FromStr for Cable {
    type Err = anyhow::Error;

    /// `n1` or `n1/eth1`.
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('/') {
            Some((place, device)) => Self::parse(place, Some(device)),
            None => Self::parse(text, None),
        }
    }
}

impl fmt::Display for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.device())
    }
}

/// Takes the fabric's end down, so that the place's end loses its carrier.
pub(super) fn cut(fabric: &str, netns: &str, cable: Cable) -> Result<()> {
    ip(fabric, &["link", "set", &cable.port(), "down"])?;
    await_flag(netns, cable, "NO-CARRIER")
}

/// Disables the bridge port. (`bridge link … isolated on` sounds like it, but keeps only isolated
/// ports from each other.)
pub(super) fn isolate(fabric: &str, netns: &str, cable: Cable) -> Result<()> {
    if !has_flag(&link(netns, &cable.device())?, "LOWER_UP") {
        bail!("{cable} is cut and has no carrier to keep; heal it first");
    }
    set_port_state(fabric, &cable.port(), DISABLED)?;
    await_port_state(fabric, cable, "disabled")
}

pub(super) fn heal(fabric: &str, netns: &str, cable: Cable) -> Result<()> {
    ip(fabric, &["link", "set", &cable.port(), "up"])?;
    await_flag(netns, cable, "LOWER_UP")?;
    // The kernel takes no state for a port without carrier, so this comes second.
    set_port_state(fabric, &cable.port(), FORWARDING)?;
    await_port_state(fabric, cable, "forwarding")
}

fn await_port_state(fabric: &str, cable: Cable, wanted: &str) -> Result<()> {
    eventually(&format!("port of {cable} {wanted}"), TIMEOUT, || {
        let show = [
            "bridge",
            "-json",
            "-n",
            fabric,
            "link",
            "show",
            "dev",
            &cable.port(),
        ];
        let port = only(json(&show)?, &cable.port())?;
        let state = port["state"].as_str().unwrap_or("unknown").to_owned();
        Ok(if state == wanted { Ok(()) } else { Err(state) })
    })
}

fn set_port_state(fabric: &str, port: &str, state: &str) -> Result<()> {
    let link_set = ["-n", fabric, "link", "set", "dev", port, "state", state];
    run(Command::new("bridge").args(link_set)).map(drop)
}

fn ip(netns: &str, arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(["-n", netns]).args(arguments)).map(drop)
}

/// What `ip` says of the cards of a place.
pub(crate) fn cards(netns: &str) -> Result<Vec<Value>> {
    let mut links = json(&["ip", "-json", "-n", netns, "link", "show"])?;
    links.retain(|link| {
        link["ifname"]
            .as_str()
            .is_some_and(|name| name.starts_with("eth"))
    });
    Ok(links)
}

/// What `ip` says of one link.
fn link(netns: &str, device: &str) -> Result<Value> {
    only(
        json(&["ip", "-json", "-n", netns, "link", "show", device])?,
        device,
    )
}

fn await_flag(netns: &str, cable: Cable, flag: &str) -> Result<()> {
    eventually(&format!("{flag} on {cable}"), TIMEOUT, || {
        let link = link(netns, &cable.device())?;
        Ok(if has_flag(&link, flag) {
            Ok(())
        } else {
            Err(link["flags"].to_string())
        })
    })
}

fn has_flag(link: &Value, flag: &str) -> bool {
    link["flags"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|value| value == flag)
}

/// The objects that a command of iproute2 prints; what it filtered out it prints as empty ones.
fn json(command: &[&str]) -> Result<Vec<Value>> {
    let (program, arguments) = command.split_first().context("no command")?;
    let text = run(Command::new(program).args(arguments))?;
    let mut list: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("{command:?} printed no JSON"))?;
    list.retain(|link| link.get("ifname").is_some());
    Ok(list)
}

fn only(list: Vec<Value>, device: &str) -> Result<Value> {
    list.into_iter()
        .next()
        .with_context(|| format!("there is no {device}"))
}

// include/uapi/linux/if_bridge.h: BR_STATE_*.
const DISABLED: &str = "0";
const FORWARDING: &str = "3";
const TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_reads_back_what_it_prints() {
        for text in ["n1/eth0", "client/eth1", "r2/eth0"] {
            assert_eq!(text.parse::<Cable>().unwrap().to_string(), text);
        }
        assert_eq!("n3".parse::<Cable>().unwrap(), Place::Node(3).into());
        for bad in ["n1/eth2", "n1/", "/eth0", "x/eth0"] {
            assert!(bad.parse::<Cable>().is_err(), "{bad:?} was taken");
        }
    }
}
