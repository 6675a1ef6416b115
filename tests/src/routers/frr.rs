//! `FRRouting` without its init scripts: zebra, bfdd and bgpd over sockets of their own.

use std::os::unix::fs::chown;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{NODES_ASN, NODES_V4, NODES_V6, Seat};
use crate::process::run;

pub(super) const SUMMARY: &str = "show bgp summary json";

pub(super) fn start(seat: &Seat<'_>) -> Result<()> {
    seat.write("zebra.conf", &format!("hostname {}\n", seat.place))?;
    seat.write("bfdd.conf", &format!("hostname {}\n", seat.place))?;
    seat.write("bgpd.conf", &bgpd(seat))?;
    // Without it vtysh complains on every call.
    seat.write("vtysh.conf", "")?;
    // The daemons drop to their own user before they make sockets and pid files.
    let (user, group) = (id("-u")?, id("-g")?);
    chown(&seat.directory, Some(user), Some(group)).context("cannot give frr its directory")?;

    let (zserv, bfd) = (seat.file("zserv.api"), seat.file("bfdd.sock"));
    for daemon in DAEMONS {
        let program = format!("/usr/lib/frr/{daemon}");
        let (config, pid) = (seat.file(&format!("{daemon}.conf")), seat.file(daemon));
        let directory = seat.directory.display().to_string();
        let mut command = vec![
            &*program,
            "-f",
            &config,
            "-i",
            &pid,
            "-z",
            &zserv,
            "--vty_socket",
            &directory,
            "-A",
            "127.0.0.1",
            "-P",
            "0",
            "--log",
            "stdout",
        ];
        if daemon == "bfdd" {
            command.extend(["--bfdctl", &bfd]);
        }
        seat.spawn(daemon, &command)?;
    }
    Ok(())
}

pub(super) fn ask(seat: &Seat<'_>, question: &str) -> Result<String> {
    say(seat, &[question])
}

pub(super) fn configure(seat: &Seat<'_>, lines: &[&str]) -> Result<()> {
    let all = [&["configure terminal"], lines].concat();
    say(seat, &all).map(drop)
}

fn say(seat: &Seat<'_>, lines: &[&str]) -> Result<String> {
    let directory = seat.directory.display().to_string();
    let mut command = vec![
        "vtysh",
        "--vty_socket",
        &directory,
        "--config_dir",
        &directory,
    ];
    command.extend(lines.iter().flat_map(|line| ["-c", line]));
    seat.output(&command)
}

fn bgpd(seat: &Seat<'_>) -> String {
    format!(
        "hostname {place}
router bgp {asn}
 bgp router-id {id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor nodes peer-group
 neighbor nodes remote-as {NODES_ASN}
 neighbor nodes timers connect 1
 bgp listen range {NODES_V4} peer-group nodes
 bgp listen range {NODES_V6} peer-group nodes
 address-family ipv4 unicast
  neighbor nodes activate
 exit-address-family
 address-family ipv6 unicast
  neighbor nodes activate
 exit-address-family
",
        place = seat.place,
        asn = seat.asn(),
        id = seat.router_id(),
    )
}

fn id(which: &str) -> Result<u32> {
    let text = run(Command::new("id").args([which, "frr"])).context("there is no user frr")?;
    text.trim().parse().context("id printed no number")
}

/// In the order in which they are started; bgpd talks to both others.
const DAEMONS: [&str; 3] = ["zebra", "bfdd", "bgpd"];
