//! `GoBGP`, which keeps its routes to itself, has no BFD, and has others say that it is there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::rib::{Attributes, Epoch, Neighbor, Path, Rib};
use super::{NODES_V4, NODES_V6, Nodes, Seat, bird};

pub(super) const SUMMARY: &str = "neighbor";

pub(super) fn start(seat: &Seat<'_>, nodes: &Nodes) -> Result<()> {
    seat.write("gobgpd.toml", &config(seat, nodes))?;
    let config = seat.file("gobgpd.toml");
    let api = format!("127.0.0.1:{API_PORT}");
    seat.spawn(
        "gobgpd",
        &[
            "/usr/bin/gobgpd",
            "-t",
            "toml",
            "-f",
            &config,
            "--api-hosts",
            &api,
            "--pprof-disable",
        ],
    )?;
    bird::advertise(seat)
}

pub(super) fn ask(seat: &Seat<'_>, question: &str) -> Result<String> {
    let mut command = vec!["gobgp", "-p", API_PORT, "-j"];
    command.extend(question.split_ascii_whitespace());
    seat.output(&command)
}

pub(super) fn rib(seat: &Seat<'_>) -> Result<Rib> {
    let mut rib = Rib::default();
    for family in ["ipv4", "ipv6"] {
        read_rib(&ask(seat, &format!("global rib -a {family}"))?, &mut rib)?;
    }
    Ok(rib)
}

pub(super) fn neighbors(seat: &Seat<'_>) -> Result<BTreeMap<IpAddr, Neighbor>> {
    read_neighbors(&ask(seat, "neighbor")?)
}

fn read_rib(text: &str, rib: &mut Rib) -> Result<()> {
    let all: BTreeMap<String, Vec<Value>> = serde_json::from_str(text)?;
    for (prefix, paths) in &all {
        for path in paths {
            rib.add(prefix, read_path(path)?);
        }
    }
    Ok(())
}

fn read_path(path: &Value) -> Result<Path> {
    let attributes = path["attrs"].as_array().map_or(&[][..], Vec::as_slice);
    let all = |name: &'static str| attributes.iter().filter_map(move |it| it.get(name));
    let numbers = |list: &Value| {
        let all = list.as_array().cloned().unwrap_or_default();
        let number = |it: Value| u32::try_from(it.as_u64()?).ok();
        all.into_iter().filter_map(number).collect::<Vec<_>>()
    };
    let hop = all("nexthop").find_map(Value::as_str);
    let local_pref = attributes.iter().find(|it| it["type"] == LOCAL_PREF);
    let segments = all("as_paths").filter_map(Value::as_array).flatten();
    let communities = all("communities").flat_map(numbers);
    let communities = communities.map(|it| format!("{}:{}", it >> 16, it & 0xffff));
    let large = all("value").filter_map(Value::as_array).flatten();
    let large = large.filter(|it| it.get("LocalData1").is_some());
    let large = large.map(|it| {
        ["ASN", "LocalData1", "LocalData2"]
            .map(|part| it[part].to_string())
            .join(":")
    });
    Ok(Path {
        next_hop: hop.context("a path without next hop")?.parse()?,
        attributes: Attributes::new(
            segments.flat_map(|it| numbers(&it["asns"])).collect(),
            local_pref.and_then(|it| it["value"].as_u64()),
            communities.chain(large),
        ),
    })
}

fn read_neighbors(text: &str) -> Result<BTreeMap<IpAddr, Neighbor>> {
    let all: Vec<Value> = serde_json::from_str(text)?;
    let up = all
        .iter()
        .filter(|it| it["state"]["session_state"] == ESTABLISHED);
    // Those over cables have the interface in their address.
    let address = |it: &Value| it["state"]["neighbor_address"].as_str()?.parse().ok();
    let up = up.filter_map(|it| Some((address(it)?, it)));
    let read = |(address, it): (IpAddr, &Value)| {
        let (state, timers) = (&it["state"], &it["timers"]["state"]);
        let asn = state["peer_asn"].as_u64().context("no peer_asn")?;
        let id = state["router_id"].as_str().context("no router_id")?;
        let up = timers["uptime"]["seconds"].as_u64().context("no uptime")?;
        let neighbor = Neighbor {
            asn: asn.try_into()?,
            identifier: id.to_owned(),
            hold_time: timers["negotiated_hold_time"].as_u64().unwrap_or_default(),
            epoch: Epoch::Since(Duration::from_secs(up)),
        };
        Ok((address, neighbor))
    };
    up.map(read).collect()
}

fn config(seat: &Seat<'_>, nodes: &Nodes) -> String {
    let restarts = nodes.restart;
    let family = |name: &str| {
        format!(
            "[[peer-groups.afi-safis]]
[peer-groups.afi-safis.config]
afi-safi-name = \"{name}\"
[peer-groups.afi-safis.mp-graceful-restart.config]
enabled = {restarts}
"
        )
    };
    let range = |prefix: &str| {
        format!(
            "[[dynamic-neighbors]]\n[dynamic-neighbors.config]\nprefix = \"{prefix}\"\npeer-group = \"nodes\"\n"
        )
    };
    // A neighbour of a range is forgotten when its session ends, with all its routes, and is not
    // asked for a password.
    let sessions: String = if restarts || nodes.password.is_some() {
        seat.nodes().map(neighbor).collect()
    } else {
        range(NODES_V4) + &range(NODES_V6)
    };
    format!(
        "[global.config]
as = {asn}
router-id = \"{id}\"
[[peer-groups]]
[peer-groups.config]
peer-group-name = \"nodes\"
peer-as = {nodes_asn}
auth-password = \"{password}\"
[peer-groups.timers.config]
idle-hold-time-after-reset = 1
[peer-groups.ebgp-multihop.config]
enabled = {far}
multihop-ttl = 255
[peer-groups.graceful-restart.config]
enabled = {restarts}
restart-time = 60
{}{}{sessions}",
        family("ipv4-unicast"),
        family("ipv6-unicast"),
        asn = seat.asn(),
        id = seat.router_id(),
        nodes_asn = nodes.asn,
        password = nodes.password.unwrap_or_default(),
        far = nodes.far,
    )
}

/// One that is known by its address, and waited for.
fn neighbor(address: IpAddr) -> String {
    format!(
        "[[neighbors]]
[neighbors.config]
neighbor-address = \"{address}\"
peer-group = \"nodes\"
[neighbors.transport.config]
passive-mode = true
"
    )
}

/// Each router has a namespace of its own, so one number does for all.
const API_PORT: &str = "50051";
/// The number of the attribute, RFC 4271 section 5.1.5.
const LOCAL_PREF: u8 = 5;
/// The number of the state.
const ESTABLISHED: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_what_was_said_of_them() {
        let text = r#"{"198.51.100.7/32":[{"nlri":{"prefix":"198.51.100.7/32"},"attrs":[
            {"type":1,"value":0},
            {"type":2,"as_paths":[{"segment_type":2,"num":1,"asns":[64500]}]},
            {"type":3,"nexthop":"192.0.2.11"},
            {"type":8,"communities":[4227072007,4294901760]},
            {"type":32,"value":[{"ASN":1,"LocalData1":2,"LocalData2":3}]}]}]}"#;
        let mut rib = Rib::default();
        read_rib(text, &mut rib).unwrap();
        let expected = "198.51.100.7/32 via 192.0.2.11, from 64500, 1:2:3, 64500:7, 65535:0\n";
        assert_eq!(rib.to_string(), expected);
    }
}
