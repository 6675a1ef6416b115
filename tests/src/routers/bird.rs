//! BIRD 2.

use anyhow::Result;

use super::{NODES_ASN, NODES_V4, NODES_V6, Seat};

pub(super) const SUMMARY: &str = "show protocols";

pub(super) fn start(seat: &Seat<'_>) -> Result<()> {
    seat.write("bird.conf", &config(seat))?;
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

fn config(seat: &Seat<'_>) -> String {
    let address = seat.place.address();
    let session = |name: &str, local: String, range: &str| {
        format!(
            "protocol bgp {name} {{
    local {local} as {asn};
    neighbor range {range} as {NODES_ASN};
    dynamic name \"{name}_\";
    bfd on;
    connect retry time 1; connect delay time 1; error wait time 1,4;
    ipv4 {{ import all; export none; }};
    ipv6 {{ import all; export none; }};
}}
",
            asn = seat.asn(),
        )
    };
    format!(
        "log stderr all;
router id {id};
protocol device {{ }}
protocol bfd {{ interface \"*\" {{ interval 50 ms; idle tx interval 300 ms; multiplier 3; }}; }}
protocol kernel {{ ipv4 {{ export all; }}; }}
protocol kernel {{ ipv6 {{ export all; }}; }}
{four}{six}",
        id = seat.router_id(),
        four = session("nodes4", address.v4.to_string(), NODES_V4),
        six = session("nodes6", address.v6.to_string(), NODES_V6),
    )
}
