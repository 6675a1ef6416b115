//! Frames lost by chance: nftables on the bridge, since the kernel here has no netem. And packets
//! that are not forwarded: nftables where they would be.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{feed, run};

/// Drops `percent` of what comes from and goes to `port`, also to and from the bridge itself.
pub(super) fn set(fabric: &str, port: &str, percent: u8) -> Result<()> {
    ensure!(percent <= 100, "{percent} % is more than everything");
    let table = table(port);
    // One transaction: the old rule goes and the new one comes at the same moment. Adding a table
    // that is there already is no error, and makes deleting it none either.
    let mut ruleset = format!("add table bridge {table}\ndelete table bridge {table}\n");
    if percent > 0 {
        ruleset.push_str(&rules(&table, port, percent));
    }
    feed(nft(fabric).args(["-f", "-"]), &ruleset)
        .with_context(|| format!("no loss on {port}"))
        .map(drop)
}

/// Frames dropped so far.
pub(super) fn count(fabric: &str, port: &str) -> Result<u64> {
    let table = table(port);
    let text = run(nft(fabric).args(["-j", "list", "table", "bridge", &table]))
        .with_context(|| format!("{port} is not lossy"))?;
    let listing: Value = serde_json::from_str(&text).context("nft printed no JSON")?;
    let objects = listing["nftables"].as_array().into_iter().flatten();
    let expressions = objects
        .filter_map(|object| object["rule"]["expr"].as_array())
        .flatten();
    Ok(expressions
        .filter_map(|expression| expression["counter"]["packets"].as_u64())
        .sum())
}

/// Drops what would be forwarded from an address to a UDP port; nothing any more without one.
pub(super) fn not_forwarded(netns: &str, from: Option<Ipv4Addr>, port: u16) -> Result<()> {
    let rule = from.map_or_else(String::new, |from| {
        format!("ip saddr {from} udp dport {port} drop")
    });
    let ruleset = format!(
        "add table ip {LOST}
        delete table ip {LOST}
        table ip {LOST} {{
            chain forward {{
                type filter hook forward priority 0; policy accept;
                {rule}
            }}
        }}\n"
    );
    feed(nft(netns).args(["-f", "-"]), &ruleset)
        .with_context(|| format!("no loss in {netns}"))
        .map(drop)
}

fn rules(table: &str, port: &str, percent: u8) -> String {
    let chance = format!("numgen random mod 100 < {percent} counter drop");
    format!(
        "table bridge {table} {{
            chain from {{
                type filter hook prerouting priority 0; policy accept;
                iifname \"{port}\" {chance}
            }}
            chain to {{
                type filter hook postrouting priority 0; policy accept;
                oifname \"{port}\" {chance}
            }}
        }}\n"
    )
}

fn table(port: &str) -> String {
    format!("loss_{port}")
}

const LOST: &str = "not_forwarded";

fn nft(netns: &str) -> Command {
    let mut nsenter = Command::new("nsenter");
    nsenter
        .arg(format!("--net=/run/netns/{netns}"))
        .args(["--", "nft"]);
    nsenter
}
