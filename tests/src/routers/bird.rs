//! BIRD 2.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::rib::{Attributes, Epoch, Neighbor, Path, Rib};
use super::{NODES_V4, NODES_V6, Nodes, Seat};
use crate::Router;

pub(super) const SUMMARY: &str = "show protocols";

pub(super) fn start(seat: &Seat<'_>, nodes: &Nodes) -> Result<()> {
    let is_newer = !Router::Bird.version()?.starts_with("2.");
    run(seat, &config(seat, nodes, is_newer))
}

/// Says on cables that a router is there, for one that does not say so itself.
pub(super) fn advertise(seat: &Seat<'_>) -> Result<()> {
    let id = seat.router_id();
    run(
        seat,
        &format!("router id {id};\nprotocol device {{ }}\n{ADVERTISER}"),
    )
}

fn run(seat: &Seat<'_>, config: &str) -> Result<()> {
    seat.write("bird.conf", config)?;
    let (config, control, pid) = (
        seat.file("bird.conf"),
        seat.file("bird.ctl"),
        seat.file("bird.pid"),
    );
    seat.spawn(
        "bird",
        &[
            "/usr/sbin/bird",
            "-f",
            "-c",
            &config,
            "-s",
            &control,
            "-P",
            &pid,
        ],
    )
}

pub(super) fn ask(seat: &Seat<'_>, question: &str) -> Result<String> {
    let control = seat.file("bird.ctl");
    let mut command = vec!["birdc", "-r", "-s", &control];
    command.extend(question.split_ascii_whitespace());
    seat.output(&command)
}

pub(super) fn rib(seat: &Seat<'_>) -> Result<Rib> {
    read_rib(&ask(seat, "show route all")?)
}

pub(super) fn neighbors(seat: &Seat<'_>) -> Result<BTreeMap<IpAddr, Neighbor>> {
    Ok(read_neighbors(&ask(seat, "show protocols all")?))
}

/// A prefix is on the line of its first path; what was said of a path is on indented lines.
fn read_rib(text: &str) -> Result<Rib> {
    let mut rib = Rib::default();
    let (mut prefix, mut said) = ("", BTreeMap::new());
    for line in text.lines().chain([""]) {
        if let Some(line) = line.strip_prefix('\t') {
            // Since BIRD 3 it is `bgp_path`, before that it was `BGP.as_path`.
            let attribute = ["BGP.as_", "BGP.", "bgp_"].iter();
            let mut attribute = attribute.filter_map(|it| line.strip_prefix(it));
            said.extend(attribute.next().and_then(|it| it.split_once(':')));
            continue;
        }
        if said.contains_key("next_hop") {
            rib.add(prefix, read_path(&said)?);
        }
        said.clear();
        prefix = line.split(' ').find(|it| is_prefix(it)).unwrap_or(prefix);
    }
    Ok(rib)
}

fn read_path(said: &BTreeMap<&str, &str>) -> Result<Path> {
    let value = |name: &str| said.get(name).copied().unwrap_or_default();
    // `2001:db8::11 fe80::1`, and `:: fe80::1` where there is only that.
    let hop = value("next_hop").split_whitespace().find(|it| *it != "::");
    let as_path = value("path").split_whitespace();
    // `(64500,7) (64500, 1, 2)`
    let communities = [value("community"), value("large_community")].join(" ");
    let communities = communities.split(')').filter_map(|it| {
        let numbers = it.trim().strip_prefix('(')?.split(',').map(str::trim);
        Some(numbers.collect::<Vec<_>>().join(":"))
    });
    Ok(Path {
        next_hop: hop.context("a path without next hop")?.parse()?,
        attributes: Attributes::new(
            as_path.map(str::parse).collect::<Result<_, _>>()?,
            value("local_pref").trim().parse().ok(),
            communities,
        ),
    })
}

fn is_prefix(word: &str) -> bool {
    word.split_once('/')
        .is_some_and(|(ip, _)| ip.parse::<IpAddr>().is_ok())
}

/// Of `14:16:10.860`.
fn time_of_day(text: &str) -> Option<Duration> {
    let mut parts = text.splitn(3, ':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(Duration::from_mins(60 * hours + minutes) + Duration::try_from_secs_f64(seconds).ok()?)
}

/// One paragraph for each session.
fn read_neighbors(text: &str) -> BTreeMap<IpAddr, Neighbor> {
    let session = |text: &str| {
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
        };
        let is_up = |line: &&str| line.trim().ends_with("Established");
        let since = text.lines().find(is_up)?.split_whitespace().nth(4)?;
        let hold_time = value("Hold timer")?.trim().rsplit_once('/')?.1;
        let neighbor = Neighbor {
            asn: value("Neighbor AS")?.trim().parse().ok()?,
            identifier: value("Neighbor ID")?.trim().to_owned(),
            hold_time: hold_time.parse().ok()?,
            epoch: Epoch::Since(time_of_day(since)?),
        };
        Some((value("Neighbor address")?.trim().parse().ok()?, neighbor))
    };
    text.split("\n\n").filter_map(session).collect()
}

fn config(seat: &Seat<'_>, nodes: &Nodes, is_newer: bool) -> String {
    let address = seat.address(nodes);
    // BIRD 3 wants to know of what kind it is, BIRD 2 knows one.
    let kind = if is_newer { "authentication md5; " } else { "" };
    let password = nodes
        .password
        .map(|it| format!("{kind}password \"{it}\"; "));
    let hops = if nodes.far { "multihop" } else { "direct" };
    let password = password.unwrap_or_default();
    let to_network = |name: &str, local: IpAddr, range: &str| {
        let path = format!("local {local} as {}; {hops}; {password}", seat.asn());
        session(name, &path, range, nodes, "")
    };
    let by_cable = |name: String| {
        let path = format!("local as {}; direct; interface \"{name}\";", seat.asn());
        session(&name, &path, LINK_LOCAL, nodes, "extended next hop on;")
    };
    format!(
        "log stderr all;
router id {id};
protocol device {{ }}
protocol direct {{ ipv4; ipv6; }}
protocol bfd {{
    interface \"*\" {{ {bfd} }};
    multihop {{ {bfd} }};
}}
protocol kernel {{ merge paths on; ipv4 {{ export where source = RTS_BGP; }}; }}
protocol kernel {{ merge paths on; ipv6 {{ export where source = RTS_BGP; }}; }}
{ADVERTISER}{four}{six}{cables}",
        id = seat.router_id(),
        bfd = "interval 50 ms; idle tx interval 300 ms; multiplier 3;",
        four = to_network("nodes4", address.v4.into(), NODES_V4),
        six = to_network("nodes6", address.v6.into(), NODES_V6),
        cables = seat.cables().map(by_cable).collect::<String>(),
    )
}

/// Sessions with all nodes of a network that are on this path.
fn session(name: &str, path: &str, range: &str, nodes: &Nodes, ipv4: &str) -> String {
    format!(
        "protocol bgp {name} {{
    {path}
    neighbor range {range} as {nodes_asn};
    dynamic name \"{name}_\";
    bfd on;
    connect retry time 1; connect delay time 1; error wait time 1,4;
    ipv4 {{ import all; export none; {ipv4} }};
    ipv6 {{ import all; export none; }};
}}
",
        nodes_asn = nodes.asn,
    )
}

const LINK_LOCAL: &str = "fe80::/64";

/// Nobody is to take it for a way out.
const ADVERTISER: &str = "protocol radv {
    interface \"down*\" { min ra interval 3; max ra interval 10; default lifetime 0; };
}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_what_was_said_of_them() {
        let text = "BIRD 2.0.12 ready.
Table master4:
192.0.2.0/24         unicast [direct1 14:16:09.872] * (240)
\tdev eth0
\tType: device univ
198.51.100.7/32      unicast [nodes4_1 14:16:14.908] * (100) [AS64500i]
\tvia 192.0.2.11 on eth0
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 64500
\tBGP.next_hop: 192.0.2.11
\tBGP.local_pref: 100
\tBGP.community: (64500,7) (65535,0)
\tBGP.large_community: (1, 2, 3)
                     unicast [nodes4_2 14:16:14.908] (100) [AS64500i]
\tvia 192.0.2.12 on eth0
\tType: BGP univ
\tBGP.origin: IGP
\tBGP.as_path: 64500
\tBGP.next_hop: 192.0.2.12
\tBGP.local_pref: 100

Table master6:
2001:db8:f::/128     unicast [nodes6_1 14:16:14.908] * (100) [i]
\tvia 2001:db8::11 on eth0
\tType: BGP univ
\tBGP.as_path:
\tBGP.next_hop: 2001:db8::11 fe80::1
\tBGP.local_pref: 7
2001:db8:f::1/128    unicast [down1_1 14:16:09.872] * (100) [AS64500i]
\tType: BGP univ
\tBGP.as_path: 64500
\tBGP.next_hop: :: fe80::2
";
        let expected = "\
198.51.100.7/32 via 192.0.2.12, from 64500
198.51.100.7/32 via 192.0.2.11, from 64500, 1:2:3, 64500:7, 65535:0
2001:db8:f::/128 via 2001:db8::11, preference 7
2001:db8:f::1/128 via fe80::2, from 64500
";
        assert_eq!(read_rib(text).unwrap().to_string(), expected);
    }

    #[test]
    fn bird_3_has_other_words() {
        let text = "BIRD 3.1.8 ready.
Table master4:
192.0.2.0/24         unicast [direct1 15:13:02.098] * (240)
\tdev eth0
\tpreference: 240
\tsource: device
198.51.100.7/32      unicast [nodes4_1 15:13:02.721] * (100) [AS64500i]
\tvia 192.0.2.11 on eth0
\tpreference: 100
\tfrom: 192.0.2.11
\tsource: BGP
\tbgp_origin: IGP
\tbgp_path: 64500
\tbgp_next_hop: 192.0.2.11
\tbgp_local_pref: 100
\tbgp_community: (64500,7) (65535,0)
\tbgp_large_community: (64500, 1, 2)
\tInternal route handling values: 0L 7G 0S id 2
";
        let expected = "198.51.100.7/32 via 192.0.2.11, from 64500, 64500:1:2, 64500:7, 65535:0\n";
        assert_eq!(read_rib(text).unwrap().to_string(), expected);
    }

    #[test]
    fn sessions_that_are_up_are_read() {
        let text = "BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
kernel1    Kernel     master4    up     14:16:09.872

nodes4_1   BGP        ---        up     14:16:10.860  Established
  BGP state:          Established
    Neighbor address: 192.0.2.11
    Neighbor AS:      64500
    Neighbor ID:      192.0.2.11
    Hold timer:       171.284/180

nodes4_2   BGP        ---        start  14:16:10.860  Passive
  BGP state:          Passive
    Neighbor address: 192.0.2.12
";
        let expected = Neighbor {
            asn: 64500,
            identifier: "192.0.2.11".to_owned(),
            hold_time: 180,
            epoch: Epoch::Since(Duration::from_millis(51_370_860)),
        };
        let n1 = "192.0.2.11".parse().unwrap();
        assert_eq!(read_neighbors(text), [(n1, expected)].into());
    }
}
