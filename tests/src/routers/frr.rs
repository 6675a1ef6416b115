//! `FRRouting` without its init scripts: zebra, bfdd and bgpd over sockets of their own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::{fmt, fs};

use anyhow::{Context as _, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::rib::{Attributes, Epoch, GRACEFUL_SHUTDOWN, Neighbor, Path, Rib};
use super::{NODES_V4, NODES_V6, Nodes, Seat, TIMEOUT, release};
use crate::eventually;

pub(super) const SUMMARY: &str = "show bgp summary json";

pub(super) fn start(seat: &Seat<'_>, nodes: &Nodes) -> Result<()> {
    seat.write("zebra.conf", &format!("hostname {}\n", seat.place))?;
    seat.write("bfdd.conf", &format!("hostname {}\n{BFD}", seat.place))?;
    seat.write("bgpd.conf", &bgpd(seat, nodes))?;
    // Without it vtysh complains on every call.
    seat.write("vtysh.conf", "")?;
    // The daemons drop to their own user before they make sockets and pid files.
    let (user, group) = (id(seat, "-u")?, id(seat, "-g")?);
    chown(&seat.directory, Some(user), Some(group)).context("cannot give frr its directory")?;

    let (zserv, bfd) = (seat.file("zserv.api"), seat.file("bfdd.sock"));
    // What an earlier zebra left looks as if it was there already.
    let _ = fs::remove_file(&zserv);
    let is_there = |it: &&str| release::has(&format!("/usr/lib/frr/{it}"));
    for daemon in DAEMONS.into_iter().filter(is_there) {
        let program = format!("/usr/lib/frr/{daemon}");
        let (config, pid) = (seat.file(&format!("{daemon}.conf")), seat.file(daemon));
        let directory = seat.directory.display().to_string();
        let mut command = vec![
            &*program,
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
        if daemon != MGMTD {
            command.extend(["-f", &config]);
        }
        // It has a place of its own where there is one that manages all.
        if daemon == "bfdd" && !release::has("/usr/lib/frr/mgmtd") {
            command.extend(["--bfdctl", &bfd]);
        }
        seat.spawn(daemon, &command)?;
        known_to_zebra(seat, daemon)?;
    }
    Ok(())
}

/// The next daemon talks to it by way of zebra, and tries only every ten seconds.
fn known_to_zebra(seat: &Seat<'_>, daemon: &str) -> Result<()> {
    if daemon == MGMTD {
        return Ok(());
    }
    let name = daemon.trim_end_matches('d');
    eventually(&format!("{daemon} of {}", seat.place), TIMEOUT, || {
        let clients = ask(seat, "show zebra client summary")?;
        let is_there = daemon == "zebra" || clients.contains(name);
        Ok(is_there.then_some(()).ok_or(clients))
    })
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

pub(super) fn rib(seat: &Seat<'_>) -> Result<Rib> {
    let mut rib = Rib::default();
    for family in ["ipv4", "ipv6"] {
        let text = ask(seat, &format!("show bgp {family} unicast json detail"))?;
        read_rib(&text, &mut rib)?;
    }
    Ok(rib)
}

pub(super) fn neighbors(seat: &Seat<'_>) -> Result<BTreeMap<IpAddr, Neighbor>> {
    read_neighbors(&ask(seat, "show bgp neighbors json")?)
}

fn read_rib(text: &str, rib: &mut Rib) -> Result<()> {
    let all: Value = serde_json::from_str(text)?;
    for (prefix, paths) in all["routes"].as_object().into_iter().flatten() {
        // Before FRR 10 a list, of which the first entry is about the prefix itself.
        let paths = paths.get("paths").unwrap_or(paths);
        let paths = paths.as_array().into_iter().flatten();
        for path in paths.filter(|it| it["nexthops"].is_array()) {
            rib.add(prefix, read_path(path)?);
        }
    }
    Ok(())
}

fn read_path(path: &Value) -> Result<Path> {
    let hops = path["nexthops"].as_array().into_iter().flatten();
    let (on_link, off_link): (Vec<_>, Vec<_>) = hops.partition(|it| it["scope"] == "link-local");
    let mut hops = off_link.into_iter().chain(on_link);
    let hop = hops.find_map(|it| it["ip"].as_str());
    let words = |value: &Value| {
        let text = value["string"].as_str().unwrap_or_default().to_owned();
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // An empty path is `Local`.
    let as_path = words(&path["aspath"]).into_iter();
    let as_path = as_path.filter_map(|it| it.parse().ok()).collect();
    let communities = words(&path["community"]).into_iter().map(|it| {
        let known = it == "graceful-shutdown";
        if known {
            GRACEFUL_SHUTDOWN.to_owned()
        } else {
            it
        }
    });
    let communities = communities.chain(words(&path["largeCommunity"]));
    Ok(Path {
        next_hop: hop.context("a path without next hop")?.parse()?,
        attributes: Attributes::new(as_path, path["locPrf"].as_u64(), communities),
    })
}

fn read_neighbors(text: &str) -> Result<BTreeMap<IpAddr, Neighbor>> {
    let Pairs(all) = serde_json::from_str(text)?;
    let up = all.iter().filter(|(_, it)| it["bgpState"] == "Established");
    // Those over cables are known by the interface.
    let up = up.filter_map(|(name, it)| Some((name.parse().ok()?, it)));
    let read = |(address, it): (IpAddr, &Value)| {
        let asn = it["remoteAs"].as_u64().context("no remoteAs")?;
        let id = it["remoteRouterId"].as_str().context("no remoteRouterId")?;
        let hold_time = it["bgpTimerHoldTimeMsecs"].as_u64().context("no timer")?;
        let times = it["connectionsEstablished"].as_u64();
        let times = times.context("no connectionsEstablished")?;
        let neighbor = Neighbor {
            asn: asn.try_into()?,
            identifier: id.to_owned(),
            hold_time: hold_time / 1000,
            epoch: Epoch::Count(times),
        };
        Ok((address, neighbor))
    };
    up.map(read).collect()
}

/// A JSON object of which a key may be there twice, as that of a neighbour is while FRR still
/// forgets its session before.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(Pairs(all))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn bgpd(seat: &Seat<'_>, nodes: &Nodes) -> String {
    let password = nodes
        .password
        .map(|it| format!(" neighbor nodes password {it}\n"));
    let far = nodes.far.then_some(" neighbor nodes ebgp-multihop 255\n");
    let found = seat.cables().map(|it| {
        format!(
            " neighbor {it} interface remote-as external
 neighbor {it} timers connect 1
 neighbor {it} bfd
 neighbor {it} bfd profile fast
"
        )
    });
    let activated = seat
        .cables()
        .map(|it| format!("  neighbor {it} activate\n"));
    format!(
        "hostname {place}
router bgp {asn}
 bgp router-id {id}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor nodes peer-group
 neighbor nodes remote-as {nodes_asn}
 neighbor nodes timers connect 1
 neighbor nodes bfd
 neighbor nodes bfd profile fast
{password}{far}{found} bgp listen range {NODES_V4} peer-group nodes
 bgp listen range {NODES_V6} peer-group nodes
 address-family ipv4 unicast
  neighbor nodes activate
{activated} exit-address-family
 address-family ipv6 unicast
  neighbor nodes activate
{activated} exit-address-family
",
        place = seat.place,
        asn = seat.asn(),
        id = seat.router_id(),
        nodes_asn = nodes.asn,
        password = password.unwrap_or_default(),
        far = far.unwrap_or_default(),
        found = found.collect::<String>(),
        activated = activated.collect::<String>(),
    )
}

fn id(seat: &Seat<'_>, which: &str) -> Result<u32> {
    let text = seat.output(&["id", which, "frr"]);
    let text = text.context("there is no user frr")?;
    text.trim().parse().context("id printed no number")
}

/// In the order in which they are started; bgpd talks to all others.
const DAEMONS: [&str; 4] = [MGMTD, "zebra", "bfdd", "bgpd"];
/// Since FRR 9.
const MGMTD: &str = "mgmtd";

const BFD: &str = "bfd
 profile fast
  transmit-interval 50
  receive-interval 50
  detect-multiplier 3
 exit
exit
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_sessions_with_a_neighbour_the_one_that_is_up_counts() {
        let text = r#"{
            "192.0.2.11": { "bgpState": "Established", "remoteAs": 64500,
                "remoteRouterId": "192.0.2.11", "bgpTimerHoldTimeMsecs": 9000,
                "connectionsEstablished": 1 },
            "192.0.2.11": { "bgpState": "Idle" },
            "down1": { "bgpState": "Established" }
        }"#;
        let all = read_neighbors(text).unwrap();
        let it = &all[&"192.0.2.11".parse().unwrap()];
        assert_eq!((it.asn, it.hold_time), (64500, 9));
    }

    #[test]
    fn paths_are_read_with_what_was_said_of_them() {
        let text = r#"{ "routes": { "198.51.100.7/32": [
            {"prefix":"198.51.100.7/32","version":1},
            {"aspath":{"string":"64500"},"origin":"IGP","locPrf":0,
             "community":{"string":"64500:7 graceful-shutdown"},
             "largeCommunity":{"string":"1:2:3"},
             "nexthops":[{"ip":"192.0.2.11","used":true}]},
            {"aspath":{"string":"Local"},"locPrf":7,"nexthops":[
             {"ip":"fe80::1","scope":"link-local"},{"ip":"2001:db8::11","scope":"global"}]},
            {"aspath":{"string":"64500"},"nexthops":[{"ip":"fe80::2","scope":"link-local"}]}
        ] } }"#;
        let mut rib = Rib::default();
        read_rib(text, &mut rib).unwrap();
        let expected = "\
198.51.100.7/32 via 2001:db8::11, preference 7
198.51.100.7/32 via fe80::2, from 64500
198.51.100.7/32 via 192.0.2.11, from 64500, 1:2:3, 64500:7, 65535:0
";
        assert_eq!(rib.to_string(), expected);
    }
}
